"""MNN: what it lacks is taken out of the graph where that changes nothing, and it runs no tools.

Neither MNN nor the exporter's ``onnx_ir`` need be installed: the graph and the packages are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from smartmem.benchmarks.bench.contenders import mnn_peer
from smartmem.benchmarks.bench.contenders.mnn_peer import drop_guards


@dataclass(eq=False)
class Value:
    made_by: Node | None = None
    read_by: list[Node] = field(default_factory=list)

    def producer(self) -> Node | None:
        return self.made_by

    def uses(self) -> list[Node]:
        return self.read_by

    def replace_all_uses_with(self, other: Value) -> None:
        for reader in self.read_by:
            reader.inputs = [other if value is self else value for value in reader.inputs]
        other.read_by += self.read_by
        self.read_by = []


class Node:
    def __init__(self, op_type: str, *inputs: Value) -> None:
        self.op_type, self.inputs, self.outputs = op_type, list(inputs), [Value(self)]
        for value in inputs:
            value.read_by.append(self)

    @property
    def output(self) -> Value:
        return self.outputs[0]


class Graph:
    def __init__(self, *nodes: Node) -> None:
        self.nodes = list(nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def remove(self, nodes: list[Node], *, safe: bool) -> None:
        for node in nodes:
            assert safe and not node.output.uses()
            self.nodes.remove(node)
            for value in node.inputs:
                value.read_by.remove(node)


def test_guards_of_softmax_go_and_other_choices_stay() -> None:
    given, chosen, zero = Value(), Value(), Value()
    softmax = Node("Softmax", given)
    isnan = Node("IsNaN", softmax.output)
    guard = Node("Where", isnan.output, zero, softmax.output)
    other = Node("Where", chosen, zero, guard.output)
    graph = Graph(softmax, isnan, guard, other)
    drop_guards(graph)
    assert [node.op_type for node in graph] == ["Softmax", "Where"]
    assert other.inputs[2] is softmax.output


def test_a_nan_that_becomes_another_number_stays() -> None:
    given, zero, rest = Value(), Value(), Value()
    isnan = Node("IsNaN", given)
    choice = Node("Where", isnan.output, zero, rest)
    graph = Graph(isnan, choice)
    drop_guards(graph)
    assert [node.op_type for node in graph] == ["IsNaN", "Where"]


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A task, where a stand-in for MNN's packages writes the model; its tools must not be met."""
    packages = tmp_path / "packages"
    (packages / "MNN" / "tools").mkdir(parents=True)
    (packages / "MNN" / "__init__.py").write_text("", encoding="utf-8")
    (packages / "MNN" / "tools" / "__init__.py").write_text(
        "raise SystemExit('MNN.tools installs packages and reports to a server')", encoding="utf-8"
    )
    (packages / "_tools.py").write_text(
        "import os, pathlib\n"
        "def mnnconvert(arguments):\n"
        "    if 'FAIL' in os.environ:\n"
        "        raise SystemExit('no such operator')\n"
        "    pathlib.Path(arguments[arguments.index('--MNNModel') + 1]).write_bytes(b'model')\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(packages))
    return SimpleNamespace(folder=tmp_path)


def test_its_tools_are_not_imported(converter: Any) -> None:
    mnn_peer._convert(converter)
    assert (converter.folder / "model.mnn").read_bytes() == b"model"


def test_a_converter_that_fails_says_why(converter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(RuntimeError, match="mnnconvert failed: no such operator"):
        mnn_peer._convert(converter)
