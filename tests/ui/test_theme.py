from __future__ import annotations

from importlib import resources
from itertools import product

import pytest
from PySide6.QtGui import QColor

from ui.theme.icons import icon, pixmap
from ui.theme.manager import Theme
from ui.theme.stylesheet import build
from ui.theme.tokens import AVATAR_COLOURS, CALL_BOTTOM, CALL_MUTED, CALL_TEXT, CALL_TOP, DARK, LIGHT, Tokens


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("tokens", [LIGHT, DARK], ids=lambda tokens: tokens.name)
def test_text_can_be_read_on_every_ground_it_stands_on(tokens: Tokens) -> None:
    grounds = (tokens.background, tokens.stage, tokens.card, tokens.accent_soft)
    for text, ground in product((tokens.text, tokens.muted), grounds):
        assert contrast(text, ground) >= 4.5, (text, ground)
    for text, ground in (
        (tokens.good, tokens.good_soft),
        (tokens.warn, tokens.warn_soft),
        (tokens.bad, tokens.bad_soft),
        (tokens.muted, tokens.good_soft),
        (tokens.muted, tokens.warn_soft),
        (tokens.muted, tokens.bad_soft),
        (tokens.accent, tokens.background),
        (tokens.accent_text, tokens.accent),
        ("#ffffff", tokens.hang_up),
        ("#ffffff", tokens.answer),
    ):
        assert contrast(text, ground) >= 4.5, (text, ground)


def test_text_can_be_read_on_the_call_stage_and_on_faces() -> None:
    for text, ground in product((CALL_TEXT, CALL_MUTED), (CALL_TOP, CALL_BOTTOM)):
        assert contrast(text, ground) >= 4.5
    for colour in AVATAR_COLOURS:
        assert contrast("#ffffff", colour) >= 4.5, colour


def test_hanging_up_is_the_only_red_button(theme: Theme) -> None:
    for tokens in (LIGHT, DARK):
        sheet = build(tokens)
        red = [line for line in sheet.splitlines() if tokens.hang_up in line or tokens.hang_up_hover in line]
        buttons = [line for line in red if "Button" in line]
        assert buttons
        assert all('look="hangup"' in line for line in buttons)


def test_the_theme_can_be_switched_while_it_is_shown(theme: Theme) -> None:
    seen: list[str] = []
    connection = theme.changed.connect(lambda: seen.append(theme.tokens.name))
    theme.force(DARK)
    theme.force(LIGHT)
    theme.force(None)
    theme.disconnect(connection)
    assert seen[:2] == ["dark", "light"]


def test_every_icon_can_be_drawn_in_any_colour(theme: Theme) -> None:
    names = [path.name.removesuffix(".svg") for path in resources.files("resources").joinpath("icons").iterdir()]
    names = [name for name in names if not name.endswith((".png", ".py")) and not name.startswith("__")]
    assert "hang-up" in names
    for name in names:
        image = pixmap(name, "#ff0000", 24).toImage()
        drawn = [image.pixelColor(x, y) for x in range(24) for y in range(24) if image.pixelColor(x, y).alpha() > 120]
        assert drawn, name
        if name != "parley":
            assert all(colour.red() > 200 and colour.green() < 60 for colour in drawn), name
    assert not icon("mic", "#000000", 24, "#ffffff").isNull()
    assert QColor(LIGHT.text).isValid()
