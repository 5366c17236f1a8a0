"""The TURN client against a scripted server: every answer a server may give, and how the allocation is kept."""

from __future__ import annotations

import random

import pytest

from app.ice.config import Timing
from app.ice.framing import StunFramer
from app.ice.stun import (
    Address,
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    long_term_key,
    parse_channel_data,
)
from app.ice.turn_client import MAX_PERMISSIONS, Alternate, TurnClient, TurnState
from app.ice.turn_requests import Credentials

KEY = long_term_key("alice", "lab", "secret")
RELAYED, MAPPED = ("203.0.113.1", 50000), ("203.0.113.7", 6000)
RELAYED_V6 = ("2001:db8::1", 50001)
PEER: Address = ("198.51.100.9", 4000)


class Script:
    """Holds a client and answers its requests by hand."""

    def __init__(self, *, over_stream: bool = False, lasts_s: float | None = None) -> None:
        bits = random.Random(4).getrandbits
        self.client = TurnClient(
            "turn.test:3478", Credentials("alice", "secret", lasts_s), Timing(), bits, over_stream=over_stream
        )
        self.now = 50.0
        self.client.allocate(self.now)

    def request(self) -> Message:
        message = Message.parse(self.client.packets.popleft())
        assert not self.client.packets
        return message

    def give(self, answer: Message, key: bytes | None = KEY) -> None:
        self.client.receive(answer.encode(key), self.now)

    def challenge(self, code: int = 401, nonce: str = "n1") -> None:
        refused = self.request().failure(code, "Unauthorized").add_text(Attribute.REALM, "lab")
        self.give(refused.add_text(Attribute.NONCE, nonce), None)

    def allocated(self, lifetime_s: int = 600) -> Script:
        self.challenge()
        answer = self.request().success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
        answer.add_address(Attribute.XOR_MAPPED_ADDRESS, MAPPED).add_number(Attribute.LIFETIME, lifetime_s)
        self.give(answer)
        assert self.client.state is TurnState.READY
        return self

    def permitted(self) -> Script:
        self.client.permit(PEER, self.now)
        self.give(self.request().success())
        assert list(self.client.permission_results) == [(PEER, None)]
        self.client.permission_results.clear()
        return self

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while (at := self.client.next_timeout()) is not None and at <= end:
            self.now = at
            self.client.handle_timeout(at)
        self.now = end


def test_one_allocate_after_the_challenge_gives_both_addresses() -> None:
    script = Script()
    first = script.request()
    assert first.get(Attribute.REQUESTED_TRANSPORT) == b"\x11\0\0\0"
    assert not first.has(Attribute.USERNAME)
    script = Script().allocated()
    assert (script.client.relayed, script.client.mapped) == ((RELAYED,), MAPPED)


def test_relays_of_both_families_are_asked_for_at_once() -> None:
    script = Script()
    script.challenge()
    wish = script.request()
    assert wish.get(Attribute.ADDITIONAL_ADDRESS_FAMILY) == b"\x02\0\0\0"
    assert not wish.has(Attribute.REQUESTED_ADDRESS_FAMILY)  # RFC 8656 section 7.1: never both
    answer = wish.success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
    script.give(answer.add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED_V6))
    assert script.client.relayed == (RELAYED, RELAYED_V6)
    assert script.client.relayed_toward(PEER) == RELAYED
    assert script.client.relayed_toward(("2001:db8::5", 1)) == RELAYED_V6


def test_a_family_that_the_server_does_not_have_may_be_named_as_nowhere() -> None:
    script = Script()
    script.challenge()
    answer = script.request().success().add_address(Attribute.XOR_RELAYED_ADDRESS, ("0.0.0.0", 0))
    script.give(answer.add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED_V6))
    assert script.client.relayed == (RELAYED_V6,)


@pytest.mark.parametrize("code", [440, 420])
def test_a_server_with_one_family_is_asked_for_what_it_has(code: int) -> None:
    script = Script()
    script.challenge()
    script.give(script.request().failure(code, "Address Family not Supported"))
    second = script.request()
    assert second.get(Attribute.REQUESTED_ADDRESS_FAMILY) == b"\x02\0\0\0"
    assert not second.has(Attribute.ADDITIONAL_ADDRESS_FAMILY)
    script.give(second.failure(code, "Address Family not Supported"))
    last = script.request()
    assert not last.has(Attribute.REQUESTED_ADDRESS_FAMILY)
    script.give(last.success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED))
    assert script.client.relayed == (RELAYED,)


