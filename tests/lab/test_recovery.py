"""A call survives what happens to its network: the far end of whole calls recorded one gap of the right length.

The gap is what nobody could have heard (the wire was cut) and at most two seconds besides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.heard import frequency_hz, gaps_ms, part, read_wav
from tests.lab import parley
from tests.lab.conftest import LabMaker
from tests.lab.network import Host, Lab, run
from tests.lab.parley import Fields, Outcome, Parley

BACK_WITHIN_S = 2.0  # of a path existing again
A_GAP_MS = 100.0  # shorter ones are a busy machine's
NEW_ADDRESS = {"a": "10.77.0.110", "b": "10.77.0.111"}
TONES = {"a": 440, "b": 880}


@dataclass
class Talking:
    """A call that is up, at a and b."""

    lab: Lab
    folder: Path
    sides: dict[str, Parley]

    def speak(self, seconds: float) -> None:
        """Let time pass with the call as it is."""
        time.sleep(seconds)

    def restarted(self, name: str, *, limit_s: float) -> Fields:
        return self.sides[name].wait_for("ice", kind="restarted", limit_s=limit_s)

    def end(self, by: str = "a") -> dict[str, Outcome]:
        """Hang up, and give how it went on each side: as asked."""
        self.sides[by].stop()
        outcomes = {name: side.finish() for name, side in self.sides.items()}
        for outcome in outcomes.values():
            assert outcome.code == 0, outcome.stderr
        return outcomes

    def heard(self, name: str) -> Path:
        return self.folder / f"{name}.wav"


def sound(name: str, folder: Path) -> list[str]:
    flags = ["--audio-from", f"tone:{TONES[name]}", "--audio-to", str(folder / f"{name}.wav")]
    return [*flags, "--video-from", "none"]


@contextmanager
def talking(lab: Lab, folder: Path, *flags: str, home: bool = False, transport: str = "") -> Iterator[Talking]:
    """A call from a to b, by address or by way of a home server at s, both humming."""
    with ringing(lab, folder, *flags, home=home, transport=transport, answer_after_s=0.0) as talk:
        for side in talk.sides.values():
            side.wait_for("call", state="connected")
        yield talk


@contextmanager
def ringing(
    lab: Lab, folder: Path, *flags: str, home: bool = False, transport: str = "", answer_after_s: float = 6.0
) -> Iterator[Talking]:
    """The same before it is answered."""
    listen = ("listen", "--calls", "1", "--answer-after", str(answer_after_s))
    with ExitStack() as stack:
        if home:
            stack.enter_context(parley.home(lab["s"], folder / "home"))
            over = f";transport={transport}" if transport else ""
            place = lab["s"].in_uri
            told = {
                name: [*sound(name, folder), *flags, "--account", f"sip:{user}@{place}{over}"]
                for name, user in (("a", "ada"), ("b", "bob"))
            }
            bob = parley.listen(lab["b"], folder / "b", "bob", lab["s"], *listen[1:], *told["b"])
            stack.enter_context(bob)
            ada = parley.call(lab["a"], folder / "a", "ada", lab["s"], f"sip:bob@{place}", *told["a"])
        else:
            bob = Parley(lab["b"], folder / "b", [*listen, *sound("b", folder), *flags])
            stack.enter_context(bob)
            bob.wait_for("listening")
            target = f"sip:bob@{lab['b'].in_uri}"
            ada = Parley(lab["a"], folder / "a", ["call", target, *sound("a", folder), *flags])
        stack.enter_context(ada)
        talk = Talking(lab, folder, {"a": ada, "b": bob})
        for side in talk.sides.values():
            side.wait_for("call", state="ringing")
        yield talk


def replace_address(host: Host, address: str) -> None:
    """What DHCP does in another network: the old address goes, another one comes."""
    inside = ("ip", "-n", host.namespace)
    run(*inside, "addr", "flush", "dev", "eth0")
    run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
    run(*inside, "route", "add", "default", "via", "10.77.0.254")


def one_gap(talk: Talking, name: str, at_least_s: float, at_most_s: float) -> float:
    """The one gap in what a side heard, in seconds; what is around it is the other's tone."""
    samples = read_wav(talk.heard(name))
    gaps = [(start / 1000, length / 1000) for start, length in gaps_ms(samples, at_least_ms=A_GAP_MS)]
    print(f"{name} heard gaps: {gaps}")
    assert len(gaps) <= 1, gaps
    start, length = gaps[0] if gaps else (0.0, 0.0)
    assert at_least_s <= length <= at_most_s
    hz = TONES["b" if name == "a" else "a"]
    if gaps:
        assert abs(frequency_hz(part(samples, start + length + 0.3, start + length + 1.1)) - hz) < 3
    return length


