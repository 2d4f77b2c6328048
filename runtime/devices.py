"""The devices of this machine, and which target of a bundle runs on which of them.

IREE's drivers are the source, and where IREE is missing our executor. Vulkan tells software devices
(type "cpu") from GPUs.
Software Vulkan is never chosen unless it is asked for.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from smartmem.errors import DeviceError
from smartmem.runtime import native_api
from smartmem.runtime.manifest import Manifest, TargetEntry
from smartmem.spelling import did_you_mean

DeviceKind = Literal["cpu", "gpu", "software-vulkan"]

CPU_URI = "local-task"

VULKAN_HINT = (
    "Install a Vulkan driver: on Debian `apt-get install libvulkan1 mesa-vulkan-drivers` gives "
    "the loader and a software device; GPUs need their vendor's driver."
)


@dataclass(frozen=True)
class Device:
    """One device: `uri` is what IREE opens, `target` the --target that suits it best."""

    name: str
    kind: DeviceKind
    uri: str
    driver: str
    api: str
    target: str
    details: dict[str, str]


@dataclass(frozen=True)
class Family:
    """GPUs that share a target: words in their device or driver name, and IREE's names for them."""

    target: str
    device_words: tuple[str, ...]
    iree_prefixes: tuple[str, ...]


# The one table from a Vulkan device's name to the target that suits it; the last row is any other.
# The targets are those of passes/targets/, which this room does not read: a test compares the two.
FAMILIES = (
    Family("llvmpipe", ("llvmpipe", "lavapipe", "swiftshader"), ("llvmpipe",)),
    Family("adreno", ("adreno", "turnip"), ("adreno",)),
    Family("mali", ("mali", "immortalis", "panfrost", "panvk"), ("mali", "valhall")),
    Family(
        "nvidia",
        ("nvidia", "geforce", "quadro", "tesla"),
        ("nvidia", "turing", "ampere", "ada", "sm_", "rtx", "a100"),
    ),
    Family("generic", ("radeon", "radv", "amd"), ("rdna", "gfx", "rx")),
    Family("generic", (), ("vp_android_baseline",)),
)
_OTHER = FAMILIES[-1]


def list_devices() -> list[Device]:
    """The CPU first, then GPUs, then software Vulkan; never fails for want of a Vulkan loader."""
    return [cpu_device(), *vulkan_devices()]


def cpu_device() -> Device:
    """This machine's processor through IREE's local-task driver."""
    return Device(
        name="cpu",
        kind="cpu",
        uri=CPU_URI,
        driver="local-task",
        api=platform.machine(),
        target="cpu",
        details={"cores": str(len(os.sched_getaffinity(0))), "processor": _processor()},
    )


def vulkan_devices() -> list[Device]:
    """Vulkan devices, GPUs before software ones; empty where there is no loader or no driver."""
    found = [_vulkan_device(*row) for row in _rows_of_iree() or _rows_of_ours()]
    return sorted(found, key=lambda device: device.kind == "software-vulkan")


def _rows_of_iree() -> list[tuple[str, str, str]]:
    """Path, name and text dump of each device that IREE finds; none where IREE is missing."""
    try:
        from iree.runtime import get_driver, query_available_drivers
    except ModuleNotFoundError:
        return []

    if "vulkan" not in query_available_drivers():
        return []
    try:
        # IREE's stubs leave out dump_device_info and the types of the rows.
        driver: Any = get_driver("vulkan")
        rows: list[dict[str, Any]] = driver.query_available_devices()
        dumps: list[str] = [driver.dump_device_info(row["device_id"]) for row in rows]
    except (RuntimeError, ValueError):
        # The loader is missing (ValueError) or finds no driver (RuntimeError): no devices.
        return []
    return [(row["path"], row["name"], dump) for row, dump in zip(rows, dumps, strict=True)]


def _rows_of_ours() -> list[tuple[str, str, str]]:
    """The same as our executor finds them, in the form of IREE's dump."""
    try:
        found = native_api.devices()
    except DeviceError:
        return []
    return [(f"GPU-{device.uuid.hex()}", device.name, _dump(device)) for device in found]


def _dump(device: native_api.NativeDevice) -> str:
    facts = {
        "name": device.name,
        "api": device.api,
        "type": device.kind,
        "driver": device.driver,
        "driver_info": device.driver_info,
        "device_uuid": device.uuid.hex(),
    }
    return "".join(f"{key}: {value}\n" for key, value in facts.items())


def vulkan_device() -> Device:
    """The Vulkan device at hand, a GPU where there is one; DeviceError where there is none."""
    return _demand_vulkan(vulkan_devices())[0]


def find(wish: str = "auto") -> Device:
    """The device that `wish` means before there is a bundle: "auto" is a real GPU, else the CPU.

    `wish` is also "cpu", "vulkan", a Vulkan device's name or its IREE device URI. Raises
    DeviceError where this machine has none such.
    """
    if wish == "cpu":
        return cpu_device()
    if wish == "vulkan":
        return vulkan_device()
    found = vulkan_devices()
    if wish == "auto":
        return next((device for device in found if device.kind == "gpu"), cpu_device())
    for device in found:
        if wish == device.uri or _names(wish, device):
            return device
    known = ["auto", "cpu", "vulkan", *(device.name for device in found)]
    raise DeviceError(
        f"unknown device {wish!r}.{_nearest(wish, known)}", hint=f"Known: {', '.join(known)}."
    )


