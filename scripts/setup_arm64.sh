#!/usr/bin/env bash
# Makes build/arm64 ready, where programs for aarch64 run under emulation: a userland with a
# software Vulkan driver, IREE's own programs from its wheel, and our cross-built smartmem-run.
# On Debian, as root; cheap when there is nothing to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PLACE=build/arm64
readonly DRIVER=$PLACE/root/usr/share/vulkan/icd.d/lvp_icd.aarch64.json
readonly PACKAGES=(g++-aarch64-linux-gnu mmdebstrap qemu-user-static)

say() { echo "arm64: $*" >&2; }

install_tools() {
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' ||
      missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] && return
  say "installing ${missing[*]} from Debian"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# The files of packages only: nothing of them is run while they are unpacked.
make_userland() {
  [ -f "$DRIVER" ] && return
  say "making a userland of mesa-vulkan-drivers for arm64"
  rm -rf "$PLACE/root" "$PLACE/root.part"
  mmdebstrap --quiet --architectures=arm64 --variant=extract \
    --include=mesa-vulkan-drivers,libvulkan1 bookworm "$PLACE/root.part" >&2
  mv "$PLACE/root.part" "$PLACE/root"
}

# The version that this environment has for its own processor.
get_iree() {
  local version wheel
  version=$(.venv/bin/python -c 'from importlib.metadata import version
print(version("iree-base-runtime"))')
  [ -d "$PLACE/iree-$version" ] && return
  say "getting iree-base-runtime $version for aarch64"
  rm -rf "$PLACE"/iree-* "$PLACE/wheel"
  .venv/bin/python -m pip download --quiet --no-deps --only-binary=:all: --python-version 311 \
    --platform manylinux_2_28_aarch64 --dest "$PLACE/wheel" "iree-base-runtime==$version"
  wheel=$(echo "$PLACE"/wheel/*.whl)
  .venv/bin/python -m zipfile -e "$wheel" "$PLACE/wheel/content"
  chmod +x "$PLACE"/wheel/content/iree/_runtime_libs/iree-*
  mv "$PLACE/wheel/content/iree/_runtime_libs" "$PLACE/iree-$version"
  rm -rf "$PLACE/wheel"
}

build_runner() {
  cd runtime/native
  unset MAKEFLAGS MAKELEVEL MFLAGS
  cmake --preset linux-aarch64 >/dev/null
  cmake --build --preset linux-aarch64 --parallel 2 >/dev/null
}

mkdir -p "$PLACE"
install_tools
make_userland
get_iree
build_runner
say "ready"
