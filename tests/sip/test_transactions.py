"""The four transaction machines on a virtual clock: RFC 3261 section 17, RFC 6026."""

from __future__ import annotations

import random

import pytest

from app.settings import HostPort
from app.sip import transaction_tables as tables
from app.sip.hops import Hop
from app.sip.message import Request, Response, parse_message, response_to
from app.sip.timers import TimerQueue
from app.sip.transaction_tables import Action, Input, State
from app.sip.transactions import (
    TIMED_OUT,
    TRANSPORT,
    AckArrived,
    ClientTransaction,
    Finished,
    RequestArrived,
    ResponseArrived,
    Send,
    ServerTransaction,
    TransactionEnded,
    TransactionFailed,
    TransactionLayer,
)

FAR = Hop("udp", HostPort("10.0.0.2", 5060), HostPort("10.0.0.1", 5060))
FAR_TCP = Hop("tcp", HostPort("10.0.0.2", 5060), HostPort("10.0.0.1", 5060), connection=1)


def request(method: str = "INVITE", *, branch: str = "z9hG4bKabc", cseq: int = 1, to_tag: str = "") -> Request:
    to = "<sip:bob@10.0.0.2>" + (f";tag={to_tag}" if to_tag else "")
    message = parse_message(
        f"{method} sip:bob@10.0.0.2 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 10.0.0.2:5060;branch={branch};rport\r\n"
        "Max-Forwards: 70\r\n"
        "From: <sip:ada@10.0.0.1>;tag=a\r\n"
        f"To: {to}\r\n"
        "Call-ID: call-1\r\n"
        f"CSeq: {cseq} {method}\r\n"
        "Contact: <sip:ada@10.0.0.1>\r\n"
        "Content-Length: 0\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


class Element:
    """A transaction layer, its clock, and everything it gave out with the time."""

    def __init__(self, **options: int) -> None:
        self.layer = TransactionLayer(rng=random.Random(1), **options)  # type: ignore[arg-type]
        self.now = 0.0
        self.out: list[tuple[float, object]] = []

    def drain(self) -> list[object]:
        fresh = list(self.layer.take())
        self.out += [(round(self.now, 3), item) for item in fresh]
        return fresh

    def until(self, at: float) -> None:
        self.drain()
        while (due := self.layer.next_timeout()) is not None and due <= at:
            self.now = max(self.now, due)
            self.layer.handle_timeout(self.now)
            self.drain()
        self.now = at

    def send(self, method: str, hop: Hop = FAR) -> ClientTransaction:
        plain = request(method)
        plain.headers.remove("Via")
        transaction = self.layer.send_request(plain, hop, self.now)
        self.drain()
        return transaction

    def answer(self, transaction: ClientTransaction, status: int, tag: str = "b") -> list[object]:
        response = response_to(transaction.request, status, to_tag=tag)
        self.layer.receive(response, transaction.hop, self.now)
        return self.drain()

    def arrive(self, message: Request, hop: Hop = FAR) -> list[object]:
        self.layer.receive(message, hop, self.now)
        return self.drain()

    def arrived(self, message: Request, hop: Hop = FAR) -> ServerTransaction:
        found = [item for item in self.arrive(message, hop) if isinstance(item, RequestArrived)]
        assert len(found) == 1
        return found[0].transaction

    def respond(self, transaction: ServerTransaction, status: int) -> list[object]:
        self.layer.respond(transaction, response_to(transaction.request, status, to_tag="b"), self.now)
        return self.drain()

    def sent(self, what: str) -> list[float]:
        """When each message of that kind went out: a method, or a status."""
        return [at for at, item in self.out if isinstance(item, Send) and name(item) == what]

    def all(self, kind: type) -> list[tuple[float, object]]:
        return [(at, item) for at, item in self.out if isinstance(item, kind)]


def name(send: Send) -> str:
    return send.message.method if isinstance(send.message, Request) else str(send.message.status)


# INVITE client ----------------------------------------------------------------------------------------------


def test_an_unanswered_invite_backs_off_and_gives_up_after_64_t1():
    element = Element()
    element.send("INVITE")
    element.until(100)
    assert element.sent("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    ((at, failed), *_) = element.all(TransactionFailed)
    assert at == 32.0
    assert failed.cause == TIMED_OUT
    assert len(element.layer) == 0


def test_over_tcp_an_invite_is_sent_once():
    element = Element()
    element.send("INVITE", FAR_TCP)
    element.until(100)
    assert element.sent("INVITE") == [0]
    assert element.all(TransactionFailed)[0][0] == 32.0


def test_a_ringing_phone_may_ring_for_ever_unless_limited():
    element = Element()
    transaction = element.send("INVITE")
    element.now = 0.1
    element.answer(transaction, 180)
    element.until(500)
    assert element.sent("INVITE") == [0]
    assert transaction.state is State.PROCEEDING
    element.layer.limit(transaction, 600)
    element.until(700)
    assert element.all(TransactionFailed)[0][0] == 600


@pytest.mark.parametrize(("hop", "ends"), [(FAR, 32.2), (FAR_TCP, 0.2)])
def test_a_refusal_is_acknowledged_each_time_it_comes(hop: Hop, ends: float):
    element = Element()
    transaction = element.send("INVITE", hop)
    element.now = 0.2
    outputs = element.answer(transaction, 486)
    assert [type(item) for item in outputs] == [Send, ResponseArrived]
    ack = outputs[0].message
    assert ack.method == "ACK"
    assert ack.top_via == transaction.request.top_via
    assert ack.cseq.number == transaction.request.cseq.number
    assert ack.to.tag == "b"
    if hop is FAR:
        again = element.answer(transaction, 486)
        assert [name(item) for item in again] == ["ACK"]
    element.until(100)
    assert element.all(TransactionEnded)[-1][0] == ends


def test_every_2xx_of_every_fork_reaches_the_user_for_64_t1():
    element = Element()
    transaction = element.send("INVITE")
    element.now = 1.0
    for tag in ("b", "b", "c"):
        outputs = element.answer(transaction, 200, tag)
        assert [type(item) for item in outputs] == [ResponseArrived]
    element.until(32.9)
    assert transaction.state is State.ACCEPTED
    element.until(33.1)
    assert transaction.over
    late = element.answer(transaction, 200, "d")
    assert isinstance(late[0], ResponseArrived)
    assert late[0].transaction is None


def test_a_transport_error_ends_an_invite_that_nobody_has_answered():
    element = Element()
    transaction = element.send("INVITE")
    element.layer.send_failed(transaction.number, 0.0, "no route")
    (failed, ended) = element.drain()
    assert (failed.cause, failed.detail) == (TRANSPORT, "no route")
    assert isinstance(ended, TransactionEnded)


def test_a_response_whose_via_is_not_ours_is_dropped():
    element = Element()
    transaction = element.send("INVITE")
    forged = response_to(transaction.request, 200, to_tag="x")
    forged.headers.set("Via", f"SIP/2.0/UDP 10.6.6.6;branch={transaction.request.top_via.branch}")
    element.layer.receive(forged, FAR, 0.0)
    assert element.drain() == []
    assert element.layer.counters["responses_not_ours"] == 1


def test_cancel_repeats_the_branch_and_limits_the_invite():
    element = Element()
    transaction = element.send("INVITE")
    element.answer(transaction, 180)
    cancel = element.layer.cancel(transaction, 0.0, [("Reason", "SIP;cause=200")])
    element.drain()
    assert cancel.request.method == "CANCEL"
    assert cancel.request.top_via == transaction.request.top_via
    assert str(cancel.request.cseq) == "1 CANCEL"
    assert cancel.request.to.tag is None
    element.answer(cancel, 200)
    element.until(100)
    failed = [item for _, item in element.all(TransactionFailed)]
    assert [item.transaction for item in failed] == [transaction]


# Non-INVITE client --------------------------------------------------------------------------------------------


def test_a_request_backs_off_to_t2_and_gives_up_after_64_t1():
    element = Element()
    element.send("OPTIONS")
    element.until(100)
    assert element.sent("OPTIONS") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert element.all(TransactionFailed)[0][0] == 32


def test_a_provisional_slows_a_request_down_to_t2_but_does_not_stop_its_timer():
    element = Element()
    transaction = element.send("OPTIONS")
    element.now = 0.1
    element.answer(transaction, 100)
    element.until(100)
    assert element.sent("OPTIONS") == [0, 4.1, 8.1, 12.1, 16.1, 20.1, 24.1, 28.1]
    assert element.all(TransactionFailed)[0][0] == 32


def test_a_final_response_is_shown_once_and_absorbed_for_t4():
    element = Element()
    transaction = element.send("BYE")
    element.now = 0.2
    assert [type(item) for item in element.answer(transaction, 200)] == [ResponseArrived]
    assert element.answer(transaction, 200) == []
    element.until(100)
    assert element.all(TransactionEnded)[0][0] == 5.2
    assert element.sent("BYE") == [0]


# INVITE server ------------------------------------------------------------------------------------------------


def test_a_slow_user_is_covered_by_a_100_after_200_ms():
    element = Element()
    transaction = element.arrived(request())
    element.until(1)
    assert element.sent("100") == [0.2]
    element.arrive(request())
    assert element.sent("100") == [0.2, 1]
    element.respond(transaction, 180)
    element.arrive(request())
    assert element.sent("180") == [1, 1]


def test_a_quick_user_needs_no_100():
    element = Element()
    element.respond(element.arrived(request()), 180)
    element.until(1)
    assert element.sent("100") == []


def test_a_refusal_is_repeated_until_the_ack():
    element = Element()
    transaction = element.arrived(request())
    element.respond(transaction, 486)
    element.until(4)
    assert element.sent("486") == [0, 0.5, 1.5, 3.5]
    assert [type(item) for item in element.arrive(request("ACK", to_tag="b"))] == [Finished]
    assert transaction.state is State.CONFIRMED
    assert element.arrive(request()) == []
    element.until(20)
    assert element.all(TransactionEnded)[0][0] == 9
    assert not element.layer.respond(transaction, response_to(transaction.request, 200), 20)


def test_a_refusal_nobody_acknowledges_ends_after_64_t1_at_t2_intervals():
    element = Element()
    element.respond(element.arrived(request()), 486)
    element.until(100)
    assert element.sent("486") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert element.all(TransactionFailed)[0][0] == 32


def test_a_2xx_absorbs_repeated_invites_and_lets_the_user_repeat_it():
    element = Element()
    transaction = element.arrived(request())
    element.respond(transaction, 200)
    assert element.arrive(request()) == []
    element.respond(transaction, 200)
    assert element.sent("200") == [0, 0]
    element.respond(transaction, 486)
    assert element.sent("486") == []
    element.until(31.9)
    assert transaction.state is State.ACCEPTED
    element.until(32.1)
    assert transaction.over


def test_the_ack_of_a_2xx_is_the_users():
    element = Element()
    element.respond(element.arrived(request()), 200)
    (output,) = element.arrive(request("ACK", branch="z9hG4bKother", to_tag="b"))
    assert isinstance(output, AckArrived)
    assert output.transaction is None


# Non-INVITE server ----------------------------------------------------------------------------------------------


def test_a_repeated_request_is_answered_again_and_never_shown_twice():
    element = Element()
    transaction = element.arrived(request("BYE"))
    assert element.arrive(request("BYE")) == []
    element.respond(transaction, 200)
    element.arrive(request("BYE"))
    assert element.sent("200") == [0, 0]
    element.until(100)
    assert element.all(TransactionEnded)[0][0] == 32


def test_over_tcp_an_answered_request_is_forgotten_at_once():
    element = Element()
    element.respond(element.arrived(request("BYE"), FAR_TCP), 200)
    element.until(0.1)
    assert len(element.layer) == 0


# Matching -------------------------------------------------------------------------------------------------------


def test_received_and_rport_are_learned_and_the_answer_goes_there():
    element = Element()
    behind_nat = Hop("udp", HostPort("203.0.113.9", 40000), FAR.local)
    message = request("OPTIONS")
    transaction = element.arrived(message, behind_nat)
    assert message.top_via.received == "203.0.113.9"
    assert message.top_via.rport == 40000
    (send,) = element.respond(transaction, 200)
    assert send.hop.remote == HostPort("203.0.113.9", 40000)


def test_without_rport_the_answer_goes_to_the_port_of_the_via():
    element = Element()
    message = request("OPTIONS")
    message.headers.set("Via", "SIP/2.0/UDP phone.example:5070;branch=z9hG4bKx;maddr=198.51.100.7")
    transaction = element.arrived(message, Hop("udp", HostPort("203.0.113.9", 40000), FAR.local))
    assert message.top_via.received == "203.0.113.9"
    (send,) = element.respond(transaction, 200)
    assert send.hop.remote == HostPort("203.0.113.9", 5070)


def test_the_answer_over_tcp_goes_back_on_its_connection():
    element = Element()
    transaction = element.arrived(request("OPTIONS"), FAR_TCP)
    (send,) = element.respond(transaction, 200)
    assert send.hop.connection == 1


def test_cancel_finds_its_invite_and_only_that():
    element = Element()
    invite = element.arrived(request())
    cancel = element.arrived(request("CANCEL"))
    assert element.layer.invite_of(cancel.request) is invite
    stray = element.arrived(request("CANCEL", branch="z9hG4bKnone"))
    assert element.layer.invite_of(stray.request) is None


def test_a_request_that_came_over_two_paths_is_merged():
    element = Element()
    first = element.arrived(request(branch="z9hG4bKone"))
    assert not element.layer.is_merged(first)
    second = element.arrived(request(branch="z9hG4bKtwo"))
    assert element.layer.is_merged(second)


def test_an_rfc_2543_request_is_matched_by_its_fields():
    element = Element()
    invite = element.arrived(request(branch="1"))
    assert element.arrive(request(branch="1")) == []
    element.respond(invite, 486)
    assert [type(item) for item in element.arrive(request("ACK", branch="1", to_tag="b"))] == [Finished]
    other = element.arrived(request(branch="1", cseq=2))
    assert other is not invite


# Limits -----------------------------------------------------------------------------------------------------------


def test_beyond_the_limit_a_new_request_gets_a_stateless_503():
    element = Element(max_server=3)
    for number in range(3):
        element.arrived(request(branch=f"z9hG4bK{number}", cseq=number + 1))
    (send,) = element.arrive(request(branch="z9hG4bKmore", cseq=9))
    assert isinstance(send.message, Response)
    assert send.message.status == 503
    assert send.transaction is None
    assert len(element.layer) == 3


def test_a_flood_of_answered_requests_does_not_keep_a_call_out():
    element = Element(max_server=10)
    for number in range(500):
        transaction = element.arrived(request("OPTIONS", branch=f"z9hG4bK{number}", cseq=number + 1))
        element.respond(transaction, 200)
        assert len(element.layer) <= 10
    invite = element.arrived(request())
    assert invite.state is State.PROCEEDING


# The tables themselves ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table", [tables.INVITE_CLIENT, tables.NON_INVITE_CLIENT, tables.INVITE_SERVER, tables.NON_INVITE_SERVER]
)
def test_every_state_but_the_last_can_be_reached_and_left(table: tables.Table):
    origins = {state for state, _ in table}
    reached = {following for following, _ in table.values()}
    assert State.TERMINATED not in origins
    assert State.TERMINATED in reached
    first = next(iter(table))[0]
    assert origins - {first} <= reached
    assert reached - {State.TERMINATED} <= origins


def test_every_failure_is_reported_and_nothing_else_ends_with_a_report():
    for table in (tables.INVITE_CLIENT, tables.NON_INVITE_CLIENT):
        for (_, what), (following, actions) in table.items():
            if what is Input.TIMEOUT:
                assert following is State.TERMINATED
                assert actions == (Action.REPORT_TIMEOUT,)


def test_timers_fire_in_order_and_a_moved_one_fires_once():
    queue = TimerQueue()
    fired: list[str] = []
    queue.set("a", 2.0, lambda now: fired.append("a"))
    queue.set("b", 1.0, lambda now: fired.append("b"))
    queue.set("a", 3.0, lambda now: fired.append("a moved"))
    queue.set("c", 1.5, lambda now: fired.append("c"))
    queue.cancel("c")
    assert queue.next() == 1.0
    queue.run_due(10.0)
    assert fired == ["b", "a moved"]
    assert queue.next() is None


# A network that comes back ----------------------------------------------------------------------------------


def test_what_is_hurried_is_sent_at_once_and_backs_off_anew():
    element = Element()
    element.send("INVITE")
    element.send("BYE")
    element.until(10)
    element.layer.hurry(element.now)
    element.until(12)
    assert element.sent("INVITE")[-3:] == [10, 10.5, 11.5]
    assert [at for at in element.sent("BYE") if at >= 10] == [10, 10.5, 11.5]
    element.until(100)
    assert {at for at, _ in element.all(TransactionFailed)} == {32.0}


def test_a_place_that_is_heard_again_is_asked_again_but_an_answer_repeats_nothing():
    element = Element()
    invite = element.send("INVITE")
    element.until(5)
    other = request("OPTIONS")
    element.arrive(other)
    assert element.sent("INVITE")[-1] == 5
    before = len(element.sent("INVITE"))
    element.arrive(request("OPTIONS"), FAR)
    assert len(element.sent("INVITE")) == before, "only one that has been silent for a second is repeated"
    element.until(20)
    element.answer(invite, 200)
    count = len(element.sent("INVITE"))
    element.arrive(request("MESSAGE"))
    assert len(element.sent("INVITE")) == count


def test_a_repeated_request_is_answered_where_it_comes_from_now():
    element = Element()
    transaction = element.arrived(request("OPTIONS"))
    element.respond(transaction, 200)
    moved = Hop("udp", HostPort("192.0.2.77", 5060), FAR.local)
    element.arrive(request("OPTIONS"), moved)
    assert transaction.hop.remote == moved.remote
