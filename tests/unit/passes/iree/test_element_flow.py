"""What counts as moving data: each kind of body, and beside it the nearest one that computes."""

import pytest
from unit.passes.iree.bodies import elementwise, load, module, program, store

from smartmem.passes.iree.count import Work, count


def work(text: str) -> Work:
    counts = count(text)
    assert not counts.unknown
    (only,) = counts.table
    return only


def one_operand(yielded: str, element: str = "f32", output: str = "f32") -> str:
    body = elementwise([("%x0", f"4x8x{element}")], f"4x8x{output}", yielded)
    return module([f"4x8x{element}"], f"4x8x{output}", body)


TRANSPOSE = """
    %e = tensor.empty() : tensor<8x4xf32>
    %r = linalg.transpose ins(%x0 : tensor<4x8xf32>) outs(%e : tensor<8x4xf32>)
        permutation = [1, 0]
"""
TRANSPOSE_ADD = """
    %e = tensor.empty() : tensor<8x4xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>,
        affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>],
        iterator_types = ["parallel", "parallel"]}
        ins(%x0, %x1 : tensor<4x8xf32>, tensor<8x4xf32>) outs(%e : tensor<8x4xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %s = arith.addf %a, %b : f32
      linalg.yield %s : f32
    } -> tensor<8x4xf32>
"""
PAD = """
    %r = tensor.pad %x0 low[1, 1] high[1, 1] {
    ^bb0(%i: index, %j: index):
      tensor.yield %zero : f32
    } : tensor<4x8xf32> to tensor<6x10xf32>
"""
PACK = """
    %e = tensor.empty() : tensor<1x2x4x4xf32>
    %r = linalg.pack %x0 padding_value(%zero : f32) inner_dims_pos = [0, 1] inner_tiles = [4, 4]
        into %e : tensor<4x8xf32> -> tensor<1x2x4x4xf32>
"""
SOFTMAX = """
    %e = tensor.empty() : tensor<4x8xf32>
    %r = linalg.softmax dimension(1) ins(%x0 : tensor<4x8xf32>) outs(%e : tensor<4x8xf32>)
        -> tensor<4x8xf32>
"""
FILL = """
    %e = tensor.empty() : tensor<4x8xf32>
    %r = linalg.fill ins(%one : f32) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
"""
CONCAT = "    %r = tensor.concat dim(0) %x0, %x1 : (tensor<4x8xf32>, tensor<2x8xf32>)\n"
CONCAT += "        -> tensor<6x8xf32>\n"
MATMUL = """
    %e = tensor.empty() : tensor<4x4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
    %r = linalg.matmul ins(%x0, %x1 : tensor<4x8xf32>, tensor<8x4xf32>)
        outs(%f : tensor<4x4xf32>) -> tensor<4x4xf32>
"""
GATHER = """
    %e = tensor.empty() : tensor<3x8xf32>
    %r = iree_linalg_ext.gather dimension_map = [0]
        ins(%x0, %x1 : tensor<100x8xf32>, tensor<3xi32>) outs(%e : tensor<3x8xf32>)
        -> tensor<3x8xf32>
"""


@pytest.mark.parametrize(
    ("inputs", "output", "body"),
    [
        pytest.param(["4x8xf32"], "8x4xf32", TRANSPOSE, id="transpose"),
        pytest.param(["4x8xf32"], "6x10xf32", PAD, id="pad"),
        pytest.param(["4x8xf32"], "1x2x4x4xf32", PACK, id="pack"),
        pytest.param([], "4x8xf32", FILL, id="fill"),
        pytest.param(["4x8xf32", "2x8xf32"], "6x8xf32", CONCAT, id="concat"),
        pytest.param(["100x8xf32", "3xi32"], "3x8xf32", GATHER, id="gather"),
    ],
)
def test_named_ops_that_move(inputs: list[str], output: str, body: str) -> None:
    assert work(module(inputs, output, body)).kind == "layout"


@pytest.mark.parametrize(
    ("inputs", "output", "body", "computed_by"),
    [
        pytest.param(
            ["4x8xf32", "8x4xf32"], "8x4xf32", TRANSPOSE_ADD, "arith.addf", id="transpose + add"
        ),
        pytest.param(["4x8xf32"], "4x8xf32", SOFTMAX, "linalg.softmax", id="softmax"),
        pytest.param(["4x8xf32", "8x4xf32"], "4x4xf32", MATMUL, "arith.mulf", id="matmul"),
    ],
)
def test_named_ops_that_compute(
    inputs: list[str], output: str, body: str, computed_by: str
) -> None:
    found = work(module(inputs, output, body))
    assert (found.kind, found.computed_by) == ("compute", computed_by)


