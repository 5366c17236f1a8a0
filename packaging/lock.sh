#!/usr/bin/env bash
# `make lock`: requirements/*.txt from pyproject.toml, for every platform, with hashes and without naming an index.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
[ -n "$uv" ] || { [ -x .venv/bin/uv ] && uv=.venv/bin/uv; } || true
if [ -z "$uv" ]; then
  echo "make lock: uv resolves the requirements and is not here; install it first (pip install uv)" >&2
  exit 1
fi
compile() { # output, then what to compile
  local output=$1
  shift
  echo "make lock: writing requirements/$output"
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate pyproject.toml "$@" --output-file "requirements/$output" ${UPGRADE:+--upgrade}
}
compile run.txt
compile dev.txt --extra dev
compile package.txt --extra package --override packaging/bundle-overrides.txt
