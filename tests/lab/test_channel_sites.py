"""Two sites that no multicast connects, three rallypoints between them, and two people who talk all the while.

The rallypoints are `parley rallypoint`, a cluster with TLS. The one that carries a talker is killed in mid-burst; then
all of them; then they come back. Words are numbered, and what every radio's speaker plays is recorded: so each word
that is missing has its name, and none may come twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.channels import mission_file
from app.channels.channel_plan import make_link
from app.channels.channel_session import ChannelSession, Node
from app.channels.failover import SETTLE_S
from app.channels.mission import Mission
from app.channels.mission_parts import Address
from app.channels.new_mission import ChannelWish, MissionWishes, new_mission
from app.channels.sealing import derive_key
from tests.channels.rallypoints import MISSING, SERVER
from tests.channels.words import Band, Heard, doubled, longest_silence_s, missing, words_in
from tests.heard import Samples
from tests.lab.conftest import wait_until
from tests.lab.network import Host, Lab, run
from tests.lab.test_multicast import Known

pytestmark = pytest.mark.skipif(SERVER is None, reason=MISSING)

FAILOVER_S = 1
SITES = ("a", "b")
BANDS = {"a": Band(2_000.0), "b": Band(3_900.0)}
NODES = ("n1", "n2", "n3")
BLOCK, BLOCK_S = 480, 0.01


class RallypointNode:
    """One node of the cluster: `parley rallypoint` on a host of its own."""

    def __init__(self, lab: Lab, name: str, folder: Path) -> None:
        self._lab, self._name, self.folder = lab, name, folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> dict[str, Any]:
        """Start it, and give what it says for missions once it serves."""
        others = [self._lab[name].address for name in NODES if name != self._name]
        command = [
            *(sys.executable, "-m", "app", "rallypoint", "--json", "--profile", str(self.folder)),
            *("--listen", self._lab[self._name].address),
            *(word for other in others for word in ("--peer", other)),
        ]
        self._process = self._lab[self._name].popen(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        told: dict[str, Any] = {}
        while "serving" not in told:
            line = json.loads(self._process.stdout.readline())
            told[line["event"]] = line
        return dict(told["mission-line"])

    def kill(self) -> None:
        """End it as a power cut would; its nats-server goes with it."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


class Radio:
    """A joined channel on a host, on a thread with an event loop of its own; its sound card runs on the clock."""

    def __init__(self, host: Host, mission: Mission, number: int, band: Band | None) -> None:
        self.name = host.name
        self._host, self._mission, self._band = host, mission, band
        self._number = number
        self._played: list[Samples] = []
        self._said = np.zeros(0, np.int16)
        self._words = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.session: ChannelSession = self._run(self._join())
        self._card = self._run(self._begin())

    def _work(self) -> None:
        self._host.enter()
        self._loop.run_forever()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(15)

    async def _join(self) -> ChannelSession:
        (group,) = self._mission.groups
        link = await make_link(group, self._mission, lambda: [Known("eth0", self._host.address)])
        key = derive_key(group.crypto_password or "")
        node = Node(bytes([self._number]) * 16, self._host.name)
        session = ChannelSession(group, self._mission, node, link, key, on_change=lambda: None)
        await session.start()
        return session

    async def _begin(self) -> asyncio.Task[None]:
        return asyncio.ensure_future(self._turn_the_card())

    async def _turn_the_card(self) -> None:
        due = time.monotonic()
        while True:
            if self._band is not None:
                self.session.hear(self._next_block(self._band))
            sound = self.session.play(BLOCK)
            self._played.append(np.zeros(BLOCK, np.int16) if sound is None else sound.copy())
            due += BLOCK_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _next_block(self, band: Band) -> Samples:
        if self._said.size < BLOCK:
            self._said = np.concatenate((self._said, band.word(self._words)))
            self._words += 1
        block, self._said = self._said[:BLOCK], self._said[BLOCK:]
        return block

    @property
    def now_s(self) -> float:
        """How long its speaker has run."""
        return len(self._played) * BLOCK_S

    @property
    def link(self) -> str:
        return self.session.snapshot().link.words

    @property
    def is_sending(self) -> bool:
        return self.session.snapshot().sending is not None

    def press(self) -> None:
        async def press() -> None:
            self.session.press()

        self._run(press())

    def heard(self, band: Band, from_s: float = 0.0) -> list[Heard]:
        """The words of a band that its speaker has played since a time."""
        sound = np.concatenate(self._played[round(from_s / BLOCK_S) :] or [np.zeros(0, np.int16)])
        return words_in(sound, band, from_s)

    def close(self) -> None:
        async def end() -> None:
            self._card.cancel()
            await self.session.close()
            await self._loop.shutdown_default_executor()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


