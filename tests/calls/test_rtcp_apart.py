"""RTCP apart from RTP, and streams apart from each other: two real phones between which lines of SDP are lost.

What a phone that lacks BUNDLE or rtcp-mux would not say is taken out of every description on its way.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from app.calls.call import Call
from app.calls.known_peers import KnownPeers
from app.calls.negotiation import Negotiation
from app.calls.reading import rtcp_address_of, wants_rtcp_apart
from app.calls.sdp import SessionDescription
from app.events import CallState
from app.ice.config import IceConfig
from app.settings import Encryption, HostPort, IcePolicy
from tests.calls.by_hand import PLAIN_SDP
from tests.calls.parties import LOOPBACK, Party, connected, on_the_phone, party

MUX, BUNDLE = r"a=rtcp-mux\r\n", r"a=group:BUNDLE.*\r\n"


@pytest.fixture
def lose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Take lines out of every description that either side reads."""

    def lose_lines(*patterns: str) -> None:
        for name in ("read_offer", "read_answer", "answer_again"):
            read = getattr(Negotiation, name)

            def stripped(self: Negotiation, body: bytes, *rest: object, read: Callable[..., object] = read) -> object:
                text = body.decode()
                for pattern in patterns:
                    text = re.sub(pattern, "", text)
                return read(self, text.encode(), *rest)

            monkeypatch.setattr(Negotiation, name, stripped)

    return lose_lines


def components(text: str) -> set[str]:
    return {line.split()[1] for line in text.split("\r\n") if line.startswith("a=candidate")}


async def hears_reports(one: Party, call: Call) -> None:
    """The other side has reported on what it heard, and so a round trip is known."""
    await one.until(lambda: (call.figures().audio or None) is not None, "there is sound")
    await one.until(lambda: call.figures().audio.rtt_ms is not None, "reports come")  # type: ignore[union-attr]


async def hang_up(one: Party, other: Party, call: Call) -> None:
    call.hang_up()
    await one.ends()
    await other.until(lambda: not other.manager.calls, "its call is over")


@pytest.mark.parametrize("bundle", [True, False], ids=["one path", "a path a stream"])
@pytest.mark.parametrize("encryption", [Encryption.DTLS, Encryption.SDES], ids=["DTLS", "SDES"])
async def test_component_2_carries_reports(lose: Callable[..., None], encryption: Encryption, bundle: bool) -> None:
    lose(MUX, *([] if bundle else [BUNDLE]))
    parties = party("ada", encryption=encryption), party("bob", encryption=encryption)
    async with on_the_phone(*parties) as (ada, bob):
        outgoing, incoming = await connected(ada, bob)
        assert components(ada.message("out", "INVITE").body) == {"1", "2"}
        for one, call in ((ada, outgoing), (bob, incoming)):
            await hears_reports(one, call)
            leg = call.path.leg
            assert leg is not None
            assert set(leg.ice.flows) == ({"0", "0/2"} if bundle else {"0", "0/2", "1", "1/2"})
            assert leg.rtcp.opened == {flow for flow in leg.ice.flows if flow.endswith("/2")}
            assert leg.media.dropped_datagrams <= 2  # what came before the keys
        assert not ada.manager.services.peers.multiplexes(bob.uri)
        await hang_up(ada, bob, outgoing)


async def test_paths_of_their_own_for_sound_and_picture(lose: Callable[..., None]) -> None:
    lose(BUNDLE)
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, incoming = await connected(ada, bob)
        for one, call in ((ada, outgoing), (bob, incoming)):
            await one.until(lambda call=call: (call.figures().video or 0).frames_decoded > 5, "the picture arrives")  # type: ignore[misc, union-attr]
            await hears_reports(one, call)
            leg = call.path.leg
            assert leg is not None
            assert set(leg.ice.flows) == {"0", "1"}
            assert set(leg.selected_pairs()) == {"0", "1"}
        await hang_up(ada, bob, outgoing)


