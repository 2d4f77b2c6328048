#!/usr/bin/env bash
# Builds the Vulkan executor and smartmem-run in runtime/native/build, where sources are newer.
# Needs CMake, a C++17 compiler and Vulkan's headers: runtime/native/CMakeLists.txt says the rest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../runtime/native"

# What another make asks of itself is not for this one.
unset MAKEFLAGS MAKELEVEL MFLAGS
readonly CACHE=build/CMakeCache.txt

# A folder that was moved is no build of this one.
if [ -f "$CACHE" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$CACHE"; then rm -rf build; fi
if [ ! -f "$CACHE" ]; then
  echo "setup: building our Vulkan executor"
  cmake --preset host >/dev/null
fi
cmake --build --preset host --parallel 2 >/dev/null
