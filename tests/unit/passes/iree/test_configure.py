"""Our kernel configurations stand on the roots of the dispatches that they are for, and nowhere
else.
"""

import pytest
from unit.passes.iree import bodies

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.configure import configure
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.target import known_targets

LIMITS = known_targets()["nvidia"].kernels
assert LIMITS is not None


def contraction(body: str = "%p = arith.mulf %a, %b : f32\n %t = arith.addf %s, %p : f32") -> str:
    """A window's queries: [4, 49, 96] times [96, 3, 32], heads in front of rows."""
    return bodies.module(
        ["4x49x96xf32", "96x3x32xf32"],
        "4x3x49x32xf32",
        f"""
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<4x3x49x32xf32>
    %f = linalg.fill ins(%z : f32) outs(%e : tensor<4x3x49x32xf32>) -> tensor<4x3x49x32xf32>
    %r = linalg.generic {{
      indexing_maps = [affine_map<(b, h, m, n, k) -> (b, m, k)>,
                       affine_map<(b, h, m, n, k) -> (k, h, n)>,
                       affine_map<(b, h, m, n, k) -> (b, h, m, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
    }} ins(%x0, %x1 : tensor<4x49x96xf32>, tensor<96x3x32xf32>)
      outs(%f : tensor<4x3x49x32xf32>) {{
    ^bb0(%a: f32, %b: f32, %s: f32):
      {body}
      linalg.yield %t : f32
    }} -> tensor<4x3x49x32xf32>
""",
    )


def configured_ops(text: str) -> list[str]:
    """Names of the ops that carry a configuration."""
    module = phase_ir.parse(text)
    return [
        op.name for op in phase_ir.walk(module.operation) if "compilation_info" in op.attributes
    ]


def test_a_contraction_is_configured() -> None:
    result = configure(contraction(), LIMITS)
    (config,) = result.kernels.values()
    assert configured_ops(result.stream_ir) == ["linalg.generic"]
    assert f"workgroup_size = {list(config.threads)}" in result.stream_ir
    assert "tile_sizes = [[1, 1, 49, 32, 0], [1, 1, 7, 4, 0], [0, 0, 0, 0, 16]]" in result.stream_ir


def test_a_function_of_an_operand_is_part_of_its_factor() -> None:
    body = "%q = arith.maximumf %a, %z : f32\n %p = arith.mulf %q, %b : f32\n"
    found = configure(contraction(body + "%t = arith.addf %s, %p : f32"), LIMITS)
    assert found.kernels == configure(contraction(), LIMITS).kernels


def test_factors_that_share_an_operand_are_no_product_of_two() -> None:
    body = "%q = arith.addf %a, %b : f32\n %p = arith.mulf %q, %b : f32\n"
    assert configure(contraction(body + "%t = arith.addf %s, %p : f32"), LIMITS).kernels == {}


def chain(second: str = "mulf") -> str:
    """Two sums over the same loops, [6, 2, 4] times [4, 2, 8], that add up in one result."""
    loops = "(p, g, o, k)"
    sums = [
        f"""
    %r{number} = linalg.generic {{
      indexing_maps = [affine_map<{loops} -> (p, g, k)>, affine_map<{loops} -> (k, g, o)>,
                       affine_map<{loops} -> (p, g, o)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]
    }} ins(%x{2 * number}, %x{2 * number + 1} : tensor<6x2x4xf32>, tensor<4x2x8xf32>)
      outs(%{before} : tensor<6x2x8xf32>) {{
    ^bb0(%a: f32, %b: f32, %s: f32):
      %p = arith.{kind} %a, %b : f32
      %t = arith.addf %s, %p : f32
      linalg.yield %t : f32
    }} -> tensor<6x2x8xf32>"""
        for number, before, kind in ((0, "f", "mulf"), (1, "r0", second))
    ]
    body = f"""
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<6x2x8xf32>
    %f = linalg.fill ins(%z : f32) outs(%e : tensor<6x2x8xf32>) -> tensor<6x2x8xf32>
    {"".join(sums).replace("%r1", "%r")}
"""
    return bodies.module(["6x2x4xf32", "4x2x8xf32"] * 2, "6x2x8xf32", body)


@pytest.mark.parametrize("limits", [LIMITS, None], ids=["with limits", "without"])
def test_a_chain_of_sums_is_configured_as_one(limits: KernelLimits | None) -> None:
    result = configure(chain(), limits)
    (config,) = result.kernels.values()
    assert (config.workgroup, config.thread, config.reduction) == (
        (6, 2, 8, 0),
        (1, 1, 4, 0),
        (0, 0, 0, 4),
    )
    assert config.threads == (2, 2, 6)
    assert configured_ops(result.stream_ir) == ["linalg.generic"]
    module = phase_ir.parse(result.stream_ir)
    tiled = ["lowering_config" in op.attributes for op in phase_ir.walk(module.operation)]
    assert sum(tiled) == 1


def test_a_chain_avoids_workgroups_that_break_drivers() -> None:
    (config,) = configure(chain(), None, avoided=[(2, 2, 6)]).kernels.values()
    assert config.threads != (2, 2, 6)
    assert config.thread == (1, 1, 4, 0)
    assert config.workgroup == (config.threads[2], config.threads[1], 4 * config.threads[0], 0)


