#!/bin/sh
# Makes the icons that tauri.conf.json names from icon.svg, which is our own drawing.
# Needs Node; the Tauri command line comes from npm (@tauri-apps/cli 2.12.5).
set -eu
cd "$(dirname "$0")"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
npx --yes @tauri-apps/cli@2.12.5 icon icon.svg --output "$out"
for name in 32x32.png 128x128.png 128x128@2x.png icon.png icon.ico icon.icns; do
    cp "$out/$name" .
done
