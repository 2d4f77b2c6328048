#!/usr/bin/env bash
# Builds the Vulkan executor, runtime/native/build/libsmartmem.so, where its sources are newer.
# Needs a C++17 compiler and Vulkan's headers; the library itself needs only glibc and, when it
# runs, a Vulkan loader: libstdc++ is linked in, and no symbol is exported but the C API.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../runtime/native"

readonly LIBRARY=build/libsmartmem.so
readonly FLAGS=(-std=c++17 -O2 -fPIC -fvisibility=hidden -Wall -Wextra
  -Wno-missing-field-initializers -ffunction-sections -fdata-sections -Iinclude)

if [ -f "$LIBRARY" ] && [ -z "$(find src include exports.map ../../scripts/build_native.sh -newer "$LIBRARY")" ]; then
  exit
fi
echo "setup: building our Vulkan executor"
compiler=${CXX:-g++}
mkdir -p build
objects=()
pids=()
for source in src/*.cpp; do
  object=build/$(basename "$source" .cpp).o
  objects+=("$object")
  "$compiler" "${FLAGS[@]}" -c "$source" -o "$object" &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid"; done
# Beside its place first: who has loaded the old library keeps it.
"$compiler" -shared -static-libstdc++ -static-libgcc -Wl,--version-script=exports.map \
  -Wl,--gc-sections -Wl,-z,defs \
  "${objects[@]}" -ldl -o "$LIBRARY.new"
mv "$LIBRARY.new" "$LIBRARY"
rm -f "${objects[@]}"
