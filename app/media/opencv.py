"""The one place that imports OpenCV: late, once, and without what its import leaves behind.

The wheel's import points Qt at OpenCV's own plug-ins by environment variables, which would break the window; they are
put back as they were.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
_lock = threading.Lock()


def load() -> Any:
    """Give the cv2 module, None where it is not installed or cannot be loaded. The first call takes a moment."""
    with _lock:
        if sys.platform == "win32":
            # Opening some cameras through Media Foundation takes up to twelve seconds otherwise.
            os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
        # Seconds that a read waits for a camera that hangs; ten otherwise.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
        # A picture file may claim any size; no camera's has more points.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(64 << 20))
        before = {name: os.environ.get(name) for name in _QT_VARIABLES}
        try:
            import cv2
        except (ImportError, OSError):
            return None
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        module: Any = cv2  # its stubs know neither all names nor all types
        module.utils.logging.setLogLevel(0)  # a camera that cannot be opened is told in our own words
        return module
