"""The timeline: what was said is there again after a restart, sealed, within bounds, and gone when it is deleted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from app.channel_events import ChannelId
from app.channels.burst_sound import sound_of
from app.channels.channel_codecs import make_encoder
from app.channels.encoders import EncoderId
from app.channels.finished_burst import FinishedBurst, KeptPacket
from app.channels.mission_parts import TimelineOptions
from app.channels.timeline import MOST_LEVELS, Bounds, fold_levels
from app.channels.timeline_player import TimelinePlayer, write_wav
from app.channels.timeline_records import TimelineError
from app.channels.timeline_store import TimelineStore
from app.channels.timeline_time import STANDS_S
from tests.heard import first_sound_s, frequency_hz, gaps_ms, level_dbfs, part, tone
from tests.media.pulse import private_pulse

KEY = bytes(range(32))
ALPHA, BRAVO = ChannelId("m-1", "g-alpha"), ChannelId("m-1", "g-bravo")
OTHER = ChannelId("m-2", "g-alpha")
NOW = 1_790_000_000.0


def burst(
    channel: ChannelId = ALPHA,
    *,
    began: float = NOW,
    seconds: float = 1.0,
    encoder: int = EncoderId.OPUS_24,
    alias: str = "Zoë",
    hz: float = 440,
) -> FinishedBurst:
    coder = make_encoder(encoder, 20, is_sealed=False)
    assert coder.info.codec is not None
    kind, step = coder.info.codec.payload_type, coder.timestamp_step
    first = 2**32 - 3 * step  # so that it wraps
    packets = tuple(
        KeptPacket((first + at * step) % 2**32, kind, payload)
        for at, payload in enumerate(coder.add(tone(hz, seconds)))
    )
    levels = tuple(range(200))
    return FinishedBurst((channel,), alias, b"\7" * 16, False, False, began, seconds, packets, levels, encoder)


def store(folder: Path, *, key: bytes = KEY, bounds: Bounds | None = None, now: float = NOW + 60) -> TimelineStore:
    opened = TimelineStore(folder, key, bounds, clock=lambda: now)
    opened.open()
    return opened


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.bursts"))


def test_a_burst_is_there_again_after_a_restart_with_every_packet(tmp_path: Path) -> None:
    said = burst()
    (info,) = store(tmp_path).keep(said)
    again = store(tmp_path)
    assert again.bursts() == (info,)
    assert (info.channel, info.alias, info.seconds, info.began_wall) == (ALPHA, "Zoë", 1.0, NOW)
    assert len(info.levels) == MOST_LEVELS
    read = again.read(info.burst_id)
    assert (read.packets, read.node_id, read.encoder) == (said.packets, said.node_id, said.encoder)
    assert again.damaged == 0


def test_the_newest_come_first_and_each_channel_has_its_own(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for at, channel in enumerate((ALPHA, BRAVO, ALPHA, OTHER)):
        kept.keep(burst(channel, began=NOW + at))
    assert [info.began_wall - NOW for info in kept.bursts(ALPHA)] == [2, 0]
    assert [info.began_wall - NOW for info in kept.bursts(None, most=3)] == [3, 2, 1]


def test_the_disk_shows_neither_names_nor_sound(tmp_path: Path) -> None:
    said = burst()
    kept = store(tmp_path)
    kept.keep(said)
    (file,) = files(tmp_path)
    data = file.read_bytes()
    for secret in ("Zoë".encode(), b"g-alpha", b"m-1", said.packets[5].payload, said.node_id or b""):
        assert secret not in data
    assert "alpha" not in file.name
    assert os.name == "nt" or file.stat().st_mode & 0o077 == 0
    wrong = store(tmp_path, key=bytes(32))
    assert (wrong.bursts(), wrong.damaged) == ((), 1)
    assert files(tmp_path) == [file]  # the right key may come back


def test_clearing_a_channel_and_closing_a_mission_leave_no_file(tmp_path: Path) -> None:
    kept = store(tmp_path)
    for channel in (ALPHA, BRAVO, OTHER):
        kept.keep(burst(channel))
    again = store(tmp_path)
    again.keep(burst(ALPHA))  # a second file of the same channel
    (first, *_) = again.bursts(ALPHA)
    again.clear(ALPHA)
    assert {info.channel for info in again.bursts()} == {BRAVO, OTHER}
    assert len(files(tmp_path)) == 2
    with pytest.raises(TimelineError, match="not kept any more"):
        again.read(first.burst_id)
    again.forget_mission("m-1")
    assert {info.channel for info in again.bursts()} == {OTHER}
    assert len(files(tmp_path)) == 1
    again.clear()
    assert files(tmp_path) == []
    assert [info.channel for info in again.keep(burst(ALPHA))] == [ALPHA]
    kept.keep(burst(ALPHA))  # the other program whose files were deleted goes on as well
    assert len(store(tmp_path).bursts(ALPHA)) == 2


def test_damage_costs_the_burst_it_is_in_and_no_other(tmp_path: Path) -> None:
    kept = store(tmp_path)
    infos = [kept.keep(burst(began=NOW + at))[0] for at in range(4)]
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    starts = [at for at in range(len(data)) if data[at:].startswith(b"\x1dPBURST\n")]
    data[starts[1] + 10] ^= 0xFF  # a length
    data[starts[2] + 400] ^= 0xFF  # sound
    file.write_bytes(data[:-5])  # and the last one is cut
    again = store(tmp_path)
    assert [info.burst_id for info in again.bursts()] == [infos[2].burst_id, infos[0].burst_id]
    assert again.damaged == 2
    assert again.read(infos[0].burst_id).packets
    with pytest.raises(TimelineError, match="sound of this burst is damaged"):
        again.read(infos[2].burst_id)
    assert again.bursts()[0].damaged


def test_records_cannot_be_moved(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.keep(burst())
    size = files(tmp_path)[0].stat().st_size
    kept.keep(burst())
    (file,) = files(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data[:34] + data[size:] + data[34:size])
    again = store(tmp_path)
    assert (again.bursts(), again.damaged) == ((), 2)


def test_a_killed_program_loses_at_most_what_it_was_writing(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from tests.channels.test_timeline import burst, store
kept = store(Path(sys.argv[1]))
said = burst(seconds=0.2)
while True:
    kept.keep(said)
    print(len(kept.bursts()), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= 30:
                writer.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
                break
        last = int((writer.stdout.read().split() or [line])[-1])
    again = store(tmp_path)
    assert len(again.bursts()) >= last
    assert again.damaged <= 1


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        (Bounds(most_bytes=40_000), range(2, 16)),
        (Bounds(most_bursts=9, most_bytes=16_000), range(2, 10)),
        (Bounds(most_age_s=7_000.0), range(1, 5)),
    ],
)
def test_what_is_too_much_or_too_old_is_deleted(tmp_path: Path, bounds: Bounds, left: range) -> None:
    now = [NOW]
    kept = TimelineStore(tmp_path, KEY, bounds, clock=lambda: now[0], uptime=lambda: now[0])
    kept.open()
    said = burst()
    for _ in range(30):
        now[0] += 2_000
        kept.keep(FinishedBurst((ALPHA,), "A", None, True, False, now[0], 1.0, said.packets, (), EncoderId.OPUS_24))
        assert sum(file.stat().st_size for file in files(tmp_path)) <= bounds.most_bytes
    assert len(kept.bursts()) in left
    assert kept.bursts()[0].began_wall == now[0]
    assert len(store(tmp_path, bounds=bounds, now=now[0]).bursts()) == len(kept.bursts())
    now[0] += 8 * 24 * 3_600
    assert kept.bursts() == ()
    kept.tidy()
    assert files(tmp_path) == []


WEEKS = 30 * 24 * 3_600.0


def test_a_wrong_clock_throws_nothing_away(tmp_path: Path) -> None:
    wall, uptime = [NOW], [50.0]

    def later(seconds: float) -> None:
        wall[0] += seconds
        uptime[0] += seconds

    kept = TimelineStore(tmp_path, KEY, clock=lambda: wall[0], uptime=lambda: uptime[0])
    kept.open()
    (info,) = kept.keep(burst())
    wall[0] += WEEKS  # somebody set it
    for _ in range(5):
        later(600)
        kept.tidy()
        assert info in kept.bursts()
        assert kept.read(info.burst_id).packets
    wall[0] -= WEEKS  # and set it right
    later(8_000)
    kept.tidy()
    wall[0] += WEEKS  # the hour begins anew
    kept.tidy()
    later(STANDS_S - 1)
    assert kept.bursts() == (info,)
    wall[0] -= WEEKS + 100 * 24 * 3_600  # behind is as good as right: nothing is old
    kept.tidy()
    assert kept.bursts() == (info,)


def test_a_clock_that_is_wrong_at_the_start_throws_nothing_away_and_a_holiday_does_in_an_hour(tmp_path: Path) -> None:
    (info,) = store(tmp_path).keep(burst())
    wall, uptime = [NOW + WEEKS], [50.0]
    kept = TimelineStore(tmp_path, KEY, clock=lambda: wall[0], uptime=lambda: uptime[0])
    kept.open()
    assert kept.bursts() == (info,)
    wall[0] += STANDS_S
    uptime[0] += STANDS_S
    assert kept.bursts() == ()
    kept.tidy()
    assert files(tmp_path) == []


class Runs:
    """Runs of one program, on a clock that somebody sets; each run looks after the folder every ten minutes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall = NOW
        self._uptime = 50.0

    def run(self, minutes: int, *, says: bool = False) -> TimelineStore:
        kept = TimelineStore(self.folder, KEY, clock=lambda: self.wall, uptime=lambda: self._uptime)
        kept.open()
        if says:
            kept.keep(burst(began=self.wall, seconds=0.1))
        for left in range(minutes, 0, -10):
            self._later(min(left, 10) * 60)
            kept.tidy()
        self._uptime = 50.0  # the machine is switched off
        return kept

    def _later(self, seconds: float) -> None:
        self.wall += seconds
        self._uptime += seconds


