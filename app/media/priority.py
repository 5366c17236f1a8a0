"""Lets a thread that moves sound run before the other work of the machine, where the system allows that.

Sound has 10 ms; a compiler or a browser can wait for so long and nobody hears of it. Where it is not allowed nothing
changes: usually so on Linux without a limit for it (`nice` in limits.conf, which PipeWire's package sets for a group).
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from app.media.denormals import flush_denormals

NICENESS = -11  # as sound servers run
_THREAD_PRIORITY_HIGHEST = 2  # winbase.h
_QOS_CLASS_USER_INTERACTIVE = 0x21  # sys/qos.h


def for_sound() -> None:
    """Make the calling thread one that moves sound."""
    before_others()
    flush_denormals()


def before_others() -> bool:
    """Raise the calling thread; gives whether it was allowed. Only this thread, never the process."""
    try:
        if sys.platform == "win32":
            kernel = ctypes.WinDLL("kernel32")
            kernel.GetCurrentThread.restype = ctypes.c_void_p
            kernel.SetThreadPriority.argtypes = [ctypes.c_void_p, ctypes.c_int]
            return bool(kernel.SetThreadPriority(kernel.GetCurrentThread(), _THREAD_PRIORITY_HIGHEST))
        if sys.platform == "darwin":
            set_class = ctypes.CDLL(None).pthread_set_qos_class_self_np
            set_class.argtypes = [ctypes.c_uint, ctypes.c_int]
            return bool(set_class(_QOS_CLASS_USER_INTERACTIVE, 0) == 0)
        thread = threading.get_native_id()  # Linux counts niceness by threads
        os.setpriority(os.PRIO_PROCESS, thread, min(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))
    except (OSError, AttributeError):
        return False
    return True
