"""smartmem with the precision fp16, judged by the tolerance of that type."""

from smartmem.benchmarks.bench.contenders import ours
from smartmem.benchmarks.bench.task import Candidate, Task

load = ours.load


def build(task: Task) -> list[Candidate]:
    """The compiled folder, of halves."""
    return ours.build_for(task, "fp16")
