#!/usr/bin/env bash
# Makes .venv ready: Python 3.11, everything pyproject.toml pins, this project, software Vulkan;
# and builds our Vulkan executor.
# Cheap when there is nothing to do: a stamp holds what the environment was made from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Left-overs of the caller's environment must not reach the set-up or what it installs.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE VIRTUAL_ENV
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
export PYTHONSAFEPATH=1 PIP_DISABLE_PIP_VERSION_CHECK=1

readonly STAMP=.venv/.smartmem-stamp
APT_UPDATED=

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

# Installs Debian packages when root; tells what to install otherwise, and fails.
debian_install() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    say "please install: $* (on Debian: sudo apt-get install $*)"
    return 1
  fi
  say "installing $* from Debian"
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$APT_UPDATED" ]; then
    apt-get update -qq >&2 || { say "apt-get update failed; please install: $*"; return 1; }
    APT_UPDATED=yes
  fi
  apt-get install -y -qq --no-install-recommends "$@" >&2 ||
    { say "apt-get install failed; please install: $*"; return 1; }
}

has_vulkan_loader() {
  { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -F 'libvulkan.so.1' >/dev/null
}

has_vulkan_driver() {
  [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return
  compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null ||
    compgen -G '/usr/local/share/vulkan/icd.d/*.json' >/dev/null ||
    compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null
}

set_up_vulkan() {
  local missing=()
  has_vulkan_loader || missing+=(libvulkan1)
  has_vulkan_driver || missing+=(mesa-vulkan-drivers)
  [ "${#missing[@]}" -eq 0 ] && return
  debian_install "${missing[@]}" || say "going on without Vulkan; the CPU device works"
}

# Our Vulkan executor, where it can be built; IREE's runtime runs compiled models all the same.
build_native() {
  local missing=()
  command -v "${CXX:-g++}" >/dev/null || missing+=(g++)
  command -v cmake >/dev/null || missing+=(cmake make)
  [ -e /usr/include/vulkan/vulkan.h ] || missing+=(libvulkan-dev)
  if [ "${#missing[@]}" -gt 0 ]; then debian_install "${missing[@]}" || true; fi
  scripts/build_native.sh >&2 || say "going on without our Vulkan executor: IREE's runtime is used"
}

# What the tests of our executor and of deployment use; without it they are skipped, and fail under
# CI=true.
set_up_checkers() {
  local missing=()
  command -v spirv-val >/dev/null || missing+=(spirv-tools)
  [ -e /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json ] ||
    missing+=(vulkan-validationlayers)
  command -v adb >/dev/null || missing+=(adb)
  if [ "${#missing[@]}" -gt 0 ]; then debian_install "${missing[@]}" || true; fi
}

# Prints the first Python 3.11 that runs.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3 /usr/bin/python3.11 /usr/bin/python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  if .venv/bin/python -m pip --version >/dev/null 2>&1; then return; fi
  local python
  python=$(find_python) || {
    debian_install python3.11 python3.11-venv || true
    python=$(find_python)
  } || die "Python 3.11 was not found. Install it, or name it: make PYTHON=/path/to/python3.11"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || debian_install python3.11-venv ||
    die "$python lacks the venv module"
  say "making .venv with $python"
  rm -rf .venv
  "$python" -m venv .venv
}

install_packages() {
  local pip=(.venv/bin/python -m pip install --quiet --retries 5) stage
  for stage in first rest bare; do
    local options=() requirements
    [ "$stage" = bare ] && options=(--no-deps)
    mapfile -t requirements < <(.venv/bin/python scripts/requirements.py "$stage")
    [ "${#requirements[@]}" -gt 0 ] || die "pyproject.toml names nothing to install as '$stage'"
    say "installing ${requirements[*]}"
    "${pip[@]}" ${options[@]+"${options[@]}"} "${requirements[@]}"
  done
  "${pip[@]}" --no-deps --no-build-isolation --editable .
}

# The place counts too: an environment does not survive a move.
fingerprint() {
  { pwd; cat pyproject.toml scripts/setup.sh scripts/requirements.py; } | sha256sum
}

set_up_vulkan
build_native
set_up_checkers
if [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(fingerprint)" ]; then exit; fi
make_venv
rm -f "$STAMP"
install_packages
fingerprint >"$STAMP"
say "ready"
