"""What is admitted meets its deadlines, in a simulation that shares nothing with the test."""

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.errors import UserError
from smartmem.runtime.pool.admission import Admission, admit
from smartmem.runtime.pool.tasks import Task

MS = 1e-3
PERIODS_MS = (4, 6, 8, 12, 24)


@dataclass(frozen=True)
class Case:
    tasks: tuple[Task, ...]
    devices: dict[str, str]
    times_ms: dict[str, int]

    def admitted(self) -> Admission:
        times_s = {name: time * MS for name, time in self.times_ms.items()}
        return admit(self.tasks, self.devices, times_s)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to 6 tasks on up to 3 devices, some waiting for others, some in the background."""
    count = draw(st.integers(1, 6))
    by_priority = draw(st.booleans())
    tasks: list[Task] = []
    for number in range(count):
        name = f"t{number}"
        if number and draw(st.integers(0, 7)) == 0:
            tasks.append(Task(name, None))
            continue
        period = draw(st.sampled_from(PERIODS_MS))
        due = draw(st.integers(max(1, period // 2), period))
        same = [t.model for t in tasks if t.period_s == period * MS]
        after = tuple(n for n in same if draw(st.booleans()))
        priority = draw(st.integers(0, 2)) if by_priority else None
        tasks.append(Task(name, period * MS, due * MS, priority, after))
    names = [task.model for task in tasks]
    lanes = draw(st.integers(1, 3))
    devices = {name: f"d{draw(st.integers(0, lanes - 1))}" for name in names}
    # Light enough that about half of the cases are admitted.
    times = {n: draw(st.integers(1, 3)) for n in names}
    return Case(tuple(tasks), devices, times)


def simulate(case: Case, seed: int, periods: int = 6) -> dict[str, int]:
    """The longest response of each task in ms: the devices step by step, runs of any length up to
    their time, equals in any order, background runs whenever a device would be idle.
    """
    generator = random.Random(seed)
    tasks = {t.model: t for t in case.tasks}
    period = {n: round(t.period_s / MS) for n, t in tasks.items() if t.period_s is not None}
    # Tasks that wait for each other start together; groups start at any time.
    offsets = {p: generator.randrange(p) if generator.random() < 0.7 else 0 for p in PERIODS_MS}
    by_priority = any(t.priority is not None for t in case.tasks)
    worst = dict.fromkeys(period, 0)
    ready: list[tuple[str, int]] = []
    done: set[tuple[str, int]] = set()
    released: set[tuple[str, int]] = set()
    running: dict[str, tuple[str, int, int]] = {}
    eager = generator.random() < 0.5
    for now in range(periods * 24):
        for lane, (name, number, end) in list(running.items()):
            if end == now:
                del running[lane]
                done.add((name, number))
                if name in period:
                    began = offsets[period[name]] + number * period[name]
                    worst[name] = max(worst[name], now - began)
        for name in period:
            offset = offsets[period[name]]
            if now >= offset and (now - offset) % period[name] == 0:
                released.add((name, (now - offset) // period[name]))
        able = {(n, k) for n, k in released if all((b, k) in done for b in tasks[n].after)}
        ready += sorted(able)
        released -= able
        for lane in sorted(set(case.devices.values()) - set(running)):
            here = [job for job in ready if case.devices[job[0]] == lane]
            if not here:
                idle = [n for n in tasks if n not in period and case.devices[n] == lane]
                if idle and generator.random() < 0.8:
                    name = generator.choice(idle)
                    running[lane] = (name, -1, now + case.times_ms[name])
                continue

            def urgency(job: tuple[str, int]) -> float:
                task = tasks[job[0]]
                return -task.priority if by_priority else task.due_s

            most = min(map(urgency, here))
            equals = [job for job in here if urgency(job) == most]
            name, number = generator.choice(equals)
            # Runs of one task stay in order.
            number = min(k for n, k in equals if n == name)
            ready.remove((name, number))
            time = case.times_ms[name] if eager else generator.randint(1, case.times_ms[name])
            running[lane] = (name, number, now + time)
    return worst


@settings(max_examples=250, deadline=None, derandomize=True)
@given(cases(), st.integers(0, 1 << 30))
def test_what_is_admitted_is_never_late(case: Case, seed: int) -> None:
    admission = case.admitted()
    assert admission.ok == (admission.refusal is None)
    if not admission.ok:
        return
    bounds_ms = {v.model: v.bound_s / MS for v in admission.verdicts if v.bound_s is not None}
    for trial in range(4):
        for name, response in simulate(case, seed + trial).items():
            assert response <= bounds_ms[name] + 1e-3
            assert response <= next(t.due_s for t in case.tasks if t.model == name) / MS + 1e-3


def test_both_answers_are_given() -> None:
    """The property above would hold of a test that refuses everything."""
    found: list[bool] = []

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(cases())
    def collect(case: Case) -> None:
        if len(case.tasks) > 1:
            found.append(case.admitted().ok)

    collect()
    assert found.count(True) > 20 and found.count(False) > 20


def test_the_second_run_of_a_busy_period_can_be_the_slowest() -> None:
    """The example of Davis et al. (2007): C takes 3.5 ms, and 3 ms if only its first run counts."""
    periods_ms = {"A": (2.5, 2.5), "B": (3.5, 3.25), "C": (3.5, 3.5)}
    tasks = [
        Task(name, period * MS, due * MS, priority=-place)
        for place, (name, (period, due)) in enumerate(periods_ms.items())
    ]
    devices, times = dict.fromkeys("ABC", "can"), dict.fromkeys("ABC", 1 * MS)
    bounds = [v.bound_s for v in admit(tasks, devices, times).verdicts]
    assert bounds == [pytest.approx(b * MS) for b in (2, 3, 3.5)]
    tasks[2] = replace(tasks[2], deadline_s=3.25 * MS)
    assert admit(tasks, devices, times).failing == "C"


def test_a_long_run_of_another_delays_the_most_urgent() -> None:
    tasks = (Task("fast", 10 * MS, priority=1), Task("slow", 100 * MS, priority=0))
    times = {"fast": 2 * MS, "slow": 9 * MS}
    refused = admit(tasks, {"fast": "cpu", "slow": "cpu"}, times)
    assert refused.failing == "fast"
    assert "deadline is 10.000 ms (cpu is used 29% of the time)" in (refused.refusal or "")
    with pytest.raises(UserError, match=r"not admitted: a run of task 'fast' may take 11.000 ms"):
        refused.demand()
    assert admit(tasks, {"fast": "cpu", "slow": "gpu"}, times).ok


def test_a_background_run_delays_as_any_other() -> None:
    fast, slow = Task("fast", 10 * MS), Task("slow", None)
    assert admit((fast, slow), {"fast": "cpu", "slow": "cpu"}, {"fast": 2 * MS, "slow": 8 * MS}).ok
    refused = admit((fast, slow), {"fast": "cpu", "slow": "cpu"}, {"fast": 2 * MS, "slow": 9 * MS})
    assert refused.failing == "fast"


def test_a_device_with_too_much_to_do_is_named() -> None:
    tasks = (Task("a", 10 * MS), Task("b", 10 * MS), Task("c", 10 * MS))
    refused = admit(tasks, dict.fromkeys("abc", "gpu"), dict.fromkeys("abc", 4 * MS))
    assert refused.failing == "c"
    assert refused.utilisation == {"gpu": pytest.approx(1.2)}
    assert "gpu would be used 120% of the time; task 'c'" in (refused.refusal or "")


def test_a_chain_on_one_device_fills_it() -> None:
    """Three that see and one that plans, as on one card: admitted up to nearly all of the time."""
    tasks = (*(Task(n, 10 * MS) for n in "abc"), Task("plan", 10 * MS, after=("a", "b", "c")))
    devices = dict.fromkeys(("a", "b", "c", "plan"), "cpu")
    full = admit(tasks, devices, dict.fromkeys(devices, 2.45 * MS))
    assert full.ok and full.utilisation["cpu"] == pytest.approx(0.98)
    assert [v.bound_s for v in full.verdicts] == [pytest.approx(9.8 * MS)] * 4
    assert not admit(tasks, devices, dict.fromkeys(devices, 2.6 * MS)).ok


def test_a_chain_over_two_devices_adds_up() -> None:
    tasks = (Task("see", 10 * MS), Task("plan", 10 * MS, after=("see",)))
    devices, times = {"see": "gpu", "plan": "cpu"}, {"see": 6 * MS, "plan": 3 * MS}
    bounds = [v.bound_s for v in admit(tasks, devices, times).verdicts]
    assert bounds == [pytest.approx(6 * MS), pytest.approx(9 * MS)]
    assert not admit(tasks, devices, {"see": 6 * MS, "plan": 5 * MS}).ok


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ([Task("a", 0.0)], "a period of 0.0 s"),
        ([Task("a", float("inf"))], "a period of inf s"),
        ([Task("a", 1.0, 2.0)], "a deadline of 2.0 s in a period of 1.0 s"),
        ([Task("a", 1.0, 0.0)], "a deadline of 0.0 s"),
        ([Task("a", None, 1.0)], "but no period"),
        ([Task("a", None)], "no task has a period"),
        ([Task("a", 1.0, time_s=0.0)], "a run of 0.0 s"),
        ([Task("a", 1.0), Task("a", 1.0)], "two tasks for model 'a'"),
        ([Task("a", 1.0), Task("b", 2.0, after=("a",))], "whose period is 1.0 s, not 2.0 s"),
        ([Task("a", 1.0), Task("b", 2.0, after=("c",))], "after 'c', which is no task"),
        ([Task("a", 1.0), Task("b", None), Task("c", 1.0, latest=("b",))], "which has no period"),
        ([Task("a", 1.0, latest=("a",))], "takes its own outputs"),
        ([Task("a", 1.0, after=("b",)), Task("b", 1.0, after=("a",))], "in a circle: a, b"),
        ([Task("a", 1.0, priority=1), Task("b", 1.0)], "task 'b' has no priority, but 'a'"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(tasks: list[Task], says: str) -> None:
    names = {task.model for task in tasks}
    with pytest.raises(UserError, match=says):
        admit(tasks, dict.fromkeys(names, "cpu"), dict.fromkeys(names, 0.1))


def test_what_waits_for_another_device_comes_at_any_time() -> None:
    """A plan that was held up is followed by one that was not: together they delay the log by two
    plans, though it starts within one period.
    """
    tasks = (
        Task("see", 10 * MS),
        Task("plan", 10 * MS, after=("see",)),
        Task("map", 20 * MS),
        Task("log", 40 * MS),
    )
    devices = {"see": "gpu", "plan": "cpu", "map": "cpu", "log": "cpu"}
    times = {"see": 5 * MS, "plan": 2.5 * MS, "map": 2.5 * MS, "log": 1 * MS}
    bounds = {v.model: v.bound_s for v in admit(tasks, devices, times).verdicts}
    assert bounds["plan"] == pytest.approx(10 * MS)
    assert bounds["log"] == pytest.approx((2 * 2.5 + 2.5 + 1) * MS)
