"""Fetches a mission from a web address: by https alone, once a person has asked for it.

A GET of HTTP/1.1 (RFC 9112) with neither cookies nor passwords, not through a proxy, and nothing compressed.
Certificates are checked. At most MOST_BYTES come in at most FETCH_S, redirects included, whatever the server does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from app import VERSION
from app.authorities import client_context
from app.engine.errors import EngineError
from app.ice.certificates import distrust
from app.people.errors import in_words

FETCH_S = 20.0
MOST_BYTES = 2 << 20
MOST_REDIRECTS = 5
_CONNECT_S, _MOST_ADDRESSES = 4.0, 4
_MOST_HEAD = 16_384
_MOST_LINE = 1_024
_MOST_CHUNKS = 8_192  # each costs the loop something, however little is in it
_KEPT = "!#$%&'()*+,/:;=?@[]~"  # what a URL may have, escapes too (RFC 3986 section 2.2)
_MOVED = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    fields: dict[str, str]
    body: bytes


async def fetch(url: str, ca_file: str | None = None) -> bytes:
    """Give what stands at a web address; authorities of `ca_file` are trusted beside those of the system.

    EngineError says in one sentence why it cannot be had.
    """
    try:
        async with asyncio.timeout(FETCH_S):
            return await _follow(url, await asyncio.to_thread(_context, ca_file))
    except TimeoutError:
        raise EngineError(f"{_where(url)} did not give the mission within {FETCH_S:g} s.") from None


async def _follow(url: str, context: ssl.SSLContext) -> bytes:
    for _ in range(MOST_REDIRECTS + 1):
        parts = _checked(url)
        try:
            answer = await _get(parts, context)
        except ssl.SSLError as error:  # before ValueError, which some of them are
            name = parts.hostname or ""
            raise EngineError(f"{name} cannot be trusted: {distrust(error, name)}.") from error
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            raise EngineError(f"What {parts.hostname} answered is cut short or no answer of a web server.") from None
        except OSError as error:
            raise EngineError(f"{parts.hostname} cannot be reached ({in_words(error)}).") from error
        if answer.status == HTTPStatus.OK:
            return answer.body
        if answer.status not in _MOVED or "location" not in answer.fields:
            raise EngineError(f"{parts.hostname} has no mission there: it answered {_status_words(answer.status)}.")
        with suppress(ValueError):
            url = urljoin(url, answer.fields["location"])
    raise EngineError(f"{_where(url)} sends on and on, and never to a mission.")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        if host:
            host.encode("idna")
    except ValueError:  # UnicodeError is one
        host = None
    if not host:
        raise EngineError("This is no web address: it looks like https://example.org/relief.ice.")
    if parts.scheme != "https":
        raise EngineError(
            f"Parley fetches missions by https alone, and {host} is asked by {parts.scheme}: the keys of the channels "
            "are in a mission, and everybody on the way could read them."
        )
    if parts.username is not None:
        raise EngineError("A web address with a password in it is not used: fetch the file with a browser.")
    return parts


async def _get(parts: SplitResult, context: ssl.SSLContext) -> _Answer:
    target = quote(parts.path or "/", safe=_KEPT) + (f"?{quote(parts.query, safe=_KEPT)}" if parts.query else "")
    host = (parts.hostname or "").encode("idna").decode()
    shown = f"[{host}]" if ":" in host else host
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {shown}:{parts.port}" if parts.port else f"Host: {shown}",
        f"User-Agent: Parley/{VERSION}",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    async with _connected(host, parts.port or 443, context) as (reader, writer):
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, _, rest = head[0].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(version)
        status = int(rest[:3])
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await _body(reader, fields, parts.hostname or "") if status == HTTPStatus.OK else b""
        return _Answer(status, fields, body)


@asynccontextmanager
async def _connected(
    host: str, port: int, context: ssl.SSLContext
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await _connect(host, port, context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()  # nothing is left to be said, and a server may never say goodbye


async def _connect(host: str, port: int, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Try the server's addresses one after the other: a machine may have IPv6 that leads nowhere."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(0, "it has no address")
    for address in list(dict.fromkeys(place[0] for *_, place in found))[:_MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await asyncio.open_connection(
                    str(address), port, ssl=context, server_hostname=host, limit=_MOST_HEAD
                )
        except ssl.SSLError:
            raise
        except TimeoutError:
            failure = OSError(0, "it does not answer")
        except OSError as error:
            failure = error
    raise failure


async def _body(reader: asyncio.StreamReader, fields: dict[str, str], host: str) -> bytes:
    """Give the body however its end is told (RFC 9112 section 6.3)."""
    made = bytearray()

    def take(data: bytes) -> None:
        made.extend(data)
        if len(made) > MOST_BYTES:
            raise EngineError(f"What {host} gives is no mission: it has more than {MOST_BYTES >> 20} MiB.")

    if fields.get("content-encoding", "identity").lower() != "identity":
        raise EngineError(f"{host} gives the mission compressed, which was not asked for.")
    if "transfer-encoding" in fields:
        if fields["transfer-encoding"].lower() != "chunked":
            raise ValueError(fields["transfer-encoding"])
        chunks = 0
        while size := await _chunk_size(reader):
            chunks += 1
            if chunks > _MOST_CHUNKS:
                raise EngineError(f"{host} gives the mission in more than {_MOST_CHUNKS:,} pieces.")
            take(b"" if size <= MOST_BYTES else bytes(MOST_BYTES + 1))
            take(await reader.readexactly(size))
            await reader.readexactly(2)
            await asyncio.sleep(0)  # what has come already is read without a pause, and a server may make it many
        return bytes(made)
    length = int(fields["content-length"]) if "content-length" in fields else None
    if length is not None:
        if not 0 <= length <= MOST_BYTES:
            take(bytes(MOST_BYTES + 1))
        return await reader.readexactly(length)
    while data := await reader.read(65_536):
        take(data)
    return bytes(made)


async def _chunk_size(reader: asyncio.StreamReader) -> int:
    line = await reader.readuntil(b"\r\n")
    if len(line) > _MOST_LINE:
        raise ValueError("a line of a chunk is too long")
    return int(line.split(b";")[0].strip(), 16)


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return client_context(ca_file)
    except OSError as error:
        raise EngineError(f"The CA file {ca_file} cannot be used ({in_words(error)}).") from error


def _where(url: str) -> str:
    try:
        return urlsplit(url).hostname or "The web address"
    except ValueError:
        return "The web address"


def _status_words(status: int) -> str:
    try:
        return f"{status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return str(status)
