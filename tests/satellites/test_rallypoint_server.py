"""A rallypoint as people run it, with a real nats-server: who may in and to what, death, reload, a cluster."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.channels import mission_file
from app.channels.channel_plan import rallypoint_target
from app.channels.cluster import ClusterPlan
from app.channels.links import LinkState
from app.channels.mission_parts import Address
from app.channels.nats_link import RallypointTarget, subject_of
from app.channels.new_mission import ChannelWish, MissionWishes, new_mission
from app.channels.rallypoint import RallypointLink
from app.engine.errors import EngineError
from app.engine.rallypoint import (
    LogLine,
    MissionLine,
    RallypointOptions,
    RallypointServer,
    ServerDied,
    ServerEvent,
    ServerUp,
)
from app.settings import HostPort
from tests.channels.rallypoints import MISSING, SERVER, free_ports

HERE = "127.0.0.1"
needs_server = pytest.mark.skipif(SERVER is None, reason=MISSING)


class Run:
    """A rallypoint that runs; what it told."""

    def __init__(self, options: RallypointOptions) -> None:
        self.events: asyncio.Queue[ServerEvent] = asyncio.Queue()
        self.server = RallypointServer(options, self.events.put_nowait)
        self.stop = asyncio.Event()
        self.line: MissionLine | None = None
        self.task = asyncio.ensure_future(self.server.run(self.stop, self._ready))

    def _ready(self, line: MissionLine) -> None:
        self.line = line

    async def next(self, kind: type[ServerEvent]) -> ServerEvent:
        """Wait for an event of this kind; an end of the server before it is an error."""
        async with asyncio.timeout(15):
            while True:
                getting = asyncio.ensure_future(self.events.get())
                await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
                if not getting.done():
                    getting.cancel()
                    self.task.result()
                elif isinstance(getting.result(), kind):
                    return getting.result()


@asynccontextmanager
async def running(options: RallypointOptions) -> AsyncIterator[Run]:
    run = Run(options)
    try:
        up = await run.next(ServerUp)
        assert isinstance(up, ServerUp)
        yield run
    finally:
        run.stop.set()
        await run.task
    assert not (run.server.folder / "nats-server.pid").exists()


def options_for(folder: Path, port: int, **more: object) -> RallypointOptions:
    return RallypointOptions(profile=folder, listen=HERE, port=port, **more)  # type: ignore[arg-type]


def target_of(run: Run, **login: str) -> RallypointTarget:
    """What a mission that was told of it leads to."""
    line = run.line
    assert line is not None
    assert line.authority is not None
    wishes = MissionWishes(
        "test",
        (ChannelWish("Alpha"),),
        control=None,
        rallypoints=(Address(line.place.host, line.place.port),),
        rallypoint_ca=line.authority.read_text(),
        rallypoint_certificate=line.certificate.read_text() if line.certificate else "",
        rallypoint_key=line.key.read_text() if line.key else "",
        **login,  # type: ignore[arg-type]
    )
    packed = mission_file.pack(new_mission(wishes, datetime.now(UTC)), None)
    mission = mission_file.unpack(packed, None)
    cluster = mission.cluster_of(mission.groups[0])
    assert cluster is not None
    return rallypoint_target(cluster.rallypoints[0])


class Phone:
    """A link by one rallypoint."""

    def __init__(self, target: RallypointTarget) -> None:
        self.link = RallypointLink([target], subject_of("alpha"), ClusterPlan(1), most_age_s=30.0)
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()
        self.states: asyncio.Queue[LinkState] = asyncio.Queue()
        self.link.on_datagram = lambda datagram, source, now: self.heard.put_nowait(datagram)
        self.link.on_state = self.states.put_nowait

    async def until(self, words: str) -> None:
        async with asyncio.timeout(15):
            while words not in (await self.states.get()).words:
                pass


@asynccontextmanager
async def phones(*targets: RallypointTarget) -> AsyncIterator[list[Phone]]:
    made = [Phone(target) for target in targets]
    try:
        for one in made:
            await one.link.start()
        yield made
    finally:
        for one in made:
            await one.link.close()


async def says(speaker: Phone, listener: Phone) -> None:
    """Speak until it is heard: a mesh learns of a listener in its own time."""
    async with asyncio.timeout(15):
        while listener.heard.empty():
            speaker.link.send(os.urandom(8), asyncio.get_running_loop().time())
            await asyncio.sleep(0.02)
    while not listener.heard.empty():
        listener.heard.get_nowait()


@needs_server
async def test_only_members_come_in_and_only_to_channels(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    password = 'hush "$X" \\ }ä'
    options = options_for(
        tmp_path, port, user="relief", password=lambda: password, require_client_certificate=True, websocket_port=None
    )
    async with running(options) as run:
        target = target_of(run, rallypoint_user="relief", rallypoint_password=password)
        wrong = replace(target, password="another one")
        stranger = replace(target, certificate="", certificate_key="")
        async with phones(target, target, wrong, stranger) as (anna, ben, mallory, eve):
            await anna.until("Connected")
            await ben.until("Connected")
            await says(anna, ben)
            await mallory.until("does not accept our login")
            await eve.until("No rallypoint is reached")
        assert target.certificate
        folder = run.server.folder
        with pytest.raises(ssl.SSLError):
            _speak(port, folder, ssl.TLSVersion.TLSv1_2, b"")
        login = b'CONNECT {"user":"relief","pass":"hush \\"$X\\" \\\\ }\xc3\xa4","verbose":false,"pedantic":false}\r\n'
        said = _speak(port, folder, ssl.TLSVersion.TLSv1_3, login + b"SUB > 1\r\nPUB parley.other 1\r\nx\r\nPING\r\n")
        assert said.count(b"Permissions Violation") == 2
        said = _speak(port, folder, ssl.TLSVersion.TLSv1_3, login + b"PUB parley.stream.a 4097\r\n")
        assert b"Maximum Payload" in said
        assert all(path.stat().st_mode & 0o077 == 0 for path in folder.iterdir() if path.name != "lock")
    told = [event.words for event in _drain(run.events) if isinstance(event, LogLine)]
    assert told
    assert not any("hush" in words for words in told)


def _speak(port: int, folder: Path, version: ssl.TLSVersion, data: bytes) -> bytes:
    """Say this as somebody else's program would, and give what was answered until PONG or the end."""
    context = ssl.create_default_context(cafile=folder / "authority.pem")
    context.load_cert_chain(folder / "member.pem", folder / "member.key")
    context.minimum_version = context.maximum_version = version
    answer = b""
    with socket.create_connection((HERE, port), 10) as plain:
        while not answer.endswith(b"\r\n"):
            answer += plain.recv(4096)
        with context.wrap_socket(plain, server_hostname=HERE) as tls:
            tls.sendall(data)
            answer = b""
            while b"PONG" not in answer and (piece := tls.recv(4096)):
                answer += piece
    return answer


