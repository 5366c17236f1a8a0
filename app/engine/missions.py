"""Missions for the window and the command line: what may be asked of them, with every failure as one sentence.

Nothing here needs a running engine. Files and passphrases take time: call it off an event loop.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from app.channels import mission_file
from app.channels.encoders import encoder_info
from app.channels.errors import ChannelError, MissionError, PassphraseNeeded
from app.channels.mission import Group, GroupType, Mission
from app.channels.mission_fields import format_instant
from app.channels.mission_notices import notices
from app.channels.mission_parts import Address, Rallypoint, RallypointCluster
from app.channels.new_mission import CONTROL_NAME, ChannelWish, MissionWishes, new_mission
from app.engine.errors import EngineError
from app.media.errors import MediaError
from app.media.qr_reading import MOST_BYTES, is_picture, read_qr
from app.mission_links import unescaped
from app.people.errors import in_words
from app.people.files import write_atomically

__all__ = [
    "CONTROL_NAME",
    "MOST_BYTES",
    "Address",
    "ChannelView",
    "ChannelWish",
    "Mission",
    "MissionProblem",
    "MissionView",
    "MissionWishes",
    "PassphraseWanted",
    "PinWanted",
    "against_open",
    "as_json",
    "check_usable",
    "fits_qr",
    "for_this_run",
    "in_one_sentence",
    "make",
    "pack",
    "qr_picture",
    "read",
    "read_file",
    "too_large_for_qr",
    "view",
    "write_files",
]

_KINDS = {GroupType.AUDIO: "audio", GroupType.MISSION_CONTROL: "control", GroupType.RAW: "raw"}


class PassphraseWanted(EngineError):
    """The mission is encrypted: ask the person for its passphrase and read it again."""


class PinWanted(EngineError):
    """The mission has a PIN: ask the person for it and try again."""


class MissionProblem(EngineError):
    """A mission that cannot be used. `path` and `why` as those of MissionError: which field, and a clause about it."""

    def __init__(self, sentence: str, path: str, why: str) -> None:
        super().__init__(sentence)
        self.path, self.why = path, why


@dataclass(frozen=True, slots=True)
class ChannelView:
    """What may be shown of a channel; its key is not. Times in seconds and milliseconds as named."""

    id: str
    name: str
    description: str
    kind: str
    """audio, control or raw."""
    encrypted: bool
    receives_at: str
    sends_to: str
    encoder: int | None
    codec: str | None
    framing_ms: int | None
    full_duplex: bool
    rallypoints: tuple[str, ...]
    failover_after_s: int | None


@dataclass(frozen=True, slots=True)
class MissionView:
    """What may be shown of a mission. `notices`: sentences about what its author may not have meant."""

    id: str
    name: str
    description: str
    created: str
    expires: str | None
    has_expired: bool
    has_pin: bool
    channels: tuple[ChannelView, ...]
    notices: tuple[str, ...]


def make(wishes: MissionWishes, created: datetime) -> Mission:
    """Make a new mission with fresh keys; EngineError for wishes that make none."""
    with in_one_sentence():
        return new_mission(wishes, created)


def read(data: bytes | str, passphrase: str | None = None) -> Mission:
    """Read a mission in any of its forms, a picture of its QR code too.

    EngineError says what is wrong, PassphraseWanted that it is encrypted.
    """
    with in_one_sentence():
        if isinstance(data, bytes) and is_picture(data):
            data = read_qr(data)
        try:
            return mission_file.unpack(data, passphrase)
        except PassphraseNeeded:
            raise
        except MissionError:
            link = unescaped(data) if isinstance(data, str) else None
            if link is None:
                raise
            return mission_file.unpack(link, passphrase)


def read_file(path: Path, passphrase: str | None = None) -> Mission:
    """Read a mission's file, and never more of it than a mission or a picture may have."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise EngineError(f"The mission {path} cannot be read ({in_words(error)}).") from error
    return read(data, passphrase)


def pack(mission: Mission, passphrase: str | None = None, page: str | None = None) -> str:
    """The text of the mission's file and QR picture; `page` is a web address for people with an ordinary camera."""
    with in_one_sentence():
        return mission_file.pack(mission, passphrase, deflection_url=page)


def as_json(mission: Mission) -> str:
    """The mission as JSON to read and edit, keys included."""
    with in_one_sentence():
        return json.dumps(json.loads(str(mission)), ensure_ascii=False, indent=2) + "\n"


def fits_qr(text: str) -> bool:
    return mission_file.fits_qr(text)


def too_large_for_qr(text: str) -> str:
    """Say why a packed mission has no QR picture, "" when it can have one."""
    return "" if fits_qr(text) else mission_file.too_large_for_qr(text)


def qr_picture(text: str, form: str) -> bytes:
    """A QR picture of a packed mission: "png", "svg", or "text" for a terminal."""
    from app.channels.qr import QrForm, qr_picture  # what draws is needed by few commands

    with in_one_sentence():
        return qr_picture(text, QrForm(form))


def write_files(files: Sequence[tuple[Path, bytes]], *, replace: bool) -> None:
    """Write each whole or not at all, for its owner's eyes, since keys are in it; EngineError when one is there."""
    for path, _ in files:
        if path.exists() and not replace:
            raise EngineError(f"{path} is there already and was left as it is.")
    for path, data in files:
        try:
            write_atomically(path, data)
        except OSError as error:
            raise EngineError(f"{path} cannot be written ({in_words(error)}).") from error


def check_usable(mission: Mission, now: datetime) -> None:
    """EngineError for a mission whose time is over."""
    if mission.has_expired(now) and mission.expires is not None:
        raise EngineError(f"The mission {mission.name} ended on {format_instant(mission.expires)}.")


def for_this_run(
    mission: Mission, *, channel: str | None = None, rallypoint: tuple[str, int] | None = None, interface: str = ""
) -> Mission:
    """The mission as one run wants it: one channel alone, by another rallypoint or interface; ids stay as they are.

    `channel` is a name or an id; control channels stay. The rallypoint that is named is trusted as the mission's first
    one is. EngineError where there is no such channel.
    """
    names = [group.name for group in mission.groups if group.type is GroupType.AUDIO]
    if channel is not None and not any(_is_named(group, channel) for group in mission.groups):
        raise EngineError(
            f"{mission.name} has no channel {channel!r}; there are: {', '.join(sorted(names)) or 'none'}."
        )
    kept = [
        each
        for each in mission.groups
        if channel is None or each.type is not GroupType.AUDIO or _is_named(each, channel)
    ]
    return replace(mission, groups=tuple(_carried(mission, each, rallypoint, interface) for each in kept))


def _is_named(group: Group, channel: str) -> bool:
    return group.type is GroupType.AUDIO and channel.casefold() in (group.name.casefold(), group.id)


def _carried(mission: Mission, group: Group, rallypoint: tuple[str, int] | None, interface: str) -> Group:
    group = replace(group, id_override=True, interface_name=interface or group.interface_name)
    if rallypoint is None:
        return group
    cluster = mission.cluster_of(group)
    host = Address(*rallypoint)
    server = Rallypoint(host) if cluster is None else replace(cluster.rallypoints[0], host=host)
    return replace(group, rallypoints=(), rallypoint_cluster=RallypointCluster((server,)))


def against_open(mission: Mission, mine: Mission) -> str:
    """Say how a mission differs from the one of the same id that is open here already."""
    if str(mission) == str(mine):
        return "You have this mission already."
    theirs, ours = mission.meta.created, mine.meta.created
    if theirs > ours:
        return f"You have an older version of it, of {_minute(ours)}: opening this one replaces it."
    if theirs < ours:
        return f"You have a newer version of it, of {_minute(ours)}: opening this one goes back."
    return "You have it with other contents: opening this one replaces them."


def _minute(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def view(mission: Mission, now: datetime) -> MissionView:
    return MissionView(
        mission.id,
        mission.name,
        mission.description,
        format_instant(mission.meta.created),
        None if mission.expires is None else format_instant(mission.expires),
        has_expired=mission.has_expired(now),
        has_pin=mission.pin_digest is not None,
        channels=tuple(_channel(mission, group) for group in mission.groups_by_name),
        notices=notices(mission),
    )


def _channel(mission: Mission, group: Group) -> ChannelView:
    audio, cluster = group.tx_audio, mission.cluster_of(group)
    return ChannelView(
        group.id,
        group.name,
        group.description,
        _KINDS[group.type],
        group.is_encrypted,
        receives_at=str(group.rx),
        sends_to=str(group.tx),
        encoder=None if audio is None else audio.encoder,
        codec=None if audio is None else encoder_info(audio.encoder).name,
        framing_ms=None if audio is None else audio.framing_ms,
        full_duplex=audio is not None and audio.fdx,
        rallypoints=() if cluster is None else tuple(str(server.host) for server in cluster.rallypoints),
        failover_after_s=group.multicast_failover_secs if cluster and group.enable_multicast_failover else None,
    )


@contextmanager
def in_one_sentence() -> Iterator[None]:
    """Turn what channels and media raise into an EngineError with the same sentence."""
    try:
        yield
    except PassphraseNeeded as error:
        raise PassphraseWanted(str(error)) from error
    except MissionError as error:
        raise MissionProblem(str(error), error.path, error.why) from error
    except (ChannelError, MediaError) as error:
        raise EngineError(str(error)) from error
