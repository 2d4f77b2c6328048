"""What becomes of four models of the suite, tiny, for a phone's GPU: layouts, transformations and
kernels, as texts to review when they change.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import torch

from smartmem.benchmarks.models import suite
from smartmem.dialects import layout
from smartmem.frontend.export import export
from smartmem.frontend.importer import import_program
from smartmem.passes import moves, pipeline
from smartmem.passes.analysis.kernels import edges
from smartmem.passes.plan import tensor_layouts
from smartmem.passes.target import known_targets

MODELS = ("swin-tiny", "cswin", "convnext-tiny", "mobilenet-v2")


def report(name: str) -> Iterator[str]:
    """Gains of the passes, then each kind of row once, with its number: no Python lines, which move
    with every edit of a model's file.
    """
    model, inputs = suite.build(f"{name}/tiny")
    target = known_targets()["mali"]
    with layout.context(), torch.no_grad():
        module = import_program(export(model, inputs)).module
        found = moves.number(module)
        reports = pipeline.run(pipeline.layout_passes(target.kind, target.name), module)
        rows = tensor_layouts(module)
        traced = moves.trace(found, module, target.kind)
        reports += pipeline.run(pipeline.fusing_passes(target.kind, target.kernels), module)
        assert target.kernels is not None
        fused = [e.as_row() for e in edges(module, target.kind, target.kernels.row_lanes)]
    yield "gains"
    for gained in reports:
        for gain, value in gained.gains.items():
            yield f"  {gained.name}: {gain} = {value}"
    yield "transformations"
    yield from _counted(f"{m.fate:<8} {m.op:<10} {m.reason}" for m in traced)
    yield "layouts"
    yield from _counted(f"{r['op']:<12} {r['layout']!s:<16} {r['class']}" for r in rows)
    yield "ops that follow each other"
    yield from _counted(
        f"{'in one kernel' if r['one_kernel'] else 'apart':<14} {r['colour']:<7} "
        f"{r['from']} to {r['to']}: {r['reason']}"
        for r in fused
    )


def _counted(lines: Iterator[str]) -> Iterator[str]:
    for line, number in sorted(Counter(lines).items()):
        yield f"  {number:>4} {line}"


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_reports(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"{name}.report.txt", "\n".join(report(name)) + "\n")
