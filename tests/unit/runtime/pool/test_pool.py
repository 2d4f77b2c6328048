"""Models under one budget: never over it, and each as if it were alone."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.runtime.conftest import WEIGHTS
from unit.runtime.pool.fakes import FakeSource, Loads

from smartmem.errors import UserError
from smartmem.runtime.pool import Pool
from smartmem.runtime.pool.timeline import Event, text_lines
from smartmem.runtime.session import load

X = np.linspace(-1, 1, 16, dtype=np.float32).reshape(2, 8)
IDS, M = np.array([1, 2]), np.array([True, False])
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def models(write: Callable[..., Path], vmfbs: dict[str, bytes], tmp_path: Path) -> dict[str, Path]:
    """Four models that differ in their weights."""
    made: dict[str, Path] = {}
    for number, name in enumerate(NAMES):
        weights = {key: value * (number + 1) for key, value in WEIGHTS.items()}
        made[name] = write(tmp_path / name, {"cpu": vmfbs["cpu"]}, weights)
    return made


def outputs(result: Any) -> bytes:
    return result["y"].tobytes()


def size_of(path: Path) -> int:
    return (path / "weights.irpa").stat().st_size


def mapped_archives(folder: Path) -> int:
    """How many archives under ``folder`` this process has in its memory, as Linux says."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    return len(
        {
            line.split(maxsplit=5)[5]
            for line in maps
            if f"{folder}/" in line and line.endswith(".irpa")
        }
    )


@pytest.mark.parametrize("seed", range(10))
def test_interleaved_models_keep_the_budget_and_their_outputs(
    models: dict[str, Path], tmp_path: Path, seed: int
) -> None:
    alone = {name: outputs(load(path, "cpu")(X, IDS, m=M)) for name, path in models.items()}
    assert len(set(alone.values())) == len(NAMES)
    before, budget = mapped_archives(tmp_path), 2 * size_of(models["a"])
    order = [name for name in NAMES for _ in range(10)]
    random.Random(seed).shuffle(order)
    samples: list[int] = []
    with Pool(budget, "cpu") as pool:
        for name, path in models.items():
            pool.add(name, path)
        results = [(name, pool.submit(name, X, IDS, m=M)) for name in order]
        for name, result in results:
            assert outputs(result.result(timeout=60)) == alone[name]
            samples.append(mapped_archives(tmp_path) - before)
            assert pool.memory.held_bytes <= budget
        events = pool.timeline
    assert [e.model for e in events if e.kind == "run"] == order
    assert 1 <= max(samples) <= 2
    assert max(e.held_bytes for e in events) == budget
    assert {"load", "prefetch", "evict"} <= {e.kind for e in events}
    assert not events[-1].held_bytes or pool.memory.held_bytes == 0


def test_the_next_model_is_loaded_before_its_turn(models: dict[str, Path]) -> None:
    """With room for both, it is there when the first has run, or is being loaded by then."""
    with Pool(2 * size_of(models["a"]), "cpu") as pool:
        pool.add("a", models["a"])
        pool.add("b", models["b"])
        for future in [pool.submit(name, X, IDS, m=M) for name in "abab"]:
            future.result(timeout=60)
        brought = [e.model for e in pool.timeline if e.kind in ("load", "prefetch")]
    assert sorted(brought) == ["a", "b"]


def test_what_goes_wrong_in_one_run_stays_there(models: dict[str, Path]) -> None:
    with Pool(size_of(models["a"]), "cpu") as pool:
        pool.add("a", models["a"])
        pool.add("b", models["b"])
        with pytest.raises(UserError, match="expected shape"):
            pool.run("a", X[:1], IDS, m=M)
        assert pool.run("b", X, IDS, m=M)["y"].shape == (2, 4)
        (models["a"] / "weights.irpa").unlink()
        with pytest.raises(UserError, match=r"weights\.irpa: missing"):
            pool.run("a", X, IDS, m=M)
        assert pool.run("b", X, IDS, m=M)["y"].shape == (2, 4)
        assert [e.model for e in pool.timeline if e.kind == "fail"] == ["a", "a"]


def test_what_cannot_be_is_refused(models: dict[str, Path]) -> None:
    with pytest.raises(UserError, match=r"unknown order 'fairest'\. Did you mean 'fair'"):
        Pool(1, order="fairest")  # type: ignore[arg-type]
    with Pool(size_of(models["a"]), "cpu") as pool:
        with pytest.raises(UserError, match="no model 'a'"):
            pool.submit("a")
        pool.add("a", models["a"])
        with pytest.raises(UserError, match="a model 'a' already"):
            pool.add("a", models["b"])
        with pytest.raises(UserError, match=r"take 2147483648 bytes, the pool has"):
            pool.add("b", FakeSource("b", 1 << 31))
    with pytest.raises(UserError, match="the pool is closed"):
        pool.submit("a")


