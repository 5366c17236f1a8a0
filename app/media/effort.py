"""How hard a VP8 encoder looks for what is alike: less where there are bits enough, or little to be found. Pure.

A quick search takes more bits for the same picture. Where there are enough of them the quantizer stays fine all the
same; where it becomes coarse the search is thorough again, since that is to be seen. In a calm picture, as of a person
before a wall, there is little to look for: with a quick search it is 0.2 to 0.5 dB worse at the same bitrate, one that
moves everywhere 0.8 to 1.3 dB.
"""

from __future__ import annotations

FINE, COARSE = 20, 28  # of the quantizer, 0 to 63
CALM_FINE, CALM_COARSE = 44, 50  # of a calm picture's
FIRST_PATIENCE, MOST_PATIENCE = 60, 1_800  # pictures for which it is fine before less is done
_SMOOTHING = 0.1


class Effort:
    """Follows the quantizer of picture after picture."""

    def __init__(self) -> None:
        self.is_easy = False  # a quick search will do
        self._average = float(COARSE)
        self._fine = 0
        self._patience = FIRST_PATIENCE

    def follow(self, quantizer: int, *, is_calm: bool = False) -> None:
        """Take the quantizer (0 to 63) of the picture that was encoded last, and whether little moves."""
        fine, coarse = (CALM_FINE, CALM_COARSE) if is_calm else (FINE, COARSE)
        self._average += _SMOOTHING * (quantizer - self._average)
        self._fine = self._fine + 1 if self._average <= fine else 0
        if self.is_easy and self._average > coarse:
            self.is_easy = False
            self._patience = min(MOST_PATIENCE, 2 * self._patience)  # no going to and fro
        elif not self.is_easy and self._fine >= self._patience:
            self.is_easy = True
            self._fine = 0
        elif self.is_easy and self._fine >= MOST_PATIENCE:
            self._patience = FIRST_PATIENCE
