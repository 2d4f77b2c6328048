"""Counting a program: what is executed, how often, and what stands apart."""

import json
from pathlib import Path

import pytest
from unit.passes.iree.bodies import elementwise, main, module

from smartmem.passes.iree.count import count

DATA = Path(__file__).parent / "data"
COPY = """
    stream.cmd.copy %t[%c0], %t[%c8], %c8
        : !stream.resource<transient>{%c64} -> !stream.resource<transient>{%c64}"""
FILL = """
    stream.cmd.fill %i0, %t[%c0 for %c4] : i32 -> !stream.resource<transient>{%c64}"""


def square() -> str:
    yielded = "%v = arith.mulf %a, %a : f32\n linalg.yield %v : f32"
    body = elementwise([("%x0", "4x8xf32")], "4x8xf32", yielded)
    return module(["4x8xf32"], "4x8xf32", body)


def test_program_compiled_by_iree() -> None:
    """A transpose, a matmul, an add fused with a transpose, a softmax and a concat of three."""
    counts = count((DATA / "stream_mixed.mlir").read_text())
    assert [work.kind for work in counts.table] == [
        "layout",  # transpose
        "fill",
        "compute",  # matmul
        "compute",  # add + transpose
        "compute",  # softmax
        "layout",  # slice updates of the concat
        "layout",
        "layout",
    ]
    assert (counts.dispatches, counts.fills, counts.copies) == (7, 1, 0)
    assert counts.layout_dispatches == 5
    assert counts.layout_bytes == 2 * 2048 + 8192 + 2 * 64 + 32 + 2 * 64
    assert counts.total_bytes == counts.layout_bytes + 11264 + 24576 + 16384
    assert counts.peak_transient_bytes == 8192 + 16384
    assert counts.result_bytes == 2048 + 8384
    assert counts.unknown == ()


def test_copies_and_fills_are_layout_but_no_dispatches() -> None:
    counts = count(main(COPY + FILL))
    assert (counts.dispatches, counts.copies, counts.fills) == (0, 1, 1)
    assert counts.layout_dispatches == 2
    assert counts.layout_bytes == counts.total_bytes == 2 * 8 + 4


def boundary(source: str, target: str) -> str:
    return f"""
util.func public @main(%view: !hal.buffer_view) -> !hal.buffer_view {{
  %c0 = arith.constant 0 : index
  %c64 = arith.constant 64 : index
  %in = stream.tensor.import %view
      : !hal.buffer_view -> tensor<16xf32> in !stream.resource<external>{{%c64}}
  %tmp, %t0 = stream.resource.alloca uninitialized
      : !stream.resource<transient>{{%c64}} => !stream.timepoint
  %out, %t1 = stream.resource.alloca uninitialized
      : !stream.resource<external>{{%c64}} => !stream.timepoint
  %done = stream.cmd.execute with(%in as %a: !stream.resource<external>{{%c64}},
      %tmp as %b: !stream.resource<transient>{{%c64}},
      %out as %c: !stream.resource<external>{{%c64}}) {{
    stream.cmd.copy {source}[%c0], {target}[%c0], %c64
  }} => !stream.timepoint
  %ready = stream.timepoint.await %done => %out : !stream.resource<external>{{%c64}}
  %result = stream.tensor.export %ready
      : tensor<16xf32> in !stream.resource<external>{{%c64}} -> !hal.buffer_view
  util.return %result : !hal.buffer_view
}}
""".replace(
        f"{target}[%c0], %c64",
        f"{target}[%c0], %c64 : {_RESOURCES[source]} -> {_RESOURCES[target]}",
    )


_RESOURCES = {
    "%a": "!stream.resource<external>{%c64}",
    "%b": "!stream.resource<transient>{%c64}",
    "%c": "!stream.resource<external>{%c64}",
}


@pytest.mark.parametrize(("source", "target"), [("%a", "%b"), ("%b", "%c"), ("%a", "%c")])
def test_copies_of_inputs_and_into_outputs_stand_apart(source: str, target: str) -> None:
    counts = count(boundary(source, target))
    assert (counts.boundary.copies, counts.boundary.bytes) == (1, 128)
    assert (counts.copies, counts.layout_dispatches, counts.total_bytes) == (0, 0, 0)


@pytest.mark.parametrize(("source", "target"), [("%b", "%b"), ("%c", "%b")])
def test_copies_of_what_was_computed_are_layout(source: str, target: str) -> None:
    counts = count(boundary(source, target))
    assert counts.boundary.copies == 0
    assert (counts.copies, counts.layout_dispatches, counts.total_bytes) == (1, 1, 128)


def in_loop(kind: str) -> str:
    loop = {
        "for": "scf.for %i = %c0 to %c4 step %c1 {\n BODY\n }",
        "unknown for": "scf.for %i = %c0 to %n step %c1 {\n BODY\n }",
        "call": "util.call @again() : () -> ()\n util.call @again() : () -> ()",
    }[kind]
    start = square().replace("util.func public @main()", "util.func private @again()")
    return f"""{start}
util.func public @main(%n: index) {{
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  {loop.replace("BODY", "util.call @again() : () -> ()")}
  util.return
}}
"""


@pytest.mark.parametrize(("kind", "calls"), [("for", 4), ("unknown for", 1), ("call", 2)])
def test_loops_and_calls(kind: str, calls: int) -> None:
    counts = count(in_loop(kind))
    assert counts.dispatches == calls
    assert counts.total_bytes == calls * 256
    assert bool(counts.unknown) == (kind == "unknown for")


def test_initializers_stand_apart() -> None:
    text = in_loop("call") + "util.initializer {\n util.call @again() : () -> ()\n util.return\n}\n"
    counts = count(text)
    assert counts.dispatches == 2
    assert (counts.initializer.dispatches, counts.initializer.total_bytes) == (1, 256)


def test_locations_are_those_of_the_model() -> None:
    """Positions in the parsed text are no locations; frames of torch itself are skipped."""
    assert count(square()).table[0].location is None
    torch_frame = 'loc(callsite("/x/torch/nn/modules/linear.py":134:0 at "/home/me/model.py":7:0))'
    located = square().replace("} -> tensor<4x8xf32>", "} -> tensor<4x8xf32> " + torch_frame)
    assert count(located).table[0].location == "/home/me/model.py:7"


def test_json_round_trip() -> None:
    counts = count(square())
    data = json.loads(json.dumps(counts.to_json()))
    assert data["dispatches"] == 1
    assert data["table"][0]["computed_by"] == "arith.mulf"
    assert data["boundary"] == {"copies": 0, "bytes": 0, "transfers": 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("this is no MLIR", "does not parse"),
        ("util.func public @other() {\n util.return\n}", "no function 'main'.*: other"),
        (
            "util.func public @main(%s: index) {\n"
            " %0 = stream.async.alloca : !stream.resource<transient>{%s}\n util.return\n}",
            "not the stream phase",
        ),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count(text)
