"""Parley as the phone under test: the command line as a process on this machine, account and TURN of real servers."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from tests.heard import Samples, frequency_hz, level_dbfs, part, read_wav, share_at
from tests.interop.programs import HERE, LIMIT_S, ThisMachine
from tests.interop.servers import PASSWORDS, Proxy, Relay
from tests.lab.parley import Parley

_ENVIRONMENT = {f"PASSWORD_OF_{user.upper()}": password for user, password in PASSWORDS.items()}


class OurPhone(Parley):
    """A running `parley call` or `parley listen`, with what it heard and saw in its folder."""

    @property
    def wav(self) -> Path:
        return self.folder / "heard.wav"

    @property
    def mkv(self) -> Path:
        return self.folder / "seen.mkv"

    @property
    def trace(self) -> str:
        return (self.folder / "sip.txt").read_text(encoding="utf-8", errors="replace")

    def wait_for_state(self, state: str, limit_s: float = LIMIT_S) -> None:
        self.wait_for("call", limit_s=limit_s, state=state)

    def wait_for_media(self, *, packets: int = 100, frames: int = 0) -> None:
        """Wait until that many packets of sound and decoded pictures have come in."""
        self.wait_until(
            lambda event: (
                event["event"] == "figures"
                and (event["audio_received"] or 0) >= packets
                and (event["frames_decoded"] or 0) >= frames
            ),
            limit_s=LIMIT_S,
            what=f"{packets} packets of sound and {frames} pictures",
        )

    def heard(self) -> Samples:
        return read_wav(self.wav)


def call(folder: Path, target: str, *flags: str, tone_hz: int = 440) -> OurPhone:
    """Start `parley call`."""
    return _start(folder, "call", target, *flags, tone_hz=tone_hz)


def listen(folder: Path, *flags: str, tone_hz: int = 440) -> OurPhone:
    """Start `parley listen` for one call, and wait until it can be called."""
    phone = _start(folder, "listen", "--calls", "1", *flags, tone_hz=tone_hz)
    try:
        phone.wait_for("listening")
    except BaseException:
        phone.__exit__(None, None, None)
        raise
    return phone


def _start(folder: Path, *arguments: str, tone_hz: int) -> OurPhone:
    folder.mkdir(parents=True, exist_ok=True)
    media = ["--audio-from", f"tone:{tone_hz}", "--audio-to", str(folder / "heard.wav")]
    if "--video-from" not in arguments:
        media += ["--video-from", "pattern", "--video-to", str(folder / "seen.mkv")]
    return OurPhone(ThisMachine(), folder, [*arguments, "--interface", HERE, *media], _ENVIRONMENT)  # type: ignore[arg-type]


def account(
    proxy: Proxy, relay: Relay | None = None, *, user: str = "ada", password_of: str = "", transport: str = ""
) -> tuple[str, ...]:
    """The flags that make Parley a user of the proxy, who may use the relay too."""
    password = f"env:PASSWORD_OF_{(password_of or user).upper()}"
    uri = proxy.uri(user) + (f";transport={transport}" if transport else "")
    flags: tuple[str, ...] = ("--account", uri, "--password-from", password)
    if relay is not None:
        flags += ("--turn", f"turn:{relay.address}", "--turn-user", user, "--turn-password-from", password)
    return flags


def assert_tone(heard: Samples, hz: float, *, from_s: float = 1.0) -> None:
    """What was heard is this tone and hardly anything else, from `from_s` to a moment before the end.

    The better half of the pieces counts: on a busy machine a voice begins late, and what is repaired in between turns
    the tone's phase, which a spectrum of the whole takes for noise.
    """
    middle = part(heard, from_s, heard.size / 48_000 - 0.3)
    pieces = np.array_split(middle, max(1, middle.size // 9_600))
    better = sorted(pieces, key=lambda piece: share_at(piece, hz))[len(pieces) // 2 :]
    found = statistics.median(frequency_hz(piece) for piece in better)
    share, level = min(share_at(piece, hz) for piece in better), min(map(level_dbfs, better))
    print(f"heard {found:.1f} Hz at {level:.1f} dBFS, {share:.1%} of it at {hz} Hz, in {len(better)} pieces")
    assert abs(found - hz) < 3
    assert share > 0.9
    assert level > -40