def keep_multicast_within(lab: Lab) -> None:
    """Let no multicast pass between the sites, nor to and from the rallypoints."""
    sites = [{f'"to-{site}{place}"' for place in "12"} for site in SITES]
    rules = "\n".join(
        f"iifname {{ {', '.join(sorted(site))} }} oifname != {{ {', '.join(sorted(site))} }} ip daddr 224.0.0.0/4 drop"
        for site in sites
    )
    chain = f"chain forward {{\ntype filter hook forward priority 0; policy accept;\n{rules}\n}}"
    run(*lab.hub.command("nft", "-f", "-"), given=f"table bridge sites {{\n{chain}\n}}\n")


def relief(line: dict[str, Any], lab: Lab) -> Mission:
    """The mission as its author makes it from what the rallypoint said, and as its members read it."""
    wishes = MissionWishes(
        "Relief",
        (ChannelWish("Alpha"),),
        control=None,
        full_duplex=True,
        rallypoints=tuple(Address(lab[name].address, line["port"]) for name in NODES),
        rallypoint_ca=Path(line["authority"]).read_text(),
        failover_after_s=FAILOVER_S,
    )
    return mission_file.unpack(mission_file.pack(new_mission(wishes, datetime.now(UTC)), None), None)


@contextlib.contextmanager
def two_sites(folder: Path) -> Iterator[tuple[dict[str, Radio], dict[str, RallypointNode]]]:
    """Sites a and b with two radios each, the first of which talks; and the cluster's nodes by their addresses."""
    with Lab([*(f"{site}{place}" for site in SITES for place in "12"), *NODES]) as lab, contextlib.ExitStack() as stack:
        keep_multicast_within(lab)
        nodes = [RallypointNode(lab, name, folder / name) for name in NODES]
        for node in nodes:
            stack.callback(node.kill)
        line = nodes[0].start()
        for node in nodes[1:]:
            (node.folder / "rallypoint").mkdir(parents=True)
            for name in ("authority.pem", "authority.key"):
                shutil.copy(nodes[0].folder / "rallypoint" / name, node.folder / "rallypoint" / name)
            node.start()
        mission = relief(line, lab)
        radios: dict[str, Radio] = {}
        for number, name in enumerate(f"{site}{place}" for site in SITES for place in "12"):
            band = BANDS[name[0]] if name.endswith("1") else None
            radios[name] = Radio(lab[name], mission, number + 1, band)
            stack.callback(radios[name].close)
        yield radios, {lab[name].address: node for name, node in zip(NODES, nodes, strict=True)}


@dataclass(frozen=True, slots=True)
class Ear:
    """A radio that listens to a talker. `is_far`: who talks is at the other site."""

    radio: Radio
    band: Band
    is_far: bool

    def name(self) -> str:
        return f"{self.radio.name} of site {next(site for site, band in BANDS.items() if band == self.band)}"

    def hears(self, since_s: float = 0.0) -> bool:
        """Whether it has heard three words since a time."""
        return len(self.radio.heard(self.band, since_s)) >= 3

    def silence_s(self, from_s: float, to_s: float) -> float:
        """Give the longest time without anything new between two times of its speaker."""
        return longest_silence_s(self.radio.heard(self.band, max(0.0, from_s - 1.0)), from_s, to_s)


def ears_of(radios: dict[str, Radio]) -> list[Ear]:
    """Everybody listens to each talker but himself."""
    return [
        Ear(radio, BANDS[site], name[0] != site)
        for name, radio in radios.items()
        for site in SITES
        if name != f"{site}1"
    ]


