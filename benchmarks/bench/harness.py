"""One model on one device: every contender built, checked against eager, and timed in turns.

    reference ─► build ─► try each candidate, keep the fastest correct ─► load ─► A B C A B C …

Each box is a process of its own, bounded in time and memory. What fails becomes a row, and the
others go on. Runs of the contenders alternate, so that what disturbs the machine disturbs all.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from smartmem.benchmarks.bench import results
from smartmem.benchmarks.bench.arrays import load_cases
from smartmem.benchmarks.bench.peers import OURS, Peer
from smartmem.benchmarks.bench.process import Child
from smartmem.benchmarks.bench.results import Row, Warm
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Candidate, Failure, Task
from smartmem.verify import compare_output

REFERENCE = Peer("reference", "smartmem.benchmarks.bench.contenders.reference", ("torch",))
# The second process of smartmem, by which noise between processes can be told.
AGAIN = f"{OURS} again"
_CASES = 2
_TRIALS = 3
_LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Limits:
    """Bounds of one contender: seconds of a build, of one answer, and bytes of memory."""

    build_s: float = 3600.0
    call_s: float = 300.0
    memory_bytes: int = 8 << 30


@dataclass(frozen=True)
class Plan:
    """How much is measured: runs of each contender, but no more than fit ``budget_s`` together.

    ``again`` runs smartmem a second time in another process.
    """

    runs: int = 20
    budget_s: float = 120.0
    again: bool = False


@dataclass
class Entrant:
    """A contender on its way to a row."""

    peer: Peer
    row: Row
    child: Child | None = None
    samples: list[float] = field(default_factory=list)

    def end(self) -> None:
        """Free what its process holds."""
        if self.child is not None:
            self.child.stop()
            self.child = None


Progress = Callable[[str], None]
Prepared = Mapping[str, Sequence[Candidate]]


class Harness:
    """Measures one task.

    ``prepared`` holds candidates that need not be built, by contender; ``commit`` is smartmem's.
    With ``keep_builds`` what was built, failures too, is taken from the task's folder where an
    earlier harness left it for the same target.
    """

    def __init__(
        self,
        task: Task,
        device: str,
        *,
        plan: Plan,
        limits: Limits,
        progress: Progress = lambda _: None,
        prepared: Prepared | None = None,
        commit: str = "unknown",
        keep_builds: bool = False,
    ) -> None:
        self._task = task
        self._device = device
        self._plan = plan
        self._limits = limits
        self._progress = progress
        self._prepared = dict(prepared or {})
        self._commit = commit
        self._keep_builds = keep_builds

    def build(self, peer: Peer) -> None:
        """Build ``peer`` for a later ``measure``, of this harness or another that keeps builds."""
        if peer.name in self._prepared:
            return
        with suppress(Failure):
            self._reference()
            self._build(peer)

    def measure(self, peers: Sequence[Peer]) -> Iterator[Row]:
        """The rows of ``peers``: those that fail as they do, the others together at the end."""
        entrants = self._entrants(peers)
        try:
            self._reference()
        except Failure as failure:
            for entrant in entrants:
                yield self._failed(entrant.row, failure, "eager's answer: ")
            return
        with ExitStack() as stack:
            ready: list[Entrant] = []
            for entrant in entrants:
                try:
                    self._enter(entrant, stack)
                except Failure as failure:
                    yield self._failed(entrant.row, failure)
                    continue
                if entrant.row.status == "ok":
                    ready.append(entrant)
                else:
                    entrant.end()
                    yield entrant.row
            self._rounds(ready)
            for entrant in ready:
                yield self._finished(entrant)

    def _entrants(self, peers: Sequence[Peer]) -> list[Entrant]:
        """One for each contender, and smartmem's second process right after the first."""
        found: list[Entrant] = []
        for peer in peers:
            found.append(Entrant(peer, self._blank(peer.name)))
            if peer.name == OURS and self._plan.again:
                found.append(Entrant(peer, self._blank(AGAIN)))
        return found

    def _blank(self, contender: str) -> Row:
        task = self._task
        return Row(task.model, task.size, self._device, contender, "failed", runs_on=self._device)

    def _reference(self) -> None:
        """Have the inputs and the expected outputs in the folder."""
        if all((self._task.folder / name).is_file() for name in (INPUTS, EXPECTED)):
            return
        self._say("reference", "eager's answer")
        self._build(REFERENCE)

    def _build(self, peer: Peer) -> tuple[list[Candidate], float]:
        missing = peer.missing()
        if missing:
            reason = f"not installed: {', '.join(missing)}; {peer.install}"
            raise Failure("not installed", reason)
        reply = self._kept(peer) if self._keep_builds else self._built(peer)
        if "failure" in reply:
            raise Failure(**reply["failure"])
        return [Candidate.of_json(data) for data in reply["candidates"]], reply["build_s"]

    def _kept(self, peer: Peer) -> dict[str, Any]:
        """What an earlier harness was answered for this target, else what the contender answers."""
        file = self._task.folder / f"{_slug(peer.name)}.built.json"
        if file.is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            # For another target other files lie under the same names.
            if kept["target"] == self._task.target:
                return kept["reply"]
        reply = self._built(peer)
        results.write(file, {"target": self._task.target, "reply": reply})
        return reply

    def _built(self, peer: Peer) -> dict[str, Any]:
        """What the contender's own process answers."""
        try:
            with self._child(peer, "build") as child:
                limit = self._limits.build_s
                return child.ask("build", limit, module=peer.module, task=self._task.to_json())
        except Failure as failure:
            return {"failure": {"status": failure.status, "reason": failure.reason}}

    def _enter(self, entrant: Entrant, stack: ExitStack) -> None:
        """Load and check the contender in the best of its forms."""
        peer = entrant.peer
        build_s: float | None = None
        candidates = self._prepared.get(peer.name)
        if candidates is None:
            if entrant.row.contender == AGAIN:
                raise Failure("failed", f"{OURS} itself has failed")
            self._say(peer.name, "building")
            candidates, build_s = self._build(peer)
        chosen, tried = candidates[0], []
        if len(candidates) > 1:
            chosen, tried = self._best(peer, candidates)
        entrant.row = replace(
            entrant.row,
            variant=chosen.name,
            runs_on=chosen.runs_on or self._device,
            build_s=build_s,
            compile_s=chosen.compile_s,
            counts=dict(chosen.counts),
            candidates=tuple(tried),
        )
        if chosen.failure:
            raise Failure("failed", chosen.failure)
        self._prepared[peer.name] = [chosen]
        entrant.child, entrant.row = self._started(peer, chosen, entrant.row, stack)

    def _best(
        self, peer: Peer, candidates: Sequence[Candidate]
    ) -> tuple[Candidate, list[dict[str, Any]]]:
        """The fastest correct candidate, and what became of each.

        Where none is correct, the first that runs is chosen, and will be told wrong again.
        """
        tried: list[dict[str, Any]] = []
        fastest: tuple[float, Candidate] | None = None
        runs: list[Candidate] = []
        for candidate in candidates:
            self._say(peer.name, f"trying {candidate.name}")
            outcome = self._trial(peer, candidate)
            tried.append(outcome)
            if outcome["status"] in ("ok", "wrong"):
                runs.append(candidate)
            if outcome["status"] == "ok" and (not fastest or outcome["ms"] < fastest[0]):
                fastest = outcome["ms"], candidate
        if fastest is not None:
            return fastest[1], tried
        if runs:
            return runs[0], tried
        reasons = "; ".join(f"{t['name']}: {t['reason']}" for t in tried)
        return replace(candidates[0], failure=f"no variant runs: {reasons}"), tried

    def _trial(self, peer: Peer, candidate: Candidate) -> dict[str, Any]:
        base = {"name": candidate.name, "compile_s": candidate.compile_s}
        if candidate.failure:
            return {**base, "status": "failed", "reason": candidate.failure}
        try:
            with ExitStack() as stack:
                child, row = self._started(peer, candidate, self._blank(peer.name), stack)
                times = [self._call(child, 0) for _ in range(_TRIALS if row.status == "ok" else 0)]
        except Failure as failure:
            return {**base, "status": failure.status, "reason": failure.reason}
        found = {**base, "status": row.status, "reason": row.reason, "counts": candidate.counts}
        return {**found, "ms": median(times)} if times else found

    def _started(
        self, peer: Peer, candidate: Candidate, row: Row, stack: ExitStack
    ) -> tuple[Child, Row]:
        """A process with the candidate loaded, and the row with its cold start, or told wrong."""
        self._say(row.contender, f"loading {candidate.name}".rstrip())
        child = stack.enter_context(self._child(peer, row.contender))
        try:
            return child, self._checked(child, peer, candidate, row)
        except Failure:
            # At once, and not with the stack: it may hold memory, or still be at work.
            child.stop()
            raise

    def _checked(self, child: Child, peer: Peer, candidate: Candidate, row: Row) -> Row:
        """The row with the candidate's cold start, or told wrong."""
        limit = self._limits.call_s
        load_ms = child.ask(
            "load",
            limit,
            module=peer.module,
            task=self._task.to_json(),
            candidate=candidate.to_json(),
        )["ms"]
        files = [self._task.folder / f"{_slug(row.contender)}.{case}.npz" for case in range(_CASES)]
        times = [
            child.ask("call", limit, case=case, save=str(file))["ms"]
            for case, file in enumerate(files)
        ]
        actual = [load_cases(file)[0] for file in files]
        for file in files:
            file.unlink()
        distance, tolerance, reason = self._compared(actual, candidate.rtol)
        row = replace(row, relative_l2=_finite(distance), tolerance=tolerance)
        if not reason:
            return replace(row, status="ok", load_ms=load_ms, first_ms=times[0])
        told = replace(row, status="wrong", reason=reason, counts={}, build_s=None, compile_s=None)
        return replace(told, **self._stamp())

    def _compared(self, actual: list[Any], rtol: float | None) -> tuple[float, float, str]:
        """The worst distance from eager, its tolerance, and what is wrong, if anything."""
        expected = load_cases(self._task.folder / EXPECTED)
        if any(len(one) != len(other) for one, other in zip(expected, actual, strict=True)):
            return float("inf"), 0.0, f"{len(actual[0])} outputs, eager has {len(expected[0])}"
        rows = [
            compare_output(
                f"output {position}",
                case,
                (expected[0][position], expected[1][position]),
                (actual[0][position], actual[1][position]),
                rtol,
            )
            for position in range(len(expected[0]))
            for case in range(_CASES)
        ]
        worst = max(rows, key=lambda row: (not row.ok, row.relative_l2))
        reason = "" if worst.ok else f"{worst.name}: {worst.reason}"
        # Where NaN or infinities differ, that of the other numbers says nothing.
        distance = worst.relative_l2 if worst.nonfinite_agree else float("inf")
        return distance, worst.tolerance, reason

    def _call(self, child: Child, case: int) -> float:
        return float(child.ask("call", self._limits.call_s, case=case)["ms"])

    def _rounds(self, ready: Sequence[Entrant]) -> None:
        """One run of each in turn, until there are enough or the time is up."""
        if ready:
            self._say(", ".join(entrant.row.contender for entrant in ready), "timing")
        started = monotonic()
        for done in range(self._plan.runs):
            if done >= _LEAST_ROUNDS and monotonic() - started > self._plan.budget_s:
                return
            for entrant in ready:
                if entrant.child is None:
                    continue
                try:
                    entrant.samples.append(self._call(entrant.child, 0))
                except Failure as failure:
                    entrant.end()
                    entrant.row = self._failed(entrant.row, failure)

    def _finished(self, entrant: Entrant) -> Row:
        if entrant.child is None:
            return entrant.row
        try:
            facts = entrant.child.ask("finish", self._limits.call_s)
        except Failure as failure:
            return self._failed(entrant.row, failure)
        return replace(entrant.row, warm_ms=Warm.of(entrant.samples), **facts, **self._stamp())

    def _failed(self, row: Row, failure: Failure, prefix: str = "") -> Row:
        """The row without the times it may have had already."""
        reason = prefix + " ".join(failure.reason.split())
        return replace(
            self._blank(row.contender),
            status=failure.status,
            reason=reason,
            candidates=row.candidates,
            **self._stamp(),
        )

    def _child(self, peer: Peer, purpose: str) -> Child:
        log = self._task.folder / f"{_slug(peer.name)}.{_slug(purpose)}.log"
        return Child(log, self._limits.memory_bytes)

    def _stamp(self) -> dict[str, Any]:
        """When, how busy the machine was, and which commit."""
        return {
            "measured": datetime.now(UTC).isoformat(timespec="seconds"),
            "load_average": round(os.getloadavg()[0], 1),
            "commit": self._commit,
        }

    def _say(self, who: str, what: str) -> None:
        self._progress(f"{self._task.spec} on {self._device}: {who}: {what}")


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def _finite(distance: float) -> float | None:
    return distance if distance < float("inf") else None


def work_folder(root: Path, *names: str) -> Path:
    """The place for what the contenders of a task build."""
    folder = root / _slug(" ".join(names))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
