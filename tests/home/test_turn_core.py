"""The TURN server's rules, RFC 8656 and RFC 8489 section 9.2, on a virtual clock."""

from __future__ import annotations

import random

import pytest

from app.home.turn_io import TurnLimits
from app.ice.stun import Attribute, Message, MessageClass, Method, encode_channel_data
from tests.home.turn_driver import PEER, SERVER, UDP, Client, Core, code, lifetime


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def ada(core: Core) -> Client:
    return Client(core)


# Binding -------------------------------------------------------------------------------------------------


def test_binding_tells_where_the_client_is_seen(ada: Client) -> None:
    answer = ada.answer(ada.request(Method.BINDING).encode())
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == ada.path.client
    assert not answer.has_fingerprint


def test_binding_answers_a_fingerprint_with_a_fingerprint(ada: Client) -> None:
    assert ada.answer(ada.request(Method.BINDING).encode(fingerprint=True)).has_fingerprint


def test_binding_with_an_unknown_required_attribute_is_420(ada: Client) -> None:
    answer = ada.answer(ada.request(Method.BINDING, (0x0003, bytes(4))).encode())
    assert code(answer) == 420
    assert answer.get(Attribute.UNKNOWN_ATTRIBUTES) == b"\x00\x03"


def test_binding_indication_is_a_keepalive_without_answer(ada: Client) -> None:
    assert ada.raw(Message(Method.BINDING, MessageClass.INDICATION, bytes(12)).encode()) == []


# Credentials ---------------------------------------------------------------------------------------------


def test_first_allocate_is_challenged(ada: Client) -> None:
    challenge = ada.learn_nonce()
    assert code(challenge) == 401
    assert challenge.text(Attribute.REALM) == "home.test"
    assert challenge.text(Attribute.NONCE)
    assert challenge.integrity_at is None


def test_wrong_password_and_unknown_user_look_alike(core: Core) -> None:
    wrong = Client(core, "ada", password="guess").allocate()
    unknown = Client(core, "eve", ("203.0.113.6", 6000)).allocate()
    assert code(wrong) == code(unknown) == 401
    assert [kind for kind, _ in wrong.attributes] == [kind for kind, _ in unknown.attributes]
    assert core.server.allocations == 0


def test_incomplete_credentials_are_400(ada: Client) -> None:
    assert code(ada.answer(ada.request(Method.ALLOCATE, UDP).encode(ada.key))) == 400


def test_stale_nonce_is_438_with_a_new_one(core: Core, ada: Client) -> None:
    ada.allocate(lifetime(3600))
    core.advance(3599)
    assert code(ada.ask(Method.REFRESH)) is None
    core.advance(2)
    stale = ada.ask(Method.REFRESH)
    assert code(stale) == 438
    assert stale.text(Attribute.NONCE) != ada.nonce
    ada.nonce = stale.text(Attribute.NONCE)
    assert code(ada.ask(Method.REFRESH)) is None


def test_nonce_of_another_address_or_of_nobody_is_stale(core: Core, ada: Client) -> None:
    other = Client(core, "ada", ("203.0.113.6", 6000))
    other.learn_nonce()
    for nonce in (other.nonce, "", "zz", "0" * 28, "é" * 9):
        assert code(ada.answer(ada.sign(ada.request(Method.ALLOCATE, UDP), nonce=nonce or "x"))) == 438


def test_answers_to_users_are_signed(ada: Client) -> None:
    assert ada.allocate().check_integrity(ada.key)
    assert ada.ask(Method.ALLOCATE, UDP).check_integrity(ada.key)  # a 437


# Allocate ------------------------------------------------------------------------------------------------


def test_allocate_gives_relayed_and_mapped_address(core: Core, ada: Client) -> None:
    answer = ada.allocate()
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS) == core.relays[ada.relay_id]
    assert answer.address(Attribute.XOR_MAPPED_ADDRESS) == ada.path.client
    assert answer.number(Attribute.LIFETIME) == 600


@pytest.mark.parametrize(("asked", "granted"), [(0, 600), (1, 600), (900, 900), (3600, 3600), (2**32 - 1, 3600)])
def test_lifetime_is_kept_within_bounds(ada: Client, asked: int, granted: int) -> None:
    assert ada.allocate(lifetime(asked)).number(Attribute.LIFETIME) == granted


