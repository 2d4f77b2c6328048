"""A small bundle for our executor, of fills and copies: no compiler is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import TensorSpec
from smartmem.runtime.schedule import (
    NO_RESOURCE,
    Access,
    Copy,
    Fill,
    Port,
    Resource,
    ResourceKind,
    Schedule,
    Upload,
    Use,
)

INPUT, WEIGHT, COPIED, FILLED = range(4)
WEIGHTS = {"w": np.array([1, 2, 3, 4], np.int32)}
TARGET = "generic"
# Their names are quoted in JSON.
NAMES = ('x "quoted"\\ é𝄞\n', "y")
_LEAVES = [{"kind": "tensor", "index": index} for index in range(3)]


def write_bundle(path: Path, dtype: str = "float32", targets: tuple[str, ...] = (TARGET,)) -> Path:
    """main(x: dtype[2,8], unread: int32[4], empty) -> (x, [1, 2, 7, 7])."""
    itemsize = {"float32": 4, "float16": 2, "bfloat16": 2, "int32": 4, "uint8": 1}[dtype]
    size = 16 * itemsize
    schedule = Schedule(
        resources=(
            Resource(ResourceKind.INPUT, size),
            Resource(ResourceKind.CONSTANT, 16),
            Resource(ResourceKind.OUTPUT, size),
            Resource(ResourceKind.OUTPUT, 16),
        ),
        uploads=(Upload(WEIGHT, 0, 16, "w"),),
        inputs=(Port(INPUT, 0, size), Port(NO_RESOURCE, 0, 0)),
        outputs=(Port(COPIED, 0, size), Port(FILLED, 0, 16)),
        kernels=(),
        commands=(
            Copy(Use(INPUT, Access.READ, 0, size), Use(COPIED, Access.WRITE, 0, size)),
            Copy(Use(WEIGHT, Access.READ, 0, 8), Use(FILLED, Access.WRITE, 0, 8)),
            Fill(Use(FILLED, Access.WRITE, 8, 8), 7),
        ),
    )
    with BundleWriter(path) as writer:
        writer.write_weights(WEIGHTS)
        for target in targets:
            writer.add_target(
                target,
                kind="vulkan",
                iree_target="vp_android_baseline_2022",
                vmfb=b"",
                plan={},
                report={"weights_bytes": 16},
                needs={"vulkan": "1.1"},
                schedule=schedule.encode(),
                kernels={},
            )
        source = "int64" if dtype == "int32" else dtype
        writer.finish(
            inputs=[
                TensorSpec(NAMES[0], (2, 8), dtype, source),
                TensorSpec("unread", (4,), "int32", "int64"),
                TensorSpec("empty", (0, 3), "float32", "float32"),
            ],
            outputs=[
                TensorSpec(NAMES[1], (2, 8), dtype, source),
                TensorSpec("seven", (4,), "int32", "int64"),
            ],
            input_tree={
                "kind": "tuple",
                "items": [
                    {"kind": "tuple", "items": _LEAVES},
                    {"kind": "dict", "keys": [], "items": []},
                ],
            },
            output_tree={"kind": "tuple", "items": _LEAVES[:2]},
            versions={},
            source={"nested": [[1.5e3, -0.0, None, True]]},
        )
    return path