class Gate:
    """A run that goes on when it is told to."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(60)
        return "done"


def test_the_most_urgent_goes_first_and_equals_as_they_came() -> None:
    gate, order = Gate(), []
    with Pool(10) as pool:
        pool.add("gate", FakeSource("gate", call=gate))
        for name, priority in (("low", -1), ("one", 0), ("two", 0), ("high", 5)):
            pool.add(name, FakeSource(name, call=lambda n=name: order.append(n)), priority=priority)
        pool.submit("gate")
        assert gate.entered.wait(60)
        for name in ("low", "two", "one", "two", "high"):
            pool.submit(name)
        gate.opened.set()
    assert order == ["high", "two", "one", "two", "low"]


def test_a_run_can_be_cancelled_until_it_begins() -> None:
    gate, ran = Gate(), []
    with Pool(10) as pool:
        pool.add("gate", FakeSource("gate", call=gate))
        pool.add("a", FakeSource("a", call=lambda: ran.append("a")))
        running = pool.submit("gate")
        assert gate.entered.wait(60)
        waiting, kept = pool.submit("a"), pool.submit("a")
        assert waiting.cancel() and not running.cancel()
        gate.opened.set()
        kept.result(timeout=60)
        with pytest.raises(CancelledError):
            waiting.result()
    assert running.result() == "done" and ran == ["a"]


def test_closing_can_cancel_what_waits() -> None:
    gate = Gate()
    pool = Pool(10)
    pool.add("gate", FakeSource("gate", call=gate))
    running = pool.submit("gate")
    assert gate.entered.wait(60)
    waiting = [pool.submit("gate") for _ in range(3)]
    closing = threading.Thread(target=lambda: pool.close(cancel=True))
    closing.start()
    gate.opened.set()
    closing.join(60)
    assert running.result(timeout=60) == "done"
    assert all(future.cancelled() for future in waiting)
    pool.close()


def test_devices_run_beside_each_other_and_share_the_budget() -> None:
    """Each run waits for the other to have begun."""
    loads, both = Loads(), threading.Barrier(2, timeout=60)
    with Pool(6) as pool:
        for name, device in (("a", "cpu"), ("b", "gpu")):
            pool.add(name, FakeSource(name, 3, loads, both.wait, device))
        futures = [pool.submit(name) for name in "abab"]
        assert sorted(future.result(timeout=60) for future in futures) == [0, 0, 1, 1]
        assert {e.device for e in pool.timeline} == {"cpu", "gpu"}
    assert loads.most == 6


def test_a_model_that_does_not_fit_beside_a_run_waits_for_it() -> None:
    """On another device, and small ones that come later do not overtake it."""
    loads, gate, order = Loads(), Gate(), []
    with Pool(10) as pool:
        pool.add("gate", FakeSource("gate", 4, loads, gate))
        pool.add("large", FakeSource("large", 8, loads, lambda: order.append("large"), "gpu"))
        pool.add("small", FakeSource("small", 5, loads, lambda: order.append("small"), "npu"))
        pool.submit("gate")
        assert gate.entered.wait(60)
        large = pool.submit("large")
        time.sleep(0.05)
        small = pool.submit("small")
        time.sleep(0.05)
        assert not large.done() and not small.done()
        gate.opened.set()
    assert order == ["large", "small"]
    assert loads.most <= 10


def test_many_devices_and_sizes_never_exceed_the_budget() -> None:
    loads, generator = Loads(), random.Random(3)
    with Pool(20, order="fair") as pool:
        for number in range(12):
            name, size = f"m{number}", generator.randint(1, 20)
            wait = generator.random() / 500
            source = FakeSource(
                name, size, loads, lambda w=wait: time.sleep(w), f"d{number % 3}", size + 5, wait
            )
            pool.add(name, source, priority=number % 2)
        futures = [pool.submit(f"m{generator.randrange(12)}") for _ in range(300)]
        for future in futures:
            future.result(timeout=60)
        assert sum(e.kind == "run" for e in pool.timeline) == 300
        assert max(e.held_bytes for e in pool.timeline) <= 20
    assert loads.most <= 20
    assert sum(loads.held.values()) == 0


def test_the_timeline_is_shown_as_text() -> None:
    rows = (
        ("load", "a", 0.0, 1.0, 4),
        ("run", "a", 1.0, 3.0, 4),
        ("prefetch", "b", 1.0, 2.0, 8),
        ("miss", "a", 2.0, 3.0, 8),
        ("evict", "a", 4.0, 4.0, 4),
        ("fail", "b", 6.0, 8.0, 4),
    )
    lines = list(text_lines([Event(*row) for row in rows], 8))
    assert lines[:3] == ["a    |▒██x-   |", "b    | ░░   !!|", "held |▄███▄▄▄▄|"]
    assert "8.000 s; ! fail, x miss" in lines[3]
    assert list(text_lines(())) == []
