"""Bytes of a dispatch: what is touched, once, and no more."""

from unit.passes.iree.bodies import elementwise, load, module, program, store

from smartmem.passes.iree.count import count


def traffic(text: str) -> tuple[int, int]:
    (only,) = count(text).table
    return only.read_bytes, only.written_bytes


def test_broadcast_operand_counts_its_own_size() -> None:
    body = """
    %e = tensor.empty() : tensor<4x8xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j)>,
        affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%x0 : tensor<8xf32>) outs(%e : tensor<4x8xf32>) {
    ^bb0(%a: f32, %o: f32):
      linalg.yield %a : f32
    } -> tensor<4x8xf32>
"""
    assert traffic(module(["8xf32"], "4x8xf32", body)) == (32, 128)


def test_contraction_reads_each_operand_once() -> None:
    body = """
    %e = tensor.empty() : tensor<4x16xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4x16xf32>) -> tensor<4x16xf32>
    %r = linalg.matmul ins(%x0, %x1 : tensor<4x8xf32>, tensor<8x16xf32>)
        outs(%f : tensor<4x16xf32>) -> tensor<4x16xf32>
"""
    expected = (4 * (4 * 8 + 8 * 16), 4 * 4 * 16)
    assert traffic(module(["4x8xf32", "8x16xf32"], "4x16xf32", body)) == expected


def test_slice_counts_what_it_touches() -> None:
    body = "    %r = tensor.extract_slice %x0[1, 0] [2, 8] [1, 1]"
    body += " : tensor<4x8xf32> to tensor<2x8xf32>\n"
    assert traffic(module(["4x8xf32"], "2x8xf32", body)) == (64, 64)


def test_boxes_that_overlap_count_their_tensor_once() -> None:
    body = ""
    for number, start in enumerate((0, 1, 2)):
        kind = "!iree_tensor_ext.dispatch.tensor<readonly:tensor<4x8xf32>>"
        body += f"    %s{number} = iree_tensor_ext.dispatch.tensor.load %b0, "
        body += f"offsets = [{start}, 0], sizes = [2, 8], strides = [1, 1]"
        body += f" : {kind} -> tensor<2x8xf32>\n"
    body += elementwise(
        [(f"%s{number}", "2x8xf32") for number in range(3)],
        "2x8xf32",
        "      %p = arith.addf %a, %b : f32\n      %q = arith.addf %p, %c : f32\n"
        "      linalg.yield %q : f32",
    )
    assert traffic(module(["4x8xf32"], "2x8xf32", body)) == (4 * 4 * 8, 4 * 2 * 8)


def test_embedding_reads_rows_not_the_table() -> None:
    body = elementwise(
        [("%x0", "4x8xi64")],
        "4x8xf32",
        """
      %i = arith.index_cast %a : i64 to index
      %j = linalg.index 1 : index
      %v = tensor.extract %x1[%i, %j] : tensor<1000x8xf32>
      linalg.yield %v : f32""",
    )
    text = module(["4x8xi64", "1000x8xf32"], "4x8xf32", body)
    assert traffic(text) == (4 * 8 * 8 + 4 * 8 * 4, 128)


def test_gather_never_counts_more_than_the_table() -> None:
    body = elementwise(
        [("%x0", "4x8xi64")],
        "4x8xf32",
        """
      %i = arith.index_cast %a : i64 to index
      %v = tensor.extract %x1[%i] : tensor<3xf32>
      linalg.yield %v : f32""",
    )
    assert traffic(module(["4x8xi64", "3xf32"], "4x8xf32", body)) == (4 * 8 * 8 + 12, 128)


def test_strided_window_skips_what_it_skips() -> None:
    """A 1-wide window at stride 2 reads every second element; a 3-wide one all but the last."""
    text = """
    %e = tensor.empty() : tensor<8xf32>
    %k = tensor.empty() : tensor<WINDOWxf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<8xf32>) -> tensor<8xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i * 2 + j)>,
        affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i)>],
        iterator_types = ["parallel", "reduction"]}
        ins(%x0, %k : tensor<18xf32>, tensor<WINDOWxf32>) outs(%f : tensor<8xf32>) {
    ^bb0(%a: f32, %b: f32, %o: f32):
      %m = arith.maximumf %a, %o : f32
      linalg.yield %m : f32
    } -> tensor<8xf32>
"""
    narrow = module(["18xf32"], "8xf32", text.replace("WINDOW", "1"))
    wide = module(["18xf32"], "8xf32", text.replace("WINDOW", "3"))
    assert traffic(narrow) == (8 * 4, 32)
    assert traffic(wide) == (17 * 4, 32)


def test_bool_takes_a_byte() -> None:
    body = elementwise(
        [("%x0", "4x8xi1")], "4x8xf32", "%v = arith.uitofp %a : i1 to f32\nlinalg.yield %v : f32"
    )
    assert traffic(module(["4x8xi1"], "4x8xf32", body)) == (32, 128)


def update(target: int) -> str:
    """Load all of binding 1, put binding 0 into it as a slice, store all to binding ``target``."""
    views = "".join(
        f"    %b{i} = stream.binding.subspan %arg{i}[%c0] : !stream.binding ->"
        f" !iree_tensor_ext.dispatch.tensor<{access}:tensor<{tensor}>>\n"
        for i, (access, tensor) in enumerate(
            [("readonly", "2x8xf32"), ("readwrite", "4x8xf32"), ("readwrite", "4x8xf32")]
        )
    )
    insert = "    %r = tensor.insert_slice %x0 into %x1[1, 0] [2, 8] [1, 1]"
    insert += " : tensor<2x8xf32> into tensor<4x8xf32>\n"
    loads = load(0, "2x8xf32") + load(1, "4x8xf32", "readwrite")
    return program(3, views + loads + insert + store("%r", target, "4x8xf32", "readwrite"))


def test_update_in_place_counts_the_slice() -> None:
    assert traffic(update(1)) == (64, 64)


def test_update_into_another_buffer_counts_all() -> None:
    assert traffic(update(2)) == (64 + 128, 128)


def test_dynamic_shape_is_named_not_guessed() -> None:
    body = """
    %n = arith.constant 3 : index
    %d = stream.binding.subspan %arg0[%c0] : !stream.binding
        -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<?xf32>>{%n}
    %e = tensor.empty(%n) : tensor<?xf32>
    %r = linalg.fill ins(%one : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    iree_tensor_ext.dispatch.tensor.store %r, %d, offsets = [0], sizes = [%n], strides = [1]
        : tensor<?xf32> -> !iree_tensor_ext.dispatch.tensor<writeonly:tensor<?xf32>>{%n}
"""
    counts = count(program(1, body))
    assert counts.table[0].kind == "layout"
    assert counts.unknown == ("tensor<?xf32> in work: no static size, its bytes are not counted",)
