"""What a person hears of a call besides voices: the ring, ringback, busy, and that it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.calls.call import Call
from app.events import CallState, EndKind
from app.media import loading
from app.owned_tasks import OwnedTasks
from app.settings import Settings

if TYPE_CHECKING:
    from app.media.rings import RingPlayer

BUSY_PERIODS = 3
PROGRESS_VOLUME = 0.4  # of the ring's: what is heard at the ear is softer than what calls from another room


class CallSounds:
    """Plays them where the settings let a call be heard through a speaker; `ring` False keeps all of it silent."""

    def __init__(self, *, ring: bool) -> None:
        self._ring = ring
        self._rings: dict[str, RingPlayer] = {}
        self._last: RingPlayer | None = None
        self._tasks = OwnedTasks("call sounds")

    def changed(self, call: Call, settings: Settings) -> None:
        """Ring while it rings: an incoming call on the ring device, an outgoing one softly at the speaker."""
        wanted = call.state is CallState.RINGING and self._is_heard(settings)
        ring = self._rings.get(call.call_id)
        if wanted and ring is None:
            # Here, not above: they need NumPy, which no INVITE waits for. When a phone rings it is there (loading.py).
            from app.media import tones
            from app.media.rings import RingPlayer

            media = settings.media
            sound = tones.ringback() if call.is_caller else tones.ring()
            volume = settings.ring_volume * (PROGRESS_VOLUME if call.is_caller else 1.0)
            device = media.speaker if call.is_caller else media.ring_device or media.speaker
            ring = RingPlayer(volume, device, sound=sound)
            self._rings[call.call_id] = ring
            ring.start()
        elif not wanted and ring is not None:
            self._rings.pop(call.call_id).stop()

    def ended(self, call: Call, settings: Settings) -> None:
        """Let it be heard that a call is over, or that the other one is busy."""
        end = call.info.end
        is_busy = call.is_caller and end is not None and end.kind is EndKind.BUSY
        if self._is_heard(settings) and (is_busy or call.info.connected_at is not None):
            self._tasks.start(self._play_end(settings, is_busy=is_busy), "end of a call")

    async def close(self) -> None:
        await self._tasks.close()
        for ring in (*self._rings.values(), self._last):
            if ring is not None:
                ring.stop()

    async def _play_end(self, settings: Settings, *, is_busy: bool) -> None:
        await loading.loaded()
        import numpy as np

        from app.media import tones
        from app.media.rings import RingPlayer

        if self._last is not None:
            self._last.stop()
        sound = np.tile(tones.busy(), BUSY_PERIODS) if is_busy else tones.call_ended()
        volume = settings.ring_volume * PROGRESS_VOLUME
        self._last = RingPlayer(volume, settings.media.speaker, sound=sound, repeat=False)
        self._last.start()

    def _is_heard(self, settings: Settings) -> bool:
        return self._ring and settings.media.audio_to == "speaker"
