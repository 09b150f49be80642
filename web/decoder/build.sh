#!/usr/bin/env bash
# Makes calotype.wasm, which decodes, and encode.wasm from native/; needs em++ and wasm-opt (Debian: emscripten). The kernels (native/kernels.cpp)
# are compiled for speed, the rest for size.
#
#   web/decoder/build.sh [folder to write to, default web/decoder]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../native
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cxx=${EMXX:-em++}
flags="-std=c++20 -msimd128 -fwasm-exceptions -fno-rtti -fno-unroll-loops -DNDEBUG"
# What the page gives the module: em++ wants to see it.
echo 'mergeInto(LibraryManager.library, {calotype_done: function() {}});' >"$work/page.js"
$cxx $flags -O2 -c "$native/kernels.cpp" -o "$work/kernels.o"

# make MODULE SOURCE FUNCTION...
make() {
  local module=$1 source=$2 exported
  shift 2
  exported=$(printf ',"_%s"' "$@" calotype_error malloc free)
  $cxx $flags -Oz -DCALOTYPE_KERNELS_APART -c "$native/$source" -o "$work/part.o"
  $cxx $flags -O3 "$work/kernels.o" "$work/part.o" -o "$work/$module" --no-entry -sSTANDALONE_WASM \
    --js-library "$work/page.js" -sMALLOC=emmalloc -sALLOW_MEMORY_GROWTH -sMEMORY_GROWTH_GEOMETRIC_STEP=0.05 -sMAXIMUM_MEMORY=4GB \
    -sEXPORTED_FUNCTIONS="[${exported:1}]"
  # What was made for speed, in the fewest bytes: as fast, and 1 % smaller. The second pass finds half a kilobyte more, functions in the order of
  # their use three. Unrolled loops would be 11 kB more and 4 % faster, linking with -O2 as small and a fifth slower.
  "${WASM_OPT:-wasm-opt}" --enable-simd --enable-exception-handling --enable-bulk-memory --enable-sign-ext \
    --enable-mutable-globals --enable-nontrapping-float-to-int --reorder-functions -Oz -Oz "$work/$module" -o "$work/$module"
}
make calotype.wasm calotype.cpp calotype_open_pack_bytes calotype_close_pack calotype_open_file calotype_close_file \
  calotype_get_info calotype_metadata calotype_decode calotype_bits calotype_open_preview
make encode.wasm web.cpp calotype_open_encoder calotype_open_exposure calotype_close_exposure calotype_is_drawing calotype_is_graphic \
  calotype_analyse calotype_level_of calotype_begin calotype_code calotype_finish
cp "$work/calotype.wasm" "$work/encode.wasm" "${1:-$here}"
