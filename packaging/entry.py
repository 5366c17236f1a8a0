"""Where the bundle starts; `parley` in a checkout starts at the same `main`."""

from __future__ import annotations

import sys

from app.__main__ import main

sys.exit(main())
