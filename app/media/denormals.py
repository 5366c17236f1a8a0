"""Lets a thread that moves sound take numbers too small to be heard for nothing.

Filters that fall silent run through numbers below 1e-38, with which processors calculate up to a hundred times slower:
a muted microphone cost twice as much to encode as speech does. Only the calling thread is changed, and those that it
starts; where it cannot be done nothing changes but the speed.
"""

from __future__ import annotations

import ctypes
import platform
import sys

_MXCSR = 1 << 15 | 1 << 6  # of x86, FTZ and DAZ: results, and what is read (Intel SDM volume 1, 10.2.3)
_FPCR = 1 << 24  # of ARM, FZ: both (Arm ARM, D19.2)
# Where the register stands in what fegetenv gives: its size, its place, what is set in it.
_REGISTERS = {
    ("linux", "x86_64"): (4, 28, _MXCSR),
    ("linux", "aarch64"): (4, 0, _FPCR),
    ("darwin", "x86_64"): (4, 4, _MXCSR),
    ("darwin", "arm64"): (8, 8, _FPCR),
}
_STATE_BYTES = 64  # twice what any of them needs
_MCW_DN, _DN_FLUSH = 0x0300_0000, 0x0100_0000  # float.h of Windows


def flush_denormals() -> bool:
    """Flush denormal numbers to zero in the calling thread; gives whether that could be done."""
    try:
        if sys.platform == "win32":
            return bool(ctypes.CDLL("ucrtbase")._controlfp_s(None, _DN_FLUSH, _MCW_DN) == 0)
        register = _REGISTERS.get((sys.platform, platform.machine()))
        if register is None or sys.maxsize < 2**32:  # 32 bits on a kernel of 64
            return False
        size, at, bits = register
        library, state = ctypes.CDLL(None), bytearray(_STATE_BYTES)
        address = (ctypes.c_char * _STATE_BYTES).from_buffer(state)
        if library.fegetenv(address) != 0:
            return False
        word = int.from_bytes(state[at : at + size], sys.byteorder) | bits
        state[at : at + size] = word.to_bytes(size, sys.byteorder)
        return bool(library.fesetenv(address) == 0)
    except (OSError, AttributeError):
        return False
