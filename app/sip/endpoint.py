"""The SIP endpoint: the sans-I/O user agent, driven by real sockets on one asyncio loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from app.settings import HostPort
from app.sip.config import SipConfig
from app.sip.events import SipEvent
from app.sip.sessions import InviteSession
from app.sip.uri import Uri

OnEvent = Callable[[SipEvent], None]
OnTrace = Callable[[str, str, str, str, bytes, float], None]  # direction, transport, local, remote, data, at


@dataclass(frozen=True, slots=True)
class OptionsAnswer:
    """What came back for an OPTIONS: the status (None: nothing came), the phrase or cause, and the time it took."""

    status: int | None
    reason: str
    rtt_s: float | None


class SipEndpoint:
    def __init__(self, config: SipConfig, *, on_event: OnEvent, on_trace: OnTrace | None = None) -> None: ...

    async def start(self) -> None:
        """Open the sockets. Raises SipError with one sentence when no port can be had."""

    async def close(self) -> None:
        """Hang up and unregister what is left (bounded, about two seconds), then close every socket and task."""

    @property
    def local_addresses(self) -> tuple[HostPort, ...]:
        """Where UDP and TCP listen; wildcard addresses as bound."""

    @property
    def port(self) -> int: ...

    def own_uri(self, toward: HostPort | None = None) -> str:
        """A sip: URI at which this endpoint can be called directly from `toward` (default: the local network)."""

    def register(self, expires_s: int = 600) -> None:
        """Register the account and keep it registered; RegistrationChanged events follow."""

    def unregister(self) -> None: ...

    def refresh_registration(self) -> None:
        """Register at once, e.g. because the network changed."""

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

    async def options(self, target: str | Uri, timeout_s: float = 5.0) -> OptionsAnswer:
        """Ask `target` whether it is there."""

    @property
    def sessions(self) -> tuple[InviteSession, ...]: ...

    def counters(self) -> dict[str, int]:
        """Messages in and out, dropped, malformed, refused connections, …"""
