"""What an Android device is: asked in one line of shell, before anything is pushed to it."""

from __future__ import annotations

from dataclasses import dataclass

from smartmem.deploy.adb import Adb
from smartmem.errors import DeviceError

# Where programs may run that adb brings.
PLACE = "/data/local/tmp"

# Each value on a line of its own; what a device does not tell stays empty.
_QUESTIONS = {
    "model": "getprop ro.product.model",
    "abi": "getprop ro.product.cpu.abi",
    "sdk": "getprop ro.build.version.sdk",
    "release": "getprop ro.build.version.release",
    # Android's own statement of the device's Vulkan, packed as Vulkan packs it.
    "vulkan": "pm list features | sed -n 's/^feature:android.hardware.vulkan.version=//p'",
    "memory": "sed -n 's/^MemAvailable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo",
    "disk": f"df -k {PLACE} | tail -n 1",
    "page": "getconf PAGE_SIZE",
}
_DISK_AVAILABLE = 3


@dataclass(frozen=True)
class Phone:
    """``vulkan`` as "1.3", empty where there is none; free bytes; 0 for what is not told."""

    serial: str
    model: str
    abi: str
    android: str
    sdk: int
    vulkan: str
    memory_bytes: int
    disk_bytes: int
    page_bytes: int


def probe(adb: Adb) -> Phone:
    """Asks the device. Raises DeviceError where it does not answer as Android does."""
    lines = [f'echo "{key}=$({question} 2>/dev/null)";' for key, question in _QUESTIONS.items()]
    found = dict(
        line.split("=", 1) for line in adb.checked(" ".join(lines)).splitlines() if "=" in line
    )
    if not found.get("abi"):
        raise DeviceError(f"{adb.serial}: does not tell its ABI: is it an Android device?")
    disk = found.get("disk", "").split()
    return Phone(
        serial=adb.serial,
        model=found.get("model", "").strip() or "unknown",
        abi=found["abi"].strip(),
        android=found.get("release", "").strip(),
        sdk=_number(found.get("sdk", "")),
        vulkan=_version(_number(found.get("vulkan", ""))),
        memory_bytes=_number(found.get("memory", "")) << 10,
        disk_bytes=_number(disk[_DISK_AVAILABLE]) << 10 if len(disk) > _DISK_AVAILABLE else 0,
        page_bytes=_number(found.get("page", "")),
    )


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _version(packed: int) -> str:
    return f"{packed >> 22 & 0x7F}.{packed >> 12 & 0x3FF}" if packed else ""
