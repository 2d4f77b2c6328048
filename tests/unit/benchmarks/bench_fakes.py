"""Contenders that need no model: one file, its behaviour chosen by the candidate's name.

The child imports it by the module name that a test gives; ``build`` reads ``behaviour.json``.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Candidate, Loaded, Task

_MIB = 1 << 20


def _misbehave(how: str) -> None:
    if how == "crash":
        os.abort()
    if how == "exit":
        os.write(2, b"the driver said no\n")
        os._exit(7)
    if how == "hang":
        time.sleep(600)
    if how == "grow":
        blocks: list[Any] = []
        for _ in range(600):
            blocks.append(np.ones(4 * _MIB, np.uint8))
            time.sleep(0.01)
    if how == "raise":
        raise ValueError("no such layer")


def build(task: Task) -> list[Candidate]:
    """The candidates that ``candidates.json`` in the task's folder names, by contender."""
    folder = Path(task.folder)
    (folder / "builds.txt").open("a").write("built\n")
    names = json.loads((folder / "candidates.json").read_text(encoding="utf-8"))
    if names == ["build crash"]:
        _misbehave("crash")
    return [
        Candidate(name, compile_s=1.0, failure="does not compile" if name == "failing" else "")
        for name in names
    ]


def load(task: Task, candidate: Candidate) -> Loaded:
    """Doubles its input; ``how N`` misbehaves in the Nth call, ``load how`` in loading."""
    words = candidate.name.split()
    if words[0] == "load":
        _misbehave(words[1])
    if words[0] == "cold":
        cache = Path(os.environ["MESA_SHADER_CACHE_DIR"])
        assert not list(cache.iterdir()), "another process left something"
        (cache / "shader").write_bytes(b"code")
    inputs = load_cases(task.folder / INPUTS)
    expected = load_cases(task.folder / EXPECTED)
    calls = 0
    left: list[Any] = []

    def run(arrays: Any) -> Any:
        nonlocal calls
        calls += 1
        if words[0] in ("crash", "exit", "hang", "grow", "raise") and calls == int(words[1]):
            _misbehave(words[0])
        if words[0] == "leak":
            left.append(np.ones(40 * _MIB, np.uint8))
            time.sleep(0.05)
        if words[0] == "slow":
            time.sleep(0.02)
        case = next(i for i, c in enumerate(inputs) if np.array_equal(c[0], arrays[0]))
        if words[0] == "wrong":
            return [1.5 * array for array in expected[case]]
        if words[0] == "nan":
            return [np.where(array == array[1], np.nan, array) for array in expected[case]]
        if words[0] == "constant":
            return expected[0]
        if words[0] == "fewer":
            return []
        return expected[case]

    return Loaded(run, lambda: 12345)