def test_sums_that_are_no_products_are_no_chain() -> None:
    assert configure(chain("addf"), None).kernels == {}


def test_without_limits_a_contraction_is_left_alone() -> None:
    assert configure(contraction(), None).kernels == {}


@pytest.mark.parametrize(
    "body",
    [
        "%p = arith.addf %a, %b : f32\n %t = arith.addf %s, %p : f32",
        "%p = arith.mulf %a, %b : f32\n %t = arith.maximumf %s, %p : f32",
        "%p = arith.mulf %a, %b : f32\n %q = math.exp %p : f32\n %t = arith.addf %s, %q : f32",
    ],
    ids=["a sum of sums", "a maximum of products", "a sum of functions"],
)
def test_other_reductions_are_left_alone(body: str) -> None:
    text = contraction(body)
    assert configure(text, LIMITS).stream_ir == text


def test_bad_text_is_refused() -> None:
    with pytest.raises(ValueError, match="does not parse"):
        configure("module {", LIMITS)


def _row_maxima(rows: int, columns: int) -> str:
    shape, maxima = f"{rows}x{columns}xf32", f"{rows}xf32"
    return bodies.module(
        [shape],
        maxima,
        f"""
    %e = tensor.empty() : tensor<{maxima}>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<{maxima}>) -> tensor<{maxima}>
    %r = linalg.generic {{
      indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>],
      iterator_types = ["parallel", "reduction"]
    }} ins(%x0 : tensor<{shape}>) outs(%f : tensor<{maxima}>) {{
    ^bb0(%a: f32, %s: f32):
      %t = arith.maximumf %a, %s : f32
      linalg.yield %t : f32
    }} -> tensor<{maxima}>
""",
    )


def test_short_rows_are_read_in_pieces() -> None:
    result = configure(_row_maxima(784, 98), LIMITS)
    assert (result.kernels, result.spread) == ({}, 1)
    assert configured_ops(result.stream_ir) == ["linalg.generic"]
    assert "tile_sizes = [[32], [1], [0, 14]]" in result.stream_ir


def test_rows_of_whole_vectors_are_left_to_iree() -> None:
    text = _row_maxima(784, 96)
    assert configure(text, LIMITS).stream_ir == text


def values_of_attention(behind: str = "") -> str:
    """Scores times values, [3, 224, 224] times [224, 3, 64], heads written between rows and
    columns.
    """
    return bodies.module(
        ["3x224x224xf32", "224x3x64xf32"],
        "224x3x64xf32",
        f"""
    %z = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<224x3x64xf32>
    %f = linalg.fill ins(%z : f32) outs(%e : tensor<224x3x64xf32>) -> tensor<224x3x64xf32>
    %{"p" if behind else "r"} = linalg.generic {{
      indexing_maps = [affine_map<(m, h, n, k) -> (h, m, k)>,
                       affine_map<(m, h, n, k) -> (k, h, n)>,
                       affine_map<(m, h, n, k) -> (m, h, n)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction"]
    }} ins(%x0, %x1 : tensor<3x224x224xf32>, tensor<224x3x64xf32>)
      outs(%f : tensor<224x3x64xf32>) {{
    ^bb0(%a: f32, %b: f32, %s: f32):
      %q = arith.mulf %a, %b : f32
      %t = arith.addf %s, %q : f32
      linalg.yield %t : f32
    }} -> tensor<224x3x64xf32>
    {behind}
""",
    )


def product_maps(text: str) -> list[str]:
    """The maps of the one op that sums."""
    (root,) = (
        op
        for op in phase_ir.walk(phase_ir.parse(text).operation)
        if "reduction" in phase_ir.iterator_types(op)
    )
    return [str(m) for m in phase_ir.affine_maps(root)]


def test_rows_are_dealt_to_threads_next_to_columns() -> None:
    """Heads go first, where nothing behind the product has loops of its own."""
    result = configure(values_of_attention(), LIMITS)
    (config,) = result.kernels.values()
    assert config.workgroup[0] == 1 and config.thread[0] == 1
    assert config.workgroup[1] > 1 and config.threads[2] == 1
    assert product_maps(result.stream_ir) == [
        "(d0, d1, d2, d3) -> (d0, d1, d3)",
        "(d0, d1, d2, d3) -> (d3, d0, d2)",
        "(d0, d1, d2, d3) -> (d1, d0, d2)",
    ]
    behind = """%r = linalg.generic {
      indexing_maps = [affine_map<(m, h, n) -> (m, h, n)>, affine_map<(m, h, n) -> (m, h, n)>],
      iterator_types = ["parallel", "parallel", "parallel"]
    } ins(%p : tensor<224x3x64xf32>) outs(%e : tensor<224x3x64xf32>) {
    ^bb0(%a: f32, %o: f32):
      %n = arith.negf %a : f32
      linalg.yield %n : f32
    } -> tensor<224x3x64xf32>"""
    kept = configure(values_of_attention(behind), LIMITS)
    assert product_maps(kept.stream_ir) == product_maps(values_of_attention(behind))
    assert product_maps(kept.stream_ir)[-1] == "(d0, d1, d2, d3) -> (d0, d1, d2)"
