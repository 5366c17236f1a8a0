#!/usr/bin/env bash
# `make run`: the window where there is a display, otherwise a call to the echo contact and its report.
set -euo pipefail
cd "$(dirname "$0")/.."

case "$(uname -s)" in
  Linux | *BSD) [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && has_display=yes || has_display="" ;;
  *) has_display=yes ;;
esac

if [ -n "$has_display" ]; then
  echo "make run: opening the window"
  exec .venv/bin/python -m app
fi
echo "make run: there is no display here, so this calls the echo contact without a window and prints the report"
exec .venv/bin/python -m app call echo --for 4 --audio-from tone:440 --audio-to null \
  --video-from pattern --video-to null --json
