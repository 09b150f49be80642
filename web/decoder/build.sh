#!/usr/bin/env bash
# Makes calotype.wasm from native/calotype.cpp; needs em++ (Debian: emscripten).
#
#   web/decoder/build.sh [where to, default web/decoder/calotype.wasm]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
names=(calotype_error calotype_open_pack_bytes calotype_close_pack calotype_open_file calotype_close_file
       calotype_get_info calotype_metadata calotype_decode malloc free)
exported=$(printf ',"_%s"' "${names[@]}")
"${EMXX:-em++}" -std=c++20 -O3 -msimd128 -fwasm-exceptions "$here/../../native/calotype.cpp" -o "${1:-$here/calotype.wasm}" \
  --no-entry -sSTANDALONE_WASM -sALLOW_MEMORY_GROWTH -sMAXIMUM_MEMORY=4GB -sEXPORTED_FUNCTIONS="[${exported:1}]"
