"""baresip: a phone at each end with its sound through ALSA, or with the tone generator of the set-up rows."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from tests.bench.peers.base import LIMIT_S, Film, PairCall, Place, Seen
from tests.interop.baresip import MODULES
from tests.lab.network import Host

_CONFIG = """module_path {modules}
sip_listen {address}:5060
ctrl_tcp_listen {address}:{port}
audio_alert aubridge,alert
rtcp_mux yes
opus_stereo yes
module opus.so
module aubridge.so
module stun.so
module ice.so
module dtls_srtp.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
"""
_CONTROL_PORT = 4444
# baresip 1.0 hands this to libvpx, which takes it for kbit/s, and spreads packets over time by it. With the rate that
# is wanted a picture is still leaving when the next one comes, which is then left out: 4 to 16 a second remain of 30.
_PACE_BPS = 20_000_000
_ACCOUNT = (
    "<sip:{user}@{address}>;regint=0;medianat=ice;mediaenc=dtls_srtp;audio_codecs=opus/48000/2;answermode={mode}\n"
)
TONE = ("module ausine.so", "audio_source ausine,440", "audio_player aubridge,sink")
_DEVICES = ("module alsa.so", "audio_source alsa,default", "audio_player alsa,default")


def _film_lines(film: Film, folder: Path) -> tuple[str, ...]:
    return (
        "module vp8.so",
        "module avformat.so",
        "module fakevideo.so",
        f"video_source avformat,{film.listed(folder)}",  # baresip 1.0 sends nothing once it has rewound a file
        "video_display fakevideo,",
        f"video_size {film.width}x{film.height}",
        f"video_fps {film.fps}",
        f"video_bitrate {_PACE_BPS}",
    )


class BaresipCall(PairCall):
    name: ClassVar[str] = "baresip"
    program: ClassVar[str | None] = "baresip"
    package: ClassVar[str | None] = "baresip-core"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._phones: list[subprocess.Popen[str]] = []
        self._logs: list[Path] = []

    def start(self) -> None:
        self._start(self.far, "bob", "auto")
        self._wait_for("baresip is ready")
        self._start(self.near, "ada", "manual", "-e", f"d sip:bob@{self.far.host.address}")
        self._wait_for("Call established")

    def stop(self) -> None:
        end_phones(self._phones)

    def seen(self) -> tuple[Seen, Seen]:
        """What each end has given to its display."""
        near, far = (_shown(command(place.host, "video_debug")) for place in self.places)
        return near, far

    def _start(self, place: Place, user: str, mode: str, *arguments: str) -> None:
        folder = place.folder / "baresip"
        lines = (*_DEVICES, *(_film_lines(self.film, place.folder) if self.film else ()))
        environment = {**place.environment(), "HOME": str(folder)}
        phone = start_phone(place.host, folder, user, mode, *arguments, lines=lines, environment=environment)
        self._phones.append(phone)
        self._logs.append(folder / "log.txt")

    def _wait_for(self, words: str) -> None:
        """Wait until the newest phone has said something."""
        deadline = time.monotonic() + LIMIT_S
        while not re.search(words, told := self._logs[-1].read_text(errors="replace")):
            assert self._phones[-1].poll() is None, f"baresip ended:\n{told[-3000:]}"
            assert time.monotonic() < deadline, f"baresip did not say {words!r}:\n{told[-3000:]}"
            time.sleep(0.02)


def start_phone(
    host: Host,
    folder: Path,
    user: str,
    mode: str,
    *arguments: str,
    lines: tuple[str, ...] = TONE,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a phone that answers by `mode` ("auto", "manual"); `lines` of its configuration say where sound goes."""
    folder.mkdir(parents=True)
    config = _CONFIG.format(modules=MODULES, address=host.address, port=_CONTROL_PORT)
    (folder / "config").write_text("\n".join((config, *lines, "")))
    (folder / "contacts").write_text("")
    (folder / "accounts").write_text(_ACCOUNT.format(user=user, address=host.address, mode=mode))
    with (folder / "log.txt").open("w") as log:
        return host.popen(
            *("stdbuf", "-oL", "baresip", "-4", "-v", "-f", str(folder), *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )


def command(host: Host, name: str) -> str:
    """Run one of its commands over the control port (netstrings of JSON), and give what it says."""
    with host.open_socket(socket.SOCK_STREAM) as control:
        control.connect((host.address, _CONTROL_PORT))
        told = json.dumps({"command": name, "token": "1"}).encode()
        control.sendall(b"%d:%s," % (len(told), told))
        data = b""
        while True:
            more = control.recv(65_536)
            assert more, f"baresip said nothing to {name}"
            data += more
            while (match := re.match(rb"(\d+):", data)) and len(data) > (end := match.end() + int(match[1])):
                message = json.loads(data[match.end() : end])
                data = data[end + 1 :]
                if message.get("response"):  # events come in between
                    return str(message.get("data", ""))


def _shown(told: str) -> Seen:
    display = re.search(r"vidisp: .*?(\d+) x (\d+) frames=(\d+)", told)
    if display is None:
        return Seen(None)
    width, height, pictures = map(int, display.groups())
    return Seen(pictures, width, height)


def end_phones(phones: list[subprocess.Popen[str]]) -> None:
    for phone in phones:
        phone.kill()
        phone.wait(5)


def hold_call(caller: Host, callee: Host, folder: Path, seconds: float) -> None:
    """Let the callee pick up at once, and end both after some seconds."""
    phones = []
    try:
        phones.append(start_phone(callee, folder / "callee", "bob", "auto"))
        time.sleep(1.0)  # it says nothing when it listens
        phones.append(start_phone(caller, folder / "caller", "ada", "manual", "-e", f"d sip:bob@{callee.address}"))
        time.sleep(seconds)
    finally:
        end_phones(phones)
