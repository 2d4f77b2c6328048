"""What all tests share: no test vanishes in silence, and a run without tests fails.

A test marked with a name of ``NEEDS`` is skipped where that is missing, with a loud line at the end
of the run, and fails under CI=true: there `make setup` installs and builds all of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest


class Need(NamedTuple):
    """What a marker stands for: whether it is here, and how to get it."""

    is_here: Callable[[], bool]
    remedy: str


def _has_vulkan() -> bool:
    from smartmem.runtime.devices import vulkan_devices

    return bool(vulkan_devices())


def _has_native() -> bool:
    from smartmem.runtime import native_api

    return native_api.is_available()


def _has_cxx() -> bool:
    return shutil.which("g++") is not None and Path("/usr/include/vulkan/vulkan.h").exists()


def _has_validation() -> bool:
    layers = Path("/usr/share/vulkan/explicit_layer.d")
    return any(layers.glob("VkLayer_khronos_validation*.json"))


def _has_arm64() -> bool:
    place = Path(__file__).resolve().parents[1] / "build" / "arm64"
    return shutil.which("qemu-aarch64-static") is not None and (place / "root").is_dir()


NEEDS = {
    "vulkan": Need(
        _has_vulkan, "no Vulkan device here: install libvulkan1 and mesa-vulkan-drivers"
    ),
    "native": Need(
        _has_native,
        "our executor is not built: install g++, cmake and libvulkan-dev, then `make setup`",
    ),
    "cxx": Need(_has_cxx, "no g++ or no Vulkan headers here: install g++ and libvulkan-dev"),
    "spirv_val": Need(
        lambda: shutil.which("spirv-val") is not None, "no spirv-val here: install spirv-tools"
    ),
    "validation": Need(
        _has_validation, "no Vulkan validation layers here: install vulkan-validationlayers"
    ),
    "adb": Need(lambda: shutil.which("adb") is not None, "no adb here: install adb"),
    "arm64": Need(_has_arm64, "no userland for aarch64 here: `make arm64` makes one, as root"),
}


@cache
def _missing(marker: str) -> str | None:
    """How to get what a marker needs, where it is not here."""
    need = NEEDS[marker]
    return None if need.is_here() else need.remedy


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in NEEDS:
        remedy = _missing(marker) if item.get_closest_marker(marker) else None
        if remedy is None:
            continue
        if os.environ.get("CI") == "true":
            pytest.fail(remedy, pytrace=False)
        pytest.skip(remedy)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for marker, need in NEEDS.items():
        count = sum(need.remedy in reason for reason in skipped)
        if count:
            title = f"{marker.upper()} NOT TESTED"
            terminalreporter.section(title, sep="!", red=True, bold=True)
            terminalreporter.line(f"{count} tests did not run: {need.remedy}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A session of skips only is no success; workers of xdist leave the verdict to their master."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus != 0 or reporter is None or session.config.option.collectonly:
        return
    if not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
