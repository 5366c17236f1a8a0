"""An ICE session with its sockets: what a call uses.

One session serves one call: it gathers, tells its description for each stream, runs the checks, and then
carries that stream's datagrams over the selected pair. All decisions are the pure core's; this file owns
sockets, names and the clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.events import IceSnapshot
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.events import IceEvent


class IceSession:
    """The ICE side of one call. Use it on one event loop only; close it always.

    `on_event` and `on_datagram` are called on the loop; an exception in them is logged and ends nothing.
    """

    def __init__(
        self, config: IceConfig, controlling: bool, streams: Sequence[str], *, on_event: Callable[[IceEvent], None]
    ) -> None:
        self.on_datagram: Callable[[str, bytes], None]

    async def gather(self) -> None:
        """Open sockets and ask the servers, all at once. Never raises: what went wrong is in snapshot().problems."""

    def local(self, stream: str) -> IceDescription:
        """Give what is to be signalled for this stream."""

    def default_candidate(self, stream: str) -> Candidate | None:
        """Give the candidate for the m= and c= lines: relay, else srflx, else host (RFC 8839 section 4.2.1.2).

        None when there is no candidate at all.
        """

    def set_remote(self, stream: str, description: IceDescription) -> None:
        """Take the peer's description. The same again is harmless; other credentials raise IceError (a restart)."""

    def remove_stream(self, stream: str) -> None:
        """Forget a stream that was refused or bundled into another, and free its sockets and allocations."""

    def start_checks(self) -> None:
        """Begin the connectivity checks of all streams that have a remote description."""

    async def wait_completed(self) -> None:
        """Return once every stream has its selected pair; raises IceFailed with a sentence."""

    def send(self, stream: str, data: bytes) -> bool:
        """Send one datagram over the selected (or, before, the best valid) pair; False when there is no path."""

    def use_plain(self, stream: str, remote_host: str, remote_port: int) -> None:
        """Do without ICE: send to this address from the default candidate, and follow where the answers come from."""

    def selected(self, stream: str) -> tuple[Candidate, Candidate] | None:
        """Give the selected pair (local, remote)."""

    def snapshot(self) -> IceSnapshot:
        """Give everything that is known at this moment, for diagnostics."""

    def binding_request_seen(self, stream: str) -> bool:
        """Tell whether an authenticated check has come in for this stream."""

    async def close(self) -> None:
        """Release allocations and sockets; safe to call twice."""
