"""A call between two baresip phones on machines of the lab: ICE, DTLS-SRTP, Opus, picked up after a moment's ring."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.interop.baresip import MODULES
from tests.lab.network import Host

_CONFIG = """module_path {modules}
sip_listen {address}:5060
audio_source ausine,440
audio_player aubridge,sink
audio_alert aubridge,alert
rtcp_mux yes
opus_stereo yes
module opus.so
module ausine.so
module aubridge.so
module stun.so
module ice.so
module dtls_srtp.so
module_app account.so
module_app menu.so
"""
_ACCOUNT = (
    "<sip:{user}@{address}>;regint=0;medianat=ice;mediaenc=dtls_srtp;audio_codecs=opus/48000/2;answermode={mode}\n"
)


def hold_call(caller: Host, callee: Host, folder: Path, seconds: float) -> None:
    """Let the callee pick up at once, and end both after some seconds."""
    phones = []
    try:
        phones.append(_start(callee, folder / "callee", "bob", "auto"))
        time.sleep(1.0)  # it says nothing when it listens
        phones.append(_start(caller, folder / "caller", "ada", "manual", "-e", f"d sip:bob@{callee.address}"))
        time.sleep(seconds)
    finally:
        for phone in phones:
            phone.kill()
            phone.wait(5)


def _start(host: Host, folder: Path, user: str, mode: str, *arguments: str) -> subprocess.Popen[str]:
    folder.mkdir(parents=True)
    (folder / "config").write_text(_CONFIG.format(modules=MODULES, address=host.address))
    (folder / "contacts").write_text("")
    (folder / "accounts").write_text(_ACCOUNT.format(user=user, address=host.address, mode=mode))
    with (folder / "log.txt").open("w") as log:
        return host.popen(
            *("baresip", "-4", "-v", "-f", str(folder), *arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
