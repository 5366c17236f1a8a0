"""A call survives what happens between the two: a relay dies, a NAT forgets."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.lab import parley
from tests.lab.conftest import LabMaker
from tests.lab.nat import House, Kind, Street
from tests.lab.network import Lab
from tests.lab.parley import Parley
from tests.lab.servers import SECRETS, Servers, servers
from tests.lab.test_recovery import BACK_WITHIN_S, Talking, cut, one_gap, sound

WARM_S = 4.5  # after the unused candidates were given back


def turn_flags(lab: Lab, *names: str) -> list[str]:
    ways = [word for name in names for word in ("--turn", f"turn:{lab[name].in_uri}:3478")]
    return [*ways, "--turn-password-from", "env:TURN_PASSWORD"]


@contextmanager
def relayed_call(lab: Lab, folder: Path) -> Iterator[tuple[Talking, Parley]]:
    """A call between hosts that cannot reach each other: home at s, relays at t and u. Gives it and the relay at t."""
    lab.block("a", "b")
    with ExitStack() as stack:
        stack.enter_context(parley.home(lab["s"], folder / "home"))
        first = stack.enter_context(parley.home(lab["t"], folder / "first"))
        stack.enter_context(parley.home(lab["u"], folder / "second"))
        relays = turn_flags(lab, "t", "u")
        told = {
            name: [*sound(name, folder), *relays, "--turn-user", user] for name, user in (("a", "ada"), ("b", "bob"))
        }
        target = f"sip:bob@{lab['s'].in_uri}"
        bob = parley.listen(lab["b"], folder / "b", "bob", lab["s"], "--calls", "1", *told["b"], turn=False)
        stack.enter_context(bob)
        ada = stack.enter_context(parley.call(lab["a"], folder / "a", "ada", lab["s"], target, *told["a"], turn=False))
        for side in (ada, bob):
            side.wait_for("call", state="connected")
        yield Talking(lab, folder, {"a": ada, "b": bob}), first


@pytest.mark.parametrize("how", ["killed", "silent"])
def test_the_relay_dies(make_lab: LabMaker, tmp_path: Path, how: str) -> None:
    """Killed, its machine says that nobody listens any more; silent, it is only heard no longer."""
    lab = make_lab("a", "b", "s", "t", "u")
    with relayed_call(lab, tmp_path) as (talk, relay):
        talk.speak(WARM_S)
        if how == "killed":
            os.kill(relay.pid, signal.SIGKILL)
        else:
            cut(lab, "t")
        for name in talk.sides:
            talk.restarted(name, limit_s=20)
        talk.speak(3.0)
        outcomes = talk.end()
    for name, outcome in outcomes.items():
        one_gap(talk, name, 0.0, BACK_WITHIN_S)
        local, remote = outcome.selected()
        assert "relay" in (local["type"], remote["type"])
        assert lab["u"].address in (local["address"], remote["address"])


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Street, Servers]]:
    with Street() as made, servers(made, tmp_path_factory.mktemp("street") / "servers") as told:
        yield made, told


@contextmanager
def call_between(servers: Servers, houses: dict[str, House], folder: Path) -> Iterator[Talking]:
    with ExitStack() as stack:
        sides: dict[str, Parley] = {}
        for name, command in (("b", ["listen", "--calls", "1"]), ("a", ["call", servers.target("b0")])):
            house = houses[name]
            account = servers.account(f"{name}0", house.kind)
            words = [*command, *account, *sound(name, folder), *servers.all_turn()]
            sides[name] = stack.enter_context(Parley(house.host, folder / name, words, SECRETS))
            if name == "b":
                sides[name].wait_for("listening")
        for side in sides.values():
            side.wait_for("call", state="connected")
        yield Talking(Lab(()), folder, {"a": sides["a"], "b": sides["b"]})


@pytest.mark.parametrize("forgets", ["a", "b", "both"])
@pytest.mark.parametrize("kind", [Kind.PORT_RESTRICTED, Kind.SYMMETRIC])
def test_a_nat_forgets(street: tuple[Street, Servers], tmp_path: Path, kind: Kind, forgets: str) -> None:
    """Its restart, or its clock: what went through it is dropped, and what comes out of it has other ports."""
    made, told = street
    houses = {name: made.build(kind) for name in "ab"}
    try:
        with call_between(told, houses, tmp_path) as talk:
            talk.speak(WARM_S)
            for name in forgets if forgets != "both" else "ab":
                houses[name].forget()
            talk.speak(6.0)
            outcomes = talk.end()
        for name, outcome in outcomes.items():
            one_gap(talk, name, 0.0, BACK_WITHIN_S)
            print(name, outcome.report["ice"]["restarts"], outcome.selected())
    finally:
        for house in houses.values():
            made.tear_down(house)
