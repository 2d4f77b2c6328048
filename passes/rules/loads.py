"""How long a dispatch takes, and how much may be loaded while it runs: FlashMem's load capacity.

FlashMem (section 4.2) sorts kernels by how they bear a second stream of memory traffic, and allows
each class a slowdown: elementwise kernels 300 %, since they are short; those that reuse what they
read (contractions, convolutions) 20 %; those with steps that wait for each other (softmax, layer
norm) none. It learns the load that slows a kernel so much from measurements; here a roofline of the
target stands for them, with the same shape: work in, bytes out.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["elemental", "reusable", "hierarchical"]

# FlashMem, section 4.2: slowdowns allowed.
_TOLERANCE: dict[Kind, float] = {"elemental": 3.0, "reusable": 0.2, "hierarchical": 0.0}
# A byte that is loaded is read from one place and written to another.
_BYTES_PER_LOADED_BYTE = 2


@dataclass(frozen=True)
class Speeds:
    """What a target does in a second, and what a dispatch costs besides its work.

    The defaults are for devices nobody measured: a phone's GPU and flash memory, roughly (FlashMem,
    figure 1: 1.5 GB/s from disk, 65 GB/s between the memories).
    """

    flops_per_s: float = 5e11
    memory_bytes_per_s: float = 4e10
    read_bytes_per_s: float = 1.5e9
    dispatch_us: float = 20.0


@dataclass(frozen=True)
class Work:
    """What a dispatch does: its kind, operations, and bytes read and written."""

    kind: Kind
    flops: float
    moved_bytes: int


def time_us(work: Work, speeds: Speeds) -> float:
    """The slower of computing and moving, and the launch."""
    computing = work.flops / speeds.flops_per_s
    moving = work.moved_bytes / speeds.memory_bytes_per_s
    return round(1e6 * max(computing, moving) + speeds.dispatch_us, 3)


def capacity_bytes(work: Work, speeds: Speeds) -> int:
    """What may be loaded during the dispatch: it then takes longer by what its kind tolerates."""
    extra_s = _TOLERANCE[work.kind] * time_us(work, speeds) / 1e6
    return int(extra_s * speeds.memory_bytes_per_s / _BYTES_PER_LOADED_BYTE)
