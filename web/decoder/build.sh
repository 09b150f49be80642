#!/usr/bin/env bash
# Makes calotype.wasm from native/; needs em++ (Debian: emscripten). The kernels are compiled for speed, the rest for size.
#
#   web/decoder/build.sh [where to, default web/decoder/calotype.wasm]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cxx=${EMXX:-em++}
flags="-std=c++20 -msimd128 -fwasm-exceptions"
names=(calotype_error calotype_open_pack_bytes calotype_close_pack calotype_open_file calotype_close_file
       calotype_get_info calotype_metadata calotype_decode malloc free)
exported=$(printf ',"_%s"' "${names[@]}")
$cxx $flags -O3 -c "$native/kernels.cpp" -o "$work/kernels.o"
$cxx $flags -Os -DCALOTYPE_KERNELS_APART -c "$native/calotype.cpp" -o "$work/calotype.o"
# What the page gives the module: em++ wants to see it.
echo 'mergeInto(LibraryManager.library, {calotype_done: function() {}});' >"$work/page.js"
$cxx $flags -O3 "$work/kernels.o" "$work/calotype.o" -o "$work/calotype.wasm" --no-entry -sSTANDALONE_WASM \
  --js-library "$work/page.js" \
  -sALLOW_MEMORY_GROWTH -sMEMORY_GROWTH_GEOMETRIC_STEP=0.05 -sMAXIMUM_MEMORY=4GB -sEXPORTED_FUNCTIONS="[${exported:1}]"
cp "$work/calotype.wasm" "${1:-$here/calotype.wasm}"
