"""A current baresip (the library of the baresip-python wheel) as a phone of its own process: one call, one line a step.

    python -m tests.interop.newer_baresip call|listen USER PASSWORD PROXY TONE_HZ WAV TARGET PARAMETER…

What it hears goes to the WAV. It prints "registered", "established", "digit N" for a key of the far end, and, when the
far end has hung up, "closed". The parameter `keys=rtpevent:12` or `keys=info:12` tells which keys it presses once it
hears one, and how.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import baresip


async def run(role: str, user: str, password: str, proxy: str, hz: str, wav: str, target: str, *params: str) -> None:
    runtime = baresip.Runtime(command_timeout=10.0)
    config = baresip.Config(
        net_interface=proxy.partition(":")[0],
        audio_source=f"ausine,{hz}",
        audio_player=f"aufile,{wav}",
        native_log_level="warning",
        extra_config_text="rtcp_mux yes\n",
    )
    await runtime.start(config)
    mode, _, keys = next((text[5:] for text in params if text.startswith("keys=")), "rtpevent:").partition(":")
    params = tuple(text for text in params if not text.startswith("keys="))
    codecs = ("opus/48000/2", "pcmu")
    account = baresip.Account(
        user, proxy, password, audio_codecs=codecs, extra_params=params, reg_interval=60, dtmf_mode=mode
    )
    agent = await baresip.UserAgent.create(runtime, account)
    incoming: asyncio.Queue[baresip.Call] = asyncio.Queue()
    agent.on_incoming(incoming.put_nowait)
    await agent.register()
    print("registered", flush=True)
    if role == "call":
        call = await agent.dial(target)
    else:
        call = await incoming.get()
        await call.answer()
    closed = asyncio.Event()
    call.on(lambda event: closed.set() if "CLOSED" in event.event.name else None)
    heard = asyncio.Event()

    def pressed(event: baresip.DigitEvent) -> None:
        print(f"digit {event.digit}", flush=True)
        heard.set()

    call.on_dtmf(pressed)
    await call.wait_established()
    print("established", flush=True)
    if keys:
        await heard.wait()
        await call.send_dtmf(keys)
    await closed.wait()
    print("closed", flush=True)
    await runtime.close()


if __name__ == "__main__":
    Path(sys.argv[6]).parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(*sys.argv[1:]))
