#!/usr/bin/env bash
# Run the native code under AddressSanitizer and UndefinedBehaviorSanitizer: the coders, whole files and packs, the module
# of Python; files also under ThreadSanitizer. Needs g++ (or CXX) and, for the last part, the development environment
# (make setup). Files and packs are damaged for FUZZ_SECONDS; with clang++ coders, files and packs are also fuzzed for so
# long each, guided by coverage.
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

echo "== native/fuzz_files.cpp, damaged files and packs"
$cxx $flags native/fuzz_files.cpp -o "$out/fuzz_files" -pthread
"$python" -m zipfile -e tests/data/tiny/tiny.zip "$out/pack"
ASAN_OPTIONS=allocator_may_return_null=1 "$out/fuzz_files" "$out/pack" "${FUZZ_SECONDS:-60}" tests/data/tiny/*.calo

echo "== native/fuzz_encoder.cpp, damaged networks of an encoder"
$cxx $flags native/fuzz_encoder.cpp -o "$out/fuzz_encoder"
ASAN_OPTIONS=allocator_may_return_null=1 "$out/fuzz_encoder" "$out/pack/encoder.safetensors" "${FUZZ_SECONDS:-60}"

echo "== native/fuzz_exposure.cpp, whole pictures with an encoder's damaged packs, glances among them"
$cxx $flags -fsanitize=float-cast-overflow native/fuzz_exposure.cpp -o "$out/fuzz_exposure" -pthread
ASAN_OPTIONS=allocator_may_return_null=1 "$out/fuzz_exposure" "$out/pack" "${FUZZ_SECONDS:-60}"

if command -v clang++ >/dev/null; then
  echo "== native/fuzz_files.cpp under libFuzzer"
  clang++ ${flags/address,undefined/fuzzer,address,undefined} -DCALOTYPE_LIBFUZZER native/fuzz_files.cpp -o "$out/libfuzz" -pthread
  mkdir "$out/files" "$out/seeds"
  for file in tests/data/tiny/*.calo tests/data/hostile/*.calo; do
    { printf '\0\0\0\0\0'; cat "$file"; } >"$out/seeds/$(basename "$file")"  # file, whole, one thread
  done
  (cd "$out" && ASAN_OPTIONS=allocator_may_return_null=1 CALOTYPE_PACK="$out/pack" CALOTYPE_FILE="$OLDPWD/tests/data/tiny/odd.calo" \
    ./libfuzz -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=200 -print_final_stats=1 files seeds 2>&1 | tail -n 8)
fi

echo "== native/fuzz_files.cpp under ThreadSanitizer, 1 to 3 threads"
$cxx ${flags/address,undefined/thread} native/fuzz_files.cpp -o "$out/threads" -pthread
setarch -R "$out/threads" "$out/pack" "${FUZZ_SECONDS:-60}" tests/data/tiny/*.calo

echo "== native/fuzz_exposure.cpp under ThreadSanitizer, 1 and 2 threads"
$cxx ${flags/address,undefined/thread} native/fuzz_exposure.cpp -o "$out/partners" -pthread
setarch -R "$out/partners" "$out/pack" "${FUZZ_SECONDS:-60}"

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
