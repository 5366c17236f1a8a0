"""The gatherer on a virtual clock: relays that end, servers of the same name, and what is told of them."""

from __future__ import annotations

import random

import pytest

from app.events import CandidateType
from app.ice.config import Timing
from app.ice.gatherer import Gatherer
from app.ice.nat import UDP_SILENT
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, long_term_key
from app.path_events import ServerState
from app.settings import HostPort, IcePolicy, TurnServer

HERE: Address = ("192.168.0.2", 4000)
SERVER: Address = ("203.0.113.1", 3478)
OTHER: Address = ("203.0.113.2", 3478)
MAPPED: Address = ("198.51.100.7", 9000)
RELAYED: Address = ("203.0.113.1", 50000)
TURN = TurnServer(HostPort("turn.test", 3478), "udp", "alice", "secret")
KEY = long_term_key("alice", "lab", "secret")
TIMEOUT_S = 1.5


class Bench:
    """A gatherer with one socket, whose servers answer by hand."""

    def __init__(self, policy: IcePolicy = IcePolicy.ALL) -> None:
        self.now = 100.0
        self.gatherer = Gatherer(policy, Timing(), TIMEOUT_S, random.Random(8).getrandbits)
        self.base = self.gatherer.add_base("0", HERE, 0, "eth0", True)
        self.gatherer.begin(self.now)

    def run(self, seconds: float = 0.0) -> list[tuple[bytes, Address]]:
        """Let time pass; gives what was sent and where to."""
        end, sent = self.now + seconds, []
        while True:
            sent += [(data, place) for _, data, place in self.gatherer.drain()]
            due = self.gatherer.next_timeout()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.gatherer.handle_timeout(self.now)
        self.now = end
        return sent

    def give(self, answer: Message, source: Address, key: bytes | None = None) -> None:
        relay = self.gatherer.relay_at(self.base, source)
        data = answer.encode(key)
        if not self.gatherer.receive_answer(self.base, data, source, self.now):
            assert relay is not None
            self.gatherer.receive_from_server(relay, data, self.now)

    def request(self) -> Message:
        ((data, _),) = self.run()
        return Message.parse(data)

    def allocate(self, lasts_s: float | None = None, mapped: Address = MAPPED) -> None:
        self.gatherer.ask_turn(self.base, SERVER, TURN, 0, lasts_s)
        challenge = self.request().failure(401, "Unauthorized").add_text(Attribute.REALM, "lab")
        self.give(challenge.add_text(Attribute.NONCE, "n"), SERVER)
        answer = self.request().success().add_address(Attribute.XOR_RELAYED_ADDRESS, RELAYED)
        answer.add_address(Attribute.XOR_MAPPED_ADDRESS, mapped).add_number(Attribute.LIFETIME, 600)
        self.give(answer, SERVER, KEY)

    def types(self) -> list[CandidateType]:
        return [local.candidate.type for _, local in self.gatherer.found]


def test_one_allocate_gives_everything_and_ends_the_waiting() -> None:
    bench = Bench()
    bench.allocate()
    assert bench.types() == [CandidateType.HOST, CandidateType.SRFLX, CandidateType.RELAY]
    assert bench.gatherer.done(bench.now)
    assert bench.gatherer.settled
    (server,) = bench.gatherer.server_infos()
    assert (server.state, server.mapped, server.relayed) == (
        ServerState.ANSWERED,
        "198.51.100.7:9000",
        "203.0.113.1:50000",
    )
    assert "single server" in (bench.gatherer.implied_nat() or "")


def test_a_silent_server_is_given_its_own_time_and_no_more() -> None:
    bench = Bench()
    bench.gatherer.ask_stun(bench.base, SERVER, HostPort("silent.test", 3478))
    bench.run(TIMEOUT_S - 0.1)
    assert not bench.gatherer.done(bench.now)
    bench.gatherer.ask_stun(bench.base, OTHER, HostPort("late.test", 3478))  # its name took so long
    bench.run(0.2)
    assert [info.state for info in bench.gatherer.server_infos()] == [ServerState.SILENT, ServerState.ASKING]
    assert not bench.gatherer.done(bench.now)
    assert bench.gatherer.implied_nat() is None
    bench.run(TIMEOUT_S)
    assert bench.gatherer.implied_nat() == UDP_SILENT
    assert bench.gatherer.done(bench.now)
    assert len(bench.gatherer.problems) == 2


