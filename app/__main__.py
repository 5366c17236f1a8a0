"""Where Parley starts: the window when nothing is asked for, otherwise one command of the command line."""

from __future__ import annotations

import time

STARTED_AT = time.monotonic()  # before the slow imports: the command's own times count from here


def main(arguments: list[str] | None = None) -> int:
    """Run one command, or the window; gives the exit code of app.cli."""
    from app.cli.main import run

    return run(arguments, STARTED_AT)


if __name__ == "__main__":
    raise SystemExit(main())
