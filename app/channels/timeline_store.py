"""The timeline on the disk: files in a folder of the profile, sealed, bounded, and really deleted. Not pure.

Every call may wait for the disk: run it off an event loop. Several threads may call. Several programs may use one
folder: each adds to files of its own and sees what was there when it began.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from app.channel_events import BurstInfo, ChannelId
from app.channels.finished_burst import FinishedBurst, piece_s
from app.channels.mission_parts import TimelineOptions
from app.channels.timeline import Bounds, Segment, StoredBurst, Timeline, fold_levels, pieces
from app.channels.timeline_records import (
    FILE_ID_BYTES,
    HEADER_BYTES,
    MOST_FILE_BYTES,
    ReadAt,
    Scan,
    SegmentCodec,
    TimelineError,
)
from app.channels.timeline_time import TIME_BYTES, BelievedTime, TimeSoFar

logger = logging.getLogger(__name__)

SUFFIX = ".bursts"
TIME_NAME = "believed-time"
TIME_EVERY_S = 60.0  # what of it a kill may lose
_TAG_HEX = 16
_NONCES_BYTES = 24
_BINARY = getattr(os, "O_BINARY", 0)


class TimelineStore:
    """Keeps bursts in `folder` under a key of 32 bytes. `damaged` counts what could not be read at the beginning.

    File names begin with a code made of the mission's and channel's ids with the key, and tell nobody else which it is.
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        bounds: Bounds | None = None,
        *,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._key = key
        self._clock, self._uptime = clock, uptime
        self._time = self._going_on_from(TimeSoFar(clock()))
        self._written: TimeSoFar | None = None
        self._index = Timeline(bounds or Bounds())
        self._lock = threading.Lock()
        self._codecs: dict[str, SegmentCodec] = {}  # of the files that this run adds to
        self.damaged = 0

    def open(self) -> None:
        """Read what is there and delete what is too old; TimelineError where the folder cannot be used."""
        with self._lock:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                names = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(SUFFIX)]
            except OSError as error:
                raise TimelineError(f"Bursts cannot be kept in {self._folder} ({_in_words(error)}).") from error
            for name in names:
                segment = self._read_segment(name)
                if segment is not None:
                    self._index.add_segment(segment)
            self._begin_time()
            self._tidy()

    def keep(self, burst: FinishedBurst, options: TimelineOptions | None = None) -> tuple[BurstInfo, ...]:
        """Keep a burst as its channel's options say, on the disk when this returns; gives what the list now has more.

        TimelineError says why it could not be kept.
        """
        options = options or TimelineOptions()
        if not options.enabled:
            return ()
        kept: list[BurstInfo] = []
        if not options.record_audio:
            burst = replace(burst, packets=())
        with self._lock:
            for channel in burst.channels:
                kept += [self._append(channel, piece) for piece in pieces(burst, piece_s(options.max_audio_time_ms))]
            self._tidy()
        return tuple(kept)

    def bursts(self, channel: ChannelId | None = None, most: int = 100) -> tuple[BurstInfo, ...]:
        """Give the last bursts of a channel, or of all, the newest first. Does not wait for the disk."""
        with self._lock:
            return self._index.bursts(channel, most, self._now())

    def read(self, burst_id: str) -> FinishedBurst:
        """Give a burst with its sound; TimelineError where it is not there any more, or damaged."""
        with self._lock:
            stored = self._index.find(burst_id, self._now())
            if stored is None:
                raise TimelineError("This burst is not kept any more.")
            try:
                with _reading(self._folder / stored.segment) as (read, size, _):
                    codec = SegmentCodec.of_file(self._key, read(0, HEADER_BYTES))
                    return codec.burst(read, stored.offset, size)
            except OSError as error:
                raise TimelineError(f"This burst cannot be read ({_in_words(error)}).") from error
            except TimelineError:
                self._index.mark_damaged(burst_id)
                raise

    def clear(self, channel: ChannelId | None = None) -> None:
        """Delete everything of a channel, or of all, with the files it is in; TimelineError where that fails."""
        if channel is None:
            self._delete(lambda name: True)
        else:
            self._delete(lambda name: name.startswith(self._prefix(channel)))

    def forget_mission(self, mission: str) -> None:
        """Delete everything of a mission that is closed."""
        self._delete(lambda name: name.startswith(self._tag(mission)))

    def tidy(self) -> None:
        """Delete what is too old by now; `keep` does it too."""
        with self._lock:
            self._tidy()

    # Files ----------------------------------------------------------------------------------------------------

    def _append(self, channel: ChannelId, burst: FinishedBurst) -> BurstInfo:
        burst_id = os.urandom(8).hex()
        try:
            segment = self._open_segment(channel, burst.began_wall)
            offset = segment.size
            record = self._codecs[segment.name].record(burst_id, channel, burst, offset, os.urandom(_NONCES_BYTES))
            _write(self._folder / segment.name, record, offset)
        except OSError as error:
            raise TimelineError(f"A burst could not be kept in {self._folder} ({_in_words(error)}).") from error
        info = BurstInfo(
            *(burst_id, channel, burst.alias, burst.own, burst.emergency, burst.began_wall, burst.seconds),
            fold_levels(burst.levels),
        )
        self._index.add(StoredBurst(info, segment.name, offset), offset + len(record))
        return info

    def _open_segment(self, channel: ChannelId, began_wall: float) -> Segment:
        segment = self._index.segment_for(channel, began_wall)
        if segment is not None and _size(self._folder / segment.name) == segment.size:
            return segment
        if segment is not None:  # another program has cleared the channel
            self._forget(segment.name)
        file_id = os.urandom(FILE_ID_BYTES)
        name = f"{self._prefix(channel)}-{file_id.hex()[:_TAG_HEX]}{SUFFIX}"
        codec = self._codecs[name] = SegmentCodec(self._key, file_id)
        _write(self._folder / name, codec.header, 0)
        segment = Segment(name, channel, len(codec.header), began_wall, began_wall, is_ours=True)
        self._index.add_segment(segment)
        return segment

    def _read_segment(self, name: str) -> Segment | None:
        """Read the list of a file; None where there is no such file any more."""
        try:
            with _reading(self._folder / name) as (read, size, changed_wall):
                scan = self._scanned(read, size)
        except FileNotFoundError:
            return None
        except OSError:
            scan, size, changed_wall = Scan(damaged=1), 0, self._clock()
        self.damaged += scan.damaged
        if not scan.found:
            return Segment(name, None, size, changed_wall, changed_wall)
        bursts = [StoredBurst(found.info, name, found.offset) for found in scan.found]
        walls = [stored.info.began_wall for stored in bursts]
        return Segment(name, bursts[0].info.channel, size, min(walls), max(walls), bursts=bursts)

    def _scanned(self, read: ReadAt, size: int) -> Scan:
        if size > MOST_FILE_BYTES:
            return Scan(damaged=1)
        try:
            return SegmentCodec.of_file(self._key, read(0, HEADER_BYTES)).scan(read, size)
        except TimelineError:
            return Scan(damaged=1)

    def _begin_time(self) -> None:
        """Begin with the time that was believed last, or with the oldest burst: a newer one may be dated ahead."""
        try:
            with _reading(self._folder / TIME_NAME) as (read, _, _):
                self._written = TimeSoFar.from_bytes(read(0, TIME_BYTES + 1), self._key)
        except OSError:
            self._written = None
        oldest_wall = self._index.oldest_wall
        if self._written is not None:
            self._time = self._going_on_from(self._written)
        elif oldest_wall is not None:
            self._time = self._going_on_from(TimeSoFar(oldest_wall))

    def _going_on_from(self, before: TimeSoFar) -> BelievedTime:
        return BelievedTime(before, self._clock(), self._uptime())

    def _write_time(self) -> None:
        """Leave to the next run what is known of the time, once it has changed by enough."""
        known, written = self._time.so_far, self._written
        changed_s = math.inf
        if written is not None:
            changed_s = max(abs(known.wall - written.wall), abs(known.doubted_s - written.doubted_s))
        if changed_s < TIME_EVERY_S or not len(self._index):
            return
        draft = self._folder / f"{TIME_NAME}.{os.urandom(8).hex()}"
        try:
            _write(draft, known.to_bytes(self._key), 0)
            os.replace(draft, self._folder / TIME_NAME)
        except OSError as error:
            logger.warning("the time could not be kept beside the bursts: %s", _in_words(error))
            with contextlib.suppress(OSError):
                draft.unlink()
        self._written = known

    def _now(self) -> float:
        return self._time.now(self._clock(), self._uptime())

    def _tidy(self) -> None:
        for name in self._index.surplus(self._now()):
            try:
                self._unlink(name)
            except OSError as error:
                logger.warning("old bursts could not be deleted: %s", _in_words(error))
        self._write_time()

    def _delete(self, is_meant: Callable[[str], bool]) -> None:
        failure: OSError | None = None
        with self._lock:
            try:
                names = [entry.name for entry in os.scandir(self._folder) if entry.name.endswith(SUFFIX)]
                for name in filter(is_meant, names):
                    try:
                        self._unlink(name)
                    except OSError as error:
                        failure = error
            except OSError as error:
                failure = error
        if failure is not None:
            raise TimelineError(f"Not all of these bursts could be deleted ({_in_words(failure)}).") from failure

    def _unlink(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._index.forget(name)
        self._codecs.pop(name, None)

    def _prefix(self, channel: ChannelId) -> str:
        return f"{self._tag(channel.mission)}-{self._tag(str(channel))}"

    def _tag(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()[:_TAG_HEX]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tuple[ReadAt, int, float]]:
    """Open a file to read parts of it; gives how, its size, and when it was changed."""
    with open(path, "rb") as file:

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        state = os.fstat(file.fileno())
        yield read, state.st_size, state.st_mtime


def _write(path: Path, data: bytes, offset: int) -> None:
    """Add to the end of a file, which is at `offset`, or make it where that is 0; on the disk when this returns."""
    flags = os.O_WRONLY | _BINARY | (os.O_CREAT | os.O_EXCL if offset == 0 else os.O_APPEND)
    descriptor = os.open(path, flags, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, offset)
        raise
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _in_words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
