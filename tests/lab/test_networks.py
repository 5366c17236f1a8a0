"""Whole calls over more than one NAT for IPv4 on each side: IPv6, both families, two interfaces, an address twice.

See test_nats.py for the pairs of NATs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import table
from tests.lab.journey import RELAY, Ends, Journey, aioice_journey, travel
from tests.lab.nat import DEAD_V4, House, Kind, SixKind, Street
from tests.lab.servers import servers
from tests.lab.test_nats import must_have_talked

Builder = Callable[[Street], House]


@dataclass(frozen=True, slots=True)
class Network:
    """Two houses, the families of the public network, and what must come of it: "direct" or "relay", and over which."""

    caller: Builder
    callee: Builder
    result: str
    family: str | None = None  # "IPv4" or "IPv6" of the path
    v4: bool = True
    v6: bool = True
    turn: bool = True


def house(kind: Kind, v6: SixKind = SixKind.ABSENT, *, v4: bool = True, inner: int | None = None) -> Builder:
    return lambda street: street.build(kind, v4=v4, v6=v6, inner=inner)


def with_dead_interface(street: Street) -> House:
    built = street.build(Kind.PORT_RESTRICTED)
    street.add_dead_interface(built)
    return built


def six(kind: Kind, way: SixKind) -> Builder:
    return house(kind, way, v4=False)


PRC, SYM, NONE = Kind.PORT_RESTRICTED, Kind.SYMMETRIC, Kind.NONE
ROUTED, NAT66 = SixKind.ROUTED, SixKind.TRANSLATED
NETWORKS = {
    "IPv6 alone": Network(six(NONE, ROUTED), six(NONE, ROUTED), "direct", "IPv6", v4=False),
    "IPv6 alone, two firewalls": Network(six(PRC, ROUTED), six(PRC, ROUTED), "direct", "IPv6", v4=False),
    "NAT66, prc/prc": Network(six(PRC, NAT66), six(PRC, NAT66), "direct", "IPv6", v4=False),
    "NAT66, prc/prc, no TURN": Network(six(PRC, NAT66), six(PRC, NAT66), "direct", "IPv6", v4=False, turn=False),
    "NAT66, sym/sym": Network(six(SYM, NAT66), six(SYM, NAT66), RELAY, "IPv6", v4=False),
    "dual stack, sym/sym, routed IPv6": Network(house(SYM, ROUTED), house(SYM, ROUTED), "direct", "IPv6"),
    "dual stack, prc/prc, and NAT66": Network(house(PRC, NAT66), house(PRC, NAT66), "direct"),
    "dual stack calls IPv4": Network(house(PRC, ROUTED), house(PRC), "direct", "IPv4"),
    "IPv4 calls dual stack": Network(house(PRC), house(PRC, ROUTED), "direct", "IPv4"),
    "IPv6 calls IPv4": Network(six(PRC, ROUTED), house(PRC), RELAY),
    "IPv4 calls IPv6": Network(house(PRC), six(PRC, ROUTED), RELAY),
    "a dead interface at the caller": Network(with_dead_interface, house(PRC), "direct", "IPv4", v6=False),
    "a dead interface at both": Network(with_dead_interface, with_dead_interface, "direct", "IPv4", v6=False),
    "one private address twice": Network(house(PRC, inner=1), house(PRC, inner=1), "direct", "IPv4", v6=False),
}


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[table.Row]]:
    kept: list[table.Row] = []
    yield kept
    table.keep(request.config, "Networks", kept)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_call_over(name: str, rows: list[table.Row], tmp_path: Path) -> None:
    network = NETWORKS[name]
    with Street(v4=network.v4, v6=network.v6) as street, servers(street, tmp_path / "servers") as serving:
        houses = network.caller(street), network.callee(street)
        flags = [
            tuple(seen.all_turn() if network.turn else seen.stun_only()) for seen in map(serving.seen_from, houses)
        ]
        journey = travel(serving, Ends(*houses, 0, *flags), tmp_path)
        for one in houses:
            one.forget()
        rows.append((name, network.result, journey, aioice_journey(serving, *houses, turn=network.turn)))
    must_have_talked(journey)
    print(table.line(*rows[-1]))
    assert journey.path.result == network.result
    if network.family:
        assert {family_of(candidate["address"]) for candidate in journey.caller.selected()} == {network.family}
    must_not_use_the_dead_interface(journey)


def family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def must_not_use_the_dead_interface(journey: Journey) -> None:
    assert DEAD_V4 not in {candidate["address"] for candidate in journey.caller.selected()}