@pytest.mark.parametrize(
    ("mover", "home"),
    [
        pytest.param("a", False, marks=pytest.mark.short),
        ("b", False),
        ("a", True),
        ("b", True),
    ],
    ids=["caller", "callee", "caller by home", "callee by home"],
)
def test_the_address_is_replaced(lab: Lab, tmp_path: Path, mover: str, home: bool) -> None:
    with talking(lab, tmp_path, home=home) as talk:
        talk.speak(1.5)
        replace_address(lab[mover], NEW_ADDRESS[mover])
        for name in talk.sides:
            talk.restarted(name, limit_s=10)
        talk.speak(2.0)
        outcomes = talk.end()
    for name, outcome in outcomes.items():
        one_gap(talk, name, 0.0, BACK_WITHIN_S)
        assert outcome.report["ice"]["restarts"] == 1
    local, remote = outcomes["a"].selected()
    assert (local if mover == "a" else remote)["address"] == NEW_ADDRESS[mover]


@pytest.mark.parametrize(
    ("mover", "home"), [("a", False), ("b", False), ("a", True)], ids=["caller", "callee", "caller by home"]
)
def test_the_address_is_replaced_while_it_rings(lab: Lab, tmp_path: Path, mover: str, home: bool) -> None:
    """The answer finds the caller at its new address, and its ACK the callee."""
    with ringing(lab, tmp_path, home=home) as talk:
        replace_address(lab[mover], NEW_ADDRESS[mover])
        for name in talk.sides:
            talk.restarted(name, limit_s=10)
        for side in talk.sides.values():
            side.wait_for("call", state="connected", limit_s=15)
        talk.speak(1.5)
        talk.end()
    for name in talk.sides:
        samples = read_wav(talk.heard(name))
        assert abs(frequency_hz(part(samples, 0.3, 1.1)) - TONES["b" if name == "a" else "a"]) < 3


@pytest.mark.parametrize("mover", ["a", "b"], ids=["caller", "callee"])
def test_the_address_is_replaced_under_connections(lab: Lab, tmp_path: Path, mover: str) -> None:
    """Signalling over TCP is reopened from the new address; hanging up reaches the other side all the same."""
    with talking(lab, tmp_path, home=True, transport="tcp") as talk:
        talk.speak(1.5)
        replace_address(lab[mover], NEW_ADDRESS[mover])
        for name in talk.sides:
            talk.restarted(name, limit_s=10)
        talk.speak(2.0)
        outcomes = talk.end("b" if mover == "a" else "a")
    for name in outcomes:
        one_gap(talk, name, 0.0, BACK_WITHIN_S)


@pytest.mark.parametrize("seconds", [pytest.param(3.0, marks=pytest.mark.short), 8.0, 40.0], ids=["3 s", "8 s", "40 s"])
@pytest.mark.timeout(150)
@pytest.mark.parametrize("home", [False, True], ids=["direct", "by home"])
def test_the_wire_is_cut(make_lab: LabMaker, tmp_path: Path, seconds: float, home: bool) -> None:
    lab = make_lab("a", "b", "s")
    with talking(lab, tmp_path, home=home) as talk:
        talk.speak(1.5)
        begun = time.monotonic()
        cut(lab, "b")
        for side in talk.sides.values():
            side.wait_for("call", state="interrupted", limit_s=seconds)
        talk.speak(seconds - (time.monotonic() - begun))
        mend(lab)
        for side in talk.sides.values():
            side.wait_until(lambda event, side=side: times_connected(side) > 1, limit_s=10, what="the path again")  # type: ignore[misc]
        talk.speak(3.0)
        talk.end()
    for name in talk.sides:
        one_gap(talk, name, seconds - 0.3, seconds + BACK_WITHIN_S)


def cut(lab: Lab, name: str) -> None:
    """Drop everything to and from a host, as a cable that is out somewhere beyond the next switch."""
    port = f"to-{name}"
    chains = "\n".join(
        f"chain {hook} {{\ntype filter hook {hook} priority 0; policy accept;\n{rules}\n}}"
        for hook, rules in (
            ("forward", f'iifname "{port}" drop\noifname "{port}" drop'),
            ("input", f'iifname "{port}" drop'),
            ("output", f'oifname "{port}" drop'),
        )
    )
    run(*lab.hub.command("nft", "-f", "-"), given=f"table bridge cut {{\n{chains}\n}}\n")


def mend(lab: Lab) -> None:
    run(*lab.hub.command("nft", "delete", "table", "bridge", "cut"))


def times_connected(side: Parley) -> int:
    return sum(event.get("state") == "connected" for event in side.events)


def test_a_call_that_is_cut_for_longer_than_patience_ends_with_the_cause(lab: Lab, tmp_path: Path) -> None:
    with talking(lab, tmp_path, "--reconnect-for", "6") as talk:
        talk.speak(1.0)
        cut(lab, "b")
        outcomes = {name: side.finish(limit_s=40) for name, side in talk.sides.items()}
    for outcome in outcomes.values():
        assert outcome.code == 1
        states = [step["state"] for step in outcome.report["states"]]
        assert "interrupted" in states
        assert 5.5 < outcome.state_at("ending") - outcome.state_at("interrupted") < 8
        print(outcome.report["ended"])
        assert outcome.report["ended"]["by"] == "failure"
