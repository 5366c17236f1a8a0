#!/usr/bin/env bash
# `make installer`: a pruned PyInstaller folder, and from it dist/parley-desktop_VERSION_ARCH.deb.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/bundle-venv/bin

say() { printf 'make installer: %s\n' "$*"; }

version=$("$bin/python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
case "$(uname -m)" in
  x86_64) arch=amd64 ;;
  aarch64) arch=arm64 ;;
  *) arch=$(uname -m) ;;
esac

say "building the folder with PyInstaller (half a minute)"
rm -rf build/bundle build/icons
"$bin/pyinstaller" --noconfirm --log-level ERROR --distpath build/bundle --workpath build/pyinstaller \
  packaging/parley.spec >build/pyinstaller.log 2>&1 || {
  tail -n 30 build/pyinstaller.log >&2
  say "PyInstaller failed; build/pyinstaller.log has all of it" >&2
  exit 1
}
if [ "$(uname -s)" != Linux ]; then
  say "build/bundle/parley is ready; packages are built on Linux for now"
  exit 0
fi

glibc=$("$bin/python" packaging/finish_bundle.py build/bundle/parley)
say "the folder is $(du -sm build/bundle/parley | cut -f1) MB and needs glibc $glibc"
build/bundle/parley/parley --version

"$bin/python" packaging/draw_icons.py resources/icons/parley.svg build/icons
{ cat NOTICE; printf '\n\n%s\n\n' "The Apache License, Version 2.0, under which the source of Parley stands:"; cat LICENSE; } >build/copyright
gzip -9nc CHANGELOG.md >build/changelog.gz

mkdir -p dist
package=dist/parley-desktop_${version}_${arch}.deb
PARLEY_ARCH=$arch PARLEY_VERSION=$version PARLEY_GLIBC=$glibc \
  "$bin/nfpm" package --config packaging/nfpm.yaml --packager deb --target "$package" >build/nfpm.log 2>&1 || {
  cat build/nfpm.log >&2
  exit 1
}
say "$package, $(du -m "$package" | cut -f1) MB"