def test_a_second_challenge_means_the_password_is_wrong() -> None:
    script = Script()
    script.challenge()
    assert script.client.packets
    script.challenge()
    assert script.client.state is TurnState.FAILED
    assert "does not accept this user name and password" in (script.client.problem or "")
    assert "secret" not in (script.client.problem or "")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (486, "no more relays"),
        (300, "another server"),
        (508, "no room for another relay"),
        (403, "not allowed"),
        (400, "400 Why"),
    ],
)
def test_refusals_are_said_in_words(code: int, said: str) -> None:
    script = Script()
    script.challenge()
    script.give(script.request().failure(code, "Why"), KEY)
    assert script.client.state is TurnState.FAILED
    assert said in (script.client.problem or "")
    assert script.client.next_timeout() is None


def test_a_server_that_always_calls_the_nonce_stale_is_left() -> None:
    script = Script()
    script.challenge()
    for at in range(4):
        script.challenge(438, f"n{at}")
    assert script.client.state is TurnState.FAILED


def test_a_stale_nonce_is_replaced() -> None:
    script = Script()
    script.challenge()
    script.challenge(438, "fresh")
    assert script.request().text(Attribute.NONCE) == "fresh"


def test_an_unsigned_success_is_no_success() -> None:
    script = Script()
    script.challenge()
    answer = script.request().success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
    for key in (None, b"guess"):
        script.give(answer, key)
        assert script.client.state is TurnState.ALLOCATING


def test_a_success_without_an_address_is_refused() -> None:
    script = Script()
    script.challenge()
    script.give(script.request().success())
    assert script.client.state is TurnState.FAILED


def test_a_silent_server_is_asked_again_and_given_up_when_told() -> None:
    script = Script()
    script.wait(1.5)
    assert len(script.client.packets) == 3
    script.client.give_up()
    assert script.client.state is TurnState.FAILED
    assert "did not answer" in (script.client.problem or "")


def test_an_allocation_that_comes_too_late_is_handed_back() -> None:
    script = Script()
    script.challenge()
    script.client.give_up()
    answer = script.request().success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
    script.give(answer)
    goodbye = script.request()
    assert (goodbye.method, goodbye.number(Attribute.LIFETIME)) == (Method.REFRESH, 0)


def test_the_allocation_is_refreshed_before_it_ends() -> None:
    script = Script().allocated(lifetime_s=300)
    script.wait(240.2)
    refresh = script.request()
    assert (refresh.method, refresh.number(Attribute.LIFETIME)) == (Method.REFRESH, 600)
    script.give(refresh.success().add_number(Attribute.LIFETIME, 600))
    script.wait(539)
    assert not script.client.packets
    script.wait(1.2)
    assert script.request().method == Method.REFRESH


def test_a_refused_refresh_ends_the_allocation() -> None:
    script = Script().allocated().permitted()
    script.wait(541)
    while script.client.packets:
        message = Message.parse(script.client.packets.popleft())
        if message.method == Method.REFRESH:
            script.give(message.failure(437, "Allocation Mismatch"))
    assert script.client.state is TurnState.FAILED
    assert script.client.wrap(PEER, b"x") is None


def test_another_server_is_named_with_its_domain() -> None:
    script = Script()
    script.challenge()
    refused = script.request().failure(300, "Try Alternate")
    refused.add_address(Attribute.ALTERNATE_SERVER, ("203.0.113.2", 3478))
    script.give(refused.add_text(Attribute.ALTERNATE_DOMAIN, "b.turn.test"))
    assert script.client.state is TurnState.FAILED
    assert script.client.alternate == Alternate(("203.0.113.2", 3478), "b.turn.test")


def test_an_allocation_of_somebody_before_us_on_this_port_is_noticed() -> None:
    script = Script()
    script.challenge()
    script.give(script.request().failure(437, "Allocation Mismatch"))
    assert script.client.state is TurnState.FAILED
    assert script.client.mismatch


def test_a_nonce_that_grows_stale_during_the_call_is_replaced() -> None:
    script = Script().allocated(lifetime_s=300)
    for code in (438, 401):  # some servers call it 401 again, with another nonce
        script.wait(240.2)
        script.challenge(code, f"n{code}")
        again = script.request()
        assert (again.method, again.text(Attribute.NONCE)) == (Method.REFRESH, f"n{code}")
        script.give(again.success().add_number(Attribute.LIFETIME, 300))
    assert script.client.state is TurnState.READY


