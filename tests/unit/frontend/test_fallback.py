"""The report of what runs in eager: its words, and when there is none."""

import torch

from smartmem.frontend.fallback import CompileReport, compile_reports, publish


def report(ops: int, breaks: tuple[str, ...] = ()) -> CompileReport:
    return CompileReport(
        inputs=("float32[2]",),
        ops=ops,
        eager_ops=0,
        flops=0,
        eager_flops=0,
        parts=1,
        crossings=0,
        unsupported=(),
        graph_breaks=breaks,
    )


def test_graph_breaks_are_counted() -> None:
    assert "\n1 graph break:\n  model.py:3: print" in str(report(1, ("model.py:3: print",)))
    assert "\n2 graph breaks:\n" in str(report(1, ("model.py:3: print", "model.py:4: print")))


def test_a_graph_of_no_ops_is_not_reported() -> None:
    torch._dynamo.reset()
    before = len(compile_reports())
    publish(report(0))
    assert len(compile_reports()) == before
    publish(report(1))
    assert len(compile_reports()) == before + 1
