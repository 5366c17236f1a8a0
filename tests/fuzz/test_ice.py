"""Anything a stranger or a peer may send to an ICE core, a TURN client or the candidate parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.events import CandidateType, IceState
from app.ice.candidates import Candidate, IceDescription, ParseError
from app.ice.config import IceConfig
from app.ice.stun import Attribute, Message, MessageClass, Method
from tests.ice.network import Network, Party, connect
from tests.ice.test_turn_client import KEY, Script

KINDS = st.one_of(st.sampled_from(list(Attribute)), st.integers(0, 0xFFFF))
ATTRIBUTES = st.lists(st.tuples(KINDS, st.binary(max_size=24)), max_size=8)
MESSAGES = st.builds(
    Message,
    st.sampled_from(list(Method)),
    st.sampled_from(list(MessageClass)),
    st.binary(min_size=12, max_size=12),
    ATTRIBUTES,
)
ADDRESSES = st.tuples(st.sampled_from(["198.51.100.2", "198.51.100.66", "127.0.0.1"]), st.integers(1, 65535))


@given(st.lists(st.tuples(MESSAGES, st.booleans(), st.booleans(), ADDRESSES), max_size=30))
def test_signed_and_unsigned_messages_leave_a_running_call_running(
    arriving: list[tuple[Message, bool, bool, tuple[str, int]]],
) -> None:
    network = Network()
    a = Party(network, network.internet, "198.51.100.1", IceConfig(), controlling=True)
    b = Party(network, network.internet, "198.51.100.2", IceConfig(), controlling=False)
    connect(a, b)
    local = a.local()
    for message, signed, named, source in arriving:
        if named:
            message.attributes.insert(0, (Attribute.USERNAME, f"{local.ufrag}:{b.local().ufrag}".encode()))
        data = message.encode(local.pwd.encode() if signed else None, fingerprint=signed)
        a.core.receive(1, data, source, network.now)
        a.flush()
        network.run(0.1)
    assert a.snapshot().state is IceState.COMPLETED
    assert len(a.snapshot().pairs) <= 40
    assert a.send(b"\x80x")


@given(st.lists(st.tuples(MESSAGES, st.booleans()), max_size=30))
def test_a_turn_server_may_say_anything(said: list[tuple[Message, bool]]) -> None:
    script = Script()
    for message, signed in said:
        if script.client.packets:
            message.transaction_id = Message.parse(script.client.packets.popleft()).transaction_id
        script.client.receive(message.encode(KEY if signed else None), script.now)
        script.wait(1)


@given(st.lists(st.text(max_size=80), max_size=10))
def test_candidate_lines_are_read_or_refused(lines: list[str]) -> None:
    for line in lines:
        try:
            candidate = Candidate.parse(line)
        except ParseError:
            continue
        assert Candidate.parse(str(candidate)) == candidate


CANDIDATES = st.builds(
    Candidate,
    foundation=st.sampled_from("abc"),
    component=st.integers(1, 3),
    protocol=st.sampled_from(["udp", "tcp"]),
    priority=st.integers(1, 2**31 - 1),
    address=st.one_of(
        st.ip_addresses().map(str), st.sampled_from(["198.51.100.2", "a.local", "127.0.0.1", "::", "fe80::1"])
    ),
    port=st.integers(0, 65535),
    type=st.sampled_from(list(CandidateType)),
)


@given(st.lists(CANDIDATES, max_size=60))
def test_any_list_of_candidates_can_be_checked(offered: list[Candidate]) -> None:
    network = Network()
    party = Party(network, network.internet, ["198.51.100.1", "fd00::1"], IceConfig(), controlling=True)
    party.set_remote(IceDescription("peer", "p" * 22, tuple(offered)))
    party.start()
    network.run(100)
    assert party.snapshot().state is IceState.FAILED
    assert len(party.snapshot().pairs) <= 100
