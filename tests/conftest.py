"""What all tests share: Vulkan tests never vanish in silence, and a run without tests fails.

Where there is no Vulkan device, tests marked `vulkan` are skipped with a loud line at the end of
the run, and fail under CI=true.
"""

from __future__ import annotations

import os
from functools import cache

import pytest

NO_VULKAN = "no Vulkan device here: install libvulkan1 and mesa-vulkan-drivers"


@cache
def _has_vulkan() -> bool:
    from smartmem.runtime.devices import vulkan_devices

    return bool(vulkan_devices())


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("vulkan") is None or _has_vulkan():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(NO_VULKAN, pytrace=False)
    pytest.skip(NO_VULKAN)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report
        for report in terminalreporter.getreports("skipped")
        if NO_VULKAN in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("VULKAN NOT TESTED", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} Vulkan tests did not run: {NO_VULKAN}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A session of skips only is no success; workers of xdist leave the verdict to their master."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus != 0 or reporter is None or session.config.option.collectonly:
        return
    if not reporter.stats.get("passed"):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
