"""The sending half of one RTP source: numbering, what a sender report says, and the packets to repeat on request."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from app.media.header_extensions import FIXED_BYTES, ExtensionBlock, payload_start
from app.media.rtcp import SenderReport
from app.media.rtp import build_rtp

HISTORY_PACKETS = 600
HISTORY_S = 2.0
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


class RtpSender:
    """One SSRC. `packet` is for the one worker thread; the rest for the loop's thread."""

    def __init__(
        self, clock_rate: int, *, extensions: ExtensionBlock | None = None, keep_history: bool = False
    ) -> None:
        self.clock_rate = clock_rate
        self.ssrc = secrets.randbits(32)
        self.extensions = extensions if extensions is not None else ExtensionBlock()
        self.packets_sent = 0
        self.octets_sent = 0
        self.lag_s = 0.0  # by how much later than its capture what is sent is stamped
        self._sequence = secrets.randbelow(1 << 15)  # low half: SRTP guesses the rollover safely, RFC 3711 3.3.1
        self.first_sequence = self._sequence + 1
        self._offset = secrets.randbits(32)
        self._born = time.monotonic()
        self._last: tuple[int, float] | None = None  # timestamp on the wire, monotonic time
        self._history: OrderedDict[int, tuple[bytes, float]] | None = OrderedDict() if keep_history else None
        self._repeated: dict[int, float] = {}

    def media_time(self, at: float) -> int:
        """Give the clock units that passed since this source began: its time line goes on over pauses."""
        return max(0, int((at - self._born) * self.clock_rate))

    def packet(
        self,
        payload_type: int,
        marker: bool,
        media_time: int,
        payload: bytes,
        at: float,
        orientation: int | None = None,
    ) -> bytes:
        """Build the next packet; `media_time` in clock units, `at` the monotonic time it stands for.

        `orientation` goes with it where that was negotiated (RtpPacket says how it is coded).
        """
        timestamp = (media_time + self._offset) & 0xFFFF_FFFF
        self._sequence = (self._sequence + 1) & 0xFFFF
        block = self.extensions.with_orientation(orientation)
        self._last = timestamp, at
        return build_rtp(payload_type, marker, self._sequence, timestamp, self.ssrc, payload, block)

    def left(self, data: bytes, now: float, *, is_new: bool) -> None:
        """Count a packet that leaves, and keep a new one for repetition.

        It is kept as it leaves: without RTX (RFC 4588) it may only be repeated with the same bytes, since one key and
        sequence number must never protect two different packets (RFC 3711 section 9.1, RFC 7714 section 8.4).
        """
        self.packets_sent += 1
        self.octets_sent += len(data) - payload_start(data)
        history = self._history
        if history is not None and is_new:
            history[int.from_bytes(data[2:4])] = data, now
            if len(history) > HISTORY_PACKETS:
                history.popitem(last=False)

    def stamp(self, timestamp: int, at: float) -> None:
        """Note which timestamp stands for which time, where packets are built elsewhere."""
        self._last = timestamp, at

    def newest(self) -> bytes | None:
        """Give the last packet that was kept; None when none is."""
        return next(reversed(self._history.values()))[0] if self._history else None

    @property
    def newest_timestamp(self) -> int:
        """The timestamp of the last packet that was built, or stamped; 0 before."""
        return self._last[0] if self._last is not None else 0

    def repeat(self, sequences: tuple[int, ...], now: float, rtt_s: float) -> list[bytes]:
        """Give the kept packets that a NACK asked for, each at most once in a round trip."""
        history, found = self._history, []
        if history is None:
            return []
        for sequence in sequences:
            data, at = history.get(sequence, (None, 0.0))
            if (
                data is None
                or now - at > HISTORY_S
                or now - self._repeated.get(sequence, -1.0) < max(0.01, rtt_s * 0.6)
            ):
                continue
            self._repeated[sequence] = now
            found.append(data)
        if len(self._repeated) > HISTORY_PACKETS:
            self._repeated = {number: at for number, at in self._repeated.items() if now - at < HISTORY_S}
        return found

    def report(self, now: float) -> SenderReport | None:
        """Make a sender report (without blocks); None before anything was sent.

        It tells when something was captured, not when it was encoded (RFC 3550 section 6.4.1): sound and picture are
        brought together by that.
        """
        if self._last is None or not self.packets_sent:
            return None
        timestamp, at = self._last
        timestamp = (timestamp + int((now - at + self.lag_s) * self.clock_rate)) & 0xFFFF_FFFF
        return SenderReport(self.ssrc, ntp_time(), timestamp, self.packets_sent, self.octets_sent)


class RtxSender:
    """Wraps repeated packets into their own source (RFC 4588 section 4)."""

    def __init__(self) -> None:
        self.ssrc = secrets.randbits(32)
        self._sequence = secrets.randbelow(1 << 15)

    def wrap(self, payload_type: int, packet: bytes) -> bytes:
        """Make the retransmission of a plain packet of ours, with the same header extensions."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        start = payload_start(packet)
        block, body = packet[FIXED_BYTES:start], packet[2:4] + packet[start:]
        timestamp, marker = int.from_bytes(packet[4:8]), packet[1] > 127
        return build_rtp(payload_type, marker, self._sequence, timestamp, self.ssrc, body, block)

    def padding(self, payload_type: int, size: int, timestamp: int, block: bytes) -> bytes:
        """Make a packet of `size` (1 to 255) bytes of padding and nothing else, RFC 3550 section 5.1."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        body = bytes(size - 1) + bytes((size,))
        packet = build_rtp(payload_type, False, self._sequence, timestamp, self.ssrc, body, block)
        return bytes((packet[0] | 0x20,)) + packet[1:]


def ntp_time(ago_s: float = 0.0) -> int:
    """Give the wall clock as a 32.32 NTP timestamp, as it was so long ago."""
    return int((time.time() - ago_s + _NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF
