"""Where the bundle starts; `parley` in a checkout starts at the same `program`."""

from __future__ import annotations

from app.__main__ import program

program()
