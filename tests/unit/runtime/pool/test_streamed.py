"""Models that our executor streams, under one budget: the pool says how much each has."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from smartmem.errors import UserError
from smartmem.runtime import native_api
from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.devices import vulkan_device
from smartmem.runtime.executor import uuid_of
from smartmem.runtime.manifest import TensorSpec
from smartmem.runtime.pool import Pool, Schedule, Task
from smartmem.runtime.pool.source import BundleSource
from smartmem.runtime.schedule import Access, Copy, Port, Resource, ResourceKind, Upload, Use
from smartmem.runtime.schedule import Schedule as Steps
from smartmem.runtime.session import load

pytestmark = [pytest.mark.vulkan, pytest.mark.native]

LAYERS, LAYER_BYTES, SHOWN_BYTES = 6, 1 << 20, 256
NAMES = ("a", "b", "c", "d")
# Beside weights: results, and what reading needs on the device.
OTHER_BYTES = 4 << 20


def write_model(path: Path, seed: int) -> Path:
    """A row of layers, each of which copies the head of its weight to its part of the result."""
    generator = np.random.default_rng(seed)
    weights = {f"w{i}": generator.integers(0, 255, LAYER_BYTES, np.uint8) for i in range(LAYERS)}
    steps = Steps(
        resources=(
            *(Resource(ResourceKind.CONSTANT, LAYER_BYTES) for _ in range(LAYERS)),
            Resource(ResourceKind.OUTPUT, LAYERS * SHOWN_BYTES),
        ),
        uploads=tuple(Upload(i, 0, LAYER_BYTES, f"w{i}") for i in range(LAYERS)),
        inputs=(),
        outputs=(Port(LAYERS, 0, LAYERS * SHOWN_BYTES),),
        kernels=(),
        commands=tuple(
            Copy(
                Use(i, Access.READ, 0, SHOWN_BYTES),
                Use(LAYERS, Access.WRITE, i * SHOWN_BYTES, SHOWN_BYTES),
            )
            for i in range(LAYERS)
        ),
    )
    with BundleWriter(path) as writer:
        writer.write_weights(weights)
        writer.add_target(
            "generic",
            kind="vulkan",
            iree_target="vp_android_baseline_2022",
            vmfb=b"",
            plan={},
            report={},
            needs={"vulkan": "1.1"},
            schedule=steps.encode(),
            kernels={},
        )
        writer.finish(
            inputs=[],
            outputs=[TensorSpec("y", (LAYERS * SHOWN_BYTES,), "uint8", "uint8")],
            input_tree={
                "kind": "tuple",
                "items": [
                    {"kind": "tuple", "items": []},
                    {"kind": "dict", "keys": [], "items": []},
                ],
            },
            output_tree={"kind": "tensor", "index": 0},
            versions={},
            source={},
        )
    return path


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return {name: write_model(tmp_path / name, seed) for seed, name in enumerate(NAMES)}


def held_bytes() -> int:
    device = native_api.open_device(uuid_of(vulkan_device().uri))
    return native_api.device_memory(device)[0]


def test_the_pool_says_how_much_of_each_is_in_memory(models: dict[str, Path]) -> None:
    source = BundleSource(models["a"], "vulkan")
    assert LAYER_BYTES <= source.least_bytes < source.most_bytes
    assert source.most_bytes >= LAYERS * LAYER_BYTES
    iree = BundleSource(models["a"], "vulkan", "iree")
    assert iree.least_bytes == iree.most_bytes == iree.bundle.manifest.weights.bytes
    before = held_bytes()
    runner = source.load(source.least_bytes)
    runner()
    assert 0 < held_bytes() - before <= source.least_bytes + OTHER_BYTES
    runner.close()
    assert held_bytes() == before


@pytest.mark.parametrize("seed", range(3))
def test_interleaved_models_that_stream(models: dict[str, Path], seed: int) -> None:
    """Under less than half of their weights: all stay in memory in part, with the same outputs."""
    alone = {name: load(path, "vulkan")().tobytes() for name, path in models.items()}
    assert len(set(alone.values())) == len(NAMES)
    source = BundleSource(models["a"], "vulkan")
    budget = 2 * source.least_bytes + source.most_bytes
    assert budget < len(NAMES) * source.most_bytes / 2
    before = held_bytes()
    order = [name for name in NAMES for _ in range(6)]
    random.Random(seed).shuffle(order)
    with Pool(budget, "vulkan") as pool:
        for name, path in models.items():
            pool.add(name, path)
        for name, result in [(name, pool.submit(name)) for name in order]:
            assert result.result(timeout=120).tobytes() == alone[name]
            assert pool.memory.held_bytes <= budget
            assert held_bytes() - before <= budget + OTHER_BYTES
        assert max(event.held_bytes for event in pool.timeline) <= budget
    assert held_bytes() == before


def test_a_schedule_keeps_all_of_them_in_part(models: dict[str, Path]) -> None:
    """None has to be loaded anew, though not all weights fit."""
    source = BundleSource(models["a"], "vulkan")
    with Pool(source.most_bytes + 3 * source.least_bytes, "vulkan") as pool:
        for name, path in models.items():
            pool.add(name, path)
        schedule = Schedule(pool, [Task(name, 1.0) for name in NAMES])
        assert not schedule.takes_turns
        report = schedule.run(2.0)
        assert [task.finished for task in report.tasks] == [2] * 4
        assert all(event.kind != "evict" for event in pool.timeline)
    with Pool(source.least_bytes - 1, "vulkan") as pool, pytest.raises(UserError, match="take"):
        pool.add("a", models["a"])
