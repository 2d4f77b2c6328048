"""Products with more rows and in parts compute what they did, without a copy more."""

from collections.abc import Callable
from functools import cache
from typing import Any

import iree.runtime as ireert
import numpy as np
import pytest
from numpy.typing import NDArray

from smartmem.passes.iree.cache import Cache
from smartmem.passes.iree.driver import compile_executables, compile_to
from smartmem.passes.iree.shape_products import Shaped, shape_products
from smartmem.passes.rules.kernels import KernelLimits
from smartmem.passes.rules.product_shapes import Product, ProductShape
from smartmem.passes.target import known_targets, resolve

CPU = resolve("cpu")
LIMITS = known_targets()["nvidia"].kernels
assert LIMITS is not None
_LAST = np.random.default_rng(1).standard_normal((64, 32), np.float32)
Choose = Callable[[Product, KernelLimits], ProductShape | None]

_IDS = "affine_map<(i, j) -> (i, j)>"


def _product(name: str, given: str, matrix: str, m: int, n: int, k: int, transposed: bool) -> str:
    held = f"{n}x{k}" if transposed else f"{k}x{n}"
    at = "(n, k)" if transposed else "(k, n)"
    return f"""
  %{name}_e = tensor.empty() : tensor<{m}x{n}xf32>
  %{name}_z = linalg.fill ins(%zero : f32) outs(%{name}_e : tensor<{m}x{n}xf32>)
    -> tensor<{m}x{n}xf32>
  %{name} = linalg.generic {{
    indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> {at}>,
                     affine_map<(m, n, k) -> (m, n)>],
    iterator_types = ["parallel", "parallel", "reduction"]
  }} ins(%{given}, %{matrix} : tensor<{m}x{k}xf32>, tensor<{held}xf32>)
    outs(%{name}_z : tensor<{m}x{n}xf32>) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %p = arith.mulf %a, %b : f32
    %s = arith.addf %o, %p : f32
    linalg.yield %s : f32
  }} -> tensor<{m}x{n}xf32>"""


def _each(name: str, inputs: list[str], shape: str, code: str) -> str:
    maps = ", ".join([_IDS] * (len(inputs) + 1))
    values = ", ".join(f"%{v}" for v in inputs)
    types = ", ".join([f"tensor<{shape}xf32>"] * len(inputs))
    arguments = ", ".join(f"%a{i}: f32" for i in range(len(inputs)))
    return f"""
  %{name}_e = tensor.empty() : tensor<{shape}xf32>
  %{name} = linalg.generic {{indexing_maps = [{maps}],
    iterator_types = ["parallel", "parallel"]}}
    ins({values} : {types}) outs(%{name}_e : tensor<{shape}xf32>) {{
  ^bb0({arguments}, %o: f32):
    {code}
    linalg.yield %r : f32
  }} -> tensor<{shape}xf32>"""


def mlp(*, transposed: bool = False) -> str:
    """49 rows through two layers and back to themselves: (tanh(exp(x) u) v + exp(x)) c."""
    u = "96x64" if transposed else "64x96"
    return f"""
func.func @main(%x: tensor<49x64xf32>, %u: tensor<{u}xf32>, %v: tensor<96x64xf32>,
           %c: tensor<64x32xf32>) -> tensor<49x32xf32> {{
  %zero = arith.constant 0.0 : f32
{_each("y", ["x"], "49x64", "%r = math.exp %a0 : f32")}
{_product("h", "y", "u", 49, 96, 64, transposed)}
{_each("t", ["h"], "49x96", "%r = math.tanh %a0 : f32")}
{_product("w", "t", "v", 49, 64, 96, False)}
{_each("q", ["w", "y"], "49x64", "%r = arith.addf %a0, %a1 : f32")}
{_product("n", "q", "c", 49, 32, 64, False)}
  return %n : tensor<49x32xf32>
}}"""


def _rooted(m: int) -> NDArray[np.float32]:
    return np.random.default_rng(m).standard_normal((m, 64), np.float32) / 8


