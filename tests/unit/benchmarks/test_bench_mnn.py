"""MNN: what it lacks is taken out of the graph where that changes nothing, and it runs no tools."""

import subprocess
import sys

import pytest

from smartmem.benchmarks.bench.contenders.mnn_peer import drop_guards

ir = pytest.importorskip("onnx_ir", reason="run `make bench-setup`")


def test_guards_of_softmax_go_and_other_choices_stay() -> None:
    given, chosen, zero = (ir.Value(name=name) for name in ("x", "chosen", "zero"))
    softmax = ir.node("Softmax", [given])
    (value,) = softmax.outputs
    isnan = ir.node("IsNaN", [value])
    guard = ir.node("Where", [isnan.outputs[0], zero, value])
    other = ir.node("Where", [chosen, zero, guard.outputs[0]])
    graph = ir.Graph(
        [given, chosen, zero], other.outputs, nodes=[softmax, isnan, guard, other], name="net"
    )
    drop_guards(graph)
    assert [node.op_type for node in graph] == ["Softmax", "Where"]
    assert other.inputs[2] is value


def test_a_nan_that_becomes_another_number_stays() -> None:
    given, zero, rest = (ir.Value(name=name) for name in ("x", "zero", "rest"))
    isnan = ir.node("IsNaN", [given])
    choice = ir.node("Where", [isnan.outputs[0], zero, rest])
    graph = ir.Graph([given, zero, rest], choice.outputs, nodes=[isnan, choice], name="net")
    drop_guards(graph)
    assert [node.op_type for node in graph] == ["IsNaN", "Where"]


def test_its_tools_are_not_imported() -> None:
    """They install packages and report to a server."""
    pytest.importorskip("MNN", reason="run `make bench-setup`")
    code = (
        "import sys, MNN, _tools, smartmem.benchmarks.bench.contenders.mnn_peer\n"
        "print(any(name.startswith('MNN.tools') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.split()[-1] == "False", done.stderr
