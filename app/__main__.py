"""Where Parley starts: the window when nothing is asked for, otherwise one command of the command line."""

from __future__ import annotations

import os
import sys
import time
from typing import NoReturn

STARTED_AT = time.monotonic()  # before the slow imports: the command's own times count from here


def main(arguments: list[str] | None = None) -> int:
    """Run one command, or the window; gives the exit code of app.cli."""
    if (sys.argv[1:] if arguments is None else arguments) == ["--list-sound-devices"]:
        from app.media.device_watch import print_list  # Parley asks itself: see there

        print_list()
        return 0
    from app.cli.main import run

    return run(arguments, STARTED_AT)


def program() -> NoReturn:
    """The whole program, from its first line to the end of its process."""
    try:
        code = main()
    except KeyboardInterrupt:  # before a command was there to take it, or after
        code = 1
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process with all that was written and nothing torn down; 1 instead of 0 where it cannot be written.

    What has to be closed is closed by now, but threads may be left that nobody can end: one that reads the devices,
    or opens one, waits inside PortAudio for as long as a driver wants. Python would clear its modules under it,
    with sounddevice's the last hold on libportaudio; the library is unloaded, and the thread returns into nothing: a
    segmentation fault at the end of a run in which all went well.
    """
    import logging  # is there by now

    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # a program without a console has none
                stream.flush()
        except (OSError, ValueError):  # nobody reads it any more, or it is closed
            code = code or 1
    os._exit(code)


if __name__ == "__main__":
    program()