@cache
def _flow(text: str) -> str:
    return compile_to("flow", text, CPU, Cache(None))


def _stream(flow_ir: str) -> str:
    return compile_to("stream", flow_ir, CPU, Cache(None), source_phase="flow")


def _run(stream_ir: str, arrays: list[NDArray[Any]]) -> NDArray[Any]:
    vmfb = compile_executables(stream_ir, CPU, Cache(None), {}).vmfb
    module: Any = ireert.load_vm_flatbuffer(vmfb, driver="local-task")
    return module.main(*arrays).to_host()


def _shape(rows: int, parts: int, *, whole: bool) -> Choose:
    return lambda product, _: ProductShape(rows, parts, whole=whole and product.whole)


def _shaped(shape: Choose, *, transposed: bool = False) -> Shaped:
    """The model with its last product left alone."""
    flow_ir = _flow(mlp(transposed=transposed))
    return shape_products(flow_ir, LIMITS, lambda p, n: None if p.columns == 32 else shape(p, n))


def _wanted(x: Any, u: Any, v: Any) -> Any:
    y = np.exp(x.astype(np.float64))
    return (np.tanh(y @ u) @ v + y) @ _LAST


@pytest.mark.parametrize(
    ("shape", "lengthened", "split"),
    [
        (_shape(64, 1, whole=True), 2, 0),
        (_shape(52, 2, whole=False), 0, 2),
        (_shape(49, 4, whole=False), 0, 2),
        (_shape(56, 1, whole=False), 0, 2),
        (lambda p, _: ProductShape(64, 1, whole=True) if p.depth == 64 else None, 1, 0),
        (lambda p, _: ProductShape(64, 1 if p.depth == 64 else 3, whole=p.depth == 64), 1, 1),
        (lambda p, _: ProductShape(64, 3 if p.depth == 96 else 1, whole=p.depth == 64), 1, 1),
        (lambda p, _: ProductShape(p.columns, 1, whole=True), 2, 0),
    ],
)
def test_the_result_stays_and_nothing_is_copied(shape: Choose, lengthened: int, split: int) -> None:
    shaped = _shaped(shape)
    assert (shaped.lengthened, shaped.split) == (lengthened, split)
    stream_ir = _stream(shaped.flow_ir)
    assert "stream.cmd.copy" not in stream_ir
    x, u, v = _rooted(49), _rooted(64)[:, :64].repeat(2, axis=1)[:, :96].copy(), _rooted(96)
    found = _run(stream_ir, [x, u, v, _LAST])
    assert np.allclose(found, _wanted(x, u, v), rtol=1e-4, atol=1e-4)


def test_a_matrix_of_rows_is_cut_along_its_depth() -> None:
    shaped = _shaped(_shape(64, 2, whole=False), transposed=True)
    assert shaped.split == 2
    x, u, v = _rooted(49), _rooted(96), _rooted(96)
    found = _run(_stream(shaped.flow_ir), [x, u, v, _LAST])
    assert np.allclose(found, _wanted(x, u.T, v), rtol=1e-4, atol=1e-4)


def test_what_a_caller_gives_is_not_made_longer() -> None:
    text = f"""
func.func @main(%x: tensor<49x64xf32>, %u: tensor<64x96xf32>) -> tensor<49x96xf32> {{
  %zero = arith.constant 0.0 : f32
{_product("h", "x", "u", 49, 96, 64, False)}
  return %h : tensor<49x96xf32>
}}"""
    assert shape_products(_flow(text), LIMITS, _shape(64, 1, whole=True)) == Shaped(
        _flow(text), 0, 0
    )
    assert shape_products(_flow(text), LIMITS, _shape(64, 2, whole=False)).split == 0
    # In parts it needs no other rows.
    assert shape_products(_flow(text), LIMITS, _shape(49, 2, whole=False)).split == 1


def test_a_product_that_is_left_alone_leaves_the_module_as_it_is() -> None:
    assert shape_products(_flow(mlp()), LIMITS, lambda *_: None) == Shaped(_flow(mlp()), 0, 0)
