"""What a model needs against what a device has, each by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartmem.deploy.phone import Phone
from smartmem.errors import DeviceError

# What CMakePresets.json builds for.
LEAST_SDK = 28
# Vulkan specification, appendix "Core Revisions": from then on a version is enough.
_CORE_SINCE = {"VK_KHR_timeline_semaphore": "1.2"}
_MACHINES = {"arm64-v8a": 183, "x86_64": 62}  # ELF's numbers
_ELF_MACHINE = slice(18, 20)


@dataclass(frozen=True)
class Check:
    """One need; ``has`` is what the device tells."""

    name: str
    needed: str
    has: str
    ok: bool


def require(serial: str, checks: Sequence[Check]) -> None:
    """DeviceError with a line for each need that is not met."""
    rows = [f"  {c.name}: needs {c.needed}, has {c.has}" for c in checks if not c.ok]
    if rows:
        raise DeviceError(
            f"{serial} cannot run this model:\n" + "\n".join(rows),
            hint="Compile it for a target that this device suits, such as generic.",
        )


def phone_checks(phone: Phone, *, vulkan: str, memory_bytes: int, disk_bytes: int) -> list[Check]:
    """What can be told before anything is pushed; bytes that are not told are not compared."""
    return [
        Check("Android API", str(LEAST_SDK), str(phone.sdk), phone.sdk >= LEAST_SDK),
        Check("ABI", " or ".join(_MACHINES), phone.abi, phone.abi in _MACHINES),
        Check("Vulkan", vulkan, phone.vulkan or "none", _reaches(phone.vulkan, vulkan)),
        _bytes("free memory", memory_bytes, phone.memory_bytes),
        _bytes("free disk", disk_bytes, phone.disk_bytes),
    ]


def program_check(phone: Phone, program: bytes) -> Check:
    """Whether the head of a program's file is of the device's processor."""
    wanted = _MACHINES.get(phone.abi, 0)
    is_elf = program[:4] == b"\x7fELF"
    found = int.from_bytes(program[_ELF_MACHINE], "little") if is_elf else 0
    names = {number: abi for abi, number in _MACHINES.items()}
    has = names.get(found, f"ELF machine {found}") if is_elf else "no ELF file"
    return Check("program", phone.abi, has, found == wanted)


def gpu_checks(offers: Mapping[str, Any], needs: Mapping[str, Any]) -> list[Check]:
    """The manifest's needs against what `smartmem-run --devices` says the GPU offers.

    A text is a version, a number the least, a list what must all be there: so a need that is not
    known here is not met, and named.
    """
    if "refused" in offers:
        return [Check("GPU", "our executor", offers["refused"], False)]
    return [_gpu_check(name, need, offers) for name, need in needs.items()]


def _gpu_check(name: str, need: Any, offers: Mapping[str, Any]) -> Check:
    title = name.replace("_", " ")
    if isinstance(need, str):
        has = str(offers.get(name, ""))
        return Check(title, need, has or "none", _reaches(has, need))
    if isinstance(need, int):
        number = int(offers.get(name, 0))
        return Check(title, str(need), str(number), number >= need)
    there = list(offers.get(name, ()))
    vulkan = str(offers.get("vulkan", ""))
    missing = [
        item
        for item in need
        if item not in there and not _reaches(vulkan, _CORE_SINCE.get(item, "9"))
    ]
    wanted = ", ".join(map(str, need)) or "nothing"
    has = f"not {', '.join(map(str, missing))}" if missing else "all of it"
    return Check(title, wanted, has, not missing)


def _bytes(name: str, needed: int, has: int) -> Check:
    mib = 1 << 20
    told = f"{has // mib} MiB" if has else "not told"
    return Check(name, f"{-(-needed // mib)} MiB", told, not has or has >= needed)


def _reaches(version: str, least: str) -> bool:
    return _parts(version) >= _parts(least)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
