"""A current baresip (the library of the baresip-python wheel) as a phone of its own process: one call, one line a step.

    python -m tests.interop.newer_baresip call|listen USER PASSWORD PROXY TONE_HZ WAV TARGET PARAMETER…

What it hears goes to the WAV. It prints "registered", "established" and, when the far end has hung up, "closed".
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
    account = baresip.Account(
        user, proxy, password, audio_codecs=("opus/48000/2", "pcmu"), extra_params=params, reg_interval=60
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
    await call.wait_established()
    print("established", flush=True)
    await closed.wait()
    print("closed", flush=True)
    await runtime.close()


if __name__ == "__main__":
    Path(sys.argv[6]).parent.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(*sys.argv[1:]))
