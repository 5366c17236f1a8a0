"""One connection to a rallypoint, which is a nats-server: TLS 1.3, a login, and one subject for the channel.

nats-py speaks the protocol; its own reconnecting is off, since `cluster.py` decides. Two things it leaves open are
closed here. It encrypts only when the server's greeting asks for it: a login is handed over only once TLS stands, so
nobody on the way can take the request out of the greeting and read it. And TCP would hold seconds of sound: what the
server has not confirmed is counted, and more than `MOST_UNCONFIRMED` is not sent. Impure: sockets, TLS and files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import ParseResult

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.errors import Error as NatsError
from nats.errors import StaleConnectionError, UnexpectedEOF

from app.channels.errors import ChannelError
from app.channels.links import MOST_BYTES, STREAM_SUBJECTS
from app.channels.websocket import WebSocketError, WebSocketTransport
from app.owned_tasks import OwnedTasks

log = logging.getLogger(__name__)

MOST_UNCONFIRMED = 50  # a second at 20 ms: longer ways than by satellite there are none
CONFIRM_EACH = 10
# Datagrams that came and were not handed on yet: what sixteen talkers say while this machine stands still for a second.
# Beyond that nats-py drops the newest; which of the others are too old the jitter buffer knows.
MOST_WAITING = 1_024
CLOSE_LIMIT_S = 0.5  # nothing is left to be written; after a refused certificate nats-py waits for an end that has been
_SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_OVER = (UnexpectedEOF, StaleConnectionError, ConnectionResetError, BrokenPipeError)
_NEVER_S = 1e6  # nats-py's own pings: the cluster's take their place


@dataclass(frozen=True, slots=True)
class RallypointTarget:
    """Where a rallypoint is and how to trust it and log in, from the mission's rallypoint object.

    Certificates are PEM text, or "@" and the path of a PEM file. Without `ca_certificates` those of the system count.
    `sni`: the name its certificate must show, where it is not the host. A token, or a user with a password, or neither.
    """

    host: str
    port: int = 7443
    certificate: str = ""
    certificate_key: str = ""
    ca_certificates: tuple[str, ...] = ()
    verify_peer: bool = True
    allow_self_signed: bool = False
    sni: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    websocket: bool = False

    @property
    def is_verified(self) -> bool:
        """Whether its certificate must be one that we trust."""
        return self.verify_peer and not self.allow_self_signed

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"


def subject_of(stream_id: str) -> str:
    """Give the subject of a channel's stream; ChannelError where its id has other signs than an id has."""
    stream_id = stream_id.strip("{}")
    if not _SUBJECT.match(stream_id):
        raise ChannelError(f"{stream_id[:60]!r} cannot name a stream: letters, digits, - and _ only, at most 64.")
    return f"{STREAM_SUBJECTS}{stream_id}"


class _WatchedContext(ssl.SSLContext):
    """Knows whether a connection was made with it."""

    was_used = False

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        self.was_used = True
        return super().wrap_bio(*args, **options)


def make_context(target: RallypointTarget) -> ssl.SSLContext:
    """Make what TLS needs; reads files. ChannelError names what cannot be used."""
    context = _WatchedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not target.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif target.ca_certificates:
        for one in target.ca_certificates:
            try:
                context.load_verify_locations(cadata=_pem(one, "CA certificate"))
            except (ssl.SSLError, ValueError) as error:
                raise ChannelError(f"A CA certificate of rallypoint {target} is no PEM certificate.") from error
    else:
        context.load_default_certs()
    if target.certificate:
        try:
            _load_chain(context, _pem(target.certificate, "certificate"), _pem(target.certificate_key, "key"))
        except (ssl.SSLError, ValueError) as error:
            raise ChannelError(
                f"The certificate for rallypoint {target} does not fit its key, or is no PEM."
            ) from error
    return context


def _pem(text: str, what: str) -> str:
    if text.startswith("@certstore://"):
        raise ChannelError(f"The {what} {text[:60]!r} is in a certificate store, which Parley has not.")
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).expanduser().read_text("ascii")
    except (OSError, ValueError) as error:
        raise ChannelError(f"The {what} file {text[1:][:200]!r} cannot be read.") from error


