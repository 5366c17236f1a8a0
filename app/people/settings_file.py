"""Reading and writing `app.settings.Settings` as one JSON file. Secrets are never in it."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from app.events import Problem
from app.people.errors import PeopleError, in_words
from app.people.files import move_aside, write_atomically
from app.settings import HostPort, Settings, without_user_info

logger = logging.getLogger(__name__)

SIZE_LIMIT_BYTES = 1_000_000
TEXT_LIMIT = 1000
TALK_KEY_LIMIT = 60
_MAY_NAME_NO_PORT = ("a STUN server", "a TURN server")  # the DNS tells it


def load_settings(path: Path) -> tuple[Settings, Problem | None]:
    """Read the settings; defaults where there is no file.

    A file that cannot be understood is moved aside, defaults are used, and the problem says what was wrong with it
    and where it is now. Fields this version does not know are ignored.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        return Settings(), None
    except OSError as error:
        sentence = f"The settings in {path} could not be read ({in_words(error)}); defaults are used."
        return Settings(), Problem("disk", sentence)
    try:
        return _decode(data), None
    except ValueError as error:
        logger.warning("settings file %s is damaged: %s", path, error)
        return Settings(), _put_aside(path, str(error))


def save_settings(path: Path, settings: Settings) -> None:
    """Write the settings, on the disk when this returns; PeopleError leaves the old file as it was."""
    for complaint in _complaints(settings):
        raise PeopleError(f"These settings cannot be kept: {complaint}.")
    try:
        write_atomically(path, msgspec.json.format(msgspec.json.encode(without_secrets(settings)), indent=2) + b"\n")
    except OSError as error:
        raise PeopleError(f"The settings could not be saved in {path} ({in_words(error)}).") from error


def without_secrets(settings: Settings) -> Settings:
    """The same settings with no password in them, a proxy's included."""
    network = settings.network
    servers = tuple(replace(server, password="", secret="") for server in network.turn_servers)
    return replace(settings, network=replace(network, turn_servers=servers, proxy=without_user_info(network.proxy)))


def _decode(data: bytes) -> Settings:
    if len(data) > SIZE_LIMIT_BYTES:
        raise ValueError(f"it is larger than {SIZE_LIMIT_BYTES} bytes")
    try:
        settings = msgspec.json.decode(data, type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(_in_words(error)) from error
    for complaint in _complaints(settings):
        raise ValueError(complaint)
    return without_secrets(settings)


def _in_words(error: Exception) -> str:
    text = str(error).replace("`", "").replace("$.", "").replace(" - at $", "")
    return f"{text[:1].lower()}{text[1:200]}" if text else type(error).__name__


def _put_aside(path: Path, why: str) -> Problem:
    try:
        kept = f"; the old file is kept as {move_aside(path).name}"
    except OSError as error:
        kept = f"; it could not be moved aside ({in_words(error)})"
    return Problem("disk", f"The settings file could not be understood ({why}): defaults are used{kept}.")


def _complaints(settings: Settings) -> Iterator[str]:
    """What the types alone do not say of the values, each as a clause that names the field."""
    media, network = settings.media, settings.network
    for name, value, low, high in (
        ("media.width", media.width, 16, 7680),
        ("media.height", media.height, 16, 4320),
        ("media.fps", media.fps, 1, 120),
        ("media.video_kbps", media.video_kbps if media.video_kbps is not None else 1_000, 50, 50_000),
        ("network.sip_port", network.sip_port if network.sip_port is not None else 5060, 1, 65535),
        ("ring_volume", settings.ring_volume, 0, 1),
        ("no_answer_after_s", settings.no_answer_after_s, 1, 3600),
        ("reconnect_for_s", settings.reconnect_for_s, 0, 3600),
        ("talk_priority", settings.talk_priority, 0, 255),
    ):
        if not (math.isfinite(value) and low <= value <= high):
            yield f"{name} is {value}, and it must be from {low} to {high}"
    for name, folder in (
        ("recording.folder", settings.recording.folder),
        ("recording.stills_folder", settings.recording.stills_folder),
    ):
        if folder and (len(folder) > TEXT_LIMIT or "\0" in folder or not os.path.isabs(os.path.expanduser(folder))):
            yield f"{name} is {folder[:60]!r}, which is no whole path of a folder"
    if len(settings.talk_key) > TALK_KEY_LIMIT:
        yield f"talk_key is {settings.talk_key[:60]!r}, which is no key"
    for name, server in _servers(settings):
        if not server.host or len(server.host) > 255 or any(character.isspace() for character in server.host):
            yield f"{name} names no usable host: {server.host[:60]!r}"
        if not (0 if name in _MAY_NAME_NO_PORT else 1) <= server.port < 65536:
            yield f"{name} has the port {server.port}, and it must be from 1 to 65535"
    if len(settings.accounts) > 1:
        yield f"there are {len(settings.accounts)} accounts, and one is possible for now"
    for account in settings.accounts:
        if not account.address or len(account.address) > TEXT_LIMIT:
            yield "an account has no usable address"


def _servers(settings: Settings) -> Iterator[tuple[str, HostPort]]:
    for server in settings.network.stun_servers:
        yield "a STUN server", server
    for turn in settings.network.turn_servers:
        yield "a TURN server", turn.server
    for account in settings.accounts:
        if account.registrar is not None:
            yield "the registrar", account.registrar
