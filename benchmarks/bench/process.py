"""A contender as a process: asked one request at a time, ended where it dies, hangs or grows."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

from smartmem.benchmarks.bench.task import Failure

# Where Mesa's and NVIDIA's drivers keep the code they translated.
_DRIVER_CACHES = ("MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH")
# How often the memory of a process is looked at: after a call that is shorter, never within it.
_POLL_S = 0.5
_LOG_LINES = 3
_LOG_BYTES = 4000


class Child:
    """One process with all that it starts. ``log`` takes what it prints.

    Its driver finds nothing that another process had translated, so that every start is as cold.
    """

    def __init__(self, log: Path, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._log = log
        self._buffer = b""
        self._looked = monotonic()
        self._caches = tempfile.TemporaryDirectory(prefix="smartmem-driver-")
        self._replies, writer = os.pipe()
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "smartmem.benchmarks.bench.serve", str(writer)],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=(writer,),
                # So that a hanging compiler ends with the contender that started it.
                start_new_session=True,
                env={
                    **os.environ,
                    **dict.fromkeys(_DRIVER_CACHES, self._caches.name),
                    "PYTHONSAFEPATH": "1",
                },
            )
        os.close(writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def ask(self, do: str, limit_s: float, **request: Any) -> dict[str, Any]:
        """The answer. Raises Failure where there is none within the limits, or a bad one."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        reply: dict[str, Any] = json.loads(self._line(do, limit_s))
        if "failure" in reply:
            raise Failure(**reply["failure"])
        return reply

    def _line(self, do: str, limit_s: float) -> bytes:
        deadline = monotonic() + limit_s
        while b"\n" not in self._buffer:
            left = deadline - monotonic()
            if left <= 0:
                raise Failure("timeout", f"'{do}' took more than {limit_s:.0f} s")
            ready, _, _ = select.select([self._replies], [], [], min(left, _POLL_S))
            if ready:
                chunk = os.read(self._replies, 1 << 16)
                if not chunk:
                    raise self._died()
                self._buffer += chunk
            # Also where answers come fast: each call may leave something behind.
            if monotonic() - self._looked >= _POLL_S:
                self._check_memory(do)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _check_memory(self, do: str) -> None:
        resident = resident_bytes(self._process.pid)
        self._looked = monotonic()
        if resident > self._memory_bytes:
            raise Failure(
                "memory",
                f"'{do}' held {resident >> 20} MiB, allowed are {self._memory_bytes >> 20} MiB",
            )

    def _died(self) -> Failure:
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return Failure("crashed", "closed its pipe without an answer")
        end = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = self._log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip().splitlines()
        return Failure("crashed", "; ".join([end, *tail[-_LOG_LINES:]]))

    def stop(self) -> None:
        """End the process with all that it started; more than once does no harm."""
        if self._replies < 0:
            return
        # The group is the process's own since `start_new_session`, and outlives it.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        os.close(self._replies)
        self._replies = -1
        self._caches.cleanup()


def resident_bytes(group: int) -> int:
    """Memory of all processes of a process group, shared pages counted in each; 0 if unknown."""
    pages = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pages += _pages_in_group((folder / "stat").read_text(encoding="utf-8"), group)
    return pages * os.sysconf("SC_PAGE_SIZE")


def _pages_in_group(stat: str, group: int) -> int:
    """Field 24 of /proc/PID/stat where field 5 is ``group``; the name in field 2 may hold anything.

    See proc_pid_stat(5).
    """
    fields: Sequence[str] = stat.rpartition(")")[2].split()
    return int(fields[21]) if int(fields[2]) == group else 0
