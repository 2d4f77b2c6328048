"""The latency table and the cost model fitted to it."""

import json
from dataclasses import replace
from math import log2

import pytest

from smartmem.errors import UserError
from smartmem.passes.tuning import latency
from smartmem.passes.tuning.facts import Facts, Step, move, steps
from smartmem.passes.tuning.latency import LatencyTable, Measured, Sample, empty, parse

SOURCE = {"device": "d", "driver": "v", "date": "2026-01-01"}


def _facts(size: int) -> Facts:
    """A dispatch whose time is a power of its size."""
    base = move("", size)
    return Facts(f"square {size}", "contraction", base.numbers)


def _us(size: int) -> float:
    return 0.01 * size**1.1


def _table() -> LatencyTable:
    table = empty("llvmpipe")
    for number, sizes in enumerate(((64, 512, 4096), (128, 1024), (256, 2048, 8192))):
        samples = tuple(Sample(_facts(s), _us(s), 2) for s in sizes)
        call_us = 0.8 * sum(s.us * s.calls for s in samples) + 3.0 * 2 * len(samples)
        table = table.adding(Measured(f"m{number}", call_us, samples), SOURCE)
    return table


def _step(size: int, calls: int = 1) -> Step:
    return Step(_facts(size), calls, "net.py:1", f"main_dispatch_{size}")


def test_what_was_measured_is_told_again() -> None:
    found = _table().predict([_step(512, 2), _step(1024)])
    assert [row.source for row in found.steps] == ["measured", "measured"]
    assert found.steps[0].us == pytest.approx(_us(512))
    assert found.measured_share == 1.0
    wanted = 0.8 * (2 * _us(512) + _us(1024)) + 3.0 * 3
    assert found.milliseconds == pytest.approx(wanted / 1e3, rel=1e-3)


def test_unseen_sizes_follow_the_law() -> None:
    for size in (90, 700, 3000):
        (row,) = _table().predict([_step(size)]).steps
        assert row.source == "predicted"
        assert row.us == pytest.approx(_us(size), rel=0.15)


def test_a_model_left_out_is_not_known() -> None:
    table = _table()
    assert table.predict([_step(128)]).steps[0].source == "measured"
    assert table.without("m1").predict([_step(128)]).steps[0].source == "predicted"


def test_a_file_holds_what_was_written() -> None:
    text = _table().to_json()
    again = parse(text, "file")
    assert again.to_json() == text
    assert again.predict([_step(700)]).milliseconds == pytest.approx(
        _table().predict([_step(700)]).milliseconds, rel=1e-2
    )
    assert [row["key"] for row in again.rows()] == sorted(row["key"] for row in again.rows())


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(format=99),
        lambda d: d.pop("models"),
        lambda d: d["dispatches"][0].pop(),
        lambda d: d["dispatches"][0].__setitem__(1, "magic"),
        lambda d: d["dispatches"][0][2].pop(),
        lambda d: next(iter(d["models"].values()))["samples"][0].__setitem__(0, 999),
    ],
)
def test_damaged_files_are_refused(damage: object) -> None:
    data = json.loads(_table().to_json())
    damage(data)  # type: ignore[operator]
    with pytest.raises(UserError, match="no latency table"):
        parse(json.dumps(data), "file.json")


def test_nothing_measured_predicts_nothing() -> None:
    with pytest.raises(UserError, match="nothing was measured on mali"):
        empty("mali").predict([_step(4)])


def test_a_table_of_another_iree_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = latency.for_target("llvmpipe")
    assert len(shipped.models) > 0
    monkeypatch.setattr(latency, "empty", lambda family: replace(empty(family), iree="0.1"))
    assert latency.for_target("llvmpipe").models == {}


STREAM = """
module {
  stream.executable private @e {
    stream.executable.export public @main_dispatch_7_matmul_like_8x4x16_f32
    builtin.module {
      func.func @main_dispatch_7_matmul_like_8x4x16_f32(%a: !stream.binding, %b: !stream.binding,
                                                      %r: !stream.binding) {
        %c0 = arith.constant 0 : index
        %z = arith.constant 0.0 : f32
        %0 = stream.binding.subspan %a[%c0] : !stream.binding
          -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<8x16xf32>>
        %1 = stream.binding.subspan %b[%c0] : !stream.binding
          -> !iree_tensor_ext.dispatch.tensor<readonly:tensor<16x4xf32>>
        %2 = stream.binding.subspan %r[%c0] : !stream.binding
          -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<8x4xf32>>
        %3 = iree_tensor_ext.dispatch.tensor.load %0, offsets = [0, 0], sizes = [8, 16],
          strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<8x16xf32>>
          -> tensor<8x16xf32>
        %4 = iree_tensor_ext.dispatch.tensor.load %1, offsets = [0, 0], sizes = [16, 4],
          strides = [1, 1] : !iree_tensor_ext.dispatch.tensor<readonly:tensor<16x4xf32>>
          -> tensor<16x4xf32>
        %5 = tensor.empty() : tensor<8x4xf32>
        %6 = linalg.fill ins(%z : f32) outs(%5 : tensor<8x4xf32>) -> tensor<8x4xf32>
        %7 = linalg.matmul ins(%3, %4 : tensor<8x16xf32>, tensor<16x4xf32>)
          outs(%6 : tensor<8x4xf32>) -> tensor<8x4xf32>
        iree_tensor_ext.dispatch.tensor.store %7, %2, offsets = [0, 0], sizes = [8, 4],
          strides = [1, 1] : tensor<8x4xf32>
          -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<8x4xf32>>
        return
      }
    }
  }
  util.func public @main(%x: !stream.resource<external>, %y: !stream.resource<external>,
                         %z: !stream.resource<external>) {
    %c0 = arith.constant 0 : index
    %c128 = arith.constant 128 : index
    %c256 = arith.constant 256 : index
    %c512 = arith.constant 512 : index
    %t = stream.cmd.execute with(%x as %a: !stream.resource<external>{%c512},
                                 %y as %b: !stream.resource<external>{%c256},
                                 %z as %c: !stream.resource<external>{%c128}) {
      stream.cmd.dispatch @e::@main_dispatch_7_matmul_like_8x4x16_f32 {
        ro %a[%c0 for %c512] : !stream.resource<external>{%c512},
        ro %b[%c0 for %c256] : !stream.resource<external>{%c256},
        wo %c[%c0 for %c128] : !stream.resource<external>{%c128}
      }
    } => !stream.timepoint
    util.return
  }
}
"""


def test_facts_of_a_product() -> None:
    (step,) = steps(STREAM, {})
    assert step.calls == 1
    assert step.facts.key == "matmul_like_8x4x16_f32 8x16xf32 16x4xf32 8x4xf32 iree"
    work, size_bytes, iterations, results, depth, *_ = step.facts.numbers
    assert iterations == log2(8 * 4 * 16)
    assert (work > iterations, results, depth) == (True, 5.0, 4.0)
    assert size_bytes == log2(512 + 256 + 128)
    assert step.facts.kind == "contraction"
