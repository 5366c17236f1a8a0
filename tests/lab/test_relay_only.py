"""With the policy "relay" the far end learns no address of this side, and no packet goes to it but by the relay.

Seen on the wire: at both hosts, before either NAT, in a network where a direct path would be easy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.lab.capture import Capture, Packet
from tests.lab.journey import Ends, Journey, travel
from tests.lab.nat import House, Kind, Street
from tests.lab.servers import servers
from tests.lab.test_nats import must_have_talked

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")


@dataclass(frozen=True, slots=True)
class Seen:
    """A call whose caller uses relays only, and every packet at both hosts."""

    journey: Journey
    caller: House
    callee: House
    servers: frozenset[str]
    packets: dict[str, list[Packet]]

    @property
    def own(self) -> set[str]:
        """The addresses that must stay unknown."""
        return {address for address in (self.caller.host.v4, self.caller.public.v4) if address}


@pytest.fixture(scope="module", params=[Kind.NONE, Kind.FULL_CONE])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("relay-only")
    with Street() as street, servers(street, folder / "servers") as serving, ExitStack() as stack:
        caller, callee = street.build(request.param), street.build(request.param)
        captures = {
            name: stack.enter_context(Capture(house.host, folder / f"{name}.pcap"))
            for name, house in (("a", caller), ("b", callee))
        }
        turn = tuple(serving.all_turn())
        journey = travel(serving, Ends(caller, callee, 0, (*turn, "--ice-policy", "relay"), turn), folder)
        known = frozenset({*serving.turn, *serving.home, str(street.network_v4[2])})
        yield Seen(journey, caller, callee, known, {name: one.packets() for name, one in captures.items()})


def test_the_call_goes_over_the_relay(seen: Seen) -> None:
    must_have_talked(seen.journey)
    local, _ = seen.journey.caller.selected()
    assert local["type"] == "relay"
    assert {candidate["type"] for candidate in seen.journey.caller.report["ice"]["local"]} == {"relay"}


def test_the_caller_sends_to_its_servers_alone(seen: Seen) -> None:
    own = seen.caller.host.address
    assert {packet.destination for packet in seen.packets["a"] if packet.source == own} <= seen.servers


def test_the_callee_hears_from_its_servers_alone(seen: Seen) -> None:
    own = seen.callee.host.address
    assert {packet.source for packet in seen.packets["b"] if packet.destination == own} <= seen.servers


def test_no_description_names_an_address(seen: Seen) -> None:
    """Neither in candidates nor in raddr, c= or o=; the SIP headers are another matter, the policy is about media."""
    trace = (seen.journey.folder / "b" / "sip.txt").read_text()
    described = [line for line in trace.splitlines() if line.startswith(("a=candidate", "c=", "o=", "m="))]
    named = {address for line in described for address in _ADDRESS.findall(line)}
    print(sorted(named))
    assert seen.servers & named, "no relay was named"
    assert not named & seen.own
