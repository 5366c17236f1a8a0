"""Parley's engine: signalling, paths, media and everything else that needs no window."""

from __future__ import annotations

VERSION = "0.1.0"  # the same as in pyproject.toml