def test_retransmitted_allocate_gets_the_same_answer(core: Core, ada: Client) -> None:
    ada.learn_nonce()
    request = ada.sign(ada.request(Method.ALLOCATE, UDP))
    assert ada.raw(request) == ada.raw(request)
    assert core.server.allocations == 1


def test_second_allocate_on_the_same_address_is_437(ada: Client) -> None:
    ada.allocate()
    assert code(ada.allocate()) == 437


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ((), 400),
        (((Attribute.REQUESTED_TRANSPORT, b"\x11"),), 400),
        (((Attribute.REQUESTED_TRANSPORT, bytes((6, 0, 0, 0))),), 442),
        ((UDP, (Attribute.DONT_FRAGMENT, b"")), 420),
        ((UDP, (0x7ABC, b"")), 420),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, bytes((2, 0, 0, 0)))), 440),
        ((UDP, (Attribute.REQUESTED_ADDRESS_FAMILY, bytes((9, 0, 0, 0)))), 440),
        ((UDP, (Attribute.RESERVATION_TOKEN, bytes(8))), 508),
        ((UDP, (Attribute.RESERVATION_TOKEN, bytes(8)), (Attribute.EVEN_PORT, b"\0")), 400),
        ((UDP, (Attribute.RESERVATION_TOKEN, bytes(4))), 400),
        ((UDP, (Attribute.EVEN_PORT, b"\x80"), (Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((2, 0, 0, 0)))), 400),
        ((UDP, (Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((1, 0, 0, 0)))), 400),
        (
            (
                UDP,
                (Attribute.REQUESTED_ADDRESS_FAMILY, bytes((1, 0, 0, 0))),
                (Attribute.ADDITIONAL_ADDRESS_FAMILY, bytes((2, 0, 0, 0))),
            ),
            400,
        ),
        ((UDP, (Attribute.LIFETIME, b"\0")), 400),
    ],
)
def test_allocate_refuses_what_it_cannot_do(
    ada: Client, attributes: tuple[tuple[int, bytes], ...], expected: int
) -> None:
    assert code(ada.ask(Method.ALLOCATE, *attributes)) == expected


def test_unknown_attributes_are_named(ada: Client) -> None:
    answer = ada.ask(Method.ALLOCATE, UDP, (int(Attribute.DONT_FRAGMENT), b""))
    assert answer.get(Attribute.UNKNOWN_ATTRIBUTES) == b"\x00\x1a"


def test_second_family_is_refused_inside_the_success(ada: Client) -> None:
    answer = ada.allocate((int(Attribute.ADDITIONAL_ADDRESS_FAMILY), bytes((2, 0, 0, 0))))
    assert answer.message_class is MessageClass.SUCCESS
    refused = answer.get(Attribute.ADDRESS_ERROR_CODE)
    assert refused is not None
    assert refused[:4] == bytes((2, 0, 4, 40))


def test_even_port_is_passed_on(core: Core, ada: Client) -> None:
    ada.allocate((int(Attribute.EVEN_PORT), b"\0"))
    assert core.opened[-1].even_port


def test_ipv6_allocation_where_offered() -> None:
    core = Core(families=(4, 6))
    ada = Client(core)
    answer = ada.allocate((int(Attribute.REQUESTED_ADDRESS_FAMILY), bytes((2, 0, 0, 0))))
    assert answer.address(Attribute.XOR_RELAYED_ADDRESS) == ("2001:db8::1", 50001)
    assert code(ada.permit(PEER)) == 443
    assert code(ada.permit(("2001:db8::9", 1))) is None
    assert code(ada.ask(Method.REFRESH, (int(Attribute.REQUESTED_ADDRESS_FAMILY), bytes((1, 0, 0, 0))))) == 443


BOTH = (int(Attribute.ADDITIONAL_ADDRESS_FAMILY), bytes((2, 0, 0, 0)))
ONLY_IPV6 = (int(Attribute.REQUESTED_ADDRESS_FAMILY), bytes((2, 0, 0, 0)))
PEER_IPV6 = ("2001:db8::9", 1)


