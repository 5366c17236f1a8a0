"""Two baresip phones that know nothing of Parley call each other through home: SIP over UDP and TCP, media relayed.

Needs baresip 1.0 with the modules opus, ausine, aubridge, sndfile, stun and turn. What each heard is measured in the
sound file that it wrote.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import wave
from pathlib import Path

import numpy as np
import pytest

from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.server import HomeServer

MODULES = next(
    (path for path in map(Path, ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")) if path.is_dir()), None
)
REALM = "home.test"
TONES_HZ = {"ada": 440, "bob": 880}

pytestmark = [
    pytest.mark.skipif(shutil.which("baresip") is None or MODULES is None, reason="baresip is not installed"),
    pytest.mark.timeout(60),
]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_profile(folder: Path, name: str, transport: str, home: HomeServer) -> None:
    (folder / "sound").mkdir(parents=True)
    modules = ("opus", "ausine", "aubridge", "sndfile", "stun", "turn")
    lines = [
        f"module_path {MODULES}",
        f"sip_listen 127.0.0.1:{free_port()}",
        f"audio_source ausine,{TONES_HZ[name]}",
        "audio_player aubridge,sink",
        "audio_alert aubridge,sink",
        "rtcp_mux yes",
        f"snd_path {folder / 'sound'}",
        *(f"module {module}.so" for module in modules),
        "module_app account.so",
        "module_app menu.so",
    ]
    (folder / "config").write_text("\n".join(lines) + "\n")
    (folder / "contacts").write_text("")
    (folder / "accounts").write_text(
        f"<sip:{name}@{home.sip_address};transport={transport}>;auth_user={name};auth_pass={name}-secret;medianat=turn;"
        f'stunserver="turn:{home.turn_address}";stunuser={name};stunpass={name}-secret;answermode=auto;'
        "audio_codecs=opus/48000/2;regint=120\n"
    )


async def start_phone(folder: Path, *commands: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "baresip", "-4", "-f", str(folder), *commands,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def until_counted(home: HomeServer, name: str, count: int) -> None:
    async with asyncio.timeout(20):
        while home.counters().get(name, 0) < count:  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.1)


def loudest_hz(folder: Path) -> float:
    """Give the strongest frequency in what the phone heard."""
    recording = max(folder.glob("sound/*-dec.wav"), key=lambda path: path.stat().st_size)
    with wave.open(str(recording)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)[::channels]
    spectrum = np.abs(np.fft.rfft(samples[-2 * rate :].astype(float)))
    return float(np.argmax(spectrum)) * rate / min(len(samples), 2 * rate)


async def test_two_phones_hear_each_other_over_our_relay(tmp_path: Path) -> None:
    users = tuple(HomeUser.from_password(name, REALM, f"{name}-secret") for name in TONES_HZ)
    home = HomeServer(
        HomeConfig(
            listen=("127.0.0.1",),
            sip_port=0,
            turn_port=0,
            users=users,
            realm=REALM,
            digests=("MD5",),
            allow_own_peers=True,
        )
    )
    await home.start()
    phones: list[asyncio.subprocess.Process] = []
    try:
        for name, transport in (("ada", "udp"), ("bob", "tcp")):
            write_profile(tmp_path / name, name, transport, home)
        phones.append(await start_phone(tmp_path / "bob"))
        await until_counted(home, "sip_contacts_now", 1)
        phones.append(await start_phone(tmp_path / "ada", "-e", f"/dial sip:bob@{home.sip_address}"))
        await until_counted(home, "turn_relayed_packets", 700)
        counters = home.counters()
        assert counters["sip_proxied_INVITE"] == 1
        assert counters["turn_allocations_now"] == 2
    finally:
        for phone in phones:
            phone.terminate()
            await phone.wait()
        await home.close()
    assert loudest_hz(tmp_path / "ada") == pytest.approx(TONES_HZ["bob"], abs=5)
    assert loudest_hz(tmp_path / "bob") == pytest.approx(TONES_HZ["ada"], abs=5)
