"""What is still worth waiting for while servers are asked."""

from __future__ import annotations

from app.events import CandidateType
from app.ice.awaited import GRACE_S, AskedServer, Awaited
from app.ice.health import MAX_KNOWN, SILENT_FOR_S, ServerHealth
from app.path_events import ServerState

SRFLX, RELAY = CandidateType.SRFLX, CandidateType.RELAY


def server(name: str = "s", *, known_silent: bool = False) -> AskedServer:
    return AskedServer(name, "turn", "udp", "10.0.0.2", known_silent)


def test_a_kind_that_was_given_is_not_waited_for_from_the_same_address() -> None:
    awaited = Awaited(relay_only=False)
    live = awaited.expect(server("live"), "0", SRFLX, "10.0.0.2")
    awaited.expect(server("dead"), "0", SRFLX, "10.0.0.2")
    assert awaited.waits(0.0)
    assert awaited.until(0.0) is None  # only an answer can change anything
    awaited.settle([live])
    awaited.won("0", SRFLX, "10.0.0.2", 0.01, 0.0)
    assert not awaited.waits(0.0)
    assert not awaited.is_empty


def test_other_addresses_kinds_and_flows_count_for_themselves() -> None:
    for flow, kind, host in (("0", RELAY, "10.0.0.2"), ("1", SRFLX, "10.0.0.2")):
        awaited = Awaited(relay_only=False)
        awaited.expect(server(), flow, kind, host)
        awaited.won("0", SRFLX, "10.0.0.2", 0.01, 0.0)
        assert awaited.waits(1e6)


def test_another_interface_gets_a_grace_of_a_few_round_trips() -> None:
    for host in ("192.168.0.2", "2001:db8::2", None):  # None: the name is still being looked up
        awaited = Awaited(relay_only=False)
        awaited.expect(server(), "0", SRFLX, host)
        awaited.won("0", SRFLX, "10.0.0.2", 0.1, 5.0)
        assert awaited.waits(5.2)
        assert awaited.until(5.2) == 5.3
        assert not awaited.waits(5.3)
        assert awaited.until(5.3) is None


def test_the_grace_is_never_shorter_than_what_a_server_nearby_needs() -> None:
    awaited = Awaited(relay_only=False)
    awaited.expect(server(), "0", SRFLX, "2001:db8::2")
    awaited.won("0", SRFLX, "10.0.0.2", None, 5.0)
    assert awaited.waits(5.0 + GRACE_S / 2)
    assert not awaited.waits(5.0 + GRACE_S)


def test_who_was_silent_a_moment_ago_is_waited_for_only_where_there_is_nothing_else() -> None:
    for relay_only in (False, True):
        awaited = Awaited(relay_only)
        awaited.expect(server(known_silent=True), "0", RELAY, "10.0.0.2")
        assert awaited.waits(0.0) is relay_only


def test_with_relays_only_nobody_waits_for_anything_else() -> None:
    awaited = Awaited(relay_only=True)
    awaited.expect(server(), "0", SRFLX, "10.0.0.2")
    assert not awaited.waits(0.0)


def test_an_answer_from_one_address_counts_more_than_silence_from_another() -> None:
    asked = server()
    asked.failed(ServerState.SILENT, "It is silent.")
    assert asked.info().problem == "It is silent."
    asked.answered(0.05)
    asked.failed(ServerState.REFUSED, "It refused.")
    assert (asked.info().state, asked.info().problem, asked.info().rtt_s) == (ServerState.ANSWERED, None, 0.05)
    asked.failed(ServerState.LOST, "It is gone.")
    assert asked.info().state is ServerState.LOST


def test_silence_is_held_against_a_server_for_a_while() -> None:
    health = ServerHealth()
    health.silent("a", 10.0)
    assert health.is_silent("a", 10.0 + SILENT_FOR_S - 1)
    assert not health.is_silent("a", 10.0 + SILENT_FOR_S)
    assert not health.is_silent("b", 10.0)
    health.silent("a", 20.0)
    health.answered("a")
    assert not health.is_silent("a", 20.0)
    health.silent("a", 30.0)
    health.forget()
    assert not health.is_silent("a", 30.0)


def test_the_memory_of_silence_is_bounded() -> None:
    health = ServerHealth()
    for number in range(MAX_KNOWN + 10):
        health.silent(number, 0.0)
    assert sum(health.is_silent(number, 0.0) for number in range(MAX_KNOWN + 10)) == MAX_KNOWN
    assert not health.is_silent(0, 0.0)


def test_a_reflexive_address_gets_little_time_once_there_is_a_relay() -> None:
    awaited = Awaited(relay_only=False)
    awaited.expect(server("udp is shut"), "0", SRFLX, "10.0.0.2")
    awaited.won("0", RELAY, "10.0.0.2", 0.02, 5.0)
    assert awaited.waits(5.3)
    assert awaited.until(5.3) == 5.4
    assert not awaited.waits(5.4)
    other_flow = awaited.expect(server("udp is shut"), "1", SRFLX, "10.0.0.2")
    assert awaited.worthwhile(other_flow, 1e6)