@pytest.mark.parametrize("number", [Attribute.ADDITIONAL_ADDRESS_FAMILY, Attribute.ADDITIONAL_ADDRESS_FAMILY_DRAFT])
def test_one_allocation_relays_in_both_families(number: int) -> None:
    core = Core(families=(4, 6))
    ada = Client(core)
    answer = ada.allocate((number, BOTH[1]))
    assert answer.addresses(Attribute.XOR_RELAYED_ADDRESS) == [("198.51.100.1", 50001), ("2001:db8::1", 50002)]
    assert not answer.has(Attribute.ADDRESS_ERROR_CODE)
    assert code(ada.permit(PEER, PEER_IPV6)) is None
    ada.send(b"4")
    ada.send(b"6", PEER_IPV6)
    assert [(each.relay_id, each.data) for each in core.to_peers] == [(1, b"4"), (2, b"6")]
    assert code(ada.bind(0x4001, PEER_IPV6)) is None
    assert code(ada.ask(Method.REFRESH, lifetime(0), ONLY_IPV6)) is None
    assert core.closed == [2]
    ada.raw(encode_channel_data(0x4001, b"too late"))
    ada.send(b"6", PEER_IPV6)
    ada.send(b"4")
    assert [each.data for each in core.to_peers] == [b"4", b"6", b"4"]
    assert code(ada.permit(PEER_IPV6)) == 443
    core.advance(601)
    assert core.closed == [2, 1]
    assert core.server.allocations == 0


def test_a_second_family_without_a_port_is_508_inside_the_success() -> None:
    core = Core(families=(4, 6))
    ada = Client(core)
    ada.learn_nonce()
    core.server.receive(ada.sign(ada.request(Method.ALLOCATE, UDP, BOTH)), ada.path, core.now)
    core.server.take_outputs()
    core.server.relay_failed(2, core.now)
    core.server.relay_opened(1, ("198.51.100.1", 50001), core.now)
    core.drain()
    answer = Message.parse(core.to_clients[ada.path.client][0])
    assert (answer.get(Attribute.ADDRESS_ERROR_CODE) or b"")[:4] == bytes((2, 0, 5, 8))
    assert answer.addresses(Attribute.XOR_RELAYED_ADDRESS) == [("198.51.100.1", 50001)]


def test_a_reserved_port_is_had_with_its_token(core: Core, ada: Client) -> None:
    answer = ada.allocate((int(Attribute.EVEN_PORT), b"\x80"))
    token = answer.get(Attribute.RESERVATION_TOKEN)
    assert token is not None
    assert len(token) == 8
    wish = (int(Attribute.RESERVATION_TOKEN), token)
    assert code(Client(core, "bob", ("203.0.113.6", 6000)).allocate(wish)) == 508
    second = Client(core, "ada", ("203.0.113.5", 6001))
    assert second.allocate(wish).address(Attribute.XOR_RELAYED_ADDRESS) == ("198.51.100.1", 50001)
    assert code(Client(core, "ada", ("203.0.113.5", 6002)).allocate(wish)) == 508
    core.advance(700)
    assert sorted(core.closed) == [1, 2]


def test_a_reserved_port_nobody_asks_for_is_closed_after_half_a_minute(core: Core, ada: Client) -> None:
    wish = (int(Attribute.RESERVATION_TOKEN), ada.allocate((int(Attribute.EVEN_PORT), b"\x80")).get(0x0022) or b"")
    core.advance(31)
    assert core.closed == [2]
    assert code(Client(core, "ada", ("203.0.113.5", 6001)).allocate(wish)) == 508


def test_dont_fragment_where_the_sockets_can() -> None:
    core = Core(dont_fragment=True)
    ada = Client(core)
    assert code(ada.allocate((int(Attribute.DONT_FRAGMENT), b""))) is None
    ada.permit(PEER)
    ada.send(b"may be cut")
    ada.send(b"may not", dont_fragment=True)
    assert [each.dont_fragment for each in core.to_peers] == [False, True]


def test_reserved_ports_count_against_the_quota() -> None:
    core = Core(limits=TurnLimits(allocations_per_user=2))
    reserve = (int(Attribute.EVEN_PORT), b"\x80")
    assert code(Client(core, "ada", ("203.0.113.5", 1)).allocate(reserve)) is None
    assert code(Client(core, "ada", ("203.0.113.5", 2)).allocate()) == 486


