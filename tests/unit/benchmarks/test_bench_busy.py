"""What a device computes per call, out of IREE's profile of several calls."""

import pytest

from smartmem.benchmarks.bench.busy import per_call_ms


def group(times_ns: list[int]) -> dict[str, object]:
    """A profile's row of a kernel that ran for so long each time."""
    return {
        "type": "dispatch_group",
        "count": len(times_ns),
        "total_ns": sum(times_ns),
        "max_ns": max(times_ns),
    }


def test_the_first_run_of_a_kernel_may_hold_its_compilation() -> None:
    twice_per_call, once_per_call = [9_000_000, *[1_000_000] * 5], [70_000_000, *[2_000_000] * 2]
    rows = [{"type": "dispatch_summary"}, group(twice_per_call), group(once_per_call)]
    assert per_call_ms(rows, calls=3) == pytest.approx(2 * 1.0 + 2.0)


def test_a_single_run_is_all_there_is() -> None:
    assert per_call_ms([group([5_000_000])], calls=1) == pytest.approx(5.0)
