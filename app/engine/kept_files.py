"""Where recordings and stills go: a folder of the person's own, under a name that says when and with whom."""

from __future__ import annotations

import datetime
import os
import re
import unicodedata
from pathlib import Path

import platformdirs

from app.engine.errors import EngineError
from app.settings import RecordingSettings

_MOST_NAME, _MOST_NAME_BYTES = 60, 180  # file systems take 255 bytes, with time, number and suffix
_MOST_SAME = 1000
_UNUSABLE = re.compile(r'[/\\:*?"<>|]+')


def recording_folder(settings: RecordingSettings) -> Path:
    return Path(os.path.expanduser(settings.folder)) if settings.folder else platformdirs.user_videos_path() / "Parley"


def stills_folder(settings: RecordingSettings) -> Path:
    if settings.stills_folder:
        return Path(os.path.expanduser(settings.stills_folder))
    return platformdirs.user_pictures_path() / "Parley"


def new_file(folder: Path, who: str, suffix: str) -> Path:
    """Make an empty file such as "2026-11-22 14.03 Front desk.mkv" and the folder it is in. Blocks.

    EngineError says why it cannot be made.
    """
    now = datetime.datetime.now().astimezone()
    stem = f"{now:%Y-%m-%d %H.%M} {usable(who)}".strip()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"Nothing can be kept in {folder} ({error.strerror or error}).") from error
    return not_there_yet(folder / f"{stem}{suffix}")


def not_there_yet(path: Path) -> Path:
    """Make this file, empty, or one with " (2)" and so on after its name where it is there already. Blocks.

    EngineError says why it cannot be made.
    """
    try:
        for number in range(1, _MOST_SAME):
            candidate = path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
            if _made(candidate):
                return candidate
    except OSError as error:
        raise EngineError(f"{path} cannot be written ({error.strerror or error}).") from error
    raise EngineError(f"{path} cannot be written: there are too many files of the same name.")


def usable(name: str) -> str:
    """A stranger's name as part of a file's: without what some file system does not take, or what is not seen."""
    kinds = [(letter, unicodedata.category(letter)) for letter in name]
    seen = "".join("/" if kind == "Cc" else letter for letter, kind in kinds if kind == "Cc" or kind[0] != "C")
    short = _UNUSABLE.sub("-", seen)[:_MOST_NAME].encode()[:_MOST_NAME_BYTES]
    return short.decode(errors="ignore").strip(" .-")


def _made(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True
