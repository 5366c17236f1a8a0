"""Where Parley starts: the window when nothing is asked for, otherwise one command of the command line."""

from __future__ import annotations

import sys
import time

STARTED_AT = time.monotonic()  # before the slow imports: the command's own times count from here


def main(arguments: list[str] | None = None) -> int:
    """Run one command, or the window; gives the exit code of app.cli."""
    if (sys.argv[1:] if arguments is None else arguments) == ["--list-sound-devices"]:
        from app.media.device_watch import print_list  # Parley asks itself: see there

        print_list()
        return 0
    from app.cli.main import run

    return run(arguments, STARTED_AT)


if __name__ == "__main__":
    raise SystemExit(main())