def select(manifest: Manifest, wish: str = "auto") -> tuple[Device, TargetEntry]:
    """The device and the target of a bundle that `wish` means.

    `wish` is "auto", "cpu", "vulkan", a target's name, a Vulkan device's name or an IREE device
    URI. Raises DeviceError where nothing fits, telling what there is.
    """
    targets = list(manifest.targets.values())
    if wish == "auto":
        return _select_auto(targets)
    if wish == "cpu" or wish.split("://")[0] in ("local-task", "local-sync"):
        uri = CPU_URI if wish == "cpu" else wish
        return replace(cpu_device(), uri=uri), _target_for(cpu_device(), targets)
    if wish in manifest.targets:
        return _select_by_target(manifest.targets[wish])
    found = vulkan_devices()
    if wish == "vulkan":
        return _first_fitting(_demand_vulkan(found), targets)
    for device in found:
        if wish in (device.uri, device.name):
            return device, _target_for(device, targets)
    named = [device for device in found if _names(wish, device)]
    if named:
        return _first_fitting(named, targets)
    raise _unknown_device(wish, manifest, found)


def family_of(device: Device) -> Family:
    """The row of FAMILIES for a Vulkan device."""
    return _family_by_words(f"{device.name} {device.driver}")


def fits(entry: TargetEntry, device: Device) -> bool:
    """Whether code compiled for `entry` suits `device`."""
    if entry.kind == "cpu" or device.kind == "cpu":
        return entry.kind == "cpu" and device.kind == "cpu"
    family = family_of(device)
    return any(_is_for(entry.iree_target, prefixes) for prefixes in (family, _OTHER))


def _select_auto(targets: Sequence[TargetEntry]) -> tuple[Device, TargetEntry]:
    """A real GPU where a target suits one, else the CPU."""
    if any(entry.kind == "vulkan" for entry in targets):
        gpus = [device for device in vulkan_devices() if device.kind == "gpu"]
        for device in gpus:
            if fitting := [entry for entry in targets if fits(entry, device)]:
                return device, _best(fitting, device)
    return cpu_device(), _target_for(cpu_device(), targets)


def _select_by_target(entry: TargetEntry) -> tuple[Device, TargetEntry]:
    """The device for a target asked for by name: one it suits, else the first Vulkan device."""
    if entry.kind == "cpu":
        return cpu_device(), entry
    found = _demand_vulkan(vulkan_devices())
    return next((device for device in found if fits(entry, device)), found[0]), entry


def _first_fitting(
    devices: Sequence[Device], targets: Sequence[TargetEntry]
) -> tuple[Device, TargetEntry]:
    """The first device that a target suits; the error is about the first device."""
    for device in devices:
        if any(fits(entry, device) for entry in targets):
            return device, _target_for(device, targets)
    return devices[0], _target_for(devices[0], targets)


def _target_for(device: Device, targets: Sequence[TargetEntry]) -> TargetEntry:
    fitting = [entry for entry in targets if fits(entry, device)]
    if not fitting:
        names = ", ".join(entry.name for entry in targets) or "nothing"
        raise DeviceError(
            f"the model was compiled for {names}; none of these suits {device.name!r}",
            hint=f"Compile it with --target {device.target}, or choose one of these targets "
            "with --device.",
        )
    return _best(fitting, device)


def _best(fitting: Sequence[TargetEntry], device: Device) -> TargetEntry:
    """A target for the device's own family before a portable one, then by name."""
    own = family_of(device) if device.kind != "cpu" else _OTHER
    return min(fitting, key=lambda entry: (not _is_for(entry.iree_target, own), entry.name))


def _is_for(iree_target: str, family: Family) -> bool:
    return iree_target.startswith(family.iree_prefixes)


def _family_by_words(text: str) -> Family:
    lowered = text.lower()
    return next(
        (row for row in FAMILIES if any(word in lowered for word in row.device_words)), _OTHER
    )


def _demand_vulkan(found: Sequence[Device]) -> Sequence[Device]:
    if not found:
        raise DeviceError("no Vulkan device on this machine", hint=VULKAN_HINT)
    return found


def _unknown_device(wish: str, manifest: Manifest, found: Sequence[Device]) -> DeviceError:
    if wish.startswith("vulkan"):
        _demand_vulkan(found)
    known = ["auto", "cpu", "vulkan", *manifest.targets, *(device.name for device in found)]
    return DeviceError(
        f"unknown device {wish!r}.{_nearest(wish, known)}",
        hint=f"Known here: {', '.join(dict.fromkeys(known))}.",
    )


def _names(wish: str, device: Device) -> bool:
    """Whether `wish` is a part of the device's name; an empty text is no name."""
    return bool(wish) and wish.lower() in device.name.lower()


def _nearest(wish: str, known: Sequence[str]) -> str:
    """The nearest spelling; what other tools call a GPU is "vulkan" here, not "cpu"."""
    return did_you_mean("vulkan" if wish.lower() in ("gpu", "cuda") else wish, known)


def _vulkan_device(path: str, name: str, dump: str) -> Device:
    """Builds a device from a row of IREE's query and the head of its text dump."""
    details = _parse_details(dump)
    short = details.get("name", name)
    driver = " ".join(filter(None, (details.get("driver"), details.get("driver_info"))))
    software = details.get("type") == "cpu" or _family_by_words(name).target == "llvmpipe"
    return Device(
        name=short,
        kind="software-vulkan" if software else "gpu",
        uri=f"vulkan://{path}",
        driver=driver or "unknown",
        api=f"Vulkan {details.get('api', 'unknown')}",
        target=_family_by_words(f"{short} {driver}").target,
        details=details,
    )


def _parse_details(dump: str) -> dict[str, str]:
    """The `key: value` lines of the dump; indented lists (queues, heaps, extensions) are left."""
    pairs = (line.split(": ", 1) for line in dump.splitlines() if not line.startswith(" "))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _processor() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
