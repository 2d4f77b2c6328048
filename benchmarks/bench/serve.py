"""The process of one contender: reads requests as JSON lines on stdin, answers on another pipe.

    python -m smartmem.benchmarks.bench.serve FD

What libraries print goes to stdout and stderr, which are a log, so it cannot spoil an answer.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

from smartmem.benchmarks.bench.arrays import load_cases, save_cases
from smartmem.benchmarks.bench.task import INPUTS, Arrays, Candidate, Failure, Loaded, Task

_REASON_LENGTH = 1500


class Server:
    """Answers the requests ``build``, ``load``, ``call`` and ``finish``, in this order."""

    def __init__(self) -> None:
        self._loaded: Loaded | None = None
        self._cases: list[Any] = []

    def build(self, module: str, task: dict[str, Any]) -> dict[str, Any]:
        """Make all forms of the model that this contender has."""
        started = time.perf_counter()
        candidates: list[Candidate] = import_module(module).build(Task.of_json(task))
        seconds = time.perf_counter() - started
        return {"candidates": [c.to_json() for c in candidates], "build_s": seconds}

    def load(self, module: str, task: dict[str, Any], candidate: dict[str, Any]) -> dict[str, Any]:
        """Load one form; the time is from the contender's own imports on."""
        given = Task.of_json(task)
        self._cases = load_cases(given.folder / INPUTS)
        started = time.perf_counter()
        self._loaded = import_module(module).load(given, Candidate.of_json(candidate))
        return {"ms": 1e3 * (time.perf_counter() - started)}

    def call(self, case: int, save: str | None = None) -> dict[str, Any]:
        """Run one of the inputs, and keep the outputs where ``save`` names a file."""
        assert self._loaded is not None, "nothing is loaded"
        started = time.perf_counter()
        outputs: Arrays = self._loaded.run(self._cases[case])
        milliseconds = 1e3 * (time.perf_counter() - started)
        if save is not None:
            save_cases(Path(save), [outputs])
        return {"ms": milliseconds}

    def finish(self) -> dict[str, Any]:
        """What is known at the end only."""
        assert self._loaded is not None, "nothing is loaded"
        facts = {"peak_host_bytes": peak_host_bytes(), "device_bytes": self._loaded.device_bytes()}
        try:
            return {**facts, "busy_ms": self._loaded.busy_ms(self._cases[0])}
        except Failure as failure:
            # The times stand without it.
            print(f"no busy time: {failure.reason}", file=sys.stderr, flush=True)
            return facts


def peak_host_bytes() -> int | None:
    """The most memory this process has had resident; None where the system does not tell.

    Not ``getrusage``: that starts from what the parent had before it became this process.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    peak = next((line for line in lines if line.startswith("VmHWM:")), None)
    return None if peak is None else 1024 * int(peak.split()[1])


def _answer(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    do = request.pop("do")
    action: Callable[..., dict[str, Any]] = getattr(server, do)
    try:
        return action(**request)
    except MemoryError as error:
        return {"failure": {"status": "memory", "reason": f"out of memory in '{do}': {error}"}}
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return {"failure": {"status": "failed", "reason": reason[:_REASON_LENGTH]}}


def _requests(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The requests as they come. When the harness is gone, all that was started here ends at once,
    also in the middle of a request: hence the thread.
    """
    waiting: Queue[dict[str, Any]] = Queue()

    def read() -> None:
        for line in lines:
            waiting.put(json.loads(line))
        os.killpg(0, signal.SIGKILL)

    Thread(target=read, daemon=True).start()
    while True:
        yield waiting.get()


def main() -> None:
    """Serve until stdin ends."""
    server = Server()
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as replies:
        for request in _requests(iter(sys.stdin)):
            replies.write(json.dumps(_answer(server, request)) + "\n")
            replies.flush()


if __name__ == "__main__":
    main()
