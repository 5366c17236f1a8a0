#!/usr/bin/env bash
# Installs dist/*.deb on this machine, uses it, and removes it again. Root, and a Debian or Ubuntu to spare.
#
#   packaging/try_deb.sh [PACKAGE.deb]
#
# Checked: every library the bundle links is there, the program starts, makes a call to its echo contact with files in
# place of devices, opens its window and dials a link (Xvfb has to be there), owns the links it should, and leaves
# nothing behind.
set -euo pipefail
cd "$(dirname "$0")/.."

package=${1:-$(find dist -maxdepth 1 -name '*.deb' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)}
[ -n "$package" ] || { echo "try_deb: no package in dist; make installer builds one" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "try_deb: installing packages takes root" >&2; exit 2; }
dpkg-query -W parley-desktop >/dev/null 2>&1 && { echo "try_deb: parley-desktop is installed already; remove it first" >&2; exit 2; }

folder=$(mktemp -d)
checked=0
failures=0
cleanup() {
  dpkg-query -W parley-desktop >/dev/null 2>&1 && dpkg --purge parley-desktop >/dev/null
  rm -rf "$folder"
}
trap cleanup EXIT

expect() { # what, command…
  local what=$1
  shift
  if "$@" >"$folder/log" 2>&1; then
    checked=$((checked + 1))
    echo "ok: $what"
  else
    failures=$((failures + 1))
    echo "failed: $what"
    tail -n 20 "$folder/log" | sed 's/^/    /'
  fi
}

links_nothing_missing() {
  local missing
  missing=$(find /usr/lib/parley -type f \( -name '*.so*' -o -name parley \) ! -name 'libqgtk3.so' -exec \
    env LD_LIBRARY_PATH=/usr/lib/parley/_internal ldd {} + 2>/dev/null |
    awk '/^\//{file=$1} /not found/{print file, $1}')
  [ -z "$missing" ] || { echo "$missing"; return 1; }
}

calls_echo() {
  cd "$folder"
  env -u DISPLAY -u WAYLAND_DISPLAY PATH=/usr/bin:/bin parley call echo --profile "$folder/profile" --for 4 \
    --audio-from tone:440 --audio-to "$folder/heard.wav" --video-from pattern --video-to null --json >"$folder/report"
  python3 - "$folder/report" <<'PYTHON'
import json, sys

report = json.loads(open(sys.argv[1], encoding="utf-8").read().splitlines()[-1])["report"]
states = [step["state"] for step in report["states"]]
assert "connected" in states, states
assert report["audio"]["level_dbfs"] > -60, report["audio"]
assert report["video"]["frames_decoded"] > 60, report["video"]
PYTHON
}

opens_its_window() {
  command -v xvfb-run >/dev/null || { echo "no xvfb-run here"; return 1; }
  local status=0
  # Still running after eight seconds is how an open window looks from here.
  timeout 8 xvfb-run -a parley --profile "$folder/window" || status=$?
  [ "$status" = 124 ]
}

dials_a_link() {
  local status=0
  timeout 8 xvfb-run -a parley window --profile "$folder/link" sip:nobody@127.0.0.1:9 || status=$?
  [ "$status" = 124 ] || return 1
  python3 - "$folder/link/parley.sqlite3" <<'PYTHON'
import sqlite3, sys

calls = sqlite3.connect(sys.argv[1]).execute("SELECT direction, remote_uri, sentence FROM history").fetchall()
print(calls)
assert [call[0] for call in calls] == ["outgoing"] and "nobody@127.0.0.1:9" in calls[0][1]
PYTHON
}

knows_missions() {
  grep -q 'x-scheme-handler/parley;application/x-parley-mission' /usr/share/applications/parley.desktop || return 1
  [ ! -e /usr/share/mime/globs2 ] || grep -F 'application/x-parley-mission:*.ice' /usr/share/mime/globs2
}

leaves_nothing() {
  local left=""
  while read -r path; do
    if [ -e "$path" ] && [ ! -d "$path" ]; then left="$left $path"; fi
  done <"$folder/files"
  [ -z "$left" ] && [ ! -e /usr/lib/parley ] || { echo "left: $left $(ls -d /usr/lib/parley 2>/dev/null)"; return 1; }
}

expect "$package installs" dpkg -i "$package"
dpkg -L parley-desktop >"$folder/files"
expect "every library it links is there" links_nothing_missing
expect "parley --version answers" env PATH=/usr/bin:/bin parley --version
expect "it calls its echo contact, hears and sees itself" calls_echo
expect "its window opens" opens_its_window
expect "a sip: link given to it dials" dials_a_link
expect "sip:, sips: and tel: links are its own" grep -q \
  'x-scheme-handler/sip;x-scheme-handler/sips;x-scheme-handler/tel' /usr/share/applications/parley.desktop
expect "missions and links that hold one are its own" knows_missions
expect "it is removed" dpkg --purge parley-desktop
expect "nothing of it is left" leaves_nothing
echo "$checked passed, $failures failed"
[ "$failures" = 0 ]
