"""The NATs of the lab are what their names say: how they map, whom they let in (RFC 4787), and what gets out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.lab.nat import House, Kind, SixKind, Street

SECOND = "203.0.113.2"
WAIT_S = 0.15  # for a datagram inside this machine


@dataclass(frozen=True)
class Nat:
    """What a NAT was seen to do with UDP."""

    mapping: str  # "one port", "a port for each destination" or "nothing passes"
    admits: frozenset[str]  # of "destination", "another port", "another address", "unmapped"


EXPECTED = {
    Kind.NONE: Nat("one port", frozenset({"destination", "another port", "another address", "unmapped"})),
    Kind.FULL_CONE: Nat("one port", frozenset({"destination", "another port", "another address"})),
    Kind.ADDRESS_RESTRICTED: Nat("one port", frozenset({"destination", "another port"})),
    Kind.PORT_RESTRICTED: Nat("one port", frozenset({"destination"})),
    Kind.SYMMETRIC: Nat("a port for each destination", frozenset({"destination"})),
    Kind.UDP_BLOCKED: Nat("nothing passes", frozenset()),
    Kind.TCP_443_ONLY: Nat("nothing passes", frozenset()),
}


@pytest.fixture(scope="module")
def street() -> Iterator[Street]:
    with Street() as street:
        street.add_address("turn", SECOND)
        yield street


@pytest.fixture(params=list(Kind))
def house(request: pytest.FixtureRequest, street: Street) -> Iterator[House]:
    built = street.build(request.param)
    yield built
    street.tear_down(built)


def received(at: socket.socket, wanted: bytes) -> tuple[str, int] | None:
    """Who a datagram came from; None when it did not come."""
    at.settimeout(WAIT_S)
    try:
        while True:
            data, source = at.recvfrom(100)
            if data == wanted:
                return (source[0], source[1])
    except TimeoutError:
        return None


def probe(house: House, first: str, second: str, street: Street) -> Nat:
    """Send out to one server, be sent to from three places, then send to a second server."""
    server = street["turn"]
    with ExitStack() as stack:
        inner = stack.enter_context(house.host.open_socket(address=house.host.v4 or house.host.v6))
        places = {
            "destination": server.open_socket(port=4001, address=first),
            "another port": server.open_socket(port=4002, address=first),
            "another address": server.open_socket(port=4001, address=second),
        }
        for place in places.values():
            stack.enter_context(place)
        inner.sendto(b"out", (first, 4001))
        seen = received(places["destination"], b"out")
        if seen is None:
            return Nat("nothing passes", frozenset())
        assert seen[0] in (house.public.v4, house.public.v6)
        admits = set()
        for name, place in places.items():
            place.sendto(name.encode(), seen)
            if received(inner, name.encode()):
                admits.add(name)
        silent = stack.enter_context(house.host.open_socket(address=house.host.v4 or house.host.v6))
        places["destination"].sendto(b"unmapped", (seen[0], silent.getsockname()[1]))
        if received(silent, b"unmapped"):
            admits.add("unmapped")
        inner.sendto(b"out", (second, 4001))
        again = received(places["another address"], b"out")
        return Nat("one port" if again == seen else "a port for each destination", frozenset(admits))


@pytest.mark.short
def test_udp_is_mapped_and_filtered_as_the_name_says(house: House, street: Street) -> None:
    assert probe(house, str(street["turn"].v4), SECOND, street) == EXPECTED[house.kind]


@pytest.mark.parametrize("house", [kind for kind in Kind if "unmapped" not in EXPECTED[kind].admits][:4], indirect=True)
def test_a_nat_forgets(house: House, street: Street) -> None:
    server = street["turn"]
    with house.host.open_socket() as inner, server.open_socket(port=4001) as place:
        inner.sendto(b"out", (server.address, 4001))
        seen = received(place, b"out")
        assert seen is not None
        house.forget()
        place.sendto(b"in", seen)
        assert received(inner, b"in") is None


@pytest.mark.parametrize("port", [443, 3478])
def test_tcp_gets_out_but_not_in(house: House, street: Street, port: int) -> None:
    def connects(one: socket.socket, where: tuple[str, int]) -> bool:
        one.settimeout(WAIT_S)
        try:
            one.connect(where)
        except TimeoutError:
            return False
        return True

    stream = socket.SOCK_STREAM
    server, public = street["turn"], house.public
    with server.open_socket(stream, port=port) as there, house.host.open_socket(stream, port=4500) as here:
        there.listen()
        here.listen()
        with house.host.open_socket(stream) as out, server.open_socket(stream) as back:
            assert connects(out, (server.address, port)) == (port == 443 or house.kind is not Kind.TCP_443_ONLY)
            assert connects(back, (public.address, 4500)) == (house.kind is Kind.NONE)


@pytest.mark.parametrize("kind", [Kind.FULL_CONE, Kind.ADDRESS_RESTRICTED, Kind.PORT_RESTRICTED, Kind.SYMMETRIC])
def test_nat66_does_the_same_for_ipv6(kind: Kind) -> None:
    second = "2001:db8:77::2"
    with Street(("turn",), v4=False, v6=True) as street:
        street.add_address("turn", second)
        house = street.build(kind, v4=False, v6=SixKind.TRANSLATED)
        assert probe(house, str(street["turn"].v6), second, street) == EXPECTED[kind]


def test_a_routed_house_has_an_address_of_its_own_behind_a_firewall() -> None:
    with Street(("turn",), v4=True, v6=True) as street:
        house = street.build(Kind.SYMMETRIC, v6=SixKind.ROUTED)
        server = street["turn"]
        with house.host.open_socket(address=house.host.v6) as inner, server.open_socket(address=server.v6) as there:
            there.sendto(b"early", inner.getsockname()[:2])
            assert received(inner, b"early") is None
            inner.sendto(b"out", there.getsockname()[:2])
            assert received(there, b"out") == inner.getsockname()[:2]
            there.sendto(b"in", inner.getsockname()[:2])
            assert received(inner, b"in") is not None
