#!/usr/bin/env bash
# Makes what Parley needs on this machine: system packages, .venv, and the pinned requirements in it.
#
#   packaging/setup.sh run       what `make run` needs
#   packaging/setup.sh test      that, the tools of the tests, and the peers they call
#   packaging/setup.sh package   what goes into the bundle and the tools that build it, in build/bundle-venv
#
# Nothing is asked of a package index when all of it is there already, so a second run costs well under a second.
# PYTHON=/path/to/python3.12 chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

goal=${1:-run}
venv=.venv
case "$goal" in
  run) lock=requirements/run.txt ;;
  test) lock=requirements/dev.txt ;;
  package)
    lock=requirements/package.txt
    venv=build/bundle-venv
    ;;
  *) echo "usage: packaging/setup.sh run|test|package" >&2; exit 2 ;;
esac

say() { printf 'make setup: %s\n' "$*"; }
fail() { printf 'make setup: %s\n' "$*" >&2; exit 1; }

# The xcb platform of Qt, PortAudio, and the libraries Qt opens at start.
run_packages="libportaudio2 libpulse0 libegl1 libgl1 libdbus-1-3 libfontconfig1 libglib2.0-0 libgssapi-krb5-2 libwayland-cursor0
  libwayland-egl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0
  libxcb-shape0 libxcb-xinerama0"
# Peers and servers to call, networks to break, and a screen, a sound card and a voice made of software.
test_packages="coturn nats-server kamailio kamailio-tls-modules kamailio-websocket-modules kamailio-utils-modules
  kamailio-outbound-modules baresip-core baresip-ffmpeg sip-tester nftables iproute2 tcpdump ethtool conntrack procps
  pulseaudio pulseaudio-utils libasound2-plugins alsa-utils dbus-daemon xvfb openbox xdotool imagemagick sox espeak-ng
  pocketsphinx-testdata tinyproxy"

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() { # prints the interpreter to use, nothing when there is none
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
}

missing_packages() { # prints the Debian packages that are wanted and not there
  local wanted=$run_packages installed package version
  [ "$goal" != test ] || wanted="$wanted $test_packages"
  # Since the 64-bit time_t change some libraries carry the suffix t64.
  # shellcheck disable=SC2046,SC2086 # lists of words
  installed=$(dpkg-query -W -f ' ${db:Status-Status}:${Package} ' $wanted $(printf '%st64 ' $wanted) 2>/dev/null || true)
  for package in $wanted; do
    case "$installed" in
      *" installed:$package "* | *" installed:${package}t64 "*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
  if [ -z "$python" ]; then
    printf 'python3.11 python3.11-venv '
    return
  fi
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  [ -x "$venv/bin/python" ] || "$python" -c 'import ensurepip, venv' 2>/dev/null || printf 'python%s-venv ' "$version"
  # pesq, which measures speech in the tests, is published as source only.
  if [ "$goal" = test ] && [ ! -d "$venv"/lib/python"$version"/site-packages/pesq ]; then
    command -v gcc >/dev/null 2>&1 || printf 'gcc libc6-dev '
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || printf 'python%s-dev ' "$version"
  fi
}

install_packages() { # installs what the arguments name, as root or through sudo; says so and goes on where it may not
  local sudo="" known="" package held_back=""
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
      sudo=sudo
    else
      say "these system packages are missing and only root may install them; going on without them."
      say "  apt-get install --no-install-recommends $*"
      return 0
    fi
  fi
  say "installing system packages: $*"
  $sudo apt-get update -q >/dev/null || say "apt-get update failed; going on with the package lists there are"
  for package in "$@"; do
    if apt-cache show "$package" >/dev/null 2>&1; then known="$known $package"; else held_back="$held_back $package"; fi
  done
  [ -z "$held_back" ] || say "this system does not offer:$held_back; going on without"
  [ -n "$known" ] || return 0
  # The tests start their own servers: those that come with a package must not run on this machine.
  local policy=/usr/sbin/policy-rc.d made_policy=""
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
    $sudo chmod 755 "$policy"
    made_policy=yes
  fi
  local done_well=yes
  # shellcheck disable=SC2086 # a list of words
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $known >build/apt.log 2>&1 ||
    done_well=""
  [ -z "$made_policy" ] || $sudo rm -f "$policy"
  if [ -z "$done_well" ]; then
    tail -n 15 build/apt.log >&2
    say "apt-get could not install all of it (build/apt.log); going on without"
  fi
}

make_venv() {
  if [ -x "$venv/bin/python" ] && new_enough "$venv/bin/python"; then return 0; fi
  say "creating $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv" || fail "could not create $venv: install the venv module of $python and run make setup again"
}

install_project() { # the checkout itself, importable from anywhere, with the command `parley`
  "$venv/bin/python" - <<'PYTHON'
import pathlib, sys, sysconfig

root = pathlib.Path.cwd()
pathlib.Path(sysconfig.get_path("purelib"), "parley_checkout.pth").write_text(f"{root}\n", encoding="utf-8")
command = root / ".venv" / "bin" / "parley"
command.write_text(
    f"#!{sys.prefix}/bin/python\nfrom app.__main__ import program\n\nprogram()\n", encoding="utf-8"
)
command.chmod(0o755)
PYTHON
}

stamp_of() { # what the environment must have been made from: the lock, the interpreter, and where the checkout stands
  { cat "requirements/$1.txt" packaging/setup.sh; "$venv/bin/python" --version; pwd; } | cksum
}

is_stamped() { [ -f "$venv/.parley-$1" ] && [ "$(cat "$venv/.parley-$1")" = "$(stamp_of "${2:-$1}")" ]; }

mkdir -p build
python=$(find_python)
if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
  missing=$(missing_packages)
  # What could not be had the last time is not asked for again at every start; `make clean` forgets it.
  if [ -n "$missing" ] && [ "$missing" = "$(cat "build/missing-$goal" 2>/dev/null)" ]; then
    say "still without: $missing"
  elif [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words
    install_packages $missing
    python=$(find_python)
    missing_packages >"build/missing-$goal"
  fi
elif [ "$(uname -s)" = Linux ] && [ ! -d "$venv" ]; then
  say "this is no Debian or Ubuntu: PortAudio and the libraries of Qt's xcb platform must be installed by hand"
fi
[ -n "$python" ] || fail "Parley needs Python 3.11 or newer; python3 here is $(python3 --version 2>&1 | cut -d' ' -f2).\
 Install a newer one, or name it: make setup PYTHON=/path/to/python3.12"

name=$(basename "$lock" .txt)
make_venv
if is_stamped "$name"; then exit 0; fi
# What the tests need holds everything that running needs.
if [ "$goal" = run ] && is_stamped dev; then exit 0; fi
say "installing $lock into $venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock" 2>build/pip.log || {
  grep -v '^WARNING' build/pip.log | tail -n 30 >&2
  fail "pip could not install $lock; its message stands above and in build/pip.log"
}
[ "$goal" = package ] || install_project  # a bundle is made of the checkout itself
stamp_of "$name" >"$venv/.parley-$name"
say "done"
