"""The harness with fake contenders: what crashes, hangs, grows or answers wrong costs its own row
only, and a wrong answer never shows a time.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smartmem.benchmarks.bench.arrays import save_cases
from smartmem.benchmarks.bench.harness import AGAIN, Harness, Limits, Plan
from smartmem.benchmarks.bench.peers import OURS, Peer
from smartmem.benchmarks.bench.process import resident_bytes
from smartmem.benchmarks.bench.results import Row
from smartmem.benchmarks.bench.table import line
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Candidate, Task

HERE = Path(__file__).parent
LIMITS = Limits(build_s=60, call_s=60, memory_bytes=1 << 30)

Measure = Callable[..., dict[str, Row]]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Inputs and expected outputs are there: nothing needs torch."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    cases = [[np.arange(8, dtype=np.float32) + offset] for offset in (0, 100)]
    save_cases(tmp_path / INPUTS, cases)
    save_cases(tmp_path / EXPECTED, [[2 * array for array in case] for case in cases])
    return Task("net", "tiny", "cpu", "local-task", "cpu", tmp_path)


@pytest.fixture
def measure(task: Task) -> Measure:
    """``measure(name=behaviour, ...)``: the rows by contender."""

    def run(
        *, limits: Limits = LIMITS, plan: Plan | None = None, **behaviours: str
    ) -> dict[str, Row]:
        prepared = {name: [Candidate(how)] for name, how in behaviours.items()}
        peers = [Peer(name, "bench_fakes") for name in behaviours]
        harness = Harness(
            task, "cpu", plan=plan or Plan(runs=4), limits=limits, prepared=prepared, commit="abc"
        )
        return {row.contender: row for row in harness.measure(peers)}

    return run


def test_correct_contenders_are_timed_in_turns(measure: Measure) -> None:
    rows = measure(a="fine", b="slow", plan=Plan(runs=6))
    assert [row.status for row in rows.values()] == ["ok", "ok"]
    fast, slow = rows["a"].warm_ms, rows["b"].warm_ms
    assert fast is not None and slow is not None
    assert fast.runs == slow.runs == 6
    assert slow.median >= 20 and slow.min <= slow.median <= slow.max
    assert rows["a"].relative_l2 == 0.0
    assert rows["a"].device_bytes == 12345
    assert (rows["a"].peak_host_bytes or 0) > 10 << 20
    assert (rows["a"].commit, rows["a"].load_average is None) == ("abc", False)


@pytest.mark.parametrize(
    ("behaviour", "status", "reason"),
    [
        ("crash 1", "crashed", "SIGABRT"),
        ("exit 4", "crashed", "exit code 7; the driver said no"),
        ("load raise", "failed", "ValueError: no such layer"),
        ("raise 3", "failed", "ValueError: no such layer"),
        ("wrong", "wrong", "relative L2 0.5"),
        ("constant", "wrong", "relative L2"),
        ("fewer", "wrong", "0 outputs, eager has 1"),
        ("nan", "wrong", "NaN or infinities"),
    ],
)
def test_a_bad_contender_costs_its_row_only(
    measure: Measure, behaviour: str, status: str, reason: str
) -> None:
    rows = measure(bad=behaviour, good="fine")
    assert rows["good"].status == "ok"
    assert rows["good"].warm_ms is not None and rows["good"].warm_ms.runs == 4
    bad = rows["bad"]
    assert bad.status == status
    assert reason in bad.reason
    assert (bad.warm_ms, bad.load_ms, bad.first_ms, bad.counts) == (None, None, None, {})
    assert " ms" not in line(bad)
    assert ("WRONG" in line(bad)) == (status == "wrong")


def test_an_answer_with_nan_has_no_distance(measure: Measure) -> None:
    assert measure(bad="nan")["bad"].relative_l2 is None
    assert measure(bad="wrong")["bad"].relative_l2 == 0.5


@pytest.mark.slow
def test_a_hang_is_ended(measure: Measure) -> None:
    started = time.monotonic()
    rows = measure(bad="hang 3", good="fine", limits=replace(LIMITS, call_s=3))
    assert rows["bad"].status == "timeout"
    assert rows["good"].status == "ok"
    assert time.monotonic() - started < 300, "not the ten minutes that it sleeps"


@pytest.mark.slow
def test_what_fails_to_start_is_ended_at_once(task: Task) -> None:
    """The rows come while the others are still at work."""
    harness = Harness(
        task,
        "cpu",
        plan=Plan(runs=3),
        limits=replace(LIMITS, call_s=3),
        prepared={"bad": [Candidate("load hang")], "good": [Candidate("fine")]},
    )
    rows = harness.measure([Peer("bad", "bench_fakes"), Peer("good", "bench_fakes")])
    assert next(rows).status == "timeout"
    assert not [pid for pid in _children() if "bench.serve" in _command(pid)]
    assert next(rows).status == "ok"


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="utf-8").split()


def _command(pid: str) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")


@pytest.mark.slow
def test_memory_is_bounded(measure: Measure) -> None:
    rows = measure(bad="grow 2", good="fine", limits=replace(LIMITS, memory_bytes=400 << 20))
    assert rows["bad"].status == "memory"
    assert "allowed are 400 MiB" in rows["bad"].reason
    assert rows["good"].status == "ok"


@pytest.mark.slow
def test_memory_is_bounded_where_each_call_is_short(measure: Measure) -> None:
    limits = replace(LIMITS, memory_bytes=400 << 20)
    rows = measure(bad="leak", good="fine", limits=limits, plan=Plan(runs=60))
    assert rows["bad"].status == "memory"
    assert rows["good"].status == "ok"


def test_resident_bytes_sees_a_group() -> None:
    code = "x = bytearray(64 << 20); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert resident_bytes(process.pid) > 64 << 20
        process.send_signal(signal.SIGKILL)
    assert resident_bytes(process.pid) == 0


def built(task: Task, names: list[str], peer: Peer | None = None) -> Row:
    """The row of a contender that builds these candidates."""
    (task.folder / "candidates.json").write_text(json.dumps(names), encoding="utf-8")
    harness = Harness(task, "cpu", plan=Plan(runs=3), limits=LIMITS)
    (row,) = harness.measure([peer or Peer("fake", "bench_fakes")])
    return row


def test_every_process_starts_cold(measure: Measure) -> None:
    rows = measure(a="cold", b="cold")
    assert [row.status for row in rows.values()] == ["ok", "ok"], rows["b"].reason


def test_the_fastest_correct_candidate_is_chosen(task: Task) -> None:
    row = built(task, ["slow", "failing", "wrong", "crash 1", "fine"])
    assert (row.status, row.variant, row.compile_s) == ("ok", "fine", 1.0)
    outcomes = {c["name"]: c["status"] for c in row.candidates}
    assert outcomes == {
        "slow": "ok",
        "failing": "failed",
        "wrong": "wrong",
        "crash 1": "crashed",
        "fine": "ok",
    }
    assert "ms" not in next(c for c in row.candidates if c["name"] == "wrong")


def test_no_candidate_is_right(task: Task) -> None:
    assert built(task, ["failing", "wrong"]).status == "wrong"
    row = built(task, ["failing", "load raise"])
    assert row.status == "failed"
    assert "failing: does not compile; load raise: ValueError" in row.reason


def test_a_build_that_crashes(task: Task) -> None:
    assert built(task, ["build crash"]).status == "crashed"


def test_what_is_not_installed_says_how_to_get_it(task: Task) -> None:
    peer = Peer("absent", "bench_fakes", ("no_such_module",), "run `make there`")
    row = built(task, ["fine"], peer)
    assert row.status == "not installed"
    assert row.reason == "not installed: no_such_module; run `make there`"


def test_without_eagers_answer_every_row_says_so(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    (task.folder / EXPECTED).unlink()
    monkeypatch.setattr(
        "smartmem.benchmarks.bench.harness.REFERENCE", Peer("reference", "no_such_module")
    )
    row = built(task, ["fine"])
    assert row.status == "failed"
    assert row.reason.startswith("eager's answer: ModuleNotFoundError")


def test_smartmem_again_is_not_built_twice(task: Task) -> None:
    (task.folder / "candidates.json").write_text('["fine"]', encoding="utf-8")
    harness = Harness(task, "cpu", plan=Plan(runs=3, again=True), limits=LIMITS)
    rows = list(harness.measure([Peer(OURS, "bench_fakes")]))
    assert [(row.contender, row.status) for row in rows] == [(OURS, "ok"), (AGAIN, "ok")]
    assert (task.folder / "builds.txt").read_text() == "built\n"


@pytest.mark.parametrize(("names", "status"), [('["fine"]', "ok"), ('["build crash"]', "crashed")])
def test_what_is_kept_is_not_built_again(task: Task, names: str, status: str) -> None:
    """Neither what was built nor what could not be, by whichever harness; another target is."""
    (task.folder / "candidates.json").write_text(names, encoding="utf-8")
    peer = Peer("fake", "bench_fakes")

    def harness(task: Task) -> Harness:
        return Harness(task, "cpu", plan=Plan(runs=3), limits=LIMITS, keep_builds=True)

    harness(task).build(peer)
    (row,) = harness(task).measure([peer])
    assert row.status == status, row.reason
    builds = task.folder / "builds.txt"
    assert builds.read_text() == "built\n"
    harness(replace(task, target="another")).build(peer)
    assert builds.read_text() == "built\nbuilt\n"


def test_contenders_end_with_the_harness(task: Task) -> None:
    """Also in the middle of a request, and however the harness ends."""
    code = f"""
from pathlib import Path
from smartmem.benchmarks.bench.process import Child
from smartmem.benchmarks.bench.task import Candidate, Task
child = Child(Path({str(task.folder / "log")!r}), 1 << 30)
print(child._process.pid, flush=True)
task = Task.of_json({task.to_json()!r})
child.ask("load", 600, module="bench_fakes", task=task.to_json(),
          candidate=Candidate("load hang").to_json())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as harness:
        assert harness.stdout is not None
        child = int(harness.stdout.readline())
        assert resident_bytes(child) > 0
        harness.kill()
    deadline = time.monotonic() + 60
    while resident_bytes(child) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert resident_bytes(child) == 0
