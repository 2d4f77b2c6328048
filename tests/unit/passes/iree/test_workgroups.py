"""Dispatches that IREE configured itself get another workgroup where the target avoids theirs."""

from pathlib import Path

import pytest

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.workgroups import reshape

CONFIGURED = Path(__file__).parent / "data" / "configured"


def text_of(case: str) -> str:
    return (CONFIGURED / case / "configured_module_f_dispatch_0.mlir").read_text()


def configuration(text: str) -> tuple[tuple[int, ...], list[list[list[int]]]]:
    """The workgroup of the only dispatch, and the tiles of its configured ops."""
    module = phase_ir.parse(text)
    (function,) = phase_ir.named(module.operation, "func.func")
    levels = [phase_ir.tile_levels(op) for op in phase_ir.walk(function)]
    return phase_ir.workgroup_size(function), [level for level in levels if level]


def matmul(size: str = "[4, 16, 1]", tiles: str = "[[64, 16], [4, 4], [0, 0, 16]]") -> str:
    """A dispatch of 64x96 by 96x16 as IREE configures it for Adreno."""
    return f"""
    func.func @product(%x: tensor<64x96xf32>, %w: tensor<96x16xf32>, %y: tensor<64x16xf32>)
        -> tensor<64x16xf32> attributes {{translation_info = #iree_codegen.translation_info<
          pipeline = #iree_gpu.spirv_pipeline<BaseVectorize> workgroup_size = {size}>}} {{
      %z = linalg.generic {{
        indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
                         affine_map<(m, n, k) -> (m, n)>],
        iterator_types = ["parallel", "parallel", "reduction"]}}
        ins(%x, %w : tensor<64x96xf32>, tensor<96x16xf32>) outs(%y : tensor<64x16xf32>)
        attrs = {{lowering_config = #iree_codegen.lowering_config<tile_sizes = {tiles}>}} {{
      ^bb0(%a: f32, %b: f32, %c: f32):
        %m = arith.mulf %a, %b : f32
        %s = arith.addf %m, %c : f32
        linalg.yield %s : f32
      }} -> tensor<64x16xf32>
      return %z : tensor<64x16xf32>
    }}"""


def test_a_product_gets_another_workgroup() -> None:
    done = reshape(matmul(), {(4, 16, 1)})
    (finding,) = done.findings
    assert (finding.dispatch, finding.kind, finding.is_error) == ("product", "reshaped", False)
    assert finding.detail.startswith("IREE chose a workgroup of 4x16x1")
    assert finding.detail.endswith("now 2x32x1")
    size, (tiles,) = configuration(done.configured_ir)
    assert (size, tiles) == ((2, 32, 1), [[64, 8], [2, 4], [0, 0, 16]])
    assert reshape(done.configured_ir, {(4, 16, 1)}).findings == ()


NAMED = """
    func.func @depthwise(%x: tensor<1x10x10x96xf32>, %w: tensor<3x3x96xf32>,
        %y: tensor<1x8x8x96xf32>) -> tensor<1x8x8x96xf32> attributes {
        translation_info = #iree_codegen.translation_info<
          pipeline = #iree_gpu.spirv_pipeline<BaseVectorize> workgroup_size = [8, 8, 1]>} {
      %z = linalg.depthwise_conv_2d_nhwc_hwc {
        lowering_config = #iree_codegen.lowering_config<tile_sizes =
          [[0, 4, 8, 32], [1, 4, 1, 4], [0, 0, 0, 0, 1, 1], [0, 1, 0, 0]]>}
        ins(%x, %w : tensor<1x10x10x96xf32>, tensor<3x3x96xf32>) outs(%y : tensor<1x8x8x96xf32>)
        -> tensor<1x8x8x96xf32>
      return %z : tensor<1x8x8x96xf32>
    }"""


def test_a_named_op_gets_another_workgroup() -> None:
    """Its loops are told by its result: it prints no maps."""
    done = reshape(NAMED, {(8, 8, 1)})
    assert [finding.kind for finding in done.findings] == ["reshaped"]
    size, (tiles,) = configuration(done.configured_ir)
    assert size == (8, 4, 2)
    assert tiles == [[0, 8, 4, 32], [1, 4, 1, 4], [0, 0, 0, 0, 1, 1], [0, 1, 0, 0]]


def test_what_is_not_avoided_stays_as_it_is() -> None:
    text = matmul()
    for avoided in ((), {(8, 8, 1)}):
        done = reshape(text, avoided)
        assert done.configured_ir is text and done.findings == ()


ZEROS = {
    "(4, 16, 1)": ("[[64, 16, 0], [4, 4, 0], [0, 0, 16]]", [[64, 8, 0], [2, 4, 0], [0, 0, 16]]),
    "(16, 1, 1)": ("[[0, 16], [0, 1], [1, 0, 16]]", [[0, 8], [0, 1], [1, 0, 16]]),
}


@pytest.mark.parametrize("size", ZEROS)
def test_loops_without_a_tile_have_no_threads(size: str) -> None:
    """The summed one in the first case, the rows in the second, too."""
    tiles, wanted = ZEROS[size]
    text = matmul(size.replace("(", "[").replace(")", "]"), tiles)
    done = reshape(text, {(4, 16, 1), (16, 1, 1)})
    assert [finding.kind for finding in done.findings] == ["reshaped"]
    assert configuration(done.configured_ir)[1] == [wanted]


REFUSED = {
    "threads that do not follow from the tiles": matmul(size="[8, 8, 1]"),
    "no tiles for threads": matmul(size="[8, 8, 1]", tiles="[[64, 16]]"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_dealt_otherwise_is_refused(why: str) -> None:
    done = reshape(REFUSED[why], {(8, 8, 1)})
    (finding,) = done.findings
    assert (finding.kind, finding.is_error) == ("workgroup", True)
    assert "its loops suit no other" in finding.detail
    assert configuration(done.configured_ir) == configuration(REFUSED[why])


COPY = """
    func.func @copy(%x: tensor<64x16xf32>, %y: tensor<64x16xf32>) -> tensor<64x16xf32> attributes {
        translation_info = #iree_codegen.translation_info<
          pipeline = #iree_gpu.spirv_pipeline<BaseDistribute> workgroup_size = [8, 8, 1]>} {
      %z = linalg.copy ins(%x : tensor<64x16xf32>) outs(%y : tensor<64x16xf32>)
        -> tensor<64x16xf32>
      return %z : tensor<64x16xf32>
    }"""


def test_what_sums_nothing_keeps_its_workgroup() -> None:
    (finding,) = reshape(COPY, {(8, 8, 1)}).findings
    assert (finding.kind, finding.is_error) == ("kept", False)


def test_a_reduction_of_subgroups_is_refused() -> None:
    """Several of its ops are configured, for a number of threads that its subgroups need."""
    text = text_of("reduction_row")
    (x, y, z), _ = configuration(text)
    assert [finding.kind for finding in reshape(text, {(x, y, z)}).findings] == ["workgroup"]


def test_text_that_does_not_parse() -> None:
    with pytest.raises(ValueError, match="does not parse"):
        reshape("no MLIR", {(8, 8, 1)})
