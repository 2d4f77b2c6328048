"""Models under one budget: never over it, and each as if it were alone."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.runtime.conftest import WEIGHTS

from smartmem.errors import UserError
from smartmem.runtime.pool import Pool
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


def test_interleaved_models_keep_the_budget_and_their_outputs(models: dict[str, Path]) -> None:
    alone = {name: outputs(load(path, "cpu")(X, IDS, m=M)) for name, path in models.items()}
    assert len(set(alone.values())) == len(NAMES)
    budget = 2 * size_of(models["a"])
    order = [name for name in NAMES for _ in range(10)]
    random.Random(0).shuffle(order)
    with Pool(budget, "cpu") as pool:
        for name, path in models.items():
            pool.add(name, path)
        results = [(name, pool.submit(name, X, IDS, m=M)) for name in order]
        for name, result in results:
            assert outputs(result.result(timeout=60)) == alone[name]
        events = pool.timeline
    assert [e.model for e in events if e.kind == "run"] == order
    assert max(e.held_bytes for e in events) == budget
    assert any(e.kind == "evict" for e in events)


def test_the_next_model_is_loaded_before_its_turn(models: dict[str, Path]) -> None:
    """With room for both, it is there when the first has run, or is being loaded by then."""
    with Pool(2 * size_of(models["a"]), "cpu") as pool:
        pool.add("a", models["a"])
        pool.add("b", models["b"])
        for future in [pool.submit(name, X, IDS, m=M) for name in "abab"]:
            future.result(timeout=60)
        kinds = [(e.kind, e.model) for e in pool.timeline]
    assert kinds.count(("load", "a")) == kinds.count(("load", "b")) == 1


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


def test_what_cannot_be_is_refused(models: dict[str, Path]) -> None:
    pool = Pool(size_of(models["a"]) - 1, "cpu")
    with pytest.raises(UserError, match="the pool has"):
        pool.add("a", models["a"])
    with pytest.raises(UserError, match="no model 'a'"):
        pool.submit("a")
    pool.close()
