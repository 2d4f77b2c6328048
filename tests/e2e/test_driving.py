"""The driving set of the suite in one pool: what the admission test accepts is in time."""

from typing import Any

import pytest

from smartmem.benchmarks import driving
from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.pool import Pool, Schedule
from smartmem.runtime.session import load

# So that another program which takes the processor for a while does not make runs late.
MARGIN = 8.0

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    made: dict[str, Bundle] = {}
    for name in driving.MODELS:
        path = tmp_path_factory.mktemp(name) / f"{name}.smartmem"
        model, inputs = suite.build(f"driving-{name}/tiny")
        compile_model(model, inputs, targets=("cpu",), out=path)
        made[name] = Bundle.open(path)
    return made


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_what_is_admitted_is_in_time_and_right(bundles: dict[str, Bundle], share: float) -> None:
    """With all weights in memory, and in turn; the planner gets of the pool what it would alone."""
    whole = sum(bundle.manifest.weights.bytes for bundle in bundles.values())
    feeds = driving.feeds(bundles)
    seen: list[bytes] = []

    def planning(outputs: Any) -> Any:
        args, kwargs = feeds[driving.PLANNING](outputs)
        seen.append(b"".join(array.tobytes() for array in args))
        return args, kwargs

    with Pool(round(share * whole), "cpu") as pool:
        for name, bundle in bundles.items():
            pool.add(name, bundle.path)
        planned = {**feeds, driving.PLANNING: planning}
        found = Schedule(pool, driving.tasks(3600.0), planned).admit(MARGIN)
        busy_s = sum(verdict.time_s for verdict in found.verdicts)
        times_s = {verdict.model: verdict.time_s for verdict in found.verdicts}
        schedule = Schedule(pool, driving.tasks(busy_s / 0.9), planned)
        assert schedule.takes_turns == (share < 1)
        admission = schedule.admit_times(times_s)
        assert admission.ok and max(admission.utilisation.values()) == pytest.approx(0.9)
        report = schedule.run(max(2.0, 6 * busy_s))
        assert report.ok, report
        assert max(event.held_bytes for event in pool.timeline) <= round(share * whole)
        refused = Schedule(pool, driving.tasks(busy_s / 1.1), planned).admit_times(times_s)
        assert not refused.ok and "110% of the time" in (refused.refusal or "")
    alone: dict[str, Any] = {}
    for name in driving.MODELS:
        args, kwargs = feeds[name](alone)
        alone[name] = load(bundles[name].path, "cpu")(*args, **kwargs)
    # The images stay the same, so every plan was made of the same scene: bit by bit this one.
    assert set(seen) == {b"".join(a.tobytes() for a in feeds[driving.PLANNING](alone)[0])}
