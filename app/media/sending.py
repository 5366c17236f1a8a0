"""The sending half of one RTP source: numbering, what a sender report says, and the packets to repeat on request."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict

from app.media.rtcp import SenderReport
from app.media.rtp import HEADER_BYTES, build_rtp

HISTORY_PACKETS = 600
HISTORY_S = 2.0
_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


class RtpSender:
    """One SSRC. `packet` is for the one worker thread; the rest for the loop's thread."""

    def __init__(self, clock_rate: int, *, extension: bytes = b"", keep_history: bool = False) -> None:
        self.clock_rate = clock_rate
        self.ssrc = secrets.randbits(32)
        self.extension = extension
        self.packets_sent = 0
        self.octets_sent = 0
        self._sequence = secrets.randbelow(1 << 15)  # low half: SRTP guesses the rollover safely, RFC 3711 3.3.1
        self._offset = secrets.randbits(32)
        self._born = time.monotonic()
        self._last: tuple[int, float] | None = None  # timestamp on the wire, monotonic time
        self._history: OrderedDict[int, tuple[bytes, float]] | None = OrderedDict() if keep_history else None
        self._repeated: dict[int, float] = {}

    def media_time(self, at: float) -> int:
        """Give the clock units that passed since this source began: its time line goes on over pauses."""
        return max(0, int((at - self._born) * self.clock_rate))

    def packet(self, payload_type: int, marker: bool, media_time: int, payload: bytes, at: float) -> bytes:
        """Build the next packet; `media_time` in clock units, `at` the monotonic time it stands for."""
        timestamp = (media_time + self._offset) & 0xFFFF_FFFF
        self._sequence = (self._sequence + 1) & 0xFFFF
        data = build_rtp(payload_type, marker, self._sequence, timestamp, self.ssrc, payload, self.extension)
        self._last = timestamp, at
        self.remember(self._sequence, data, at)
        return data

    def remember(self, sequence: int, data: bytes, at: float) -> None:
        """Keep a packet for repetition."""
        history = self._history
        if history is not None:
            history[sequence] = data, at
            if len(history) > HISTORY_PACKETS:
                history.popitem(last=False)

    def stamp(self, timestamp: int, at: float) -> None:
        """Note which timestamp stands for which time, where packets are built elsewhere."""
        self._last = timestamp, at

    def count_sent(self, packets: int, total_bytes: int) -> None:
        """Count what left."""
        self.packets_sent += packets
        self.octets_sent += max(0, total_bytes - packets * (HEADER_BYTES + len(self.extension)))

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
                or now - self._repeated.get(sequence, -1.0) < max(0.01, rtt_s * 0.8)
            ):
                continue
            self._repeated[sequence] = now
            found.append(data)
        if len(self._repeated) > HISTORY_PACKETS:
            self._repeated = {number: at for number, at in self._repeated.items() if now - at < HISTORY_S}
        return found

    def report(self, now: float) -> SenderReport | None:
        """Make a sender report (without blocks); None before anything was sent."""
        if self._last is None or not self.packets_sent:
            return None
        timestamp, at = self._last
        timestamp = (timestamp + int((now - at) * self.clock_rate)) & 0xFFFF_FFFF
        return SenderReport(self.ssrc, ntp_time(), timestamp, self.packets_sent, self.octets_sent)


class RtxSender:
    """Wraps repeated packets into their own source (RFC 4588 section 4)."""

    def __init__(self, payload_type: int, extension: bytes) -> None:
        self.ssrc = secrets.randbits(32)
        self._payload_type = payload_type
        self._extension = extension
        self._sequence = secrets.randbelow(1 << 15)

    def wrap(self, packet: bytes, payload: bytes) -> bytes:
        """Make the retransmission of a plain packet of ours whose payload is given."""
        self._sequence = (self._sequence + 1) & 0xFFFF
        timestamp = int.from_bytes(packet[4:8])
        body = packet[2:4] + payload
        marker = packet[1] > 127
        return build_rtp(self._payload_type, marker, self._sequence, timestamp, self.ssrc, body, self._extension)


def ntp_time() -> int:
    """Give the wall clock as a 32.32 NTP timestamp."""
    return int((time.time() + _NTP_EPOCH) * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF
