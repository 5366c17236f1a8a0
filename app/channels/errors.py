"""What goes wrong with channels, and how it is said."""

from __future__ import annotations

_SHOWN = 40


def cut(text: str) -> str:
    """Quote `text` for a message, cut short and with every unprintable character escaped."""
    return ascii(text) if len(text) <= _SHOWN else ascii(text[:_SHOWN]) + "…"


class ChannelError(Exception):
    """Anything of app.channels that its caller may have to handle; str() is one sentence for a person."""


class MissionError(ChannelError):
    """A mission, or the file it came in, cannot be used.

    path: where in the mission, e.g. "groups[2].rx.port"; "" where it is no single field.
    why: a clause that follows the path ("is 70000, and it must be from 1 to 65535"), or a whole sentence without one.
    """

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path} {why}".strip() + ("" if why.endswith(".") else "."))
        self.path = path
        self.why = why


class PassphraseNeeded(MissionError):
    """The mission is encrypted, and no passphrase was given."""


class PacketError(ChannelError):
    """A datagram of a channel is malformed, or one that cannot be written was asked for."""


class SealError(ChannelError):
    """A datagram is not sealed for this channel: other key, other channel, damaged, or clear where it must not be."""


class ReplayError(SealError):
    """A sealed datagram came before, or is so old that nobody can tell."""


class AgeError(SealError):
    """A datagram was sealed too long ago to be taken, or in the future: a recording, or a clock that is wrong.

    `behind_s`: how far its time is behind ours, negative where it is ahead. `datagram`: what was sealed, by somebody
    who has the key, whenever that was.
    """

    def __init__(self, behind_s: float, datagram: bytes) -> None:
        when = "before" if behind_s > 0 else "after"
        super().__init__(f"A sealed datagram is of {abs(behind_s):.0f} s {when} the time of this machine.")
        self.behind_s = behind_s
        self.datagram = datagram
