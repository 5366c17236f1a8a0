"""The SIP endpoint: the sans-I/O user agent, driven by real sockets on one asyncio loop.

Everything happens on the loop that called `start()`: commands are given there and events are delivered there, one
after the other and never from inside a command.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from app.events import RegistrationState
from app.owned_tasks import OwnedTasks
from app.settings import HostPort
from app.sip.agent import KeepAlive, Resolve, UserAgent
from app.sip.config import SipConfig
from app.sip.errands import Errand
from app.sip.errors import ParseError, SipError
from app.sip.events import SipEvent
from app.sip.hops import Hop
from app.sip.info_packages import TRICKLE, takes
from app.sip.message import Request, Response
from app.sip.resolver import Resolver
from app.sip.sessions import InviteSession
from app.sip.transactions import Send
from app.sip.transports import Transports
from app.sip.uri import SipUri, Uri, format_host

log = logging.getLogger(__name__)

OnEvent = Callable[[SipEvent], None]
OnTrace = Callable[[str, str, str, str, bytes, float], None]  # direction, transport, local, remote, data, at

CLOSE_S = 2.0
_SECRET = re.compile(rb'(?im)^((?:Proxy-)?Authorization[ \t]*:.*?\bresponse[ \t]*=[ \t]*")[^"\r\n]*')


@dataclass(frozen=True, slots=True)
class OptionsAnswer:
    """What came back for an OPTIONS: the status (None: nothing came), the phrase or cause, and the time it took.

    `trickles`: whether a 2xx says that candidates may follow by INFO (RFC 8840); None when there was no 2xx.
    """

    status: int | None
    reason: str
    rtt_s: float | None
    trickles: bool | None = None


class SipEndpoint:
    """One SIP endpoint of this machine, with or without an account.

    `on_event` gets every event (app/sip/events.py); `on_trace` every message as it goes over the wire, with the
    responses to challenges masked.
    """

    def __init__(self, config: SipConfig, *, on_event: OnEvent, on_trace: OnTrace | None = None) -> None:
        self.config = config
        self._on_event = on_event
        self._on_trace = on_trace
        self._loop: asyncio.AbstractEventLoop | None = None
        self._agent = UserAgent(config, clock=self._now, on_wake=self._wake)
        self._transports = Transports(config, self, self._agent.counters)
        self._resolver = Resolver(self._transports.local_toward)
        self._tasks = OwnedTasks("SIP endpoint")
        self._timer: asyncio.TimerHandle | None = None
        self._flush_due = False
        self._progress = asyncio.Event()  # set whenever an event was delivered

    # Life ---------------------------------------------------------------

    async def start(self) -> None:
        """Open the sockets. Raises SipError with one sentence when no port can be had."""
        self._loop = asyncio.get_running_loop()
        await self._transports.start()
        log.info("SIP listens at port %d", self.port)

    async def close(self) -> None:
        """Hang up and unregister what is left (bounded, about two seconds), then close every socket and task."""
        if self._loop is None:
            return
        for session in self._agent.sessions:
            session.bye()
        self._agent.registration.stop()
        try:
            async with asyncio.timeout(CLOSE_S):
                while self._agent.sessions or self._unregistering:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            log.info("Closing although %d calls have not ended", len(self._agent.sessions))
        await self._tasks.close()
        await self._transports.close()
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None

    @property
    def _unregistering(self) -> bool:
        return self._agent.registration.state not in (RegistrationState.NONE, RegistrationState.UNREGISTERED)

    @property
    def local_addresses(self) -> tuple[HostPort, ...]:
        """Where UDP and TCP listen; wildcard addresses as bound."""
        return self._transports.local_addresses

    @property
    def port(self) -> int:
        """The one port of UDP and TCP."""
        return self._transports.port

    def own_uri(self, toward: HostPort | None = None) -> str:
        """A sip: URI at which this endpoint can be called directly from `toward` (default: the local network)."""
        try:
            # A documentation address (RFC 5737): the system names the interface of its default route; nothing is sent.
            local = self._transports.local_toward(toward.host if toward is not None else "192.0.2.1")
        except OSError:
            local = HostPort("127.0.0.1", self.port)
        return f"sip:{self._agent.identity.user}@{format_host(local.host, None if local.port == 5060 else local.port)}"

    @property
    def connection_count(self) -> int:
        """How many TCP and TLS connections are open."""
        return self._transports.connection_count

    def counters(self) -> dict[str, int]:
        """Messages received, sent, malformed; requests repeated or over the limit; connections refused; …"""
        return dict(self._agent.counters)

    # Commands -----------------------------------------------------------

    def register(self, expires_s: int = 600) -> None:
        """Register the account and keep it registered; RegistrationChanged events follow."""
        self._agent.registration.start(expires_s)

    def unregister(self) -> None:
        self._agent.registration.stop()

    def network_changed(self, gone: Collection[str] = ()) -> None:
        """The machine's addresses are others than before; `gone` are those that it no longer has.

        What was learned about the way to and from others is forgotten, connections are opened anew, the account is
        registered from where we are now, and requests that nobody has answered are sent again. Calls are moved by
        their owner, with a re-INVITE.
        """
        self._transports.network_changed(gone)
        self._agent.network_changed()

    def renew_registration(self) -> None:
        """Register again, unless that is under way: whatever lies between may have forgotten where we are."""
        self._agent.renew_registration()

    def hurry(self) -> None:
        """The network may be back: what nobody has answered is sent again now, not after its long interval."""
        self._transports.renew_stalled()
        self._agent.hurry()

    def invite(
        self,
        target: str | Uri,
        *,
        body: bytes,
        content_type: str = "application/sdp",
        headers: Iterable[tuple[str, str]] = (),
        display_name: str | None = None,
    ) -> InviteSession:
        """Call `target` (sip:, sips:, tel:). Raises SipError with a sentence for a bad target or too many sessions."""
        return self._agent.invite(
            target, body=body, content_type=content_type, headers=headers, display_name=display_name
        )

    async def options(self, target: str | Uri, timeout_s: float = 5.0) -> OptionsAnswer:
        """Ask `target` whether it is there; SipError for a bad target."""
        asked = _Asked(self._now())
        errand = self._agent.request_outside("OPTIONS", target, asked)
        try:
            async with asyncio.timeout(timeout_s):
                await asked.done.wait()
        except TimeoutError:
            errand.abandon()
            return OptionsAnswer(None, f"No answer within {timeout_s:g} seconds", None)
        rtt_s = self._now() - asked.at if asked.status else None
        return OptionsAnswer(asked.status, asked.reason, rtt_s, asked.trickles)

    @property
    def sessions(self) -> tuple[InviteSession, ...]:
        return self._agent.sessions

    # From the transports --------------------------------------------------

    def on_message(self, message: Request | Response, data: bytes, source: Hop) -> None:
        self._trace("in", source, data)
        self._agent.receive_message(message, source, self._now())

    def on_bad(self, error: ParseError, source: Hop) -> None:
        self._agent.receive_bad(error, source, self._now())

    def on_sent(self, data: bytes, hop: Hop) -> None:
        self._trace("out", hop, data)

    def on_send_failed(self, transaction: int | None, detail: str) -> None:
        self._agent.send_failed(transaction, detail, self._now())

    def on_connection_lost(self, hop: Hop) -> None:
        self._agent.connection_lost(hop, self._now())

    def may_close(self, hop: Hop) -> bool:
        return not self._agent.sessions and not self._agent.is_account_server(hop)

    # Driving the agent ------------------------------------------------------

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    def _wake(self) -> None:
        """Something is to be done: soon, not inside whatever is being done now."""
        if not self._flush_due and self._loop is not None:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        for output in self._agent.take():
            match output:
                case Send(message, hop, transaction):
                    self._transports.send(bytes(message), hop, transaction)
                case Resolve(token, uri):
                    self._resolve(token, uri)
                case KeepAlive(hop):
                    self._transports.keep_alive(hop)
                case _:
                    self._deliver(output)
        self._arm()

    def _deliver(self, event: SipEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            log.exception("The owner of the endpoint failed at %s", type(event).__name__)
        self._progress.set()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._agent.next_timeout()
        if at is not None and self._loop is not None:
            self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._agent.handle_timeout(self._now())
        self._arm()

    def _resolve(self, token: int, uri: SipUri) -> None:
        known = self._resolver.at_once(uri)
        if known is not None:
            self._agent.resolved(token, *known, self._now())
        else:
            self._tasks.start(self._look_up(token, uri), f"look up {uri.host}")

    async def _look_up(self, token: int, uri: SipUri) -> None:
        hops, problem = await self._resolver.resolve(uri)
        self._agent.resolved(token, hops, problem, self._now())

    def _trace(self, direction: str, hop: Hop, data: bytes) -> None:
        if self._on_trace is not None:
            masked = _SECRET.sub(rb"\1********", data)
            self._on_trace(direction, hop.transport, str(hop.local or ""), str(hop.remote), masked, self._now())


class _Asked:
    """Waits for the answer to one OPTIONS."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.done = asyncio.Event()
        self.status: int | None = None
        self.reason = ""
        self.trickles: bool | None = None

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        if response.status >= 200:
            self.status, self.reason = response.status, response.reason
            self.trickles = takes(response, TRICKLE) if response.status < 300 else None
            self.done.set()

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        self.reason = sentence
        self.done.set()


__all__ = ["OnEvent", "OnTrace", "OptionsAnswer", "SipEndpoint", "SipError"]
