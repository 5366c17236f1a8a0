"""What a peer lost of a stream, out of the counts in its receiver reports (RFC 3550 section 6.4.1 and appendix A.3).

The fraction in a report is that of the packets since the report before. Whoever asks for lost packets in compounds, as
libwebrtc does, sends a report with each question, so that fractions are of a handful of packets with a lost one among
them. The counts tell the same of any two reports. Pure.
"""

from __future__ import annotations

from app.media.rtcp import Report

LEAST_PACKETS = 20  # that a share is of: one of fewer says little
LEAST_S = 0.5
LONGEST_S = 0.8  # where fewer than that are sent
MOST_PACKETS = 0x8000  # between two reports; more is a peer that counts anew


class PeerLoss:
    """Follows the reports about one source. `first_sequence` is the number of its first packet."""

    def __init__(self, first_sequence: int) -> None:
        self._highest = first_sequence - 1
        self._lost = 0
        self._since: float | None = None
        self.share: float | None = None  # 0 to 1, of the last stretch that was judged; None before there is one

    def heard(self, report: Report, now: float) -> float | None:
        """Take a report; gives the share that was lost where it ends a stretch that is long enough to judge."""
        expected = (report.highest_sequence - self._highest) & 0xFFFF_FFFF
        if expected > MOST_PACKETS:
            self._begin(report, now)
            return None
        passed_s = now - self._since if self._since is not None else LONGEST_S
        if passed_s < (LEAST_S if expected >= LEAST_PACKETS else LONGEST_S):
            return None
        lost = min(expected, max(0, report.lost - self._lost))  # what came twice may lower the count
        self._begin(report, now)
        self.share = lost / max(expected, LEAST_PACKETS)
        return self.share

    def _begin(self, report: Report, now: float) -> None:
        self._highest, self._lost, self._since = report.highest_sequence, report.lost, now
