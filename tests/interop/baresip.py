"""baresip 1.0 as the other phone: its own folder, told what to do and heard over its control port (ctrl_tcp).

It says a tone, shows a film or a pattern, keeps what it heard as WAV files, and can save the picture it is showing.
Its ways (version 1.0): no 100rel, no BUNDLE, no a=mid in its answers, and it gives up at SHA-256 challenges.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import pytest

from app.media.stamp import read_stamp
from tests.heard import Samples, read_wav
from tests.interop.programs import HERE, LIMIT_S, Program, free_port, need, wait_until

Fields = dict[str, Any]

MODULES = next(
    (path for path in map(Path, ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")) if path.is_dir()), None
)
_MODULES = ("opus", "g722", "g711", "ausine", "aubridge", "sndfile", "fakevideo", "avformat", "snapshot")
_WAV_HEADER_BYTES = 44
_NATS = ("stun", "turn", "ice")
_ENCRYPTIONS = ("dtls_srtp", "srtp")


@dataclass(frozen=True, slots=True)
class Line:
    """One account of a phone. `nat` is "ice", "turn" or ""; `encryption` "dtls_srtp", "srtp", "srtp-mand" or ""."""

    user: str
    password: str
    server: str  # HOST:PORT of the registrar; "" for a phone that is called at its own address
    transport: str = "udp"
    nat: str = ""
    encryption: str = ""
    turn: str = ""  # HOST:PORT
    audio: str = "opus/48000/2"
    video: bool = True
    picture_codec: str = "vp8"  # the module that has it: "vp8", or "avcodec" for H.264
    answers: bool = True
    rtcp_mux: bool = True

    def __str__(self) -> str:
        parts = [f"<sip:{self.user}@{self.server or HERE};transport={self.transport}>"]
        parts += [f"auth_user={self.user}", f"auth_pass={self.password}"]
        parts += [f"medianat={self.nat}"] if self.nat else []
        if self.turn:
            parts += [f'stunserver="turn:{self.turn}"', f"stunuser={self.user}", f"stunpass={self.password}"]
        parts += [f"mediaenc={self.encryption}"] if self.encryption else []
        parts += [f"audio_codecs={self.audio}"]
        parts += ["answermode=auto" if self.answers else "answermode=manual"]
        return ";".join([*parts, f"regint={120 if self.server else 0}"])


class Baresip:
    """A running baresip. Use as a context: it is ended in any case.

    `film` is what its camera shows, else it shows a moving pattern of its own; `tone_hz` is what it says.
    """

    def __init__(self, folder: Path, line: Line, *, tone_hz: int, film: Path | None = None) -> None:
        need("baresip")
        if MODULES is None:
            pytest.skip("the modules of baresip are not where they usually are")
        self.folder = folder
        self.line = line
        self._sound = folder / "sound"
        self._sound.mkdir(parents=True)
        self._control_port = free_port()
        self.sip_port = free_port()
        self._write(line, tone_hz, film)
        self._tokens = itertools.count(1)
        self._events: list[Fields] = []
        self._responses: dict[str, Fields] = {}
        self._news = threading.Condition()
        self._closed = False
        self.program = Program("baresip", folder, "baresip", "-4", "-f", str(folder), "-v")
        try:
            self._control = self._connect()
        except BaseException:
            self.program.stop()
            raise
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Baresip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # it may have ended already
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        self.program.__exit__(kind, error, trace)
        self._reader.join(5)

    @property
    def uri(self) -> str:
        """Where it is called without a registrar."""
        return f"sip:{self.line.user}@{HERE}:{self.sip_port}"

    # Telling it what to do ------------------------------------------------------------------------------------

    def command(self, name: str, parameters: str = "") -> str:
        """Run one of its commands and give what it says."""
        token = str(next(self._tokens))
        told = json.dumps({"command": name, "params": parameters, "token": token}).encode()
        self._control.sendall(b"%d:%s," % (len(told), told))
        with self._news:
            assert self._news.wait_for(lambda: token in self._responses or self._closed, LIMIT_S), f"{name}: no word"
            assert token in self._responses, f"baresip ended at {name}:\n{self.program.story()}"
            response = self._responses.pop(token)
        return str(response.get("data", ""))

    def dial(self, uri: str) -> None:
        self.command("dial", uri)

    def hang_up(self) -> None:
        self.command("hangup")

    def wait_until_registered(self) -> None:
        self.program.wait_for(rf"{self.line.user}@.* 200 OK .*binding")

    # What it tells --------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[Fields]:
        """Everything that happened, in order; each has a `type` such as CALL_ESTABLISHED."""
        with self._news:
            return list(self._events)

    def wait_for(self, kind: str, limit_s: float = LIMIT_S) -> Fields:
        """Wait until something of this type has happened, and give it."""
        deadline = time.monotonic() + limit_s
        with self._news:
            while True:
                for event in self._events:
                    if event.get("type") == kind:
                        return event
                left_s = deadline - time.monotonic()
                told = [event.get("type") for event in self._events]
                assert not self._closed, f"baresip ended before {kind} came, after {told}:\n{self.program.story()}"
                assert left_s > 0, f"{kind} did not come within {limit_s} s, but {told}:\n{self.program.story()}"
                self._news.wait(left_s)

    def pressed(self) -> str:
        """The keys of the telephone that the other side pressed so far."""
        return "".join(str(event["param"]) for event in self.events if event.get("type") == "CALL_DTMF_START")

    # What it heard and saw ------------------------------------------------------------------------------------

    def heard(self) -> Samples:
        """What it heard in its longest call; complete when the call is over."""
        return read_wav(max(self._sound.glob("*-dec.wav"), key=lambda path: path.stat().st_size))

    def wait_until_heard(self, seconds: float) -> None:
        """Wait until it has taken in that much sound since it started."""
        wait_until(lambda: self.heard_s() >= seconds, f"{seconds} s of sound at baresip")

    def heard_s(self) -> float:
        """How much sound it has taken in, in all its recordings; the last is complete when its call is over."""
        total = 0.0
        for path in self._sound.glob("*-dec.wav"):
            data = path.read_bytes()
            if len(data) > _WAV_HEADER_BYTES:
                (bytes_a_second,) = struct.unpack_from("<I", data, 28)
                total += (len(data) - _WAV_HEADER_BYTES) / bytes_a_second
        return total

    def audio_clocks(self) -> tuple[float, float]:
        """How far its own sound, and the sound it decodes, have come in seconds.

        The first goes on in a hold; the second stands still while nothing comes in.
        """
        told = self.command("audio_debug")
        match = re.search(r"tx:.*?time = ([\d.]+) sec.*?rx:.*?time = ([\d.]+) sec", told, re.DOTALL)
        assert match is not None, told
        return float(match[1]), float(match[2])

    def look(self, name: str = "seen") -> av.VideoFrame:
        """Save the next picture it shows, and give it."""
        path = self.folder / f"{name}.png"
        path.unlink(missing_ok=True)
        self.command("snapshot_recv", str(path))
        wait_until(lambda: _is_whole_png(path), "a picture at baresip")
        with av.open(str(path)) as container:
            return cast(av.VideoFrame, next(container.decode(video=0)))

    def see_numbers(self, count: int) -> list[int]:
        """Look until it has shown that many numbered pictures (app.media.stamp), each newer than the one before."""
        numbers: list[int] = []
        deadline = time.monotonic() + LIMIT_S
        while len(numbers) < count:
            number = read_stamp(self.look())
            if number is not None and (not numbers or number > numbers[-1]):
                numbers.append(number)
            assert time.monotonic() < deadline, f"baresip showed no newer numbered picture than {numbers}"
        return numbers

    # Inside ---------------------------------------------------------------------------------------------------

    def _write(self, line: Line, tone_hz: int, film: Path | None) -> None:
        modules = [*_MODULES, *([line.picture_codec] if line.video else [])]
        modules += [module for module in _NATS if line.nat in ("ice", "turn")]
        modules += [module for module in _ENCRYPTIONS if line.encryption.startswith(module)]
        config = [
            f"module_path {MODULES}",
            f"sip_listen {HERE}:{self.sip_port}",
            f"ctrl_tcp_listen {HERE}:{self._control_port}",
            f"net_interface {HERE}",  # its own address in m= and c=
            f"audio_source ausine,{tone_hz}",
            "audio_player aubridge,sink",
            "audio_alert aubridge,alert",
            "ausrc_srate 48000",  # all that ausine can do, also for a codec of 8 kHz
            "ausrc_channels 2",
            f"video_source {f'avformat,{film}' if film else 'fakevideo,'}",
            "video_display fakevideo,",
            "video_size 640x480",
            "video_fps 25",
            "video_bitrate 800000",
            "rtp_ports 10000-19999",  # apart from those of free_port
            f"rtcp_mux {'yes' if line.rtcp_mux else 'no'}",
            "opus_stereo yes",
            f"snd_path {self._sound}",
            *(f"module {module}.so" for module in modules),
            *(f"module_app {module}.so" for module in ("account", "menu", "debug_cmd", "ctrl_tcp")),
        ]
        (self.folder / "config").write_text("\n".join(config) + "\n")
        (self.folder / "contacts").write_text("")
        (self.folder / "accounts").write_text(f"{line}\n")

    def _connect(self) -> socket.socket:
        found: list[socket.socket] = []

        def reached() -> bool:
            try:
                found.append(socket.create_connection((HERE, self._control_port), 1))
            except OSError:
                return False
            return True

        self.program.wait_until_ready(reached)
        connection = found[0]
        connection.settimeout(None)
        return connection

    def _read(self) -> None:
        data = b""
        while True:
            try:
                more = self._control.recv(65_536)
            except OSError:
                more = b""
            data += more
            while (match := re.match(rb"(\d+):", data)) and len(data) > match.end() + int(match[1]):
                end = match.end() + int(match[1])
                self._take(json.loads(data[match.end() : end]))
                data = data[end + 1 :]
            if not more:
                break
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _take(self, message: Fields) -> None:
        with self._news:
            if message.get("event"):
                self._events.append(message)
            elif message.get("token"):
                self._responses[str(message["token"])] = message
            self._news.notify_all()


def _is_whole_png(path: Path) -> bool:
    return path.exists() and path.read_bytes()[-8:-4] == b"IEND"