# Streams -------------------------------------------------------------------------------------------------


def test_channel_data_over_a_stream_is_padded(core: Core) -> None:
    ada = Client(core, transport="tcp")
    ada.allocate()
    ada.bind(0x4001)
    core.from_peer(ada.relay_id, b"hello")
    assert core.to_clients.pop(ada.path.client) == [encode_channel_data(0x4001, b"hello") + bytes(3)]
    ada.raw(encode_channel_data(0x4001, b"hello") + bytes(3))
    assert core.to_peers[-1].data == b"hello"


def test_the_end_of_a_connection_ends_its_allocation(core: Core) -> None:
    ada, other = Client(core, transport="tls"), Client(core, transport="tcp")
    ada.allocate()
    other.allocate()
    core.server.path_closed(ada.path)
    core.server.path_closed(ada.path)
    core.drain()
    assert core.closed == [1]
    assert core.server.allocations == 1


def test_a_socket_opened_for_a_connection_that_ended_is_closed(core: Core) -> None:
    ada = Client(core, transport="tcp")
    ada.learn_nonce()
    core.server.receive(ada.sign(ada.request(Method.ALLOCATE, UDP)), ada.path, core.now)
    assert len(core.server.take_outputs()) == 1
    core.server.path_closed(ada.path)
    core.server.relay_opened(1, ("198.51.100.1", 50001), core.now)
    core.drain()
    assert core.closed == [1]
    assert core.server.allocations == 0


def test_quota_per_user_and_in_total() -> None:
    core = Core(limits=TurnLimits(allocations_per_user=2, allocations=3))
    codes = [code(Client(core, "ada", ("203.0.113.5", port)).allocate()) for port in (1, 2, 3)]
    assert codes == [None, None, 486]
    codes = [code(Client(core, "bob", ("203.0.113.5", port)).allocate()) for port in (4, 5)]
    assert codes == [None, 508]


def test_no_port_left_is_508(core: Core, ada: Client) -> None:
    core.ports_left = False
    assert code(ada.allocate()) == 508
    core.ports_left = True
    assert code(ada.allocate()) is None


# Refresh and expiry --------------------------------------------------------------------------------------


def test_allocation_expires_and_closes_its_socket(core: Core, ada: Client) -> None:
    ada.allocate()
    core.advance(599)
    assert core.closed == []
    core.advance(2)
    assert core.closed == [ada.relay_id]
    assert core.server.allocations == 0
    assert code(ada.ask(Method.REFRESH)) == 437


def test_refresh_prolongs(core: Core, ada: Client) -> None:
    ada.allocate()
    core.advance(500)
    assert ada.ask(Method.REFRESH).number(Attribute.LIFETIME) == 600
    core.advance(500)
    assert core.server.allocations == 1


def test_refresh_of_zero_releases_at_once(core: Core, ada: Client) -> None:
    ada.allocate()
    assert ada.ask(Method.REFRESH, lifetime(0)).number(Attribute.LIFETIME) == 0
    assert core.closed == [ada.relay_id]
    assert core.server.next_timeout() is None
    assert code(ada.allocate()) is None


def test_another_user_may_not_touch_the_allocation(core: Core, ada: Client) -> None:
    ada.allocate()
    bob = Client(core, "bob", ada.path.client)
    assert code(bob.ask(Method.REFRESH, lifetime(0))) == 441
    assert code(bob.permit(PEER)) == 441


def test_dropped_user_loses_all(core: Core, ada: Client) -> None:
    ada.allocate()
    core.server.drop_user("ada")
    core.drain()
    assert core.closed == [ada.relay_id]


# Permissions and channels --------------------------------------------------------------------------------


def test_data_flows_both_ways_once_permitted(core: Core, ada: Client) -> None:
    ada.allocate()
    assert code(ada.permit(PEER)) is None
    ada.send(b"hello")
    assert [(sent.peer, sent.data) for sent in core.to_peers] == [(PEER, b"hello")]
    core.from_peer(ada.relay_id, b"world", (PEER[0], 9999))
    indication = Message.parse(core.to_clients[ada.path.client][0])
    assert (indication.method, indication.message_class) == (Method.DATA, MessageClass.INDICATION)
    assert indication.address(Attribute.XOR_PEER_ADDRESS) == (PEER[0], 9999)
    assert indication.get(Attribute.DATA) == b"world"