def lost(words: list[Heard], *outages: tuple[float, float]) -> list[str]:
    """Name the words that are missing though no outage was, from one second of the speaker to another."""
    return [
        f"word {number}, before {at_s:.2f} s"
        for number, at_s in missing(words)
        if not any(from_s <= at_s <= to_s for from_s, to_s in outages)
    ]


def settle(radios: list[Radio], settles: bool) -> None:
    """Let links stand as long as makes a loss a new one."""
    if settles:
        ends_s = max(one.now_s for one in radios) + SETTLE_S + 1.0
        wait_until(lambda: all(one.now_s > ends_s for one in radios), "a while")


@pytest.mark.parametrize(
    "settles", [pytest.param(False, marks=pytest.mark.short, id="soon"), pytest.param(True, id="settled")]
)
def test_two_sites_talk_while_their_rallypoints_die_one_by_one_and_come_back(tmp_path: Path, settles: bool) -> None:
    """`settles`: links stand for a while before each loss, so that the time to multicast counts from it."""
    with two_sites(tmp_path) as (radios, nodes):
        everybody = list(radios.values())
        wait_until(lambda: all(one.link.startswith("Connected") for one in everybody), "connections")
        for site in SITES:
            radios[f"{site}1"].press()
        ears = ears_of(radios)
        wait_until(lambda: all(ear.hears(max(0.0, ear.radio.now_s - 3.0)) for ear in ears), "both talkers")
        settle(everybody, settles)
        # The node that carries a talker.
        carrier = next(address for address in nodes if address in radios["a1"].link)
        killed = {ear: ear.radio.now_s for ear in ears}
        nodes[carrier].kill()
        wait_until(lambda: all(ear.radio.now_s > killed[ear] + 2.5 for ear in ears), "a while")
        gaps = {ear: ear.silence_s(killed[ear] - 0.5, killed[ear] + 1.5) for ear in ears}
        settle(everybody, settles)
        # All of them.
        dark = {ear: ear.radio.now_s for ear in ears}
        for node in nodes.values():
            node.kill()
        wait_until(lambda: all("by multicast" in one.link for one in everybody), "multicast")
        joined = {ear: ear.radio.now_s for ear in ears}
        wait_until(lambda: all(ear.hears(joined[ear]) for ear in ears if not ear.is_far), "the own site")
        within = {ear: ear.silence_s(dark[ear] - 0.5, joined[ear] + 0.5) for ear in ears if not ear.is_far}
        assert not any(ear.radio.heard(ear.band, joined[ear] + 0.5) for ear in ears if ear.is_far)
        # And back.
        for node in nodes.values():
            node.start()
        back = {ear: ear.radio.now_s for ear in ears}
        wait_until(lambda: all(ear.hears(back[ear]) for ear in ears), "both sites", 30.0)
        heard_again = {ear: ear.radio.now_s for ear in ears}
        if settles:
            wait_until(lambda: all(one.link.startswith("Connected") for one in everybody), "the end of multicast", 90.0)
        ends = max(one.now_s for one in everybody) + 1.0
        wait_until(lambda: all(one.now_s > ends for one in everybody), "a while")
        assert all(radios[f"{site}1"].is_sending for site in SITES)  # it was one burst all the while
        heard = {ear: ear.radio.heard(ear.band) for ear in ears}
    print(f"\nThe longest silence when the carrying node is killed: {max(gaps.values()):.2f} s")
    print(f"with all of them killed, failover after {FAILOVER_S} s: {max(within.values()):.2f} s within a site")
    returned = max(heard_again[ear] - back[ear] for ear in ears)
    print(f"both sites hear each other {returned:.2f} s after the cluster is back")
    for ear, words in heard.items():
        outages = (killed[ear] - 0.2, killed[ear] + 1.5), (dark[ear] - 0.2, heard_again[ear])
        print(f"{ear.name()}: {len(words)} words, {len(missing(words))} missing, twice {doubled(words)}")
        print(f"  missing though nothing was out: {lost(words, *outages)}")
    assert not any(doubled(words) for words in heard.values())
    assert max(gaps.values()) < 1.0
    assert max(within.values()) < FAILOVER_S + 1.0