@pytest.mark.parametrize("encryption", [Encryption.DTLS, Encryption.SDES, Encryption.NONE])
async def test_without_ice_one_port_takes_both(lose: Callable[..., None], encryption: Encryption) -> None:
    lose(MUX, BUNDLE)
    plain = IceConfig(interfaces=(LOOPBACK,), policy=IcePolicy.OFF)
    parties = [party(name, ice=plain, encryption=encryption) for name in ("ada", "bob")]
    async with on_the_phone(*parties) as (ada, bob):
        outgoing, incoming = await connected(ada, bob)
        offer = ada.message("out", "INVITE").body
        port = re.search(r"m=audio (\d+)", offer)
        assert port is not None
        assert f"a=rtcp:{port[1]} IN IP4 {LOOPBACK}\r\n" in offer
        for one, call in ((ada, outgoing), (bob, incoming)):
            await hears_reports(one, call)
        await hang_up(bob, ada, incoming)
        assert ada.seen[-1].state is CallState.ENDED


async def test_who_multiplexes_gets_one_component_and_is_remembered() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        for offered in ({"1", "2"}, {"1"}):
            outgoing, incoming = await connected(ada, bob)
            assert components(ada.message("out", "INVITE").body) == offered
            for call in (outgoing, incoming):
                assert call.path.leg is not None
                assert call.path.leg.ice.flows == ("0",)
            assert ada.manager.services.peers.multiplexes(bob.uri)
            await hang_up(ada, bob, outgoing)
            for one in (ada, bob):
                one.messages.clear()
                one.seen.clear()


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("", HostPort(LOOPBACK, 40001)),
        ("a=rtcp:53020\r\n", HostPort(LOOPBACK, 53020)),
        ("a=rtcp:53020 IN IP4 192.0.2.4\r\n", HostPort("192.0.2.4", 53020)),
        ("a=rtcp:40000 IN IP6 2001:db8::1\r\n", HostPort("2001:db8::1", 40000)),
        ("a=rtcp:9 IN IP4 0.0.0.0\r\n", None),
        ("a=rtcp:53020 IN IP4 phone.example.org\r\n", None),
        ("a=rtcp:99999\r\n", None),
        ("a=rtcp:0\r\n", None),
        ("a=rtcp:nonsense\r\n", HostPort(LOOPBACK, 40001)),
    ],
)
def test_where_rtcp_goes(said: str, place: HostPort | None) -> None:
    media = SessionDescription.parse((PLAIN_SDP + said).encode()).media[0]
    assert rtcp_address_of(media, HostPort(LOOPBACK, 40000)) == place
    assert rtcp_address_of(media, None) is None


@pytest.mark.parametrize(("mux", "second", "apart"), [("", "2", True), (MUX, "2", False), ("", "1", False)])
def test_a_path_for_rtcp_alone_is_wanted_without_mux_and_with_candidates_for_it(
    mux: str, second: str, apart: bool
) -> None:
    ice = f"a=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\na=candidate:1 {second} UDP 1 192.0.2.1 5000 typ host\r\n"
    description = SessionDescription.parse((PLAIN_SDP + ice + mux.replace("\\r\\n", "\r\n")).encode())
    assert wants_rtcp_apart(description, description.media[0]) is apart


def test_what_is_remembered_of_peers_is_bounded() -> None:
    peers = KnownPeers(["ada@example.org"])
    assert peers.multiplexes("sip:ada@example.org")  # takes candidates later, and so does that too
    assert not peers.multiplexes("sip:1@example.org")
    for number in range(600):
        peers.learn_rtcp(f"sip:{number}@example.org", apart=number == 599)
    assert not peers.multiplexes("sip:599@EXAMPLE.org;transport=tcp")
    assert peers.multiplexes("sip:598@example.org")
    assert not peers.multiplexes("sip:1@example.org")
    peers.learn_rtcp("sip:599@example.org", apart=False)
    assert peers.multiplexes("sip:599@example.org")
    assert peers.take_news() == {}