def test_nothing_passes_without_a_permission(core: Core, ada: Client) -> None:
    ada.allocate()
    ada.send(b"out")
    core.from_peer(ada.relay_id, b"in")
    assert core.to_peers == []
    assert core.to_clients == {}


def test_permission_lasts_300_seconds_and_is_refreshed(core: Core, ada: Client) -> None:
    ada.allocate()
    ada.permit(PEER)
    core.advance(299)
    ada.permit(PEER)
    core.advance(299)
    ada.send(b"1")
    core.advance(2)
    ada.send(b"2")
    assert [sent.data for sent in core.to_peers] == [b"1"]


def test_channel_frames_both_ways(core: Core, ada: Client) -> None:
    ada.allocate()
    assert code(ada.bind(0x4000)) is None
    assert ada.raw(encode_channel_data(0x4000, b"hello")) == []
    assert [(sent.peer, sent.data) for sent in core.to_peers] == [(PEER, b"hello")]
    core.from_peer(ada.relay_id, b"world")
    assert core.to_clients[ada.path.client] == [encode_channel_data(0x4000, b"world")]


def test_channel_outlives_its_permission_only_until_refreshed(core: Core, ada: Client) -> None:
    ada.allocate()
    ada.bind(0x4000)
    core.advance(301)
    ada.raw(encode_channel_data(0x4000, b"silent"))
    assert core.to_peers == []
    ada.bind(0x4000)
    ada.raw(encode_channel_data(0x4000, b"heard"))
    assert [sent.data for sent in core.to_peers] == [b"heard"]


def test_channel_ends_after_600_seconds(core: Core, ada: Client) -> None:
    ada.allocate(lifetime(3600))
    ada.bind(0x4000)
    core.advance(601)
    ada.permit(PEER)
    ada.raw(encode_channel_data(0x4000, b"silent"))
    assert core.to_peers == []
    assert code(ada.bind(0x4000, ("203.0.113.10", 1))) is None


@pytest.mark.parametrize("number", [0, 0x3FFF, 0x7FFF, 0x8000, 0xFFFF])
def test_channel_number_out_of_range(ada: Client, number: int) -> None:
    ada.allocate()
    assert code(ada.bind(number)) == 400


def test_channel_and_peer_belong_together(ada: Client) -> None:
    ada.allocate()
    ada.bind(0x4000)
    assert code(ada.bind(0x4000, ("203.0.113.10", 1))) == 400
    assert code(ada.bind(0x4001)) == 400
    assert code(ada.bind(0x4000)) is None


def test_permissions_and_channels_are_bounded() -> None:
    core = Core(limits=TurnLimits(permissions=3, channels=2))
    ada = Client(core)
    ada.allocate()
    assert code(ada.permit(*((f"203.0.113.{last}", 1) for last in range(20, 24)))) == 508
    ada.send(b"x", ("203.0.113.20", 1))
    assert core.to_peers == []  # all or none
    assert [code(ada.bind(0x4000 + each, (PEER[0], each + 1))) for each in range(3)] == [None, None, 508]
    core.advance(301)
    assert code(ada.permit(*((f"203.0.113.{last}", 1) for last in range(20, 23)))) is None


def test_requests_without_an_allocation_or_a_peer(ada: Client) -> None:
    assert code(ada.permit(PEER)) == 437
    ada.allocate()
    assert code(ada.permit()) == 400
    assert code(ada.ask(Method.CHANNEL_BIND)) == 400
    assert code(ada.ask(Method.CREATE_PERMISSION, (int(Attribute.XOR_PEER_ADDRESS), b"\0\1"))) == 400


# Peers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "0.1.2.3", "169.254.1.1", "224.0.0.1", "255.255.255.255", SERVER[0]]
)
def test_this_machine_and_nobody_are_no_peers(core: Core, ada: Client, host: str) -> None:
    ada.allocate()
    assert code(ada.permit((host, 80))) == 403
    assert code(ada.bind(0x4000, (host, 80))) == 403
    assert code(ada.permit(PEER, (host, 80))) == 403
    ada.send(b"x")
    assert core.to_peers == []


