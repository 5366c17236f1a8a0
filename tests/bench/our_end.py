"""One end of a call on Parley's own path and media, for the processor it costs: python -m tests.bench.our_end ….

Everything below the signalling as a call has it: ICE, DTLS-SRTP, Opus, VP8, worker threads, the engine's loop. What an
end would say in SDP goes out as a line of JSON, and what the other one says comes in as one.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from typing import Any

from app.engine.thread import new_loop
from app.ice.candidates import Candidate, IceDescription
from app.ice.config import IceConfig
from app.ice.session import IceSession
from app.media.certificate import Certificate
from app.media.codecs import OPUS, VP8
from app.media.plan import SecurityPlan, StreamPlan
from app.media.session import MediaSession
from app.settings import MediaSettings
from tests.bench.ends import Asked, measure, read_line, say
from tests.bench.pictures import FPS, PremadeDevices


class _Path:
    def __init__(self, ice: IceSession) -> None:
        self._ice = ice

    def send(self, data: bytes) -> None:
        self._ice.send("0", data)


async def run(asked: Asked) -> None:
    certificate = Certificate.generate()
    ice = IceSession(IceConfig(), asked.calls, ["0"], on_event=lambda event: None)
    settings = MediaSettings(width=asked.width, height=asked.height, fps=FPS)
    media = MediaSession(settings, certificate, devices=PremadeDevices(asked.width, asked.height))
    media.open_transport("0", _Path(ice))
    ice.on_datagram = media.receive
    await ice.gather()
    local = ice.local("0")
    say(
        {
            "ice": [local.ufrag, local.pwd, [str(candidate) for candidate in local.candidates]],
            "fingerprint": certificate.fingerprint,
        }
    )
    theirs = await read_line()
    ufrag, pwd, candidates = theirs["ice"]
    ice.set_remote("0", IceDescription(ufrag, pwd, tuple(map(Candidate.parse, candidates))))
    ice.start_checks()
    await ice.wait_connected()
    role = "server" if asked.calls else "client"
    await media.secure("0", SecurityPlan("dtls", role, (tuple(theirs["fingerprint"]),)))
    media.configure(
        [
            replace(plan, mid_extension_id=1, transport_cc_id=2, transport_cc=True)
            for plan in (
                StreamPlan("audio", "audio", "0", True, True, (OPUS,), mid="0"),
                StreamPlan("video", "video", "0", True, True, (VP8,), nack=True, pli=True, mid="1"),
            )
        ]
    )
    media.start_sending()

    def count() -> dict[str, Any]:
        audio, video, _ = media.stats()
        assert audio is not None
        assert video is not None
        sent, received = video.frames_sent, video.frames_decoded
        return {"sent": sent, "received": received, "audio": audio.packets_received, "bps": video.bitrate_bps}

    await measure(asked, count)
    await media.close()
    await ice.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run(Asked.parse(sys.argv[1:])))