def test_a_silent_server_beside_one_that_answers_is_asked_on_but_not_waited_for() -> None:
    bench = Bench()
    bench.gatherer.ask_stun(bench.base, SERVER, HostPort("silent.test", 3478))
    bench.gatherer.ask_stun(bench.base, OTHER, HostPort("live.test", 3478))
    sent = bench.run(0.01)
    data = next(data for data, place in sent if place == OTHER)
    bench.give(Message.parse(data).success().add_address(Attribute.XOR_MAPPED_ADDRESS, MAPPED), OTHER)
    assert bench.gatherer.done(bench.now)
    assert not bench.gatherer.settled
    late = next(data for data, place in sent if place == SERVER)
    elsewhere = ("198.51.100.7", 9001)
    bench.give(Message.parse(late).success().add_address(Attribute.XOR_MAPPED_ADDRESS, elsewhere), SERVER)
    assert bench.types() == [CandidateType.HOST, CandidateType.SRFLX, CandidateType.SRFLX]
    assert "symmetric" in (bench.gatherer.implied_nat() or "")


def test_a_refused_refresh_is_told_as_a_lost_relay() -> None:
    bench = Bench()
    bench.allocate()
    refreshes = [Message.parse(data) for data, _ in bench.run(541)]
    refresh = next(message for message in refreshes if message.method == Method.REFRESH)
    bench.give(refresh.failure(437, "Allocation Mismatch"), SERVER)
    (lost,) = bench.gatherer.lost
    assert (lost.flow, lost.server) == ("0", "turn.test:3478")
    assert "no longer knows" in lost.reason
    assert bench.gatherer.server_infos()[0].state is ServerState.LOST


def test_an_unanswered_refresh_is_told_before_the_allocation_would_have_ended() -> None:
    bench = Bench()
    bench.allocate()
    bench.run(600)
    (lost,) = bench.gatherer.lost
    assert "no longer answers" in lost.reason


def test_a_user_name_that_ends_is_told_in_time_while_the_relay_still_works() -> None:
    bench = Bench()
    bench.allocate(lasts_s=500)
    bench.run(370)
    assert not bench.gatherer.lost
    bench.run(20)
    (lost,) = bench.gatherer.lost
    assert "runs out" in lost.reason
    assert bench.gatherer.server_infos()[0].state is ServerState.ANSWERED


def test_a_relay_given_back_is_not_told_as_lost() -> None:
    bench = Bench()
    bench.allocate()
    bench.gatherer.release(None, set(), bench.now)
    bench.run(60)
    assert not bench.gatherer.lost


@pytest.mark.parametrize("policy", [IcePolicy.ALL, IcePolicy.RELAY])
def test_that_nobody_listens_ends_the_waiting_at_once(policy: IcePolicy) -> None:
    bench = Bench(policy)
    bench.gatherer.ask_stun(bench.base, OTHER, HostPort("gone.test", 3478))
    bench.gatherer.ask_turn(bench.base, SERVER, TURN, 0)
    bench.run(0.01)
    for place in (SERVER, OTHER):
        bench.gatherer.unreachable(bench.base, place, bench.now)
    assert bench.gatherer.done(bench.now)
    assert all("Nothing answers" in problem for problem in bench.gatherer.problems)
    bench.gatherer.unreachable(bench.base, ("203.0.113.77", 1), bench.now)  # a peer's address
    assert len(bench.gatherer.problems) == 2


def test_a_live_server_last_in_the_list_is_not_kept_waiting_by_the_dead_ones_before_it() -> None:
    """Requests leave 5 ms apart, so their order counts: each server once, then first who has answered."""
    bench = Bench()
    second = bench.gatherer.add_base("1", (HERE[0], 4001), 0, "eth0", True)
    dead = [(f"203.0.113.{number}", 3478) for number in range(20, 28)]
    live = ("203.0.113.99", 3478)
    for place in (*dead, live):
        for base in (bench.base, second):
            bench.gatherer.ask_stun(base, place, HostPort(f"s{place[0][10:]}.test", 3478))
    asked: list[Address] = []
    begun = bench.now
    while not bench.gatherer.done(bench.now):
        due = bench.gatherer.next_timeout()
        assert due is not None
        bench.now = max(bench.now, due)
        bench.gatherer.handle_timeout(bench.now)
        for base, data, place in list(bench.gatherer.drain()):
            asked.append(place)
            if place == live:
                answer = Message.parse(data).success().add_address(Attribute.XOR_MAPPED_ADDRESS, MAPPED)
                bench.gatherer.receive_answer(base, answer.encode(), place, bench.now)
    assert asked == [*dead, live, live]
    assert bench.now - begun < 0.05
    assert len({place for _, place in bench.run(0.1)}) == len(dead)  # the others are asked all the same


