"""Ten thousand datagrams of nonsense at each open port, as much over TCP: nothing is lost, the next call works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import parley
from tests.lab.network import Host
from tests.lab.parley import Parley
from tests.lab.stranger import flood, flood_stream
from tests.lab.village import QUIET, Village

COUNT = 10_000
GROWTH_BYTES = 40 << 20


def udp_received(host: Host) -> int:
    """How many datagrams this host's programs were given."""
    names, values = (line.split() for line in host.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Udp:"))
    return int(values[names.index("InDatagrams")])


@contextmanager
def unharmed(*programs: Parley) -> Iterator[None]:
    """The programs are alive afterwards, have not grown, and told of the nonsense in their logs, but not often."""
    before = [program.resident_bytes for program in programs]
    yield
    for program, resident in zip(programs, before, strict=True):
        assert program.running
        grown = program.resident_bytes - resident
        told = [line for line in program.log().splitlines() if "dropped so far" in line]
        print(f"{program.arguments[0]}: grew by {grown / 1e6:.1f} MB; {told[-1:] or 'no word'}")
        assert grown < GROWTH_BYTES
        assert 0 < len(told) < 100


def flood_all(village: Village, program: Parley) -> None:
    """Send nonsense to every UDP port of a program; nearly all of it must get there."""
    ports = program.ports("udp")
    assert ports
    for port in ports:
        before = udp_received(program.host)
        flood(village.lab["x"], program.host.address, port, COUNT, seed=port)
        arrived = udp_received(program.host) - before
        print(f"{program.arguments[0]} port {port}: {arrived} of {COUNT} datagrams arrived")
        assert arrived > COUNT * 0.9


def test_at_the_ports_of_home(village: Village) -> None:
    assert {5060, 3478} <= set(village.home.ports("udp"))
    with unharmed(village.home):
        flood_all(village, village.home)
    village.works()


def test_at_the_ports_of_a_phone(village: Village) -> None:
    assert village.bob.ports("udp") == [5060]
    with unharmed(village.bob):
        flood_all(village, village.bob)
    village.works()


@pytest.mark.parametrize("name", ["home", "bob"])
def test_over_tcp(village: Village, name: str) -> None:
    program: Parley = getattr(village, name)
    ports = program.ports("tcp")
    assert 5060 in ports
    with unharmed(program):
        for port in ports:
            flood_stream(village.lab["x"], program.host.address, port, connections=100, seed=port)
    village.works()


def test_during_a_call_at_every_port_of_both_sides_and_the_relay(village: Village) -> None:
    """The call goes through a relay, so that its port is open and busy too."""
    server = village.lab["s"]
    closed = village.home.ports("udp")
    bob_flags, bob_secrets = parley.member("bob", server)
    with (
        Parley(
            village.lab["b"],
            village.folder / "second",
            ["listen", *bob_flags, "--sip-port", "5070", "--no-register", "--calls", "1", *QUIET],
            bob_secrets,
        ) as bob,
    ):
        bob.wait_for("listening")
        target = f"sip:bob@{village.lab['b'].in_uri}:5070"
        flags = (*QUIET, "--ice-policy", "relay")
        with parley.call(village.lab["a"], village.folder / "first", "ada", server, target, *flags) as ada:
            for side in (ada, bob):
                side.wait_for("call", state="connected")
                assert len(side.ports("udp")) >= 2
            assert len(village.home.ports("udp")) > len(closed), "no relay is open"
            with unharmed(ada, bob):
                flood_all(village, ada)
                flood_all(village, bob)
                flood_all(village, village.home)
            ada.stop()
            caller, callee = ada.finish(), bob.finish()
    assert caller.selected()[0]["type"] == "relay"
    assert (caller.code, callee.code) == (0, 0)
    assert caller.report["ended"]["by"] == "local"
    for outcome in (caller, callee):
        assert [step["state"] for step in outcome.report["states"]][-2:] != ["interrupted", "ended"]
        audio = outcome.report["audio"]
        print(f"{audio['packets_received']} packets, {audio['lost']} lost, {audio['level_dbfs']:.1f} dBFS")
        assert audio["lost"] < audio["packets_received"] * 0.02
        assert -12 < audio["level_dbfs"] < -6
    village.works()
