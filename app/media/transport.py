"""One transport of a call: a path, its keys, and the sorting of what comes in (RFC 7983, RFC 5761).

Loop thread only. Knows nothing of streams: authentic packets go to `on_rtp` and `on_rtcp`. DTLS and SRTP are imported
when keys are agreed, not when an offer is made (see loading.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from app.media.certificate import Certificate
from app.media.errors import MediaError, PacketError, SecurityError
from app.media.plan import DatagramPath, SecurityPlan

if TYPE_CHECKING:
    from app.media.dtls import DtlsAssociation
    from app.media.sdes import SdesKey
    from app.media.srtp import Protection

logger = logging.getLogger(__name__)

EARLY_DATAGRAMS = 16  # DTLS that came before we were told to begin
# OpenSSL sends a flight again after a second; a lost datagram should not cost that. The same bytes again are dropped by
# whoever has them already (RFC 6347 section 4.1.2.6).
RESEND_AFTER_S = (0.15, 0.25, 0.4)
MOST_SOURCES = 64  # SSRCs of one peer: each costs libsrtp a context …
SOURCE_IDLE_S = 10.0  # … and gives its place to another one after so long a silence
NAMES = {"dtls": "dtls-srtp", "sdes": "sdes-srtp", "none": "none"}


class MediaTransport:
    """Sends and receives RTP and RTCP of all streams bundled on it."""

    def __init__(
        self,
        name: str,
        path: DatagramPath,
        certificate: Certificate,
        *,
        on_rtp: Callable[[str, bytes], None],
        on_rtcp: Callable[[str, bytes], None],
        on_closed: Callable[[str], None],
    ) -> None:
        self.name = name
        self.path = path
        self._certificate = certificate
        self._on_rtp = on_rtp
        self._on_rtcp = on_rtcp
        self._on_closed = on_closed
        self._plan: SecurityPlan | None = None
        self._protection: Protection | None = None
        self._dtls: DtlsAssociation | None = None
        self._early: deque[bytes] = deque(maxlen=EARLY_DATAGRAMS)
        self._sources: dict[int, float] = {}  # SSRC -> when it was last heard
        self._timer: asyncio.TimerHandle | None = None
        self._flight: list[bytes] = []
        self._resends: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.payload_types: frozenset[int] = frozenset()  # of the streams that run here
        self.sent_bytes = 0
        self.received_bytes = 0
        self.rejected = 0  # not authentic, repeated, malformed; or too long to send back
        self.strange = 0  # neither DTLS nor RTP, or before there were keys
        self.last_received_at: float | None = None

    @property
    def kind(self) -> str | None:
        """ "dtls-srtp", "sdes-srtp" or "none" once media can flow; None before."""
        return NAMES[self._plan.kind] if self._plan is not None and self._protection is not None else None

    @property
    def cipher(self) -> str | None:
        return self._protection.cipher if self._protection is not None else None

    @property
    def remote_fingerprint(self) -> str | None:
        """The peer's checked certificate, as "sha-256 AB:…"."""
        if self._dtls is None or self._dtls.remote_fingerprint is None or self._protection is None:
            return None
        return " ".join(self._dtls.remote_fingerprint)

    async def secure(self, plan: SecurityPlan, timeout_s: float) -> None:
        """Agree keys as `plan` says; SecurityError when that fails or takes longer than `timeout_s`."""
        if plan == self._plan and self._protection is not None:
            return
        from app.media.srtp import Plain, Srtp

        self._drop_keys()
        if plan.kind == "dtls":
            await self._handshake(plan, timeout_s)
        elif plan.kind == "sdes":
            if plan.sdes_local is None or plan.sdes_remote is None:
                raise MediaError("An encryption key of one side is missing.")
            self._protection = Srtp.from_sdes(plan.sdes_local, plan.sdes_remote)
        else:
            self._protection = Plain()
        self._plan = plan

    def rekey(self, plan: SecurityPlan) -> None:
        """Take the SDES keys of a later agreement; a direction whose key is the same goes on undisturbed."""
        before = self._plan
        if before is None or before.kind != "sdes" or plan.kind != "sdes":
            return
        if plan.sdes_local is None or plan.sdes_remote is None:
            raise MediaError("An encryption key of one side is missing.")
        from app.media.srtp import Srtp

        assert isinstance(self._protection, Srtp)
        local = plan.sdes_local if _differ(plan.sdes_local, before.sdes_local) else None
        remote = plan.sdes_remote if _differ(plan.sdes_remote, before.sdes_remote) else None
        self._protection.rekey(local, remote)
        if remote is not None:
            self._sources.clear()
        self._plan = plan

    def receive(self, data: bytes, now: float) -> None:
        """Sort one datagram by its first bytes; what is not ours is counted and dropped."""
        if len(data) < 2:
            self.strange += 1
            return
        first = data[0]
        if 128 <= first <= 191:
            self._receive_media(data, now)
        elif 20 <= first <= 63:
            self._receive_dtls(data)
        else:
            self.strange += 1

    def receive_from_elsewhere(self, data: bytes, now: float, *, named: bool) -> bool:
        """Take a datagram of a path without ICE that came from another address than the peer's, if it is the peer's.

        Proof is the key where there is one; without encryption it is a payload type that was agreed on, and, once
        the peer has been heard, a source that is its already. A handshake may come from anywhere until it is done: who
        is at its other end, the certificate tells.
        """
        if len(data) < 2:
            return False
        if 20 <= data[0] <= 63:
            if self._protection is not None:
                return False
            under_way = self._dtls is not None
            self._receive_dtls(data)
            return under_way
        if not 128 <= data[0] <= 191 or self._protection is None:
            self.strange += 1
            return False
        if self._plan is not None and self._plan.kind == "none" and not self._is_plausible(data, named=named):
            self.rejected += 1
            return False
        return self._receive_media(data, now)

    def _is_plausible(self, data: bytes, *, named: bool) -> bool:
        """`named`: it comes from the address that the peer named; whoever was heard before was somebody else then."""
        if len(data) < 12 or 192 <= data[1] <= 223 or data[1] & 0x7F not in self.payload_types:
            return False
        if named:
            self._sources.clear()
        return not self._sources or int.from_bytes(data[8:12]) in self._sources

    def send_rtp(self, packets: Iterable[bytes]) -> int:
        """Protect and send; gives how many left. Packets before there are keys are dropped."""
        protection, send, count = self._protection, self.path.send, 0
        if protection is None:
            return 0
        for packet in packets:
            try:
                data = protection.protect(packet)
            except PacketError as error:
                self._refuse(error)
                continue
            self.sent_bytes += len(data)
            send(data)
            count += 1
        return count

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send one compound packet."""
        if self._protection is None:
            return
        try:
            data = self._protection.protect_rtcp(compound)
        except PacketError as error:
            self._refuse(error)
            return
        self.sent_bytes += len(data)
        self.path.send(data)

    def close(self) -> None:
        """Say goodbye and forget the keys."""
        if self._dtls is not None:
            self._dtls.close()
            self._flush_dtls()
        self._drop_keys()

    def _drop_keys(self) -> None:
        self._stop_timer()
        self._stop_resending()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(SecurityError("The encryption handshake was given up."))
        self._waiter = None
        self._plan = self._protection = self._dtls = None
        self._sources.clear()

    def _receive_media(self, data: bytes, now: float) -> bool:
        """Take a packet of RTP or RTCP; False when it is not authentic."""
        protection = self._protection
        if protection is None:
            self.strange += 1
            return False
        is_rtcp = 192 <= data[1] <= 223  # RFC 5761 section 4
        start = 4 if is_rtcp else 8
        source = int.from_bytes(data[start : start + 4])
        leaves = self._longest_silent() if source not in self._sources else None
        if leaves is not None and now - self._sources[leaves] < SOURCE_IDLE_S:
            self.rejected += 1
            return False
        try:
            packet = protection.unprotect_rtcp(data) if is_rtcp else protection.unprotect(data)
        except PacketError as error:
            self._refuse(error)
            return False
        if leaves is not None:
            del self._sources[leaves]
            protection.forget(leaves)
        self._sources[source] = now
        if self._resends is not None:
            self._stop_resending()  # the peer has its keys
        self.received_bytes += len(data)
        self.last_received_at = now
        (self._on_rtcp if is_rtcp else self._on_rtp)(self.name, packet)
        return True

    def _longest_silent(self) -> int | None:
        """The source that goes when another one comes; None while there is room for both."""
        return min(self._sources, key=self._sources.__getitem__) if len(self._sources) >= MOST_SOURCES else None

    def _refuse(self, error: PacketError) -> None:
        self.rejected += 1
        logger.debug("%s: %s", self.name, error)

    # DTLS -------------------------------------------------------------------------------------------------

    async def _handshake(self, plan: SecurityPlan, timeout_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        from app.media.dtls import DtlsAssociation

        self._dtls = DtlsAssociation(self._certificate, plan)
        self._waiter = waiter
        early, self._early = list(self._early), deque(maxlen=EARLY_DATAGRAMS)
        self._step_dtls(self._dtls.start)
        for data in early:
            self._receive_dtls(data)
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            self._drop_keys()
            raise SecurityError(
                f"The other side did not answer the encryption handshake within {timeout_s:.0f} seconds."
            ) from None
        except BaseException:
            if self._waiter is waiter:
                self._drop_keys()
            raise

    def _receive_dtls(self, data: bytes) -> None:
        dtls = self._dtls
        if dtls is None:
            self._early.append(data)
            return
        self._step_dtls(lambda: dtls.receive(data))
        if dtls.closed_by_peer and dtls is self._dtls:
            self._stop_timer()
            self._stop_resending()
            self._on_closed(self.name)

    def _step_dtls(self, step: Callable[[], None]) -> None:
        """Do one step of the handshake, send what it made, see whether it is over, and set the timer."""
        assert self._dtls is not None
        waiter = self._waiter
        try:
            step()
        except SecurityError as error:
            self._dtls.close()
            self._flush_dtls()
            self._stop_timer()
            self._stop_resending()
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
            return
        self._flush_dtls()
        if self._dtls.keys is not None and self._protection is None:
            from app.media.srtp import Srtp

            self._protection = Srtp(self._dtls.keys)
            if not self._dtls.has_last_word:
                self._stop_resending()
            logger.debug("%s: keys agreed, %s", self.name, self._protection.cipher)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        self._set_timer()

    def _flush_dtls(self) -> None:
        assert self._dtls is not None
        flight = self._dtls.outgoing()
        if flight:
            self._flight = flight
            self._send_flight(0)

    def _send_flight(self, times: int) -> None:
        """Send the last flight, and again a few times until there is another one."""
        if self._resends is not None:
            self._resends.cancel()
            self._resends = None
        for datagram in self._flight:
            self.sent_bytes += len(datagram)
            self.path.send(datagram)
        if times < len(RESEND_AFTER_S):
            loop = asyncio.get_running_loop()
            self._resends = loop.call_later(RESEND_AFTER_S[times], self._send_flight, times + 1)

    def _set_timer(self) -> None:
        self._stop_timer()
        dtls = self._dtls
        timeout = dtls.timeout_s() if dtls is not None else None
        if dtls is not None and timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(timeout + 0.001, lambda: self._step_dtls(dtls.handle_timeout))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_resending(self) -> None:
        if self._resends is not None:
            self._resends.cancel()
            self._resends = None


def _differ(key: SdesKey, before: SdesKey | None) -> bool:
    """Whether packets are protected in another way; the tag is only a name."""
    return before is None or (key.suite, key.key) != (before.suite, before.key)