def test_runs_of_less_than_an_hour_make_a_holiday_long_enough_together(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.run(10, says=True)
    runs.wall += 60 * 24 * 3_600
    assert len(runs.run(59).bursts()) == 1
    runs.wall += 2 * 24 * 3_600
    assert runs.run(59).bursts() == ()
    assert files(tmp_path) == []


def test_an_unreadable_file_says_nothing_of_the_time(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.run(10, says=True)
    for file in set(tmp_path.iterdir()) - set(files(tmp_path)):
        file.unlink()
    strange = tmp_path / "strange.bursts"
    strange.write_bytes(b"?")
    runs.wall += WEEKS
    os.utime(strange, (runs.wall, runs.wall))
    assert len(runs.run(30).bursts()) == 1


@pytest.mark.parametrize("spoil", ["nothing", "missing", "cut", "changed", "another key's"])
def test_what_is_said_while_the_clock_is_a_year_ahead_costs_nothing(tmp_path: Path, spoil: str) -> None:
    runs = Runs(tmp_path)
    for _ in range(3):
        runs.run(10, says=True)
        runs.wall += 24 * 3_600
    real = {info.burst_id for info in store(tmp_path, now=runs.wall).bursts()}
    runs.wall += 365 * 24 * 3_600
    for _ in range(2):
        runs.run(20, says=True)
        for file in set(tmp_path.iterdir()) - set(files(tmp_path)):
            data = file.read_bytes()
            if spoil == "missing":
                file.unlink()
            elif spoil != "nothing":
                other = data[:-3] if spoil == "cut" else data[:-40] + b"?" + data[-39:]
                file.write_bytes(bytes(len(data)) if spoil == "another key's" else other)
    runs.wall -= 365 * 24 * 3_600
    kept = runs.run(120)
    assert len(real) == 3
    assert {info.burst_id for info in kept.bursts()} > real


def test_a_wrong_clock_that_begins_anew_with_each_run_is_not_believed(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.run(10, says=True)
    for _ in range(5):
        runs.wall = NOW + WEEKS
        assert len(runs.run(40).bursts()) == 1


def test_a_channel_on_which_nobody_falls_silent_pushes_nothing_of_the_others_out(tmp_path: Path) -> None:
    now = [NOW]
    kept = TimelineStore(tmp_path, KEY, Bounds(most_bursts=12, most_bytes=1 << 20), clock=lambda: now[0])
    kept.open()
    packets = burst(seconds=0.02).packets

    def say(channel: ChannelId) -> None:
        now[0] += 2_000  # a file each
        kept.keep(FinishedBurst((channel,), "A", None, False, False, now[0], 0.02, packets, (), EncoderId.OPUS_24))

    for _ in range(3):
        say(ALPHA)
    for _ in range(30):
        say(BRAVO)
    assert len(kept.bursts(ALPHA)) == 3
    assert 6 <= len(kept.bursts(BRAVO)) <= 9
    assert kept.bursts(BRAVO)[0].began_wall == now[0]


def test_a_channel_says_what_is_kept_of_it(tmp_path: Path) -> None:
    kept = store(tmp_path)
    assert kept.keep(burst(), TimelineOptions(enabled=False)) == ()
    assert files(tmp_path) == []
    (info,) = kept.keep(burst(), TimelineOptions(record_audio=False))
    assert kept.read(info.burst_id).packets == ()
    said = burst(seconds=2.5)
    parts = kept.keep(said, TimelineOptions(max_audio_time_ms=1_000))
    assert [round(part.began_wall - NOW, 3) for part in parts] == [0, 0.833, 1.667]
    read = [kept.read(part.burst_id) for part in parts]
    assert tuple(packet for part in read for packet in part.packets) == said.packets
    assert [len(part.packets) for part in read] == [42, 42, 41]


def test_a_disk_that_takes_nothing_gets_one_sentence(tmp_path: Path) -> None:
    kept = store(tmp_path / "timeline")
    (tmp_path / "timeline").rmdir()
    (tmp_path / "timeline").write_text("in the way")
    with pytest.raises(TimelineError, match=r"^A burst could not be kept in .*\.$"):
        kept.keep(burst())
    assert kept.bursts() == ()
    with pytest.raises(TimelineError, match=r"^Bursts cannot be kept in .*\.$"):
        store(tmp_path / "timeline")


def test_levels_are_folded_to_the_loudest() -> None:
    assert fold_levels(()) == ()
    assert fold_levels((1, 300, -4)) == (1, 255, 0)
    folded = fold_levels([0] * 999 + [9])
    assert (len(folded), folded[-1], sum(folded)) == (MOST_LEVELS, 9, 9)


@pytest.mark.parametrize("encoder", [EncoderId.OPUS_24, EncoderId.G711_ALAW, EncoderId.AMR_12_2])
def test_a_burst_sounds_and_lasts_as_it_did(encoder: int) -> None:
    sound = np.concatenate(list(sound_of(burst(encoder=encoder))))
    assert len(sound) == 48_000
    assert abs(frequency_hz(sound[9_600:]) - 440) < 3
    assert gaps_ms(sound[9_600:]) == []


def test_what_was_lost_on_the_way_is_concealed_in_place() -> None:
    whole = burst(seconds=2.0)
    kept = tuple(packet for at, packet in enumerate(whole.packets) if at % 10 != 5 and not 60 <= at < 80)
    sound = np.concatenate(list(sound_of(_with(whole, kept))))
    assert len(sound) == 96_000
    assert level_dbfs(sound[:48_000]) > level_dbfs(np.concatenate(list(sound_of(whole)))) - 1.5
    assert not sound[70 * 960 : 78 * 960].any()  # far more than can be invented


def test_payloads_that_mean_nothing_make_no_trouble() -> None:
    whole = burst(seconds=0.2)
    strange = (
        KeptPacket(0, 99, b"x"),
        KeptPacket(7, 111, b""),
        KeptPacket(2**31, 0, b"\xd5" * 160),
        *whole.packets[:3],
        *whole.packets[:3],
        KeptPacket(2**32 - 1, whole.packets[0].payload_type, b"\xff" * 40),
    )
    assert sum(map(len, sound_of(_with(whole, strange)))) <= 3 * 48_000
    assert list(sound_of(_with(whole, ()))) == []


def test_a_burst_is_played_at_its_speed_and_says_when_it_is_over() -> None:
    ended = threading.Event()
    player = TimelinePlayer(sound_of(burst(seconds=0.2)), None, ended.set)
    heard = _pull_all(player, ended)
    assert abs(frequency_hz(heard) - 440) < 5
    assert 9_500 <= len(heard) <= 9_600
    assert player.join(5)


def test_a_burst_is_heard_whole_though_its_speaker_opens_late(tmp_path: Path) -> None:
    ended = threading.Event()
    with private_pulse(tmp_path) as pulse, pulse.recorded() as recorded:
        player = TimelinePlayer(sound_of(burst(seconds=0.4)), "", ended.set)
        with pulse.frozen():  # no device can open meanwhile
            player.start()
            assert not ended.wait(0.7)
        assert ended.wait(15)
        time.sleep(0.3)  # what the server still has to play
    heard = recorded[0]
    began = first_sound_s(heard)
    assert began is not None
    assert abs(frequency_hz(part(heard, began, began + 0.35)) - 440) < 5
    assert level_dbfs(part(heard, began + 0.3, began + 0.38)) > -20


def test_a_stopped_burst_ends_once() -> None:
    ends: list[int] = []
    player = TimelinePlayer(sound_of(burst(seconds=2.0)), None, lambda: ends.append(1))
    player.start()
    player.stop()
    player.stop()
    assert player.join(5)
    assert ends == [1]


def test_a_burst_becomes_a_wav_file(tmp_path: Path) -> None:
    write_wav(tmp_path / "burst.wav", sound_of(burst()))
    with wave.open(str(tmp_path / "burst.wav")) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (48_000, 48_000, 1)


def _with(whole: FinishedBurst, packets: tuple[KeptPacket, ...]) -> FinishedBurst:
    return FinishedBurst((ALPHA,), "", None, False, False, NOW, whole.seconds, packets, (), EncoderId.OPUS_24)


def _pull_all(player: TimelinePlayer, ended: threading.Event) -> np.ndarray:
    """Be the device that plays it, as fast as it gives."""
    blocks = []
    player.start()
    while not ended.wait(0.001):
        block = np.zeros(480, np.int16)
        player.pull(block)
        blocks.append(block)
    return np.trim_zeros(np.concatenate(blocks))
