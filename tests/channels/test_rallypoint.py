"""Links by real nats-servers: TLS, logins, loss of a node, and what a bad rallypoint says of itself."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.channels.cluster import ClusterPlan, Strategy
from app.channels.errors import ChannelError
from app.channels.links import LinkState
from app.channels.nats_link import MOST_UNCONFIRMED, NatsConnection, RallypointTarget, make_context, reason, subject_of
from app.channels.rallypoint import RallypointLink
from app.channels.send_queue import MOST_PACKETS
from app.engine.thread import new_loop
from tests.channels.rallypoints import MISSING, SERVER, Authority, Rallypoint, clusters, free_ports, tls

SUBJECT = subject_of("95dad4a9-4f46-5daa-91aa-acd6322c81a5")
needs_server = pytest.mark.skipif(SERVER is None, reason=MISSING)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def servers() -> Iterator[list[Rallypoint]]:
    """What is put in here ends with the test."""
    running: list[Rallypoint] = []
    yield running
    for server in running:
        server.kill()


class Phone:
    """A link, what came by it and what it told."""

    def __init__(self, targets: list[RallypointTarget], **plan: object) -> None:
        # A busy machine may stand still for a second: what is too old is tested by its number here.
        self.link = RallypointLink(targets, SUBJECT, ClusterPlan(len(targets), **plan), lambda: 0.0, most_age_s=30.0)  # type: ignore[arg-type]
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.states: asyncio.Queue[LinkState] = asyncio.Queue()
        self.link.on_datagram = lambda datagram, source, now: self.datagrams.put_nowait(datagram)
        self.link.on_state = self.states.put_nowait

    async def until(self, is_up: bool) -> str:
        async with asyncio.timeout(10):
            while (state := await self.states.get()).is_up != is_up:
                pass
        return state.words

    async def carried_by(self, server: Rallypoint) -> None:
        """Wait for this one: on a busy machine one further down answers first, and is left for it when it answers."""
        while f"port {server.port}." not in await self.until(True):
            pass

    def send(self, datagram: bytes) -> None:
        self.link.send(datagram, asyncio.get_running_loop().time())

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.datagrams.get(), 10)


async def refusal(target: RallypointTarget) -> str:
    """Give what a link says of a rallypoint that it cannot use."""
    phone = Phone([target], connection_timeout_s=2.0)
    await phone.link.start()
    try:
        async with asyncio.timeout(10):
            while "(" not in (words := (await phone.states.get()).words):
                pass
    finally:
        await phone.link.close()
    return words


@needs_server
@pytest.mark.parametrize("loops", ["asyncio", "uvloop"])
def test_two_phones_hear_each_other_and_not_themselves(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path, loops: str
) -> None:
    runner = asyncio if loops == "asyncio" else pytest.importorskip("uvloop", reason="not on this system")
    runner.run(_talk(authority, servers, tmp_path))


async def _talk(authority: Authority, servers: list[Rallypoint], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    mine = authority.issue("phone")
    body = f'{tls(authority.issue("server"), authority.folder / "ca.pem")}\nauthorization {{ token: "t0ken" }}'
    servers.append(Rallypoint(tmp_path, port, body))
    await servers[0].run()
    target = RallypointTarget(
        "127.0.0.1",
        port,
        certificate=f"@{mine}",
        certificate_key=mine.with_suffix(".key").read_text(),
        ca_certificates=(authority.pem,),
        token="t0ken",
    )
    anna, ben = Phone([target]), Phone([target])
    for phone in (anna, ben):
        await phone.link.start()
        assert await phone.until(True) == f"Connected to rallypoint 127.0.0.1 port {port}."
    for number in range(200):  # more than may be unconfirmed at once
        anna.send(bytes([number]))
        assert await ben.next() == bytes([number])
    ben.send(b"back")
    assert await anna.next() == b"back"
    assert anna.datagrams.empty()
    await anna.link.close()
    await ben.link.close()
    assert not anna.link.state.is_up


@needs_server
async def test_a_killed_node_is_followed_by_the_next_and_nothing_is_said_twice(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    servers += clusters(tmp_path, 3, authority.issue("node"))
    for server in servers:
        await server.run()
    targets = [RallypointTarget("127.0.0.1", one.port, ca_certificates=(authority.pem,)) for one in servers]
    anna = Phone(targets, strategy=Strategy.FAIL_BACK)
    ben = Phone(targets[::-1], strategy=Strategy.FAIL_BACK)
    for phone, first in ((anna, servers[0]), (ben, servers[2])):
        await phone.link.start()
        await phone.carried_by(first)
    await _heard(anna, ben)
    servers[0].kill()
    assert not (await anna.until(False)).endswith("port.")
    await anna.carried_by(servers[1])
    await _heard(anna, ben)
    for server in servers:
        server.kill()
    assert str(servers[2].port) in await ben.until(False)
    await anna.link.close()
    await ben.link.close()


async def _heard(speaker: Phone, listener: Phone) -> None:
    """Speak until it is heard: a mesh learns of a listener in its own time."""
    for number in range(200):
        speaker.send(number.to_bytes(2, "big"))
        try:
            first = await asyncio.wait_for(listener.datagrams.get(), 0.05)
        except TimeoutError:
            continue
        while int.from_bytes(first, "big") < number:
            first = await listener.next()
        assert listener.datagrams.empty()
        return
    raise AssertionError("nothing was heard")


@needs_server
async def test_the_loss_of_a_node_is_known_at_once_in_mid_burst(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    servers.append(Rallypoint(tmp_path, port, tls(authority.issue("mid-burst"))))
    target = RallypointTarget("127.0.0.1", port, ca_certificates=(authority.pem,))
    for _ in range(5):  # something of the burst waits to be written when the end comes, nearly always
        await servers[0].run()
        anna = Phone([target])
        await anna.link.start()
        await anna.until(True)
        for number in range(400):
            if number == 200:
                servers[0].kill()
            anna.send(number.to_bytes(2, "big"))
            await asyncio.sleep(0)
        async with asyncio.timeout(3):  # a ping would know it after 15
            while anna.link.state.is_up:
                anna.send(b"more")
                await asyncio.sleep(0.001)
        await anna.link.close()


@needs_server
async def test_what_a_stuck_rallypoint_cannot_take_is_dropped_and_not_said_later(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    servers.append(Rallypoint(tmp_path, port, tls(authority.issue("stuck"))))
    await servers[0].run()
    target = RallypointTarget("127.0.0.1", port, ca_certificates=(authority.pem,))
    anna, ben = Phone([target]), Phone([target])
    for phone in (anna, ben):
        await phone.link.start()
        await phone.until(True)
    servers[0].stop_for_a_while()
    for number in range(400):
        anna.send(number.to_bytes(2, "big"))
        await asyncio.sleep(0)  # let it be sent, if it may
    assert anna.link.dropped >= 400 - MOST_UNCONFIRMED - MOST_PACKETS - 1
    servers[0].go_on()
    anna.send(b"now")
    heard = [await ben.next()]
    while heard[-1] != b"now":
        heard.append(await ben.next())
    assert len(heard) <= MOST_UNCONFIRMED + MOST_PACKETS + 1
    assert heard == sorted(heard, key=lambda one: (len(one), one))
    await anna.link.close()
    await ben.link.close()


@needs_server
async def test_what_several_said_while_everything_stood_still_is_heard_whole(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    servers.append(Rallypoint(tmp_path, port, tls(authority.issue("busy"))))
    await servers[0].run()
    target = RallypointTarget("127.0.0.1", port, ca_certificates=(authority.pem,))
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ben = NatsConnection(target, subject_of("busy"), heard.put_nowait, lambda why: None)
    speakers = [NatsConnection(target, subject_of("busy"), lambda datagram: None, lambda why: None) for _ in range(5)]
    for one in (ben, *speakers):
        await one.open(5.0)
    servers[0].stop_for_a_while()
    said = [bytes([speaker, number]) + bytes(60) for speaker in range(5) for number in range(40)]
    for datagram in said:
        await speakers[datagram[0]].send(datagram)
    for speaker in speakers:
        assert await speaker.ping(0.01) is None  # all of it is on its way
    servers[0].go_on()
    async with asyncio.timeout(5):
        assert sorted([await heard.get() for _ in said]) == said
    for one in (ben, *speakers):
        await one.close()


@needs_server
async def test_an_answer_that_comes_too_late_leaves_a_connection_hearing(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    servers.append(Rallypoint(tmp_path, port, tls(authority.issue("slow"))))
    await servers[0].run()
    target = RallypointTarget("127.0.0.1", port, ca_certificates=(authority.pem,))
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ben = NatsConnection(target, subject_of("slow"), heard.put_nowait, lambda why: None)
    anna = NatsConnection(target, subject_of("slow"), lambda datagram: None, lambda why: None)
    for one in (anna, ben):
        await one.open(5.0)
    servers[0].stop_for_a_while()
    assert await ben.ping(0.05) is None
    servers[0].go_on()
    assert await ben.ping(5.0) is not None
    await anna.send(b"still there?")
    async with asyncio.timeout(5):
        assert await heard.get() == b"still there?"
    for one in (anna, ben):
        await one.close()


@needs_server
async def test_the_way_back_to_the_first_one_doubles_nothing(
    authority: Authority, servers: list[Rallypoint], tmp_path: Path
) -> None:
    servers += clusters(tmp_path, 2, authority.issue("both"))
    await servers[1].run()
    targets = [RallypointTarget("127.0.0.1", one.port, ca_certificates=(authority.pem,)) for one in servers]
    anna = Phone(targets[1:])
    ben = Phone(targets, strategy=Strategy.FAIL_BACK, rollover_s=0.2)
    for phone in (anna, ben):
        await phone.link.start()
        await phone.until(True)
    await servers[0].run()
    heard: list[bytes] = []
    for number in range(2_000):
        anna.send(number.to_bytes(2, "big"))
        await asyncio.sleep(0.005)
        while not ben.datagrams.empty():
            heard.append(ben.datagrams.get_nowait())
        if str(servers[0].port) in ben.link.state.words and len(heard) > number / 2:
            break
    assert str(servers[0].port) in ben.link.state.words
    assert len(heard) == len(set(heard))
    await anna.link.close()
    await ben.link.close()


def _allows(authority: Authority, name: str, what: str) -> str:
    user = f'{{ user: "u", password: "p", permissions: {{ {what} }} }}'
    return f"{tls(authority.issue(name))}\nauthorization {{ users: [ {user} ] }}"


@needs_server
async def test_who_may_not_in_is_told_why(authority: Authority, servers: list[Rallypoint], tmp_path: Path) -> None:
    ports = free_ports(7)
    other = Authority.make(tmp_path)
    servers += [
        Rallypoint(tmp_path, ports[0], f'{tls(authority.issue("a"))}\nauthorization {{ user: "u", password: "p" }}'),
        Rallypoint(tmp_path, ports[1], tls(other.issue("b"))),
        Rallypoint(tmp_path, ports[2], 'authorization { token: "secret" }'),
        Rallypoint(tmp_path, ports[4], ""),
        Rallypoint(tmp_path, ports[5], _allows(authority, "b1", 'subscribe: "other"')),
        Rallypoint(tmp_path, ports[6], _allows(authority, "b2", 'publish: "other"')),
    ]
    for server in servers:
        await server.run()

    def target(place: int, **more: object) -> RallypointTarget:
        return RallypointTarget("127.0.0.1", ports[place], ca_certificates=(authority.pem,), **more)  # type: ignore[arg-type]

    assert "does not accept our login" in await refusal(target(0, user="u", password="wrong"))
    assert "its certificate is not trusted" in await refusal(target(1))
    assert "does not encrypt, so nothing was sent to it" in await refusal(target(2, token="secret"))
    assert "does not encrypt, so nothing was sent to it" in await refusal(target(4))
    assert "nothing listens there" in await refusal(target(3))
    assert "its certificate is not trusted" in await refusal(target(0, sni="example.org"))
    assert "does not let us use this channel" in await refusal(target(5, user="u", password="p"))
    mute = Phone([target(6, user="u", password="p")])
    await mute.link.start()
    await mute.until(True)
    mute.send(b"not allowed")
    assert "does not let us use this channel" in await mute.until(False)
    await mute.link.close()
    careless = Phone([target(1, verify_peer=False)])
    await careless.link.start()
    assert (await careless.until(True)).endswith("whose certificate is not checked.")
    await careless.link.close()


async def test_closing_while_nothing_answers_ends_at_once() -> None:
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    phone = Phone([RallypointTarget("127.0.0.1", port, verify_peer=False)], connection_timeout_s=30.0)
    await phone.link.start()
    await asyncio.wait_for(phone.link.close(), 5)
    phone.send(b"after the end")
    silent.close()


def test_a_stream_is_named_by_its_id() -> None:
    assert subject_of("{95dad4a9-4f46}") == "parley.stream.95dad4a9-4f46"
    for bad in ("", "a.b", "a b", ">", "*", "x" * 65, "a\r\nPUB"):
        with pytest.raises(ChannelError, match="cannot name a stream"):
            subject_of(bad)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ca_certificates": ("nonsense",)}, "no PEM certificate"),
        ({"ca_certificates": ("@/nowhere.pem",)}, "cannot be read"),
        ({"certificate": "@certstore://default", "verify_peer": False}, "certificate store"),
        ({"certificate": "nonsense", "certificate_key": "nonsense", "verify_peer": False}, "does not fit its key"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_one_sentence(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ChannelError, match=words):
        make_context(RallypointTarget("example.org", **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), TimeoutError(), ConnectionRefusedError()])
def test_every_error_has_words(error: Exception) -> None:
    assert reason(error)


def test_who_leaves_while_a_name_is_looked_up_is_told_nothing_of_it_later() -> None:
    """On the engine's own loop: it is the one that forgets a look-up."""
    loop, complaints = new_loop(), []
    loop.set_exception_handler(lambda loop, context: complaints.append(context["message"]))

    async def leave() -> None:
        target = RallypointTarget("rally.invalid", 7443)
        for turns in range(12):
            connection = NatsConnection(target, SUBJECT, lambda datagram: None, lambda why: None)
            opening = asyncio.ensure_future(connection.open(5.0))
            while not (connection._has_begun or opening.done()):  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0)
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait({opening})
            with contextlib.suppress(OSError):
                await loop.getaddrinfo(target.host, target.port)
        del connection, opening

    loop.run_until_complete(leave())
    gc.collect()
    loop.close()
    assert complaints == []