def _drain(events: asyncio.Queue[ServerEvent]) -> list[ServerEvent]:
    return [events.get_nowait() for _ in range(events.qsize())]


@needs_server
async def test_a_server_that_dies_is_started_again_and_a_new_password_counts_after_a_reload(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    words = {"now": "first password"}
    options = options_for(tmp_path, port, user="relief", password=lambda: words["now"])
    async with running(options) as run:
        target = target_of(run, rallypoint_user="relief", rallypoint_password=words["now"])
        async with phones(target) as (anna,):
            await anna.until("Connected")
            os.kill(int((run.server.folder / "nats-server.pid").read_text()), signal.SIGKILL)
            died = await run.next(ServerDied)
            assert isinstance(died, ServerDied)
            assert died.why == "signal 9 ended it"
            await run.next(ServerUp)
            await anna.until("Connected")
        words["now"] = "short"
        run.server.reload()
        warning = await run.next(LogLine)
        while isinstance(warning, LogLine) and "nothing was reloaded" not in warning.words:
            warning = await run.next(LogLine)
        words["now"] = "second password"
        run.server.reload()
        while not (isinstance(line := await run.next(LogLine), LogLine) and "Reloaded server" in line.words):
            pass
        async with phones(replace(target, password=words["now"]), target) as (ben, late):
            await ben.until("Connected")
            await late.until("does not accept our login")
        assert run.server.restarts == 1


@needs_server
async def test_by_websocket_one_hears_and_is_heard_and_knows_the_end_at_once(tmp_path: Path) -> None:
    port, other = free_ports(2)
    password = "a long password"
    options = options_for(tmp_path, port, websocket_port=other, user="relief", password=lambda: password)
    async with running(options) as run:
        target = target_of(run, rallypoint_user="relief", rallypoint_password=password)
        by_web = replace(target, port=other, websocket=True)
        no_web = replace(target, websocket=True)
        async with phones(target, by_web, no_web, replace(by_web, password="another one")) as (anna, ben, eve, mallory):
            await anna.until("Connected")
            await ben.until("Connected")
            await says(anna, ben)
            await says(ben, anna)
            for number in range(200):  # more than may be unconfirmed at once, short and long ones
                ben.link.send(number.to_bytes(2, "big").ljust(1 + 20 * number, b"."), asyncio.get_running_loop().time())
                heard = await asyncio.wait_for(anna.heard.get(), 10)
                assert (int.from_bytes(heard[:2], "big"), len(heard)) == (number, max(2, 1 + 20 * number))
            await mallory.until("does not accept our login")
            await eve.until("No rallypoint is reached")
            os.kill(int((run.server.folder / "nats-server.pid").read_text()), signal.SIGKILL)
            async with asyncio.timeout(3):  # a ping would know it after 15
                while ben.link.state.is_up:
                    await ben.states.get()
            await ben.until("Connected")
            await run.next(ServerUp)


@needs_server
async def test_nodes_with_one_authority_are_a_cluster(tmp_path: Path) -> None:
    ports, routes = free_ports(2), free_ports(2)
    first = options_for(tmp_path / "0", ports[0], cluster_port=routes[0], peers=(HostPort(HERE, routes[1]),))
    async with running(first) as one:
        other = tmp_path / "1" / "rallypoint"
        other.mkdir(parents=True)
        for name in ("authority.pem", "authority.key"):
            shutil.copy(one.server.folder / name, other / name)
        second = options_for(tmp_path / "1", ports[1], cluster_port=routes[1], peers=(HostPort(HERE, routes[0]),))
        async with running(second) as two, phones(target_of(one), target_of(two)) as (anna, ben):
            await anna.until("Connected")
            await ben.until("Connected")
            await says(anna, ben)
            await says(ben, anna)


@needs_server
async def test_what_cannot_be_served_is_one_sentence(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with socket.create_server((HERE, port)):
        assert "cannot be started: Error listening on port" in await refusal(options_for(tmp_path, port))
    assert "is no program" in await refusal(options_for(tmp_path, port, program=tmp_path / "none"))
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho nats-server: v2.1.4\n")
    old.chmod(0o700)
    words = await refusal(options_for(tmp_path, port, program=old))
    assert words.startswith("nats-server 2.1.4 is too old, 2.9 is needed: apt-get install nats-server")


async def refusal(options: RallypointOptions) -> str:
    with pytest.raises(EngineError) as failed:
        await RallypointServer(options, lambda event: None).run(asyncio.Event(), lambda line: None)
    return str(failed.value)


async def test_without_nats_server_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *args, **options: None)
    words = await refusal(options_for(tmp_path, 7443))
    assert words.startswith("A rallypoint needs nats-server, which is not installed: apt-get install nats-server")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"user": "relief"}, "belong together"),
        ({"tls_certificate": Path("a")}, "belong together"),
        ({"tls_authority": Path("a")}, "needs --tls-cert"),
        ({"user": "u", "password": lambda: "x" * 9, "token": lambda: "y" * 9}, "or with a token"),
        ({"websocket_port": 7443}, "used once"),
        ({"tls_certificate": Path("a"), "tls_key": Path("b"), "cluster_port": 1}, "needs --tls-ca"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, more: dict[str, object], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        RallypointServer(options_for(tmp_path, 7443, **more), lambda event: None)


@needs_server
@pytest.mark.skipif(sys.platform != "linux", reason="how processes are looked up")
async def test_a_server_that_was_left_behind_is_ended_at_the_next_start(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    options = options_for(tmp_path, port)
    async with running(options) as run:
        folder = run.server.folder
    assert SERVER is not None
    orphan = await asyncio.create_subprocess_exec(
        SERVER, "-c", folder / "nats-server.conf", stderr=asyncio.subprocess.DEVNULL
    )
    (folder / "nats-server.pid").write_text(f"{orphan.pid}\n")
    async with running(options):
        await asyncio.wait_for(orphan.wait(), 10)
    stranger = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    (folder / "nats-server.pid").write_text(f"{stranger.pid}\n")
    async with running(options):
        assert stranger.returncode is None  # the number of somebody else is nobody to end
    await stranger.communicate(b"\n")
