#!/usr/bin/env bash
# Puts an encoder of AVIF beside the viewer's page, which then offers AVIF of the same size: libavif as WebAssembly, from the npm
# package @jsquash/avif (Apache 2.0). 3.5 MB, read by the page when somebody first asks for AVIF. Needs npm, and nothing of it
# is run. `calotype view` needs none of this: it makes AVIF by Pillow.
#
#   web/avif.sh [folder of the page, default web]
set -euo pipefail
package=@jsquash/avif@2.1.1
known=b6c6204b63f9cb17aac7d6ee92b8a4aeba2403dccd49ffc9a93b778923049b5b
page=${1:-$(cd "$(dirname "$0")" && pwd)}
[ -f "$page/index.html" ] || { echo "$page: no page of the viewer is there" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$package" >name)
archive=$work/$(cat "$work/name")
sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi; }
[ "$(sha256 "$archive" | cut -d' ' -f1)" = "$known" ] || { echo "$package is not what it was: $known" >&2; exit 1; }
tar -xzf "$archive" -C "$work"
mkdir -p "$page/avif"
cp "$work"/package/codec/enc/avif_enc.{js,wasm} "$work"/package/LICENSE "$page/avif"
echo "$page/avif: avif_enc.js, avif_enc.wasm and their licence"
