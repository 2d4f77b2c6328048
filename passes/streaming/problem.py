"""A streaming problem: steps in order, the weights they read, and how fast weights arrive.

Time runs in *ticks*. Tick ``2 i`` is the gap before step ``i``, tick ``2 i + 1`` step ``i`` itself.
What is loaded in a gap delays the step after it: it is *exposed*. What is loaded during a step is
*hidden* behind it, up to the step's load capacity. Tick 0 is the gap before all steps, where
nothing can be hidden: FlashMem's weights of the first layer.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

# Of every weight in memory: the largest offset alignment that Vulkan allows a device to ask for.
ALIGNMENT_BYTES = 256


def aligned(size_bytes: int) -> int:
    """``size_bytes`` rounded up to the alignment."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


@dataclass(frozen=True)
class Step:
    """One unit of work, in program order. ``capacity_bytes``: what may be loaded while it runs
    without slowing it more than its kind tolerates. Steps of different ``section`` stay apart.
    """

    name: str
    kind: str
    time_us: float
    capacity_bytes: int
    section: int = 0


@dataclass(frozen=True)
class Weight:
    """``uses`` are the steps that read it, ascending. A weight that must stay is always pinned."""

    name: str
    size_bytes: int
    uses: tuple[int, ...]
    must_stay: bool = False

    @property
    def footprint_bytes(self) -> int:
        """What it takes in memory."""
        return aligned(self.size_bytes)


@dataclass(frozen=True)
class Problem:
    """What a planner gets, apart from the budget.

    ``read_bytes_per_s``: from the file into memory. ``chunk_bytes``: what is loaded in parts is
    loaded in multiples of it.
    """

    steps: tuple[Step, ...]
    weights: tuple[Weight, ...]
    read_bytes_per_s: float
    chunk_bytes: int

    def __post_init__(self) -> None:
        """Raises ValueError for a problem that makes no sense."""
        names = [w.name for w in self.weights]
        if len(set(names)) != len(names):
            raise ValueError("two weights of one name")
        for weight in self.weights:
            if weight.size_bytes <= 0:
                raise ValueError(f"weight {weight.name} of {weight.size_bytes} bytes")
            if not weight.uses or list(weight.uses) != sorted(set(weight.uses)):
                raise ValueError(f"weight {weight.name}: uses {weight.uses}")
            if weight.uses[0] < 0 or weight.uses[-1] >= len(self.steps):
                raise ValueError(f"weight {weight.name}: used outside the steps")
        if self.read_bytes_per_s <= 0 or self.chunk_bytes <= 0:
            raise ValueError("bandwidth and chunk must be positive")

    @cached_property
    def by_name(self) -> dict[str, Weight]:
        """The weights by name."""
        return {w.name: w for w in self.weights}

    @cached_property
    def read_by(self) -> tuple[tuple[Weight, ...], ...]:
        """The weights each step reads."""
        rows: list[list[Weight]] = [[] for _ in self.steps]
        for weight in self.weights:
            for step in weight.uses:
                rows[step].append(weight)
        return tuple(tuple(row) for row in rows)

    @property
    def total_bytes(self) -> int:
        """All weights in memory at once: at this budget nothing streams."""
        return sum(w.footprint_bytes for w in self.weights)

    @property
    def compute_us(self) -> float:
        """All steps, with their weights in memory."""
        return sum(step.time_us for step in self.steps)

    @property
    def smallest_budget_bytes(self) -> int:
        """What must stay, and the step that reads the most besides: no plan needs less, and one
        that loads each step's weights just before it needs no more.
        """
        fixed = sum(w.footprint_bytes for w in self.weights if w.must_stay)
        return fixed + max((self.moving_bytes(row) for row in self.read_by), default=0)

    def moving_bytes(self, weights: Sequence[Weight], pinned: frozenset[str] = frozenset()) -> int:
        """Memory of those among ``weights`` that move."""
        return sum(w.footprint_bytes for w in weights if not w.must_stay and w.name not in pinned)

    def read_us(self, size_bytes: int) -> float:
        """How long it takes to load so many bytes with nothing else going on."""
        return size_bytes * 1e6 / self.read_bytes_per_s

    def hideable_bytes(self, step: int) -> int:
        """What can arrive during a step: its load capacity, and what the file gives in its time."""
        arrives = int(self.steps[step].time_us * self.read_bytes_per_s / 1e6)
        return min(self.steps[step].capacity_bytes, arrives)

    def to_json(self) -> dict[str, Any]:
        """Plain data, from which ``from_json`` makes the problem again."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Problem":
        """The problem that ``to_json`` wrote."""
        steps = tuple(Step(**row) for row in data["steps"])
        weights = tuple(
            Weight(row["name"], row["size_bytes"], tuple(row["uses"]), row["must_stay"])
            for row in data["weights"]
        )
        return Problem(steps, weights, data["read_bytes_per_s"], data["chunk_bytes"])