def test_the_same_nonce_refused_during_the_call_is_the_end() -> None:
    script = Script().allocated(lifetime_s=300)
    script.wait(240.2)
    script.challenge(401, "n1")
    assert script.client.state is TurnState.FAILED


def test_a_permission_refused_because_there_is_no_allocation_ends_it() -> None:
    script = Script().allocated()
    script.client.permit(PEER, script.now)
    script.give(script.request().failure(437, "Allocation Mismatch"))
    assert script.client.state is TurnState.FAILED


def test_credentials_that_end_are_told_in_time() -> None:
    script = Script(lasts_s=400)
    script.allocated(lifetime_s=3600)
    script.wait(270)
    assert not script.client.ends_soon
    script.wait(20)
    assert script.client.ends_soon
    assert script.client.state is TurnState.READY


def test_where_nobody_listens_is_not_asked_again() -> None:
    script = Script()
    script.client.unreachable(script.now)
    assert script.client.state is TurnState.FAILED
    assert "Nothing answers" in (script.client.problem or "")
    assert script.client.next_timeout() is None


def test_an_allocation_is_not_given_up_for_what_anybody_may_have_sent() -> None:
    script = Script().allocated()
    script.client.unreachable(script.now)
    probe = script.request()
    assert probe.method == Method.REFRESH
    script.give(probe.success().add_number(Attribute.LIFETIME, 600))
    script.wait(5)
    assert script.client.state is TurnState.READY
    assert not script.client.packets


def test_an_allocation_whose_server_is_gone_is_lost_within_a_second_and_a_half() -> None:
    script = Script().allocated()
    script.client.unreachable(script.now)
    script.client.unreachable(script.now)
    script.wait(1.5)
    assert len(script.client.packets) == 3
    assert script.client.state is TurnState.FAILED


def test_permissions_are_renewed_before_their_five_minutes_are_over() -> None:
    script = Script().allocated().permitted()
    script.wait(239)
    assert not script.client.packets
    script.wait(1.2)
    renewal = script.request()
    assert renewal.method == Method.CREATE_PERMISSION
    assert renewal.address(Attribute.XOR_PEER_ADDRESS) == PEER
    script.give(renewal.success())
    assert not script.client.permission_results


def test_one_permission_is_for_all_ports_of_an_address() -> None:
    script = Script().allocated().permitted()
    script.client.permit((PEER[0], 9), script.now)
    assert not script.client.packets
    assert list(script.client.permission_results) == [((PEER[0], 9), None)]


def test_a_refused_permission_is_said_once_and_another_port_may_be_tried() -> None:
    script = Script().allocated()
    script.client.permit(PEER, script.now)
    script.give(script.request().failure(403, "Forbidden"))
    ((peer, why),) = script.client.permission_results
    assert peer == PEER
    assert why is not None
    assert "not allowed to relay" in why
    script.client.permit((PEER[0], 9), script.now)
    assert script.request().method == Method.CREATE_PERMISSION


def test_permissions_are_bounded() -> None:
    script = Script().allocated()
    for at in range(MAX_PERMISSIONS + 50):
        script.client.permit((f"10.0.0.{at}", 1), script.now)
    assert len(script.client.packets) == MAX_PERMISSIONS
    assert len(script.client.permission_results) == 50


def test_without_an_allocation_nobody_is_let_in() -> None:
    script = Script()
    script.client.permit(PEER, script.now)
    assert list(script.client.permission_results) == [(PEER, "The TURN server turn.test:3478 is not in use.")]


def test_data_goes_as_indications_until_the_channel_is_bound() -> None:
    script = Script().allocated().permitted()
    first = Message.parse(script.client.wrap(PEER, b"hello") or b"")
    assert (first.method, first.message_class) == (Method.SEND, MessageClass.INDICATION)
    assert (first.address(Attribute.XOR_PEER_ADDRESS), first.get(Attribute.DATA)) == (PEER, b"hello")
    script.client.bind_channel(PEER, script.now)
    bind = script.request()
    assert Message.parse(script.client.wrap(PEER, b"x") or b"").method == Method.SEND
    script.give(bind.success())
    channel = bind.channel_number()
    assert channel is not None
    assert parse_channel_data(script.client.wrap(PEER, b"hello") or b"") == (channel, b"hello")
    assert script.client.receive(encode_channel_data(channel, b"back"), script.now) == (PEER, b"back")
    assert script.client.receive(encode_channel_data(0x4999, b"other"), script.now) is None
    script.wait(240.2)
    methods = [Message.parse(data).method for data in script.client.packets]
    assert Method.CHANNEL_BIND in methods


