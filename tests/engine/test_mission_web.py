"""Missions from a web address: a real server with TLS on this machine, and what it may do wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from app.engine import mission_web, missions
from app.engine.errors import EngineError
from app.engine.mission_web import MOST_BYTES, fetch
from app.engine.missions import ChannelWish, MissionWishes
from tests.channels.rallypoints import Authority

RELIEF = missions.make(MissionWishes("Relief", (ChannelWish("Alpha"),)), datetime(2026, 11, 22, tzinfo=UTC))
PACKED = missions.pack(RELIEF).encode()
Page = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Server:
    """Pages by their paths; `asked` has the head of each request."""

    ca: str
    port: int = 0
    pages: dict[str, bytes | Page] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    busy: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            page = self.pages[head.split(" ")[1]]
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest_asyncio.fixture
async def web(tmp_path: Path) -> AsyncIterator[Server]:
    authority = Authority.make(tmp_path)
    made = Server(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate = authority.issue("web")
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    if made.busy:
        await asyncio.wait(made.busy)


def page(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


def whole(body: bytes) -> bytes:
    return page(body, "200 OK", f"Content-Length: {len(body)}")


async def test_a_mission_is_fetched_however_its_end_is_told(web: Server) -> None:
    half = len(PACKED) // 2
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in (PACKED[:half], PACKED[half:]))
    web.pages = {
        "/length": whole(PACKED),
        "/close": page(PACKED),
        "/chunked?a=b": page(chunks + b"0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked"),
        "/moved": page(b"", "302 Found", "Location: ../moved%20again"),
        "/moved%20again": page(b"", "308 Permanent Redirect", f"Location: {web.url('/length')}"),
    }
    for path in ("/length", "/close", "/chunked?a=b#part", "/moved"):
        assert missions.read(await fetch(web.url(path), web.ca)) == RELIEF
    assert web.asked[0].splitlines()[:2] == ["GET /length HTTP/1.1", f"Host: 127.0.0.1:{web.port}"]
    assert "cookie" not in "".join(web.asked).lower()


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"A")
        await writer.drain()
        await asyncio.sleep(0.01)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(bytes(65_536))
        await writer.drain()
        await asyncio.sleep(0)  # so that it is seen when nobody takes it any more


async def endless_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while not writer.is_closing():
        writer.write(b"X-More: and more\r\n" * 1_000)
        await writer.drain()
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (page(b"", "404 Not Found"), "has no mission there: it answered 404 (Not Found)"),
        (page(b"", "299 Odd"), "it answered 299"),
        (page(b"", "302 Found"), "it answered 302 (Found)"),
        (page(b"", "302 Found", "Location: /"), "sends on and on"),
        (page(b"", "302 Found", "Location: http://127.0.0.1/relief.ice"), "by https alone"),
        (page(b"", "302 Found", "Location: file:///etc/passwd"), "no web address"),
        (page(b"", "302 Found", "Location: https://[::1/"), "sends on and on"),
        (page(b"", "200 OK", f"Content-Length: {MOST_BYTES + 1}"), "no mission: it has more than 2 MiB"),
        (page(b"", "200 OK", "Content-Length: -1"), "more than"),
        (page(b"ffffffff\r\n", "200 OK", "Transfer-Encoding: chunked"), "more than"),
        (page(b"1\r\nA\r\n" * 9_000 + b"0\r\n\r\n", "200 OK", "Transfer-Encoding: chunked"), "8,192 pieces"),
        (page(b"x\r\n", "200 OK", "Transfer-Encoding: chunked"), "no answer of a web server"),
        (page(b"", "200 OK", "Transfer-Encoding: gzip, chunked"), "no answer of a web server"),
        (page(b"", "200 OK", "Content-Encoding: gzip"), "compressed"),
        (page(PACKED, "200 OK", f"Content-Length: {len(PACKED) + 1}"), "cut short"),
        (b"220 mail.example.org ESMTP\r\n\r\n", "no answer of a web server"),
        (b"HTTP/1.1 x\r\n\r\n", "no answer of a web server"),
        (b"", "no answer of a web server"),
        (flood, "more than"),
        (endless_head, "no answer of a web server"),
        (trickle, "did not give the mission within 0.5 s"),
    ],
)
async def test_whatever_a_server_does_is_one_sentence(
    answer: bytes | Page, sentence: str, web: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is trickle:
        monkeypatch.setattr(mission_web, "FETCH_S", 0.5)
    web.pages["/"] = answer
    with pytest.raises(EngineError) as told:
        await fetch(web.url("/"), web.ca)
    assert sentence in str(told.value)
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)


async def test_a_server_that_cannot_be_trusted_or_reached_is_told_apart(web: Server) -> None:
    with pytest.raises(EngineError, match=r"^127\.0\.0\.1 cannot be trusted: its certificate is from an unknown"):
        await fetch(web.url("/"))
    with pytest.raises(EngineError, match="for another name than localhost"):
        await fetch(web.url("/").replace("127.0.0.1", "localhost"), web.ca)
    assert web.asked == []
    with pytest.raises(EngineError, match=r"^127\.0\.0\.1 cannot be reached \("):
        await fetch("https://127.0.0.1:9/relief.ice")
    with pytest.raises(EngineError, match="CA file"):
        await fetch(web.url("/"), "/nowhere/ca.pem")


async def test_the_authorities_of_a_file_are_trusted_beside_those_of_the_system(
    web: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = tmp_path / "company"
    company.mkdir()
    Authority.make(company)
    web.pages["/"] = whole(PACKED)
    monkeypatch.setenv("SSL_CERT_FILE", web.ca)  # what the TLS library takes for the system's
    assert await fetch(web.url("/"), str(company / "ca.pem")) == PACKED


async def test_many_small_chunks_that_have_come_already_leave_others_their_turn() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"1\r\nA\r\n" * 1_000 + b"0\r\n\r\n")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert await mission_web._body(reader, {"transfer-encoding": "chunked"}, "here") == b"A" * 1_000
    beside.cancel()
    assert turns >= 999


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://example.org/relief.ice", "everybody on the way could read them"),
        ("https:///relief.ice", "no web address"),
        ("https://example.org:port/", "no web address"),
        ("https://" + "a" * 80 + ".org/", "no web address"),
        ("https://ada:word@example.org/", "with a password in it"),
        ("relief.ice", "no web address"),
    ],
)
async def test_what_is_no_address_is_asked_of_nobody(url: str, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        await fetch(url)