def test_two_names_of_one_turn_server_are_asked_once_and_keep_nobody_waiting() -> None:
    bench = Bench()
    other_name = TurnServer(HostPort("other-name.test", 3478), "udp", "alice", "secret")
    bench.gatherer.ask_turn(bench.base, SERVER, TURN, 0)
    bench.gatherer.ask_turn(bench.base, SERVER, other_name, 1)
    assert len({Message.parse(data).transaction_id for data, _ in bench.run(0.02)}) == 1
    bench.run(3 * TIMEOUT_S)
    assert bench.gatherer.done(bench.now)
    assert bench.gatherer.settled
    assert ServerState.ASKING not in [info.state for info in bench.gatherer.server_infos()]


def test_a_server_that_sends_us_to_one_we_have_a_relay_at_changes_nothing_there() -> None:
    bench = Bench()
    bench.allocate()
    bench.gatherer.ask_turn(bench.base, OTHER, TurnServer(HostPort("b.test", 3478), "udp", "alice", "secret"), 1)
    ((data, _),) = bench.run(0.01)
    refused = Message.parse(data).failure(300, "Try Alternate")
    bench.give(refused.add_address(Attribute.ALTERNATE_SERVER, SERVER), OTHER)
    assert bench.run(2 * TIMEOUT_S) == []
    assert not bench.gatherer.lost
    assert bench.gatherer.settled
    relay = bench.gatherer.relay_at(bench.base, SERVER)
    assert relay is not None
    assert relay.client.relayed == (RELAYED,)


@pytest.mark.parametrize("asked_for_s", [0.0, 0.1])
def test_a_flow_that_is_given_up_is_waited_for_no_longer(asked_for_s: float) -> None:
    bench = Bench()
    more = bench.gatherer.add_base("0/2", ("192.168.0.2", 4001), 0, "eth0", True)
    name = HostPort("stun.test", 3478)
    asked = bench.gatherer.server("stun", "udp", name)
    bench.gatherer.looks_for(asked, ["0", "0/2"])
    for base in (bench.base, more):
        bench.gatherer.ask_stun(base, SERVER, name)
        bench.gatherer.ask_turn(base, OTHER, TURN, 0)
    bench.run(asked_for_s)
    bench.gatherer.release("0/2", set(), bench.now)
    bench.gatherer.release("0", set(), bench.now)
    assert bench.gatherer.done(bench.now)
    assert bench.gatherer.settled
    assert bench.run(TIMEOUT_S) == []
    assert not bench.gatherer.problems


def test_every_socket_that_carries_a_relay_keeps_its_way_through_the_nat_open() -> None:
    bench = Bench()
    bench.base = bench.gatherer.add_base("0", ("192.168.0.2", 4001), 0, "eth0", candidate=False)  # after a 437
    bench.allocate()
    kept = [Message.parse(data) for data, place in bench.run(16.0) if place == SERVER]
    assert [message.message_class for message in kept] == [MessageClass.INDICATION]


NOWHERE: list[Address] = [("0.0.0.0", 0), ("0.0.0.0", 9000), ("198.51.100.7", 0), ("224.0.0.251", 5353)]


@pytest.mark.parametrize("mapped", NOWHERE)
def test_an_address_that_is_nowhere_is_no_candidate(mapped: Address) -> None:
    bench = Bench()
    bench.gatherer.ask_stun(bench.base, OTHER, HostPort("stun.test", 3478))
    bench.give(bench.request().success().add_address(Attribute.XOR_MAPPED_ADDRESS, mapped), OTHER)
    (server,) = bench.gatherer.server_infos()
    assert "cannot be used" in (server.problem or "")
    bench.run(0.01)
    bench.allocate(mapped=mapped)
    assert bench.types() == [CandidateType.HOST, CandidateType.RELAY]


def test_a_second_try_for_one_flow_says_nothing_of_another() -> None:
    bench = Bench()
    asked = bench.gatherer.server("turn", "tls", TURN.server)
    bench.gatherer.looks_for(asked, ["0"])  # both were sent to another server, and one has got there
    bench.gatherer.looks_for(asked, ["1"])
    bench.gatherer.looked_for(asked, ["0"])
    assert not bench.gatherer.done(bench.now)
    bench.gatherer.looked_for(asked, ["1"])
    assert bench.gatherer.done(bench.now)