def test_a_refused_channel_leaves_indications() -> None:
    script = Script().allocated().permitted()
    script.client.bind_channel(PEER, script.now)
    script.give(script.request().failure(400, "No"))
    assert Message.parse(script.client.wrap(PEER, b"x") or b"").method == Method.SEND


def test_data_indications_are_unwrapped_and_malformed_ones_dropped() -> None:
    script = Script().allocated()
    indication = Message(Method.DATA, MessageClass.INDICATION, bytes(12))
    indication.add_address(Attribute.XOR_PEER_ADDRESS, PEER).add(Attribute.DATA, b"in")
    assert script.client.receive(indication.encode(), script.now) == (PEER, b"in")
    bare = Message(Method.DATA, MessageClass.INDICATION, bytes(12))
    for data in (bare.encode(), b"", b"\x40\0", b"\0" * 30, b"\x80rtp"):
        assert script.client.receive(data, script.now) is None


def test_over_a_stream_nothing_is_sent_twice_and_channel_data_is_padded() -> None:
    script = Script(over_stream=True)
    script.wait(3)
    assert len(script.client.packets) == 1
    script.allocated().permitted()
    script.client.bind_channel(PEER, script.now)
    script.give(script.request().success())
    assert len(script.client.wrap(PEER, b"12345") or b"") == 12


def test_a_lost_connection_ends_the_allocation() -> None:
    script = Script(over_stream=True).allocated().permitted()
    script.client.lost("It was lost.", script.now)
    assert script.client.state is TurnState.FAILED
    assert script.client.next_timeout() is None


def test_closing_hands_back_and_ends() -> None:
    script = Script().allocated().permitted()
    script.client.close(script.now)
    goodbye = script.request()
    assert (goodbye.method, goodbye.number(Attribute.LIFETIME)) == (Method.REFRESH, 0)
    script.give(goodbye.success().add_number(Attribute.LIFETIME, 0))
    assert script.client.state is TurnState.CLOSED
    assert script.client.next_timeout() is None


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_stream_is_cut_into_messages_wherever_it_is_split(step: int) -> None:
    messages = [
        Message(Method.BINDING, MessageClass.REQUEST, bytes(12)).add(Attribute.DATA, b"abc").encode(),
        encode_channel_data(0x4001, b"12345") + bytes(3),
        encode_channel_data(0x4001, b""),
        Message(Method.REFRESH, MessageClass.SUCCESS, bytes(12)).encode(),
    ]
    stream, framer, got = b"".join(messages), StunFramer(), []
    for at in range(0, len(stream), step):
        got += framer.feed(stream[at : at + step])
    assert got == messages


def test_a_stream_that_is_no_turn_is_refused() -> None:
    with pytest.raises(StunError):
        StunFramer().feed(b"\x15\x03\x03\x00\x02\x02\x28")


def test_what_is_granted_while_closing_is_handed_back() -> None:
    script = Script()
    script.challenge()
    asked = script.request()
    script.client.close(script.now)
    script.give(asked.success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED).add_number(Attribute.LIFETIME, 600))
    goodbye = script.request()
    assert (goodbye.method, goodbye.number(Attribute.LIFETIME)) == (Method.REFRESH, 0)
    script.give(goodbye.success().add_number(Attribute.LIFETIME, 0))
    assert script.client.state is TurnState.CLOSED


def test_what_is_refused_while_closing_is_the_end() -> None:
    script = Script()
    script.challenge()
    asked = script.request()
    script.client.close(script.now)
    script.give(asked.failure(486, "Allocation Quota Reached"))
    assert script.client.state is TurnState.CLOSED
    assert script.client.next_timeout() is None


def test_before_anything_can_have_been_granted_closing_is_the_end() -> None:
    script = Script()
    script.client.close(script.now)
    assert script.client.state is TurnState.CLOSED
    assert script.client.next_timeout() is None


@pytest.mark.parametrize("domain", [".example", "a..example", "x" * 64 + ".example", "a\0b", "two words", "x." * 130])
def test_a_name_that_no_certificate_can_have_is_not_looked_for(domain: str) -> None:
    script = Script(over_stream=True)
    refused = script.request().failure(300, "Try Alternate").add_address(Attribute.ALTERNATE_SERVER, PEER)
    script.give(refused.add_text(Attribute.ALTERNATE_DOMAIN, domain), None)
    assert script.client.state is TurnState.FAILED
    assert script.client.alternate is None
