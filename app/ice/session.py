"""An ICE session with its sockets: what a call uses.

One session serves one far end of one call: it gathers, tells its description for each stream, runs the checks,
and then carries that stream's datagrams over the selected pair. All decisions are the pure core's, all sockets
the hub's; this file is the face of both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from app.events import IceSnapshot
from app.ice.candidates import Candidate, IceDescription, IceFailed
from app.ice.config import IceConfig
from app.ice.events import Connected, Failed, IceEvent
from app.ice.hiding import as_default
from app.ice.hub import Hub
from app.ice.leg import IceLeg
from app.ice.pool import Ahead
from app.ice.snapshot import take_snapshot
from app.ice.timeline import Timeline

log = logging.getLogger(__name__)


class IceSession:
    """The ICE side of one call. Use it on one event loop only; close it always.

    A stream is one m= line with its candidates; a flow is one component of it (app/ice/flows.py), and whoever
    multiplexes RTCP has one flow a stream, of the same name. `on_event` and `on_datagram` (flow, data) are called on
    the loop; an exception in them is logged and ends nothing. `on_datagram` gets whatever is not STUN and comes from
    an authenticated address. `on_stranger` (flow, data, named) is asked about data of a flow without ICE that comes
    from elsewhere; `named`: from the very address that the peer has named.
    """

    def __init__(
        self,
        config: IceConfig,
        controlling: bool,
        flows: Sequence[str],
        *,
        on_event: Callable[[IceEvent], None],
        _fork_of: tuple[Hub, IceLeg] | None = None,
    ) -> None:
        self._config = config
        self._told_before: list[IceEvent] = []  # while it was gathered ahead
        if _fork_of is None:
            ahead = None if config.pool is None else cast(Ahead | None, config.pool.take(config, controlling, flows))
            self._hub = Hub(config, controlling, flows) if ahead is None else ahead.hub
            self._told_before = [] if ahead is None else ahead.heard
            self._leg = self._hub.first_leg
        else:
            self._hub = _fork_of[0]
            self._leg = self._hub.core.fork(_fork_of[1])
        self.timeline = Timeline(config.clock_zero)
        self._on_event = on_event
        self._outcome = asyncio.Event()
        self._failure: str | None = None
        self.on_datagram: Callable[[str, bytes], None] = lambda flow, data: None
        self.on_stranger: Callable[[str, bytes, bool], bool] = lambda flow, data, named: False
        self._leg.take_if_authentic = self._judge
        self._hub.attach(self._leg, self._event, lambda flow, data: self.on_datagram(flow, data))

    @property
    def arrived_at(self) -> float:
        """When what `on_datagram` is given now came in, monotonic seconds: it may have waited to be read."""
        return self._hub.arrived_at

    def fork(self, *, on_event: Callable[[IceEvent], None]) -> IceSession:
        """Make a session for a further far end that answered the same offer (one a To-tag, RFC 8839 section 7.3).

        It shares our candidates, credentials and sockets with this one; each is closed by itself.
        """
        flows = tuple(self._leg.agent.lists)
        return IceSession(
            self._config,
            self._leg.agent.controlling,
            flows,
            on_event=on_event,
            _fork_of=(self._hub, self._leg),
        )

    def expect_forks(self, expected: bool) -> None:
        """Say whether further far ends may still answer this offer; until then no candidate is given back."""
        self._hub.core.expect_forks(expected, time.monotonic())
        self._hub.flush()

    def _event(self, event: IceEvent) -> None:
        self.timeline.take(event, time.monotonic())
        if isinstance(event, Failed):
            self._failure = self._failure or event.reason
        if isinstance(event, Connected | Failed):
            self._outcome.set()
        self._on_event(event)

    def _judge(self, flow: str, data: bytes, named: bool) -> bool:
        try:
            return self.on_stranger(flow, data, named)
        except Exception:
            log.exception("a callback of an ICE session raised")
            return False

    @property
    def flows(self) -> tuple[str, ...]:
        """The flows that there still are."""
        return tuple(self._leg.agent.lists)

    async def gather(self) -> None:
        """Open sockets and ask the servers, all at once. Never raises: what went wrong is in snapshot().problems."""
        self._tell_before()
        await self._hub.gather()

    async def gather_hosts(self) -> None:
        """Open sockets and return as soon as there are host candidates; the servers go on being asked meanwhile.

        What is found later is told by CandidateGathered, and the end of it by Gathered.
        """
        self._tell_before()
        await self._hub.gather_hosts()

    def _tell_before(self) -> None:
        told, self._told_before = self._told_before, []
        for event in told:
            self._event(event)

    async def wait_servers(self) -> None:
        """Gather, and return only when every server has answered or had its time, also those nobody waits for."""
        self._tell_before()
        await self._hub.wait_servers()

    @property
    def gathered(self) -> bool:
        """Tell whether no more candidates of ours will come."""
        return self._hub.core.gathered_at is not None

    def local(self, stream: str) -> IceDescription:
        """Give what is to be signalled for this stream: the candidates of all its components found by now."""
        return self._hub.naming.described(self._hub.core.local(self._leg, stream))

    def default_candidate(self, flow: str) -> Candidate | None:
        """Give the candidate for the m= and c= lines: relay, else srflx, else host (RFC 8839 section 4.2.1.2).

        None when there is no candidate at all. Where our addresses are hidden and no other is known: 0.0.0.0, port 9.
        """
        default = self._hub.core.default(self._leg, flow)
        return None if default is None else as_default(self._hub.naming.shown(default.candidate))

    def set_remote(self, stream: str, description: IceDescription) -> None:
        """Take the peer's description of a stream, each component's candidates for its flow.

        The same again is harmless; other credentials raise IceError (a restart is another session's).
        """
        self._leg.agent.set_remote(stream, description, time.monotonic())
        self._look_up(stream, description.candidates)
        self._advance()

    def add_remote_candidate(self, stream: str, candidate: Candidate) -> None:
        """Take a candidate that the peer signals after its description (RFC 8838); IceError when it has none yet."""
        self._leg.agent.add_remote_candidate(stream, candidate, time.monotonic())
        self._look_up(stream, (candidate,))
        self._advance()

    def _look_up(self, stream: str, candidates: Iterable[Candidate]) -> None:
        """Ask the local network for those that are names, and take what they stand for when it is known."""

        def found(candidate: Candidate) -> None:
            if not self._leg.closed and stream in self._leg.agent.lists:
                self._leg.agent.add_remote_candidate(stream, candidate, time.monotonic())
                self._advance()

        self._hub.naming.look_up(candidates, found)

    def end_of_remote_candidates(self, stream: str) -> None:
        """Take note that the peer signals no more candidates for a stream."""
        self._leg.agent.end_of_remote_candidates(stream)
        self._advance()

    def remove_stream(self, stream: str) -> None:
        """Forget a stream that was refused or bundled into another, and free its sockets and allocations."""
        self._hub.core.remove_stream(self._leg, stream, time.monotonic())
        self._advance()

    def remove_flow(self, flow: str) -> None:
        """Forget one component of a stream: the peer sends RTCP beside RTP."""
        self._hub.core.remove_flow(self._leg, flow, time.monotonic())
        self._advance()

    def start_checks(self) -> None:
        """Begin the connectivity checks of all flows that have a remote description."""
        self._hub.core.start_checks(self._leg, time.monotonic())
        self._hub.flush()

    def peer_has_begun(self) -> None:
        """Say that the signalling has shown that the peer has our description and checks too: ask again at once."""
        self._hub.core.peer_has_begun(self._leg, time.monotonic())
        self._hub.flush()

    async def wait_connected(self) -> None:
        """Return once every flow has its pair decided and data may flow; raises IceFailed with a sentence."""
        await self._outcome.wait()
        if self._failure is not None:
            raise IceFailed(self._failure)

    def progress(self) -> dict[str, str]:
        """Say of each flow that has no path yet why not, one sentence each."""
        return self._leg.agent.progress(time.monotonic())

    def send(self, flow: str, data: bytes) -> bool:
        """Send one datagram over the pair decided on (or, before, the best valid one); False when there is no path."""
        return self._hub.send(self._leg, flow, data)

    def use_plain(self, flow: str, remote_host: str, remote_port: int) -> None:
        """Do without ICE: send to this address from the default candidate, and follow the peer where it really is.

        Data from elsewhere is given to `on_stranger`, which tells whether it was the peer's, and used. The address must
        be numeric; IceError when it is not, or when there is no candidate.
        """
        self._hub.core.use_plain(self._leg, flow, (remote_host, remote_port), time.monotonic())
        self._advance()

    def selected(self, flow: str) -> tuple[Candidate, Candidate] | None:
        """Give the pair decided on (local, remote), the local candidate as it was signalled."""
        checklist = self._leg.agent.lists.get(flow)
        if checklist is None or checklist.chosen is None:
            return None
        return self._hub.naming.shown(checklist.chosen.local.candidate), checklist.chosen.remote

    @property
    def controlling(self) -> bool:
        """Whether this side nominates, as far as is settled by now."""
        return self._leg.agent.controlling

    def hosts(self) -> frozenset[str]:
        """Give the addresses of this machine that a path may leave from."""
        return self._hub.core.hosts()

    def leaves_from(self) -> frozenset[str]:
        """Give the addresses of this machine from which the flows' data leaves now, relayed data too."""
        return self._hub.core.leaves_from(self._leg)

    def snapshot(self) -> IceSnapshot:
        """Give everything that is known at this moment, for diagnostics."""
        return take_snapshot(self._hub.core, self._leg, self.timeline)

    def counters(self) -> dict[str, int]:
        """Give how many datagrams were dropped and why, by reason."""
        return dict(self._hub.core.counters + self._leg.agent.counters)

    def binding_request_seen(self, flow: str) -> bool:
        """Tell whether an authenticated check has come in for this flow."""
        checklist = self._leg.agent.lists.get(flow)
        return checklist is not None and checklist.request_seen

    def _advance(self) -> None:
        self._hub.core.handle_timeout(time.monotonic())
        self._hub.flush()

    async def close(self) -> None:
        """Release allocations and sockets; safe to call twice. Whoever waits for completion learns of it."""
        try:
            await self._hub.close(self._leg)
        finally:
            if not self._outcome.is_set():
                self._failure = "The call was ended."
                self._outcome.set()
