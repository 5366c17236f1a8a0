#!/usr/bin/env bash
# The tests and checks behind `make test`, `make check`, `make bench`, `make interop`, `make lab` and `make fuzz`.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
export PYTHONDONTWRITEBYTECODE=1
ulimit -f $((2 * 1024 * 1024)) # 2 GiB a file: nothing that goes round in a circle may fill the disk
failed=()
closing=()

run() { # title, command…: runs it, remembers a failure and goes on, so that one run tells of everything
  local title=$1
  shift
  printf '\n== %s\n' "$title"
  "$@" || failed+=("$title")
}

run_pytest() { # title, arguments…: the same, and keeps pytest's closing line for the end
  local title=$1 log=build/pytest.log status
  shift
  printf '\n== %s\n' "$title"
  "$bin/pytest" "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  closing+=("$title: $(grep -E '^(=+ )?([0-9]+ [a-z]+,? ?)+.* in [0-9.]+s' "$log" | tail -n 1)")
  # 5: nothing here is marked for what was asked, which is no failure of the apart tests' short forms.
  [ "$status" -eq 0 ] || { [ "$status" -eq 5 ] && [[ " $* " == *" -m short "* ]]; } || failed+=("$title")
}

has_tests() { find "$@" -name 'test_*.py' -print -quit 2>/dev/null | grep -q .; }

check() {
  run "ruff check" "$bin/ruff" check .
  run "ruff format" "$bin/ruff" format --check .
  run "mypy strict on app" "$bin/mypy"
  run "import rules" "$bin/lint-imports" --no-logo
}

# What stands on packets and a clock of its own, or waits for a network, runs on both cores; what plays, films or paints
# has the machine to itself. Three at a time: calls wait more than they work.
side_by_side=(tests/sip tests/ice tests/home tests/people tests/diagnosis tests/calls tests/channels tests/engine tests/satellites)

unit() { # arguments…: with any, pytest chooses; without, everything in two parts
  if [ $# -gt 0 ]; then
    run_pytest "unit and window tests" "$@"
    return
  fi
  run_pytest "protocols, calls and stores" -n 3 --dist loadfile "${side_by_side[@]}"
  run_pytest "media, commands and window" "${side_by_side[@]/#/--ignore=}"
}

apart() { # directory under tests, title, arguments…
  local directory=tests/$1 title=$2
  shift 2
  has_tests "$directory" || { printf '\n== %s: nothing there yet\n' "$title"; return; }
  run_pytest "$title" "$directory" "$@"
}

goal=${1:-all}
shift || true
mkdir -p build
case "$goal" in
  all)
    echo "make test: unit and window tests, make check, then the short interop, lab, fuzz and bench"
    export HYPOTHESIS_PROFILE=short
    unit "$@"
    check
    apart fuzz "fuzz, short form" --timeout 120
    apart interop "interop, short form" -m short --timeout 180
    apart lab "lab, short form" -m short --timeout 180
    apart bench "bench, short form" -m short --timeout 180
    ;;
  unit)
    echo "make test: unit and window tests only"
    unit "$@"
    ;;
  check)
    echo "make check: ruff, ruff format, mypy strict on app, import-linter"
    check
    ;;
  fuzz)
    echo "make fuzz: random and malformed input, long form; FUZZ_INPUTS=10000000 sets how many damaged inputs"
    export HYPOTHESIS_PROFILE=long
    apart fuzz fuzz --timeout 1800 "$@"
    ;;
  interop)
    echo "make interop: calls with baresip, sipp, kamailio and coturn, and with Chromium where it is installed"
    apart interop interop --timeout 600 "$@"
    ;;
  lab)
    echo "make lab: calls through NATs and bad wires in network namespaces"
    apart lab lab --timeout 600 "$@"
    ;;
  bench)
    echo "make bench: calls beside other phones, set-up, CPU, start-up; the table is kept in build/bench.json (docs/bench.md)"
    command -v chromium >/dev/null ||
      echo "make bench: without Chromium beside it; apt-get install --no-install-recommends chromium adds it (300 MB)"
    apart bench bench -s --timeout 900 "$@"
    ;;
  *)
    echo "usage: packaging/test.sh all|unit|check|fuzz|interop|lab|bench [pytest arguments]" >&2
    exit 2
    ;;
esac

printf '\n'
[ ${#closing[@]} -eq 0 ] || printf '%s\n' "${closing[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "$goal: everything passed"
