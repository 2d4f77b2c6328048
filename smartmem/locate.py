"""Finds the first op of a model that a target computes wrong.

The model is compiled again, with values between its ops as further outputs, and each is compared
with eager's. A few dozen values at a time, evenly spread, narrow down where the first wrong one
lies; then its operands are compared too, until an op is found that got right values and made a
wrong one. More outputs mean less fusion: a fault that needs ops fused may not show, which is said.
"""

from __future__ import annotations

import operator
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.verify import evaluating, nonfinite_agree, relative_l2, tolerance_of

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch.fx import Node

    from smartmem.frontend.probes import Case
    from smartmem.runtime.manifest import Precision
    from smartmem.runtime.session import Session

# Values compared per compile: more cost memory and compile time, fewer cost compiles. Models of up
# to this many ops take one compile.
PROBES = 64


@dataclass(frozen=True)
class WrongOp:
    """An op whose operands are right and whose result is not; ``location`` is its Python line."""

    op: str
    node: str
    location: str
    relative_l2: float
    tolerance: float


@dataclass(frozen=True)
class Search:
    """``wrong`` is None where all compared values agree; ``explanation`` is for a person."""

    wrong: WrongOp | None
    compared: int
    compiles: int
    explanation: str

    def as_json(self) -> dict[str, Any]:
        """Plain data; a distance that is not finite is null."""
        data = asdict(self)
        if self.wrong and self.wrong.relative_l2 == float("inf"):
            data["wrong"]["relative_l2"] = None
        return data


def locate(
    session: Session,
    model: torch.nn.Module | torch.export.ExportedProgram,
    case: Case,
    *,
    rtol: float | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Search:
    """Compares what lies between the ops of ``model``, on the session's target and device.

    Raises what compiling raises.
    """
    from smartmem.frontend.export import export
    from smartmem.frontend.probes import operands

    with evaluating(model):
        program = export(model, case[0], case[1])
    probing = _Probing(session, program, case, rtol, progress)
    nodes = probing.nodes
    first = _first_wrong(nodes, probing)
    while first is not None:
        read = operands(first)
        earlier = [n for n in nodes if n in read]
        errors = probing.errors(earlier)
        bad = [n for n in earlier if errors[n] is not None]
        if not bad:
            break
        first = bad[0]
    return probing.result(first)


def _first_wrong(nodes: Sequence[Node], probing: _Probing) -> Node | None:
    """The first node found wrong when ever smaller stretches are sampled evenly."""
    found: Node | None = None
    stretch = list(nodes)
    while stretch:
        step = -(-len(stretch) // PROBES)
        # The last of each group, so that the end of the stretch is among them.
        sample = stretch[::-1][::step][::-1]
        errors = probing.errors(sample)
        wrong = next((n for n in sample if errors[n] is not None), None)
        if wrong is None:
            return found
        found = wrong
        end = stretch.index(wrong)
        stretch = stretch[max(end - step + 1, 0) : end]
    return found


class _Probing:
    """Eager's values, and the compiled ones as they are asked for."""

    def __init__(
        self,
        session: Session,
        program: torch.export.ExportedProgram,
        case: Case,
        rtol: float | None,
        progress: Callable[[str], None],
    ) -> None:
        from smartmem.frontend.probes import eager_values
        from smartmem.runtime.session import as_numpy

        self.session = session
        self.program = program
        self.case = case
        self.rtol = rtol
        self.precision: Precision = session.manifest.targets[session.target].precision
        self.progress = progress
        self.eager = {n: as_numpy(v) for n, v in eager_values(program, case).items()}
        self.nodes = [n for n in program.graph.nodes if n in self.eager]
        self.compiles = 0
        self._errors: dict[Node, float | None] = {}

    def errors(self, nodes: Sequence[Node]) -> Mapping[Node, float | None]:
        """Per node the relative L2 distance where it is beyond the tolerance, else None."""
        missing = [n for n in nodes if n not in self._errors]
        if missing:
            for node, value in zip(missing, self._compiled(missing), strict=True):
                self._errors[node] = self._error(self.eager[node], value)
        return self._errors

    def _error(self, expected: NDArray[Any], actual: NDArray[Any]) -> float | None:
        if not nonfinite_agree(expected, actual):
            return float("inf")
        distance = relative_l2(expected, actual)
        return None if distance <= tolerance_of(expected, self.rtol, self.precision) else distance

    def _compiled(self, nodes: Sequence[Node]) -> list[NDArray[Any]]:
        from smartmem.compiler import compile_model
        from smartmem.frontend.probes import with_outputs
        from smartmem.runtime.session import as_numpy, load

        self.compiles += 1
        self.progress(f"comparing {len(nodes)} values between ops")
        probe = with_outputs(self.program, nodes)
        entry = self.session.manifest.targets[self.session.target]
        with tempfile.TemporaryDirectory(prefix="smartmem-verify-") as folder:
            out = Path(folder) / "probe.smartmem"
            compile_model(
                probe,
                self.case[0],
                self.case[1],
                targets=(self.session.target,),
                out=out,
                fast_math=entry.fast_math,
                precision=entry.precision,
            )
            results = load(out, device=self.session.device.uri)(*self.case[0], **self.case[1])
            return [as_numpy(value) for value in results]

    def result(self, node: Node | None) -> Search:
        compared = len(self._errors)
        if node is None:
            return Search(
                None,
                compared,
                self.compiles,
                f"op by op, {compared} values agree with eager when the model is compiled again. "
                "If the outputs above do not, then the compiled folder is of another model or an "
                "older compile (compile it again), or the fault needs ops to be fused",
            )
        from smartmem.frontend.source import source_of

        origin: Any = node.args[0] if node.target is operator.getitem else node
        wrong = WrongOp(
            op=str(origin.target),
            node=node.name,
            location=str(source_of(origin)),
            relative_l2=self._errors[node] or 0.0,
            tolerance=tolerance_of(self.eager[node], self.rtol, self.precision),
        )
        return Search(
            wrong,
            compared,
            self.compiles,
            f"first wrong op: {wrong.op} at {wrong.location}: relative L2 {wrong.relative_l2:.3g} "
            f"(allowed {wrong.tolerance:g}) from right operands",
        )