def _load_chain(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a certificate of ours; ssl reads it from a file only."""
    handle, name = tempfile.mkstemp(prefix="parley-", suffix=".pem")  # for this user only
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{certificate}\n{key}\n")
        context.load_cert_chain(name)
    finally:
        os.unlink(name)


def reason(error: BaseException) -> str:
    """Give a clause for a person on why a rallypoint cannot be used."""
    if isinstance(error, ChannelError):
        return str(error).rstrip(".")
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message[:80]})"
    if isinstance(error, ssl.SSLError):
        return f"no TLS 1.3 connection could be agreed on ({(error.reason or 'it was ended').lower()[:60]})"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, WebSocketError):
        return str(error)
    if isinstance(error, _OVER):
        return "it ended the connection"
    if isinstance(error, NatsError):
        words = str(error).removeprefix("nats: ").strip("'\" ")
        if _is_forbidden(error):
            return "it does not let us use this channel"
        return "it does not accept our login" if "authorization" in words.lower() else f"it said: {words[:80]}"
    return f"the connection failed ({(getattr(error, 'strerror', None) or type(error).__name__).lower()[:60]})"


def _is_forbidden(error: BaseException) -> bool:
    return isinstance(error, NatsError) and "permissions violation" in str(error).lower()


class _TcpTransport(TcpTransport):
    """nats-py's, which breaks with a traceback where a connection ends at two moments: here it is lost, as at any."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __bool__(self) -> bool:
        return True  # else nats-py makes its own

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Begin TLS. asyncio gives no transport when the connection ends meanwhile, and a StreamWriter needs one."""
        assert self._io_writer is not None
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        name = uri if isinstance(uri, str) else uri.hostname
        async with asyncio.timeout(connect_timeout):
            transport = await loop.start_tls(self._io_writer.transport, protocol, ssl_context, server_hostname=name)
        if transport is None:
            raise ConnectionResetError
        self._io_reader, self._io_writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def drain(self) -> None:
        """Wait until all is written, or nothing can be: whoever reads is told, and must not end of it here."""
        with contextlib.suppress(OSError):
            await super().drain()  # type: ignore[no-untyped-call]


class NatsConnection:
    """One connection to one rallypoint. `on_lost` is called once, with a clause, unless it was closed by us."""

    def __init__(
        self,
        target: RallypointTarget,
        subject: str,
        on_datagram: Callable[[bytes], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._target = target
        self._subject = subject
        self._on_datagram = on_datagram
        self._on_lost = on_lost
        self._client = Client()
        self._tasks = OwnedTasks(f"rallypoint {target}")
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._sent = 0
        self._confirmed = 0
        self._has_begun = False
        self._is_open = False
        self._is_closed = False
        self.may_send = asyncio.Event()

    async def open(self, connect_timeout_s: float) -> None:
        """Connect, log in and subscribe; an exception for which `reason` has words."""
        context = await asyncio.to_thread(make_context, self._target)
        async with asyncio.timeout(connect_timeout_s):
            connecting = asyncio.ensure_future(self._connect(context, connect_timeout_s))
            try:
                either: set[asyncio.Future[Any]] = {connecting, self._failed}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not connecting.done():
                    connecting.cancel()
                    await asyncio.wait({connecting})
                if not connecting.cancelled():
                    connecting.exception()  # known from here on, whatever is made of it
            if not connecting.cancelled() and connecting.exception() is None and self._client.is_connected:
                await self._client.subscribe(self._subject, cb=self._received, pending_msgs_limit=MOST_WAITING)
                # nats-py's PING overtakes a subscription that still waits to be written; the second one comes after it.
                for _ in range(2):
                    if await self.ping(connect_timeout_s) is None:
                        raise TimeoutError
                if self._failed.done():  # it has let us in, and not to this subject
                    raise self._failed.result()
                self._is_open = True
                self.may_send.set()
                return
        if self._failed.done():  # nats-py goes on trying after it; the first error says most
            raise self._failed.result()
        failure = None if connecting.cancelled() else connecting.exception()
        raise failure or ConnectionResetError

    async def _connect(self, context: ssl.SSLContext, connect_timeout_s: float) -> None:
        target = self._target
        host = f"[{target.host}]" if ":" in target.host else target.host
        logins: dict[str, Callable[[], str]] = {}
        if target.token:
            logins = {"token": self._after_tls(context, target.token)}
        elif target.user:
            logins = {
                "user": self._after_tls(context, target.user),
                "password": self._after_tls(context, target.password),
            }
        # uvloop forgets a look-up under way when a connection is given up, and then reports its failure as nobody's:
        # here it ends with this task, and the one that follows finds the name.
        await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        self._has_begun = True
        if target.websocket:
            self._client._transport = WebSocketTransport(target.sni or target.host)
        else:
            self._client._transport = _TcpTransport()
        await self._client.connect(
            f"{'wss' if target.websocket else 'tls'}://{host}:{target.port}",
            error_cb=self._noted,
            closed_cb=self._ended,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,  # else it sleeps for it where leaving and a refusal come together
            connect_timeout=connect_timeout_s,  # type: ignore[arg-type]
            ping_interval=_NEVER_S,  # type: ignore[arg-type]
            no_echo=True,
            tls=context,
            tls_hostname=target.sni or target.host,
            **logins,  # type: ignore[arg-type]
        )
        self._after_tls(context, "")()

    def _after_tls(self, context: ssl.SSLContext, secret: str) -> Callable[[], str]:
        def give() -> str:
            if not getattr(context, "was_used", False):
                raise ChannelError("it does not encrypt, so nothing was sent to it")
            return secret

        return give

    async def _noted(self, error: Exception) -> None:
        log.info("rallypoint %s: %s", self._target, error)
        if not self._is_open:
            if not self._failed.done():
                self._failed.set_result(error)
        elif _is_forbidden(error):  # said after the first datagram: the server has no earlier word for it
            self._lose(error)
        elif isinstance(error, _OVER):
            # Where something waits to be written, nats-py would stumble over it and never say that it has closed.
            self._forget_pending()
            self._lose(error)

    def _forget_pending(self) -> None:
        self._client._pending, self._client._pending_data_size = [], 0

    async def _ended(self) -> None:
        self._lose(self._client.last_error)

    def _lose(self, error: Exception | None) -> None:
        if self._is_open and not self._is_closed:
            self._is_closed = True
            self._on_lost("it ended the connection" if error is None else reason(error))

    async def _received(self, message: Msg) -> None:
        if not self._is_closed and 0 < len(message.data) <= MOST_BYTES:
            self._on_datagram(message.data)

    async def send(self, datagram: bytes) -> None:
        """Send; afterwards `may_send` is clear while too much is unconfirmed. Nothing when the connection is gone."""
        try:
            await self._client.publish(self._subject, datagram)
        except (NatsError, OSError) as error:
            log.debug("rallypoint %s: sending: %s", self._target, error)
            if self._client.is_closed:
                self._lose(self._client.last_error or error)
            return
        self._sent += 1
        if self._sent % CONFIRM_EACH == 0:
            self._tasks.start(self._confirm(self._sent), "confirming")
        if self._sent - self._confirmed >= MOST_UNCONFIRMED:
            self.may_send.clear()

    async def _confirm(self, count: int) -> None:
        if await self.ping(_NEVER_S) is not None:
            self._confirmed = max(self._confirmed, count)
            if self._sent - self._confirmed < MOST_UNCONFIRMED:
                self.may_send.set()

    async def ping(self, timeout_s: float) -> float | None:
        """Wait for the server to have read everything; gives how long that took, None when it did not."""
        if self._client.is_closed:
            return None
        begun = time.monotonic()
        # Never cancelled: nats-py's own flush() is where its time is up, and nats-py ends its reading without a word
        # when the answer to a cancelled one comes after all.
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._client._send_ping(answered)
                await asyncio.wait({answered})
        except (NatsError, OSError):  # TimeoutError is one
            return None
        return None if answered.cancelled() else time.monotonic() - begun

    async def close(self) -> None:
        """Leave. What waits is not waited for."""
        self._is_closed = True
        if not self._failed.done():
            self._failed.cancel()
        await self._tasks.close()
        self._forget_pending()
        if self._has_begun:
            with contextlib.suppress(NatsError, OSError, TimeoutError):
                await asyncio.wait_for(self._client.close(), CLOSE_LIMIT_S)
