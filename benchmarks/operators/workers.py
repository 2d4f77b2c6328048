"""Batches of samples judged in processes of their own, so that a crash or a hang costs one sample.

A process reports each sample as it is done. When it dies, or says nothing for too long, it is
replaced, and what it had left is tried again in halves.
"""

import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from time import monotonic
from typing import Any

from smartmem.benchmarks.operators.judge import Outcome
from smartmem.benchmarks.operators.samples import SampleId

# The longest that a batch may go without a word. One takes 10 to 30 s on an idle core, ten times
# that where many share the machine.
SILENCE_S = 900.0


def _serve(connection: Connection, target: str) -> None:
    """A worker: judge batches until there are no more."""
    os.setsid()  # So that a hanging iree-compile ends with its worker.
    # torch.export prints the graphs that it cannot trace.
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    os.dup2(quiet, sys.stderr.fileno())
    import torch

    from smartmem.benchmarks.operators.judge import judge

    torch.set_num_threads(1)
    while (ids := connection.recv()) is not None:
        judge(ids, target, connection.send)
        connection.send(None)


class _Worker:
    """One process and the batch it has left."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.left: list[SampleId] = []
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, self._target), daemon=True)
        self._process.start()
        other.close()
        self.heard_s = monotonic()

    def give(self, ids: Sequence[SampleId]) -> None:
        self.left = list(ids)
        self.heard_s = monotonic()
        self.connection.send(self.left)

    def hear(self) -> Outcome | None:
        """The next report, None at the end of the batch. Raises EOFError where it died."""
        try:
            outcome: Outcome | None = self.connection.recv()
        except ConnectionError as error:
            raise EOFError from error
        self.heard_s = monotonic()
        if outcome is not None:
            self.left.remove(outcome.sample)
        return outcome

    def stop(self) -> None:
        """End the process with all that it started."""
        if self._process.is_alive() and self._process.pid is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:  # Not yet the leader of a group.
                self._process.kill()
        self._process.join()
        self.connection.close()

    def replace(self) -> list[SampleId]:
        """A new process; what the old one had left."""
        self.stop()
        left, self.left = self.left, []
        self._start()
        return left


def run(batches: Iterable[Sequence[SampleId]], target: str, jobs: int) -> Iterator[Outcome]:
    """Outcomes of all samples of ``batches``, as they come."""
    waiting = deque(batches)
    workers = [_Worker(target) for _ in range(min(jobs, len(waiting)))]
    idle = list(workers)
    try:
        while waiting or len(idle) < len(workers):
            while idle and waiting:
                idle.pop().give(waiting.popleft())
            busy = [worker for worker in workers if worker not in idle]
            ready = wait([worker.connection for worker in busy], timeout=1.0)
            for worker in busy:
                yield from _attend(worker, worker.connection in ready, waiting, idle.append)
    finally:
        for worker in workers:
            worker.stop()


def _attend(
    worker: _Worker,
    ready: bool,
    waiting: deque[Sequence[SampleId]],
    release: Callable[[_Worker], Any],
) -> Iterator[Outcome]:
    """What a busy worker has to say, or what its death or silence leads to."""
    if ready:
        try:
            outcome = worker.hear()
        except EOFError:
            reason = "the process died"
        else:
            if outcome is None:
                release(worker)
            else:
                yield outcome
            return
    elif monotonic() - worker.heard_s > SILENCE_S:
        reason = f"nothing happened for {SILENCE_S:.0f} s"
    else:
        return
    left = worker.replace()
    release(worker)
    if len(left) == 1:
        yield Outcome(left[0], "error", reason)
    elif left:
        waiting.extend([left[: len(left) // 2], left[len(left) // 2 :]])
