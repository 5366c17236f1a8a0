"""What a start of the program may be given to open: files, file: URLs, links."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.channels import mission_file
from app.engine import missions
from app.engine.errors import EngineError
from app.engine.missions import ChannelWish, MissionWishes, PassphraseWanted
from app.mission_links import is_link, is_web_address, link_of, names_mission, path_of, unescaped, whole

RELIEF = missions.make(MissionWishes("Relief", (ChannelWish("Alpha"),)), datetime(2026, 11, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    "argument",
    [
        "relief.ice",
        "./a b/Relief.ICE",
        "file:///home/ada/relief.ice",
        "parley:mission/??abc",
        "https://example.org/??x",
    ],
)
def test_a_mission_is_known_by_its_name(argument: str) -> None:
    assert names_mission(argument)


@pytest.mark.parametrize("argument", ["sip:ada@example.org", "sip:ada@relief.ice", "echo", "https://example.org/"])
def test_what_else_is_dialled_is_none(argument: str) -> None:
    assert not names_mission(argument)


def test_a_web_address_is_told_from_a_link_that_holds_a_mission() -> None:
    assert is_web_address("https://example.org/relief.ice")
    assert is_web_address("HTTP://example.org/missions?name=relief")  # which is told why not
    for other in ("https://example.org/??abc", "parley:mission/??abc", "relief.ice", "https://a b", "https://a\nb"):
        assert not is_web_address(other)
    assert not is_web_address("https://example.org/" + "a" * 2_048)


def test_a_path_means_the_same_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = os.path.join(os.getcwd(), "a b.ice")
    assert whole("a b.ice") == expected
    assert whole(Path(expected).as_uri()) == expected
    assert path_of("file://localhost" + Path(expected).as_uri().removeprefix("file://")) == expected
    assert whole("parley:mission/??a/../b") == "parley:mission/??a/../b"


@pytest.mark.parametrize("passphrase", [None, "correct horse battery"])
def test_a_link_holds_the_whole_mission_however_it_was_escaped(passphrase: str | None) -> None:
    packed = mission_file.pack(RELIEF, passphrase, rounds=1_000)
    link = link_of(packed)
    assert is_link(link)
    assert link.isascii()
    assert not set(link) & set(' "<>#[]{}|^`')
    page = f"https://example.org/??{packed}"
    for form in (link, unescaped(link) or "", f"parley:mission/??{packed}", page):
        assert missions.read(form, passphrase) == RELIEF
    if passphrase is not None:
        with pytest.raises(PassphraseWanted):
            missions.read(link)
        with pytest.raises(EngineError, match="passphrase is wrong"):
            missions.read(link, "wrong wrong wrong")
