"""Twenty talkers on twenty channels into one listener: the whole program in real time, by multicast on this machine.

The talkers' packets are made beforehand and sent by the clock, each channel's at its own moment of a frame.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from app.channels.bursts import BurstPackets
from app.channels.channel_codecs import make_encoder
from app.channels.mission import Mission
from app.channels.packet import BurstHeader
from app.channels.sealing import derive_key, protection
from app.engine import missions
from app.engine.missions import ChannelWish, MissionWishes
from tests.bench.programs import ENVIRONMENT, ROOT, cpu_s
from tests.bench.table import Table
from tests.channels.radios import linux_only
from tests.heard import recorded_speech

SECTION = "Channels: twenty talkers on twenty channels into one listener, by multicast in real time"
CHANNELS, FRAME_S = 20, 0.02


def datagrams(mission: Mission, seconds: float) -> list[list[bytes]]:
    """Give for each channel what its talker sends: sealed packets of recorded speech, and the packets of the end."""
    audio = mission.groups[0].tx_audio
    assert audio is not None
    coder = make_encoder(audio.encoder, audio.framing_ms, is_sealed=True)
    assert coder.info.codec is not None
    speech = recorded_speech()[0]
    payloads = coder.add(speech[: round(seconds * 48_000)])
    while len(payloads) < seconds / FRAME_S:
        payloads += coder.add(speech[: round((seconds - len(payloads) * FRAME_S) * 48_000)])
    made = []
    for number, group in enumerate(mission.groups):
        header = BurstHeader(f"Talker {number}", bytes([number + 1]) * 16)
        burst = BurstPackets(coder.info.codec.payload_type, coder.timestamp_step, header, Random(number))
        seal = protection(group.id, derive_key(group.crypto_password or "")).seal
        packets = [burst.next(payload) for payload in payloads]
        now = time.time()
        sent = enumerate([*packets, *burst.end()])
        made.append([seal(packet.to_bytes(), now + number * FRAME_S) for number, packet in sent])
    return made


@contextlib.contextmanager
def listener(folder: Path, mission: Mission) -> Iterator[subprocess.Popen[str]]:
    """Join all channels; gives the program once all of them can be heard."""
    file = folder / "twenty.ice"
    file.write_text(missions.pack(mission))
    media = ("--audio-from", "silence", "--audio-to", "null", "--interface", "lo", "--json")
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "channel", "join", str(file), "--profile", str(folder / "profile"), *media],
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        up = set()
        while len(up) < CHANNELS:
            event = next_line(process)
            if event["event"] == "link" and event["up"]:
                up.add(event["id"])
        yield process
    finally:
        process.kill()
        process.communicate()


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    text = process.stdout.readline()
    assert text, "it ended"
    return dict(json.loads(text))


def talk(mission: Mission, said: list[list[bytes]]) -> None:
    """Send everything by the clock."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        due = time.monotonic()
        for step in range(len(said[0])):
            for group, packets in zip(mission.groups, said, strict=True):
                sender.sendto(packets[step], (group.rx.address, group.rx.port))
                due += FRAME_S / CHANNELS
                time.sleep(max(0.0, due - time.monotonic()))


@linux_only
@pytest.mark.short
@pytest.mark.timeout(180)
def test_twenty_talkers_on_twenty_channels(table: Table, is_long: bool, tmp_path: Path) -> None:
    seconds, runs = (30.0, 3) if is_long else (1.5, 1)
    wishes = MissionWishes("Twenty", tuple(ChannelWish(f"Channel {at}") for at in range(CHANNELS)), control=None)
    mission = missions.make(wishes, datetime.now(UTC))
    shares, concealed = [], []
    for run in range(runs):
        said = datagrams(mission, seconds)
        folder = tmp_path / str(run)
        folder.mkdir()
        with listener(folder, mission) as process:
            used, began = cpu_s(process.pid), time.monotonic()
            talk(mission, said)
            shares.append((cpu_s(process.pid) - used) / (time.monotonic() - began))
            kept = 0
            while kept < CHANNELS:
                kept += next_line(process)["event"] == "burst"
            os.kill(process.pid, signal.SIGINT)
            report = next_line(process)
            while "report" not in report:
                report = next_line(process)
        channels = report["report"]["channels"]
        # Not one packet of anybody's is missing; the end is said several times and heard once.
        assert [one["packets_received"] for one in channels] == [round(seconds / FRAME_S) + 1] * CHANNELS
        assert [(one["lost"], one["refused"]) for one in channels] == [(0, 0)] * CHANNELS
        concealed.append(sum(one["talkers"][0]["concealed_ms"] for one in channels))
    table.add(SECTION, "processor time of the listener, the whole program", "s/s", shares)
    of_all = [100 * each / (1_000 * seconds * CHANNELS) for each in concealed]
    note = f"of {CHANNELS} x {round(seconds / FRAME_S)} packets a run none is missing"
    table.add(SECTION, "sound that stands for packets that came too late", "%", of_all, note=note)