@pytest.mark.parametrize(
    "yielded",
    [
        "%v = arith.addf %a, %zero : f32\n linalg.yield %v : f32",
        "%v = arith.addf %zero, %a : f32\n linalg.yield %v : f32",
        "%v = arith.subf %a, %zero : f32\n linalg.yield %v : f32",
        "%v = arith.mulf %a, %one : f32\n linalg.yield %v : f32",
        "%v = arith.divf %a, %one : f32\n linalg.yield %v : f32",
    ],
)
def test_identities_move(yielded: str) -> None:
    assert work(one_operand(yielded)).kind == "layout"


@pytest.mark.parametrize(
    "yielded",
    [
        "%v = arith.addf %a, %one : f32\n linalg.yield %v : f32",
        "%v = arith.subf %zero, %a : f32\n linalg.yield %v : f32",
        "%v = arith.mulf %a, %zero : f32\n linalg.yield %v : f32",
        "%v = arith.divf %one, %a : f32\n linalg.yield %v : f32",
        "%v = arith.maximumf %a, %zero : f32\n linalg.yield %v : f32",
        "%v = arith.negf %a : f32\n linalg.yield %v : f32",
        "%v = math.exp %a : f32\n linalg.yield %v : f32",
    ],
)
def test_arithmetic_on_an_element_computes(yielded: str) -> None:
    assert work(one_operand(yielded)).kind == "compute"


@pytest.mark.parametrize(
    ("element", "output", "yielded"),
    [
        ("f32", "f16", "%v = arith.truncf %a : f32 to f16\n linalg.yield %v : f16"),
        ("i64", "f32", "%v = arith.sitofp %a : i64 to f32\n linalg.yield %v : f32"),
        ("f32", "i32", "%v = arith.fptosi %a : f32 to i32\n linalg.yield %v : i32"),
        ("f32", "i1", "%v = arith.cmpf une, %a, %zero : f32\n linalg.yield %v : i1"),
    ],
)
def test_casts_move(element: str, output: str, yielded: str) -> None:
    assert work(one_operand(yielded, element, output)).kind == "layout"


def test_a_comparison_is_no_cast() -> None:
    yielded = "%v = arith.cmpf ogt, %a, %zero : f32\n linalg.yield %v : i1"
    assert work(one_operand(yielded, "f32", "i1")).kind == "compute"


def test_select_by_position_moves() -> None:
    """A pad: arithmetic on indices is no arithmetic on elements."""
    yielded = """
      %i = linalg.index 0 : index
      %j = arith.addi %i, %i : index
      %k = arith.cmpi ult, %j, %c0 : index
      %v = arith.select %k, %a, %zero : f32
      linalg.yield %v : f32"""
    assert work(one_operand(yielded)).kind == "layout"


def test_select_by_another_tensor_moves() -> None:
    body = elementwise(
        [("%x0", "4x8xf32"), ("%x1", "4x8xf32")],
        "4x8xf32",
        """
      %k = arith.cmpf ogt, %b, %zero : f32
      %v = arith.select %k, %a, %zero : f32
      linalg.yield %v : f32""",
    )
    assert work(module(["4x8xf32", "4x8xf32"], "4x8xf32", body)).kind == "layout"


def test_select_by_the_element_itself_is_a_relu() -> None:
    yielded = """
      %k = arith.cmpf ogt, %a, %zero : f32
      %v = arith.select %k, %a, %zero : f32
      linalg.yield %v : f32"""
    found = work(one_operand(yielded))
    assert (found.kind, found.computed_by) == ("compute", "arith.select")


EMBEDDING = """
      %w = arith.addi %a, %a : i64
      %i = arith.index_cast %w : i64 to index
      %j = linalg.index 1 : index
      %v = tensor.extract %x1[%i, %j] : tensor<100x8xf32>
"""


def embedding(tail: str) -> str:
    body = elementwise([("%x0", "4x8xi64")], "4x8xf32", EMBEDDING + tail)
    return module(["4x8xi64", "100x8xf32"], "4x8xf32", body)


def test_embedding_moves() -> None:
    """The row number is computed, but it is an address."""
    assert work(embedding("linalg.yield %v : f32")).kind == "layout"


def test_embedding_scaled_computes() -> None:
    tail = "%m = arith.mulf %v, %v : f32\n linalg.yield %m : f32"
    assert work(embedding(tail)).kind == "compute"


def test_sinusoid_of_indices_is_a_constant() -> None:
    yielded = """
      %i = linalg.index 0 : index
      %n = arith.index_cast %i : index to i32
      %f = arith.sitofp %n : i32 to f32
      %v = math.sin %f : f32
      linalg.yield %v : f32"""
    assert work(module([], "4x8xf32", elementwise([], "4x8xf32", yielded))).kind == "layout"


