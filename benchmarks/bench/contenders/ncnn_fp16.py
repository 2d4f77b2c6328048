"""ncnn with storage and arithmetic in 16 bits, judged by the tolerance of that type."""

from smartmem.benchmarks.bench.contenders import ncnn_peer
from smartmem.benchmarks.bench.task import Candidate, Task

load = ncnn_peer.load


def build(task: Task) -> list[Candidate]:
    """The model in ncnn's own two files, in half precision."""
    return ncnn_peer.build_for(task, half=True)
