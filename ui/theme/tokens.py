"""The colours and measures of the window as plain data; knows nothing of Qt.

Two sets of colours, light and dark. Text on its background keeps a contrast of at least 4.5 to 1; the tests hold
that. The stage of a call is dark in both, since a picture is looked at best in the dark.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tokens:
    """One set of colours, each "#rrggbb"."""

    name: str
    background: str  # rail, list and pane
    stage: str  # behind everything that is not a call
    card: str  # tiles, fields, quiet buttons
    card_hover: str
    line: str
    line_strong: str  # the edge of a field
    text: str
    muted: str  # second lines and captions
    accent: str
    accent_text: str  # on a filled accent button
    accent_soft: str  # behind the chosen row
    good: str
    good_soft: str
    good_line: str
    warn: str
    warn_soft: str
    warn_line: str
    bad: str
    bad_soft: str
    bad_line: str
    hang_up: str
    hang_up_hover: str
    answer: str
    answer_hover: str
    on_answer: str = "#ffffff"


LIGHT = Tokens(
    name="light",
    background="#ffffff",
    stage="#f4f6f8",
    card="#edf1f4",
    card_hover="#e3e8ed",
    line="#e2e6eb",
    line_strong="#c5ccd5",
    text="#15181c",
    muted="#566070",
    accent="#1b66c9",
    accent_text="#ffffff",
    accent_soft="#e2ecfc",
    good="#13744a",
    good_soft="#e1f1e9",
    good_line="#8cc8ab",
    warn="#8a5200",
    warn_soft="#fdf1dc",
    warn_line="#e5bf7d",
    bad="#b8262f",
    bad_soft="#fdeaea",
    bad_line="#e7a3a6",
    hang_up="#cf323b",
    hang_up_hover="#b8262f",
    answer="#13744a",
    answer_hover="#0f6240",
)

DARK = Tokens(
    name="dark",
    background="#171a1f",
    stage="#101317",
    card="#20262e",
    card_hover="#2a323c",
    line="#272d36",
    line_strong="#424b58",
    text="#f1f4f7",
    muted="#a0a9b6",
    accent="#6aa6ff",
    accent_text="#0b1320",
    accent_soft="#1f2c40",
    good="#45d295",
    good_soft="#1b302b",
    good_line="#2f7058",
    warn="#eab04e",
    warn_soft="#332a1a",
    warn_line="#7a5c22",
    bad="#ff8a8d",
    bad_soft="#3a2226",
    bad_line="#87454a",
    hang_up="#d63a43",
    hang_up_hover="#e5535b",
    answer="#1d8257",
    answer_hover="#249a68",
)

# The stage of a call, the same in both sets: text floats on a picture.
CALL_TOP = "#31465f"
CALL_BOTTOM = "#10151b"
CALL_TEXT = "#ffffff"
CALL_MUTED = "#cfd7e1"

# Behind the initials of a person; white text on each keeps 4.5 to 1.
AVATAR_COLOURS = ("#2d6f91", "#6f4ce0", "#96600f", "#1a7f50", "#626a76", "#a1465f", "#3d63c4", "#8b4aa0")

RAIL_WIDTH = 72
LIST_WIDTH = 300
PANE_WIDTH = 548
NARROW_BELOW = 900  # under this width list and pane slide over the stage
UNIT = 8
RADIUS = 12