def reduction(extent: int, yielded: str, captured: str = "") -> str:
    body = f"""
    %e = tensor.empty() : tensor<4xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
    %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>,
        affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}}
        ins(%x0 : tensor<4x{extent}xf32>) outs(%f : tensor<4xf32>) {{
    ^bb0(%a: f32, %o: f32):
      {captured}
      {yielded}
    }} -> tensor<4xf32>
"""
    return module([f"4x{extent}xf32"], "4xf32", body)


def test_sum_computes() -> None:
    text = reduction(8, "%s = arith.addf %o, %a : f32\n linalg.yield %s : f32")
    assert work(text).kind == "compute"


def test_sum_over_one_element_moves() -> None:
    text = reduction(1, "%s = arith.addf %o, %a : f32\n linalg.yield %s : f32")
    assert work(text).kind == "layout"


def test_sum_of_gathered_elements_computes() -> None:
    """The elements come through a capture: no operand of the op tells."""
    captured = """
      %i = linalg.index 0 : index
      %j = linalg.index 1 : index
      %x = tensor.extract %x0[%i, %j] : tensor<4x8xf32>"""
    text = reduction(8, "%s = arith.addf %x, %o : f32\n linalg.yield %s : f32", captured)
    assert work(text).kind == "compute"


def loop(step: str) -> str:
    body = f"""
    %c1 = arith.constant 1 : index
    %c4 = arith.constant 4 : index
    %e = tensor.empty() : tensor<4x8xf32>
    %r = scf.for %i = %c0 to %c4 step %c1 iter_args(%acc = %e) -> (tensor<4x8xf32>) {{
      %s = tensor.extract_slice %x0[%i, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<1x8xf32>
      {step}
      %n = tensor.insert_slice %u into %acc[%i, 0] [1, 8] [1, 1]
          : tensor<1x8xf32> into tensor<4x8xf32>
      scf.yield %n : tensor<4x8xf32>
    }}
"""
    return module(["4x8xf32"], "4x8xf32", body)


def test_loop_of_slice_updates_moves() -> None:
    copy = "%u = tensor.cast %s : tensor<1x8xf32> to tensor<1x8xf32>"
    assert work(loop(copy)).kind == "layout"


def test_loop_that_computes() -> None:
    square = """
      %u = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>,
          affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
          ins(%s : tensor<1x8xf32>) outs(%s : tensor<1x8xf32>) {
      ^bb0(%a: f32, %o: f32):
        %q = arith.mulf %a, %a : f32
        linalg.yield %q : f32
      } -> tensor<1x8xf32>"""
    assert work(loop(square)).kind == "compute"


def test_parallel_loop_of_slice_updates() -> None:
    body = """
    %e = tensor.empty() : tensor<4x8xf32>
    %r = scf.forall (%i) in (4) shared_outs(%acc = %e) -> (tensor<4x8xf32>) {
      %s = tensor.extract_slice %x0[%i, 0] [1, 8] [1, 1] : tensor<4x8xf32> to tensor<1x8xf32>
      scf.forall.in_parallel {
        tensor.parallel_insert_slice %s into %acc[%i, 0] [1, 8] [1, 1]
            : tensor<1x8xf32> into tensor<4x8xf32>
      }
    }
"""
    found = work(module(["4x8xf32"], "4x8xf32", body))
    assert (found.kind, found.read_bytes, found.written_bytes) == ("layout", 128, 128)


def test_one_computed_store_of_two_makes_compute() -> None:
    moved = store("%x0", 1, "4x8xf32")
    squared = elementwise(
        [("%x0", "4x8xf32")], "4x8xf32", "%v = arith.mulf %a, %a : f32\n linalg.yield %v : f32"
    )
    views = "".join(
        f"    %b{i} = stream.binding.subspan %arg{i}[%c0] : !stream.binding ->"
        f" !iree_tensor_ext.dispatch.tensor<{access}:tensor<4x8xf32>>\n"
        for i, access in enumerate(("readonly", "writeonly", "writeonly"))
    )
    body = views + load(0, "4x8xf32") + moved + squared + store("%r", 2, "4x8xf32")
    assert work(program(3, body)).kind == "compute"


def test_unknown_op_counts_as_compute_and_is_named() -> None:
    body = '    %r = "someone.shuffle"(%x0) : (tensor<4x8xf32>) -> tensor<4x8xf32>\n'
    counts = count(module(["4x8xf32"], "4x8xf32", body))
    assert counts.table[0].kind == "compute"
    assert counts.unknown == ("someone.shuffle in work: counted as compute",)
