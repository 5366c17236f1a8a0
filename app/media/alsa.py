"""Keeps ALSA's library, which PortAudio uses on Linux, from writing to stderr."""

from __future__ import annotations

import ctypes
import logging
from functools import lru_cache

logger = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def quieten() -> object:
    """Move what ALSA's library writes to stderr about absent devices into the log; gives what must be kept alive."""
    handler_type = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)

    def handle(file: bytes, line: int, function: bytes, code: int, text: bytes) -> None:
        logger.debug(
            "ALSA %s: %s", (function or b"").decode("utf-8", "replace"), (text or b"").decode("utf-8", "replace")
        )

    handler = handler_type(handle)
    try:
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(handler)
    except (OSError, AttributeError) as error:
        logger.debug("ALSA's messages stay on stderr: %s", error)
    return handler
