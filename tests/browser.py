"""A headless Chromium with one page, told what to do over its DevTools pipe."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = "chromium"
LIMIT_S = 40.0  # for a step that takes moments on an idle machine
MAY_LISTEN = "--use-fake-ui-for-media-stream"  # to the microphone; who may is shown addresses, nobody else
SHOWS_ADDRESSES = "--disable-features=WebRtcHideLocalIpsWithMdns"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)


def missing() -> str | None:
    """Say what is to be installed; None where it is there."""
    return None if shutil.which(PROGRAM) else f"{PROGRAM} is not installed (apt-get install {PROGRAM})"


class Browser:
    """One browser; `run` calls a function of its page and waits for what it gives. Use as a context.

    `page` is its text, kept in a file: only a trusted page may open a microphone. `within` puts the command line into
    a namespace.
    """

    def __init__(
        self,
        folder: Path,
        page: str,
        *flags: str,
        within: Callable[..., Sequence[str]] = lambda *command: command,
        environment: dict[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True)
        file = folder / "page.html"
        file.write_text(page)
        self._page = file.as_uri()
        self._number, self._unread = 0, b""
        near_in, self._to = os.pipe()
        self._from, near_out = os.pipe()
        theirs_in, theirs_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in (near_in, near_out))
        command = [PROGRAM, *_FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", self._page]
        plumb = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'  # DevTools read from 3 and write to 4
        with (folder / "log.txt").open("w") as log:
            self._process = subprocess.Popen(
                within("bash", "-c", plumb, "bash", *command),
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**(environment or os.environ), "HOME": str(folder)},
            )
        for pipe in (near_in, near_out, theirs_in, theirs_out):
            os.close(pipe)
        self._log = folder / "log.txt"

    def __enter__(self) -> Browser:
        try:
            self._session = self._attach()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for pipe in (self._to, self._from):
            os.close(pipe)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def run(self, function: str, *arguments: object) -> Any:
        """Call a function of the page, and give what it gives; AssertionError with its words when it fails."""
        told = self._command(
            "Runtime.evaluate",
            session=self._session,
            expression=f"{function}({', '.join(map(json.dumps, arguments))})",
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in told, f"{function}: {told}"
        return told["result"].get("value")

    def _attach(self) -> str:
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            for target in self._command("Target.getTargets")["targetInfos"]:
                if target["type"] == "page" and target["url"] == self._page and target["title"]:
                    found = self._command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                    return str(found["sessionId"])
            time.sleep(0.1)
        raise AssertionError(f"Chromium shows no page:\n{self._story()}")

    def _command(self, method: str, *, session: str | None = None, **parameters: object) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LIMIT_S
        while True:
            told = self._read(deadline)
            if told.get("id") == self._number:
                assert "result" in told, f"{method}: {told}"
                return dict(told["result"])

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"Chromium is silent:\n{self._story()}"
            data = os.read(self._from, 65_536)
            assert data, f"Chromium ended:\n{self._story()}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(line))

    def _story(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
