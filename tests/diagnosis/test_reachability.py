from __future__ import annotations

import pytest

from app.diagnosis.reachability import PEERS, NatKind, Way, nat_kind, reachable
from app.ice.nat_discovery import Behaviour

NO_NAT, ANY, ADDRESS, PORT, UNKNOWN = (
    Behaviour.NO_NAT,
    Behaviour.ENDPOINT_INDEPENDENT,
    Behaviour.ADDRESS_DEPENDENT,
    Behaviour.ADDRESS_AND_PORT_DEPENDENT,
    Behaviour.UNKNOWN,
)


@pytest.mark.parametrize(
    ("udp", "mapping", "filtering", "kind"),
    [
        (False, UNKNOWN, UNKNOWN, NatKind.UDP_SHUT),
        (None, UNKNOWN, UNKNOWN, NatKind.UNKNOWN),
        (True, NO_NAT, ANY, NatKind.NONE),
        (True, NO_NAT, UNKNOWN, NatKind.NONE),
        (True, NO_NAT, PORT, NatKind.PORT_RESTRICTED),
        (True, ANY, ANY, NatKind.FULL_CONE),
        (True, ANY, ADDRESS, NatKind.RESTRICTED),
        (True, ANY, PORT, NatKind.PORT_RESTRICTED),
        (True, ANY, UNKNOWN, NatKind.PORT_RESTRICTED),
        (True, PORT, PORT, NatKind.SYMMETRIC),
        (True, ADDRESS, ANY, NatKind.SYMMETRIC),
        (True, UNKNOWN, UNKNOWN, NatKind.UNKNOWN),
    ],
)
def test_the_kind_of_a_nat(udp: bool | None, mapping: Behaviour, filtering: Behaviour, kind: NatKind) -> None:
    assert nat_kind(mapping, filtering, udp=udp) is kind


@pytest.mark.parametrize(
    ("own", "ways"),
    [
        # toward:              none         full cone    restricted   port-restr.  symmetric    UDP shut
        (NatKind.NONE, "direct-udp direct-udp direct-udp direct-udp direct-udp direct-tcp"),
        (NatKind.FULL_CONE, "direct-udp direct-udp direct-udp direct-udp direct-udp relay"),
        (NatKind.RESTRICTED, "direct-udp direct-udp direct-udp direct-udp direct-udp relay"),
        (NatKind.PORT_RESTRICTED, "direct-udp direct-udp direct-udp direct-udp relay relay"),
        (NatKind.SYMMETRIC, "direct-udp direct-udp direct-udp relay relay relay"),
        (NatKind.UDP_SHUT, "direct-tcp relay relay relay relay relay"),
    ],
)
def test_who_can_be_reached(own: NatKind, ways: str) -> None:
    table = reachable(own, relay=True)
    assert [row.peer for row in table] == list(PEERS)
    assert [row.way.value for row in table] == ways.split()
    assert all(row.reason.endswith(".") for row in table)


def test_the_table_is_the_same_from_both_ends() -> None:
    for own in PEERS:
        for row in reachable(own, relay=True):
            back = next(other for other in reachable(row.peer, relay=True) if other.peer is own)
            assert back.way is row.way


def test_without_a_relay_some_cannot_be_reached_at_all() -> None:
    table = {row.peer: row for row in reachable(NatKind.SYMMETRIC, relay=False)}
    assert table[NatKind.SYMMETRIC].way is Way.NONE
    assert "TURN server" in table[NatKind.SYMMETRIC].reason
    assert {row.way for row in reachable(NatKind.UDP_SHUT, relay=False, tcp=False)} == {Way.NONE}


def test_what_is_not_known_is_not_claimed() -> None:
    assert reachable(NatKind.UNKNOWN, relay=True) == ()
