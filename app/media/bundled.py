"""Where the C libraries lie that come inside the av wheel: libopus, libvpx."""

from __future__ import annotations

import ctypes.util
import importlib.util
import sys
from pathlib import Path


def library_paths(name: str) -> list[str]:
    """Give where each platform's av wheel, a bundle, or the system keeps the library `name` ("opus"), best first."""
    folders: list[Path] = []
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        folders += [package.parent / "av.libs", package / ".dylibs"]
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is not None:
        folders += [Path(bundle), Path(bundle) / "av.libs", Path(bundle) / "av" / ".dylibs"]
    found = [str(path) for folder in folders if folder.is_dir() for path in sorted(folder.glob(f"*{name}*"))]
    system = ctypes.util.find_library(name)
    return [*found, system] if system else found