@pytest.mark.parametrize(
    "host", ["::1", "::", "fe80::1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
def test_ipv6_disguises_are_no_peers(host: str) -> None:
    core = Core(families=(4, 6))
    ada = Client(core)
    ada.allocate((int(Attribute.REQUESTED_ADDRESS_FAMILY), bytes((2, 0, 0, 0))))
    assert code(ada.permit((host, 80))) == 403


def test_own_addresses_where_allowed() -> None:
    core = Core(allow_own_peers=True)
    ada = Client(core)
    ada.allocate()
    assert code(ada.permit(("127.0.0.1", 80), (SERVER[0], 80))) is None
    assert code(ada.permit(("0.0.0.0", 80))) == 403


def test_two_allocations_reach_each_other_but_no_other_port_of_the_server(core: Core, ada: Client) -> None:
    bob = Client(core, "bob", ("203.0.113.77", 7000))
    ada.allocate()
    adas = core.relays[ada.relay_id]
    bob.allocate()
    bobs = core.relays[bob.relay_id]
    assert code(ada.permit(bobs)) is None
    assert code(bob.permit(adas)) is None
    bob.bind(0x4007, adas)
    ada.send(b"across", bobs)
    assert core.to_clients.pop(bob.path.client) == [encode_channel_data(0x4007, b"across")]
    ada.send(b"inside", (SERVER[0], 5060))
    assert core.to_peers == []


# Strangers -----------------------------------------------------------------------------------------------


def test_unsigned_answers_are_few_and_small(core: Core, ada: Client) -> None:
    asked = answered = 0
    for _ in range(1000):
        data = ada.request(Method.ALLOCATE).encode()
        asked += len(data)
        answered += sum(len(each) for each in ada.raw(data))
    assert answered < asked / 2
    core.advance(1)
    assert len(ada.raw(ada.request(Method.BINDING).encode())) == 1


def test_signed_requests_are_not_limited(core: Core, ada: Client) -> None:
    ada.allocate()
    for _ in range(200):
        ada.raw(ada.request(Method.ALLOCATE).encode())
    assert code(ada.permit(PEER)) is None


def test_forged_sources_have_a_common_limit(core: Core) -> None:
    answers = sum(
        len(
            Client(core, address=(f"198.18.{each // 250}.{each % 250}", 1)).raw(
                Message(1, MessageClass.REQUEST, bytes(12)).encode()
            )
        )
        for each in range(3000)
    )
    assert answers <= 500


def test_traffic_has_a_ceiling() -> None:
    core = Core(limits=TurnLimits(bytes_per_s=10_000))
    ada = Client(core)
    ada.allocate()
    ada.permit(PEER)
    for _ in range(50):
        ada.send(bytes(972))
    assert len(core.to_peers) == 10
    core.advance(0.5)
    ada.send(bytes(972))
    assert len(core.to_peers) == 11


def test_noise_changes_nothing(core: Core, ada: Client) -> None:
    ada.allocate()
    ada.permit(PEER)
    random_ = random.Random(5)
    for number in range(3000):
        noise = bytearray(random_.randbytes(random_.randrange(0, 200)))
        if number % 3 == 0 and len(noise) > 20:  # looks like STUN
            noise[0:2] = random_.choice((b"\0\1", b"\0\3", b"\0\x16", b"\0\4", b"\1\1", b"\0\x08"))
            noise[2:8] = ((len(noise) - 20) // 4 * 4).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
            del noise[20 + (len(noise) - 20) // 4 * 4 :]
        core.receive(bytes(noise), ada.path)
        core.from_peer(ada.relay_id, bytes(noise), ("198.18.0.1", 1))
    assert core.server.allocations == 1
    assert core.to_peers == []
    ada.send(b"still here")
    assert len(core.to_peers) == 1


def test_oversized_data_is_dropped(core: Core, ada: Client) -> None:
    ada.allocate()
    ada.permit(PEER)
    core.from_peer(ada.relay_id, bytes(65400))
    assert core.to_clients == {}


def test_a_socket_that_opens_too_late_is_closed_again(core: Core) -> None:
    core.server.relay_opened(99, ("198.51.100.1", 1), core.now)
    core.drain()
    assert core.closed == [99]
