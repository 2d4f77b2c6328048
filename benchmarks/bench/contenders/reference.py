"""No contender: its ``build`` writes the inputs, and eager's outputs as the judge of all others."""

from smartmem.benchmarks.bench.contenders.eager import write_reference
from smartmem.benchmarks.bench.task import Candidate, Task


def build(task: Task) -> list[Candidate]:
    """Write both into the task's folder."""
    from smartmem.benchmarks.models import suite

    write_reference(*suite.build(task.spec), task.folder)
    return []
