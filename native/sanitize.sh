#!/usr/bin/env bash
# Run the entropy coder and the parser of latents under AddressSanitizer and UndefinedBehaviorSanitizer. Needs g++
# (or CXX) and, for the second part, the development environment (make setup). With clang++ it also fuzzes, guided by
# coverage, for FUZZ_SECONDS.
#
#   native/sanitize.sh [rounds of the built-in fuzzer, default 2000]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cxx=${CXX:-g++}
python=${PYTHON:-python}
flags="-std=c++20 -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"

echo "== native/fuzz.cpp, random and damaged streams ($cxx)"
$cxx $flags native/fuzz.cpp -o "$out/fuzz"
"$out/fuzz" "${1:-2000}"

if command -v clang++ >/dev/null; then
  echo "== native/fuzz.cpp under libFuzzer"
  clang++ ${flags/address,undefined/fuzzer,address,undefined} -DCALOTYPE_LIBFUZZER native/fuzz.cpp -o "$out/libfuzz"
  mkdir "$out/corpus"
  (cd "$out" && ./libfuzz -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -print_final_stats=1 corpus 2>&1 | tail -n 8)
fi

echo "== tests/coder with the module built under the sanitizers"
cmake -S . -B "$out/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$cxx" \
  -DPython_EXECUTABLE="$(command -v "$python")" -DCMAKE_CXX_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all" >/dev/null
cmake --build "$out/build" >/dev/null
cp -r src/calotype "$out/calotype"
cmake --install "$out/build" --prefix "$out" >/dev/null
# -S leaves an editable install's import hook out, so that the module just built is the one imported.
# Leak checking is off: CPython itself leaks at exit. Python is not instrumented, so the runtimes are preloaded.
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
preload="$($cxx -print-file-name=libasan.so):$($cxx -print-file-name=libubsan.so)"
ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$preload PYTHONPATH="$out:$site" \
  "$python" -S -m pytest -q -p no:cacheprovider tests/coder
