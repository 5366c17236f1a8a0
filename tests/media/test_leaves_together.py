"""What leaves at one moment costs both ends one wake-up: feedback goes with the sound, on a virtual clock."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

from app.media import audio_stream, loading
from app.media.audio_choice import AudioChoice
from app.media.certificate import Certificate
from app.media.default_devices import SettingsDevices
from app.media.levels import LevelMeter
from app.media.plan import SecurityPlan
from app.media.session import MediaSession
from app.settings import MediaSettings
from tests import virtual_time
from tests.media.lossy_call import _NoThread
from tests.media.wire import Path, audio

FRAME_S = 0.020
SECONDS = 5.0


class _Speaker:
    """Sends a packet of sound every 20 ms by the loop's clock."""

    def __init__(self, source: object, sending: Any) -> None:
        self.source, self._sending, self._frames = source, sending, 0
        self.muted, self.mix_in, self.on_frame = False, None, None
        self.choice, self.meter = AudioChoice(), LevelMeter()
        self.worker = cast("Any", _NoThread(self._begin))

    def use(self, sending: Any) -> None:
        self._sending = sending

    def _begin(self) -> None:
        self._send(asyncio.get_running_loop().time())

    def _send(self, at: float) -> None:
        sending, loop = self._sending, asyncio.get_running_loop()
        media_time, self._frames = self._frames * 960, self._frames + 1
        packet = sending.sender.packet(sending.codec.payload_type, False, media_time, bytes(160), loop.time())
        sending.outbox.put([packet])
        loop.call_at(at + FRAME_S, self._send, at + FRAME_S)


class _TimedPath(Path):
    """Notes when what left: whether it is RTCP, and the time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.left: list[tuple[bool, float]] = []

    def send(self, data: bytes) -> None:
        self.left.append((192 <= data[1] <= 223, asyncio.get_running_loop().time()))
        super().send(data)


async def _talk() -> list[tuple[bool, float]]:
    settings = MediaSettings(audio_from="silence", audio_to="null")
    sessions = [MediaSession(settings, Certificate.generate(), devices=SettingsDevices()) for _ in range(2)]
    paths = [_TimedPath(delay_s=0.0073) for _ in range(2)]
    for here, far, path in zip(sessions, sessions[::-1], paths, strict=True):
        path.to = lambda data, far=far: far.receive("0", data)
        here.open_transport("0", path)
    try:
        for session in sessions:
            await session.secure("0", SecurityPlan("none"))
            session.configure([replace(audio(), mid_extension_id=1, transport_cc_id=2, transport_cc=True)])
            session.start_sending()
            await asyncio.sleep(0.0117)
        await asyncio.sleep(SECONDS)
        return paths[0].left
    finally:
        await asyncio.gather(*(session.close() for session in sessions))


def test_feedback_leaves_with_sound() -> None:
    loading.load()
    with patch.object(audio_stream, "AudioSendWorker", _Speaker):
        left = virtual_time.run(_talk(), 1)
    sound = [at for is_rtcp, at in left if not is_rtcp]
    told = [at for is_rtcp, at in left if is_rtcp]
    assert len(told) > SECONDS * 3
    alone = [at for at in told if min(abs(at - each) for each in sound) > 0.0001]
    assert len(alone) < 0.2 * len(told)
