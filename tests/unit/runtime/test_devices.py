"""Devices: what is listed, and what each wish means, with GPUs that this machine need not have."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from smartmem.errors import DeviceError
from smartmem.passes.target import known_targets
from smartmem.runtime import devices
from smartmem.runtime.devices import Device, family_of, list_devices, select
from smartmem.runtime.manifest import Manifest, TargetEntry, WeightsEntry

DUMP = """name: NVIDIA H200
path: GPU-aa
api: 1.4.303
type: discrete-gpu
driver: NVIDIA
driver_info: 580.65
queue_families: 2
  [0] count=16 flags=graphics|compute
"""


def vulkan(name: str, kind: str = "discrete-gpu") -> Device:
    dump = f"name: {name}\napi: 1.3.0\ntype: {kind}\ndriver: some\n"
    return devices._vulkan_device(f"GPU-{name}", name, dump)


NVIDIA = vulkan("NVIDIA H200")
ADRENO = vulkan("Adreno (TM) 740", "integrated-gpu")
OTHER = vulkan("PowerVR B-Series", "integrated-gpu")
SOFTWARE = vulkan("llvmpipe (LLVM 15.0.6, 256 bits)", "cpu")

IREE_TARGETS = {
    "cpu": "host",
    "llvmpipe": "llvmpipe",
    "nvidia": "ampere",
    "adreno": "adreno",
    "generic": "vp_android_baseline_2022",
}


def manifest(*names: str) -> Manifest:
    targets = {
        name: TargetEntry(
            name, "cpu" if name == "cpu" else "vulkan", IREE_TARGETS[name], "", "", "", "", {}
        )
        for name in names
    }
    tree = {"kind": "tuple", "items": []}
    weights = WeightsEntry("weights.irpa", "", 0, 0)
    return Manifest((), (), tree, tree, targets, weights, {}, {})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """This machine's Vulkan devices become those of the test."""
    monkeypatch.setattr(devices, "vulkan_devices", lambda: list(request.param))


def chosen(names: tuple[str, ...], wish: str) -> tuple[str, str]:
    device, entry = select(manifest(*names), wish)
    return device.name, entry.name


EVERY = tuple(IREE_TARGETS)


@pytest.mark.parametrize("machine", [[NVIDIA, SOFTWARE]], indirect=True)
@pytest.mark.usefixtures("machine")
def test_with_a_gpu() -> None:
    assert chosen(EVERY, "auto") == (NVIDIA.name, "nvidia")
    assert chosen(("cpu", "generic"), "auto") == (NVIDIA.name, "generic")
    assert chosen(("cpu", "llvmpipe", "adreno"), "auto") == ("cpu", "cpu")
    assert chosen(EVERY, "vulkan") == (NVIDIA.name, "nvidia")
    assert chosen(("cpu", "llvmpipe"), "vulkan") == (SOFTWARE.name, "llvmpipe")
    assert chosen(EVERY, "llvmpipe") == (SOFTWARE.name, "llvmpipe")
    assert chosen(EVERY, "adreno") == (NVIDIA.name, "adreno")
    assert chosen(EVERY, "h200") == (NVIDIA.name, "nvidia")
    assert chosen(EVERY, SOFTWARE.uri) == (SOFTWARE.name, "llvmpipe")
    assert chosen(EVERY, SOFTWARE.name) == (SOFTWARE.name, "llvmpipe")
    assert chosen(EVERY, "cpu") == ("cpu", "cpu")


@pytest.mark.parametrize("machine", [[SOFTWARE]], indirect=True)
@pytest.mark.usefixtures("machine")
def test_software_vulkan_only_when_asked_for() -> None:
    assert chosen(EVERY, "auto") == ("cpu", "cpu")
    assert chosen(EVERY, "vulkan") == (SOFTWARE.name, "llvmpipe")
    with pytest.raises(DeviceError, match="compiled for llvmpipe; none of these suits 'cpu'"):
        chosen(("llvmpipe",), "auto")
    with pytest.raises(DeviceError, match="--target llvmpipe"):
        chosen(("cpu", "adreno"), "vulkan")


@pytest.mark.parametrize("machine", [[]], indirect=True)
@pytest.mark.usefixtures("machine")
def test_without_vulkan() -> None:
    assert chosen(EVERY, "auto") == ("cpu", "cpu")
    for wish in ("vulkan", "llvmpipe", "vulkan://GPU-aa"):
        with pytest.raises(DeviceError, match="apt-get install libvulkan1 mesa-vulkan-drivers"):
            chosen(EVERY, wish)
    with pytest.raises(DeviceError, match="Did you mean 'vulkan'"):
        chosen(EVERY, "vulcan")


def test_uris_of_the_cpu() -> None:
    device, entry = select(manifest("cpu"), "local-sync")
    assert (device.uri, entry.name) == ("local-sync", "cpu")


@pytest.mark.parametrize(
    ("device", "kind", "target"),
    [
        (NVIDIA, "gpu", "nvidia"),
        (ADRENO, "gpu", "adreno"),
        (vulkan("Mali-G715", "integrated-gpu"), "gpu", "mali"),
        (vulkan("AMD Radeon RX 7900 (RADV NAVI31)"), "gpu", "generic"),
        (OTHER, "gpu", "generic"),
        (SOFTWARE, "software-vulkan", "llvmpipe"),
    ],
)
def test_families(device: Device, kind: str, target: str) -> None:
    assert (device.kind, device.target, family_of(device).target) == (kind, target, target)


def test_the_dump_is_read() -> None:
    device = devices._vulkan_device("GPU-aa", "NVIDIA H200 (580)", DUMP)
    assert device.uri == "vulkan://GPU-aa"
    assert (device.name, device.driver, device.api) == (
        "NVIDIA H200",
        "NVIDIA 580.65",
        "Vulkan 1.4.303",
    )


def test_families_agree_with_the_compilers_targets() -> None:
    """The runtime may not read passes/targets/: its table must say the same."""
    for name, target in known_targets().items():
        if target.kind == "cpu":
            continue
        family = next(row for row in reversed(devices.FAMILIES) if row.target == name)
        assert target.iree_target.startswith(family.iree_prefixes), name

    assert {row.target for row in devices.FAMILIES} <= set(known_targets())


def test_the_cpu_is_always_there() -> None:
    first = list_devices()[0]
    assert (first.name, first.kind, first.uri) == ("cpu", "cpu", "local-task")


@pytest.mark.vulkan
def test_vulkan_devices_of_this_machine() -> None:
    for device in list_devices()[1:]:
        assert device.uri.startswith("vulkan://GPU-")
        assert device.api.startswith("Vulkan 1.")


@pytest.mark.vulkan
@pytest.mark.native
def test_our_executor_finds_the_same_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = devices.vulkan_devices()
    monkeypatch.setattr(devices, "_rows_of_iree", list)
    found = devices.vulkan_devices()
    assert [(d.name, d.kind, d.uri, d.driver, d.api, d.target) for d in found] == [
        (d.name, d.kind, d.uri, d.driver, d.api, d.target) for d in wanted
    ]


def test_listing_survives_a_machine_without_drivers() -> None:
    code = (
        "import json; from smartmem.runtime.devices import list_devices;"
        "print(json.dumps([d.name for d in list_devices()]))"
    )
    environment = {**os.environ, "VK_DRIVER_FILES": "/nowhere", "VK_ICD_FILENAMES": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == ["cpu"]
