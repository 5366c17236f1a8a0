"""How a voice is sent: which bitrate, bandwidth, packet length and redundancy, by what the path allows and loses.

Opus can follow a path in four ways, and this module picks among them. Measured with wide-band PESQ over recorded speech
(libopus 1.6.1, mono, packets of 20 ms, its application for any sound: for speech alone it is 0.05 worse):

- Whole packets: 40 kb/s give 4.47, 64 give 4.51, 96 give 4.57, 128 give 4.60, 160 give 4.61, and more gives nothing;
  under 26 kb/s a voice that keeps 8 kHz is worth 0.2 to 0.3 more than one that is spread over 20 kHz. In-band FEC that
  is ready for 3 % costs 0.02 at 128 kb/s, and gains at 64. Complexity above 8, or saying that all of it is voice, gives
  nothing.
- Loss, with in-band FEC alone: 4.3 at 5 %, 3.7 at 10 % and 3.0 at 20 %, 0.1 less with the full band; what share of loss
  is told to libopus hardly matters, more than 64 kb/s neither.
- Loss, with every packet repeated in the next ones (RFC 2198): 40 kb/s three times over give 4.4 at 5 and 10 %, 32 kb/s
  four times over 4.4 at 20 %; but twice over 3.7 at 5 %: the losses of two in a row are what is heard.
- Loss, where what is missing is asked for (RFC 4585) over a round trip of 40 ms: 64 kb/s give 4.5 at 5 and 10 %, and
  where five packets in a row are lost 4.2 at 10 % and 3.4 at 20 %, at which repeats alone give 2.8 and 2.2. It takes
  50 to 150 ms more delay. At 20 % both together give 4.4. One lost packet in a hundred that neither brings back costs
  0.3, with in-band FEC beside them half of that.
- Narrow paths: at 20 ms a packet's headers cost 25 kb/s, at 60 ms 9 kb/s. With 60 ms libopus has only its voice coder
  and its music coder: limited to 8 kHz, and so to the first, 16 kb/s give 3.9, left to itself 3.0.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.media.allocation import PACKET_OVERHEAD_BYTES, BitrateWish
from app.media.plan import CodecPlan

USUAL_MS = 20
SHORT_OF_ROOM_MS = 60
PACKETS_MS = (10, 20, 40, 60)  # that we send

CLEAN_BPS = 64_000
FINE_BPS = 160_000  # where nothing is lost and the path has plenty of room
FINE_FROM_BPS = 96_000
CLEAN_PERCENT = 0.5  # smoothed loss that is none
REPEATED_BPS = 40_000  # of each copy, …
ALL_COPIES_BPS = 128_000  # … and of all of them
LEAST_BPS = 8_000
LEAST_REPEATED_BPS = 20_000
LONGER_BELOW_BPS = 46_000  # on the wire: under this packets of 60 ms …
SHORTER_ABOVE_BPS = 56_000  # … and above this of 20 ms again
NEARLY_ALL = 0.95  # … or of all that the peer wants
MOST_REPEATS = 3
REPEAT_AT = ((2.0, 2), (9.0, 3))  # from which smoothed loss on each packet is repeated how often, in percent …
ASKED_REPEAT_AT = ((16.0, 3),)  # … by a peer that asks for what it misses over a short way
REPEAT_UNTIL = 0.5  # … until it has fallen to this part of that
ASKED_COST = 2.0  # packets that are sent again for each that was lost
WIDE_AT_PERCENT = 5.0  # from here on FEC alone has to do: the voice's own band is worth more than what lies above it
LEAST_EXPECTED_PERCENT = 3  # redundancy must be there when the first loss comes
MOST_EXPECTED_PERCENT = 30
MOST_MENDED_PERCENT = 5  # where FEC has only to do what repeats do not
_RISE, _FALL = 0.5, 0.1  # of each report

NARROW_HZ, WIDE_HZ, SUPERWIDE_HZ, FULL_HZ = 4_000, 8_000, 12_000, 20_000
_BANDS = ((0, WIDE_HZ), (26_000, SUPERWIDE_HZ), (32_000, FULL_HZ))


@dataclass(frozen=True, slots=True)
class AudioChoice:
    """How to send from now on. Codecs of one rate take `packet_ms` only."""

    bitrate_bps: int = CLEAN_BPS  # of one copy, without headers
    bandwidth_hz: int = FULL_HZ
    packet_ms: int = USUAL_MS
    loss_percent: int = LEAST_EXPECTED_PERCENT  # for in-band FEC; 0: none
    repeats: int = 0  # older packets that go along with each (RFC 2198)


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """What the peer said that it can receive, or would like to (RFC 7587 section 6.1, RFC 8866 section 6.4)."""

    adapts: bool = True  # the codec has several rates
    most_bps: int = 510_000
    most_hz: int = FULL_HZ
    takes_fec: bool = True
    takes_repeats: bool = False
    may_ask: bool = False  # again for what it misses
    usual_ms: int = USUAL_MS
    longest_ms: int = 120

    @property
    def least_bps(self) -> int:
        """What a voice needs, where the peer does not want less."""
        return min(LEAST_BPS, self.most_bps)

    @classmethod
    def of(
        cls,
        codec: CodecPlan,
        *,
        ptime_ms: int | None = None,
        maxptime_ms: int | None = None,
        repeats: bool = False,
        may_ask: bool = False,
    ) -> PeerLimits:
        """Read them out of fmtp and the m-line; what makes no sense counts as not said."""
        is_opus = codec.name.lower() == "opus"
        longest = max(PACKETS_MS[0], maxptime_ms) if maxptime_ms else 120
        usual = next((ms for ms in reversed(PACKETS_MS) if ms <= min(ptime_ms or USUAL_MS, longest)), PACKETS_MS[0])
        most_bps = _number(codec, "maxaveragebitrate") if is_opus else None
        rate = _number(codec, "maxplaybackrate") if is_opus else None
        return cls(
            adapts=is_opus,
            most_bps=max(6_000, min(510_000, most_bps)) if most_bps else 510_000,
            most_hz=band_of(rate) if rate else FULL_HZ,
            takes_fec=codec.parameter("useinbandfec") == "1",
            takes_repeats=repeats and is_opus,
            may_ask=may_ask,
            usual_ms=usual,
            longest_ms=longest,
        )


def _number(codec: CodecPlan, name: str) -> int | None:
    text = codec.parameter(name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else None


def band_of(playback_hz: int) -> int:
    """Give the highest frequency that is of use to who plays at this rate (RFC 7587 section 3.1.1)."""
    if playback_hz <= 8_000:
        return NARROW_HZ
    if playback_hz <= 16_000:
        return WIDE_HZ  # 12 kHz too: 6 kHz is a step of libopus only
    return SUPERWIDE_HZ if playback_hz <= 24_000 else FULL_HZ


class AudioChooser:
    """Follows allotments and loss reports; `choice` is what to do now."""

    def __init__(self, limits: PeerLimits) -> None:
        self._limits = limits
        self._room_bps: int | None = None  # on the wire; None: nobody counts
        self._loss_percent = 0.0
        self._is_heard = False  # the peer has said what it lost
        self._is_asked = False
        self._level: tuple[float, int] | None = None  # of repeats
        self._is_short = False
        self.choice = AudioChoice()
        self._choose()

    def limit(self, limits: PeerLimits) -> None:
        """Go on with another peer's or codec's limits."""
        self._limits = limits
        self._choose()

    def allot(self, bps: int) -> None:
        """Take what may be sent, in bits per second on the wire."""
        self._room_bps = bps
        self._choose()

    def reported(self, loss_percent: float, *, is_asked: bool = False) -> None:
        """Take the share of packets that the peer lost since its last report.

        `is_asked`: it asks for those, over a way so short that they come in time.
        """
        step = _RISE if loss_percent > self._loss_percent else _FALL
        self._loss_percent += (loss_percent - self._loss_percent) * step
        self._is_heard, self._is_asked = True, is_asked
        self._choose()

    @property
    def loss_percent(self) -> float:
        """Smoothed: up with half of a report, down with a tenth."""
        return self._loss_percent

    def wish(self) -> BitrateWish:
        """Say what could be used on the wire."""
        limits = self._limits
        if not limits.adapts:
            rate = CLEAN_BPS + _headers_bps(self.choice.packet_ms)
            return BitrateWish(rate, rate)
        best = CLEAN_BPS
        level = self._wanted_level() if limits.takes_repeats else None
        if level is not None:
            best = max(best, min(ALL_COPIES_BPS, REPEATED_BPS * (1 + level[1])))
        longest = SHORT_OF_ROOM_MS if limits.longest_ms >= SHORT_OF_ROOM_MS else limits.usual_ms
        enough = int((min(best, limits.most_bps) + _headers_bps(limits.usual_ms)) * self._asked_share)
        most = enough
        if self._is_clean:
            most = max(enough, min(FINE_BPS, limits.most_bps) + _headers_bps(limits.usual_ms))
        return BitrateWish(limits.least_bps + _headers_bps(longest), most, enough)

    @property
    def _is_clean(self) -> bool:
        return self._is_heard and self._loss_percent < CLEAN_PERCENT

    @property
    def _asked_share(self) -> float:
        """How much is sent, of what would be without any loss, where the peer asks for what it misses."""
        return 1 + ASKED_COST * self._loss_percent / 100 if self._is_asked and self._level is None else 1.0

    def _wanted_level(self) -> tuple[float, int] | None:
        """How many copies the loss calls for; a level is left at a lower loss than it is entered at."""
        levels = ASKED_REPEAT_AT if self._is_asked else REPEAT_AT
        wanted = next((level for level in reversed(levels) if self._loss_percent >= level[0]), None)
        now = self._level
        if now is not None and (wanted is None or wanted[1] < now[1]) and self._loss_percent > now[0] * REPEAT_UNTIL:
            return now
        return wanted

    def _choose(self) -> None:
        limits, room = self._limits, self._room_bps
        if room is not None:
            # A peer that wants no more than a low rate leaves the path as wide as it is.
            wanted = limits.most_bps + _headers_bps(limits.usual_ms)
            longer_below = min(LONGER_BELOW_BPS, wanted * NEARLY_ALL)
            self._is_short = room < (min(SHORTER_ABOVE_BPS, wanted) if self._is_short else longer_below)
        packet_ms = limits.usual_ms
        if self._is_short and limits.adapts and limits.longest_ms >= SHORT_OF_ROOM_MS:
            packet_ms = max(packet_ms, SHORT_OF_ROOM_MS)
        self.choice = self._choose_opus(packet_ms) if limits.adapts else AudioChoice(packet_ms=packet_ms)

    def _choose_opus(self, packet_ms: int) -> AudioChoice:
        limits = self._limits
        self._level = self._wanted_level() if limits.takes_repeats and packet_ms <= USUAL_MS else None
        most = limits.most_bps
        if self._room_bps is not None:
            most = min(most, int(self._room_bps / self._asked_share) - _headers_bps(packet_ms))
        repeats = 0 if self._level is None else self._level[1]
        while repeats and most < LEAST_REPEATED_BPS * (1 + repeats):
            repeats -= 1
        if repeats:
            bitrate = min(REPEATED_BPS, min(most, ALL_COPIES_BPS) // (1 + repeats))
        else:
            bitrate = min(FINE_BPS if self._is_clean and self._room_bps is not None else CLEAN_BPS, most)
        bitrate = max(limits.least_bps, bitrate // 1_000 * 1_000)
        band = next(hz for least, hz in reversed(_BANDS) if bitrate >= least)
        is_mended = bool(repeats) or self._is_asked
        # What is lost on a path that was good comes back by other means, where the peer has any.
        fec = limits.takes_fec and (bitrate < FINE_FROM_BPS or not (limits.takes_repeats or limits.may_ask))
        if packet_ms > USUAL_MS or (fec and not is_mended and self._loss_percent >= WIDE_AT_PERCENT):
            band = min(band, WIDE_HZ)
        most_expected = MOST_MENDED_PERCENT if is_mended else MOST_EXPECTED_PERCENT
        expected = min(most_expected, max(LEAST_EXPECTED_PERCENT, round(self._loss_percent)))
        choice = AudioChoice(bitrate, min(band, limits.most_hz), packet_ms, expected if fec else 0, repeats)
        # A percent more or less is no reason to touch a running encoder.
        if abs(choice.loss_percent - self.choice.loss_percent) == 1 and choice.loss_percent > LEAST_EXPECTED_PERCENT:
            choice = replace(choice, loss_percent=self.choice.loss_percent)
        return choice


def _headers_bps(packet_ms: int) -> int:
    return PACKET_OVERHEAD_BYTES * 8 * 1_000 // packet_ms
