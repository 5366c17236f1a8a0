"""Components: flows by name, credentials and freezing across them, a description for all of a stream's."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import PairState
from app.ice.config import IceConfig
from app.ice.events import PairFormed
from app.ice.flows import flow_name, flows_of, split_flow
from app.ice.session import IceSession
from tests.ice.network import Network, Party, connect

APART = ("0", "0/2", "1", "1/2")


def two(network: Network, flows: tuple[str, ...]) -> tuple[Party, Party]:
    return (
        Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True, streams=flows),
        Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False, streams=flows),
    )


@given(st.text(alphabet="01avideo-", min_size=1), st.integers(1, 256))
def test_names_are_read_as_they_are_written(stream: str, component: int) -> None:
    assert split_flow(flow_name(stream, component)) == (stream, component)


def test_the_first_component_has_the_name_of_its_stream() -> None:
    assert [flow_name("0"), flow_name("0", 2)] == ["0", "0/2"]
    assert split_flow("a/b") == ("a/b", 1)
    assert flows_of("0", APART) == ["0", "0/2"]


def test_components_share_credentials_and_are_described_together() -> None:
    network = Network()
    a, _ = two(network, APART)
    lists = a.leg.agent.lists
    assert (lists["0"].ufrag, lists["0"].pwd) == (lists["0/2"].ufrag, lists["0/2"].pwd)
    assert lists["0"].ufrag != lists["1"].ufrag
    described = a.local("0")
    assert [one.component for one in described.candidates] == [1, 2]
    assert described.candidates[0].foundation == described.candidates[1].foundation
    assert described.candidates[0].priority == described.candidates[1].priority + 1


def test_rtp_and_rtcp_apart_each_get_their_path() -> None:
    network = Network()
    a, b = two(network, APART)
    connect(a, b)
    assert a.done
    assert b.done
    for flow in APART:
        assert a.send(b"\x80to " + flow.encode(), flow)
    network.run(1)
    assert sorted(b.received) == [(flow, b"\x80to " + flow.encode()) for flow in APART]


def test_of_each_foundation_the_lowest_component_of_all_streams_is_tried_first() -> None:
    """RFC 8445 section 6.1.2.6, whatever the order in which the flows were made."""
    network = Network(delay_s=0.2)
    a, b = two(network, ("0/2", "1/2", "0", "1"))
    for stream in ("0", "1"):
        a.set_remote(b.local(stream), stream)
    a.start()
    states = {event.flow: event.state for event in a.told(PairFormed)}  # type: ignore[union-attr]
    assert [flow for flow, state in states.items() if state is PairState.WAITING] == ["0"]
    network.run(0.19)
    assert len(network.sent) == 1
    network.run(2)
    assert {pair.state for pair in a.snapshot().pairs} == {PairState.SUCCEEDED}


@pytest.mark.parametrize("ending", ["failed", "plain"])
def test_a_flow_that_is_given_up_holds_nobody_back(ending: str) -> None:
    """Its pairs stood for their foundation: another flow must not wait for what is checked no more."""
    network = Network()
    a, b = two(network, ("0", "1"))
    network.blocked = lambda source, to, data: True
    a.set_remote(b.local("0"), "0")
    a.start()
    network.run(38)
    a.set_remote(b.local("1"), "1")
    if ending == "plain":
        a.core.use_plain(a.leg, "0", ("198.51.100.2", 4000), network.now)
    network.run(3)
    network.blocked = lambda source, to, data: False
    b.set_remote(a.local("1"), "1")
    b.core.use_plain(b.leg, "0", ("198.51.100.1", 4000), network.now)
    network.blocked = lambda source, to, data: source[0] == "198.51.100.2" and data[:2] == b"\0\1"  # it only answers
    b.start()
    network.run(20, lambda: a.leg.agent.path("1") is not None)
    assert a.leg.agent.path("1") is not None


def test_a_peer_that_has_rtcp_beside_rtp_has_no_second_component() -> None:
    network = Network()
    a = two(network, ("0", "0/2"))[0]
    b = Party(network, network.internet, "198.51.100.3", IceConfig(), controlling=False, streams=("0",))
    a.core.remove_flow(a.leg, "0/2", network.now)
    a.flush()
    assert a.open_sockets == 1
    connect(a, b)
    assert a.done
    assert list(a.leg.agent.lists) == ["0"]


def test_a_removed_stream_takes_all_its_components_along() -> None:
    network = Network()
    a, b = two(network, APART)
    for party in (a, b):
        party.core.remove_stream(party.leg, "1", network.now)
        party.flush()
        assert party.open_sockets == 2
    connect(a, b)
    assert a.done


async def test_sessions_with_components_apart() -> None:
    config = IceConfig(interfaces=("127.0.0.1",), tcp=False)
    received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    a = IceSession(config, True, ("0", "0/2"), on_event=lambda event: None)
    b = IceSession(config, False, ("0", "0/2"), on_event=lambda event: None)
    b.on_datagram = lambda flow, data: received.put_nowait((flow, data))
    try:
        await asyncio.gather(a.gather_hosts(), b.gather())
        assert b.gathered
        ports = [candidate.port for flow in ("0", "0/2") if (candidate := a.default_candidate(flow)) is not None]
        assert len(set(ports)) == 2
        b.set_remote("0", a.local("0"))
        b.start_checks()
        a.set_remote("0", b.local("0"))
        a.start_checks()
        async with asyncio.timeout(5):
            await asyncio.gather(a.wait_connected(), b.wait_connected())
            assert a.progress() == {}
            assert a.send("0/2", b"\x80rtcp")
            assert await received.get() == ("0/2", b"\x80rtcp")
    finally:
        await asyncio.gather(a.close(), b.close())


@pytest.mark.parametrize("flow", ["0", "0/2"])
def test_what_one_component_hears_is_no_others(flow: str) -> None:
    network = Network()
    a, b = two(network, ("0", "0/2"))
    connect(a, b)
    b.send(b"\x80x", flow)
    network.run(1)
    assert a.received == [(flow, b"\x80x")]
