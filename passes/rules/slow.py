"""What runs slowly on a target, and what would be faster: one table, each line with its source.

A rule sees one op of the laid-out module. All times are with IREE 3.13, and what counts is their
ratio: "H200" was measured on an NVIDIA H200 through Vulkan, "llvmpipe" by `smartmem run` on Mesa's
software device with two cores. Tried and left out, because nothing is gained: tanh instead of erf
in GELU (112 and 100 ms for 2 million elements on llvmpipe; nothing on the H200, where both are
fused into a matmul), and a gather along an outer dim instead of the innermost.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import ops
from smartmem.dialects.layout.maps import contraction_dims
from smartmem.dialects.layout.ops import element_type, shape
from smartmem.passes.analysis.estimate import is_gather, tensor_ops
from smartmem.passes.base import place, result_bytes

# Elements that one vector load of a GPU moves, in f32.
LANES = 4
# Below this many elements an op costs a launch and little else, however it is written.
_SMALL = 4096


@dataclass(frozen=True)
class Facts:
    """What rules know of the device: bytes of shared memory (0: unknown), the largest buffer a
    kernel may see, and whether f16 can lie in buffers.
    """

    kind: str
    shared_memory_bytes: int
    max_buffer_bytes: int
    stores_16_bits: bool


@dataclass(frozen=True)
class SlowRule:
    """``applies(op, facts)``; why it is slow, what to write instead, and who says so."""

    name: str
    op: Any
    applies: Callable[[Any, Facts], bool]
    why: str
    instead: str
    source: str


@dataclass(frozen=True)
class SlowOp:
    """One rule's findings: how often, and the Python lines."""

    rule: str
    op: str
    locations: tuple[str, ...]
    why: str
    instead: str
    source: str


def _is_large(op: Any) -> bool:
    return prod(shape(op.operation.results[0])) >= _SMALL


def _gather_view(op: Any, facts: Facts) -> bool:
    return _is_large(op) and is_gather(op)


def _odd_reduction(op: Any, facts: Facts) -> bool:
    """The summed dim, which vectors run along, is no multiple of a vector."""
    (lhs, *_, result), _ = contraction_dims(op.attributes["indexing_maps"])
    summed = [size for size, dim in zip(shape(op.lhs), lhs, strict=True) if dim not in result]
    return facts.kind == "vulkan" and _is_large(op) and bool(summed) and summed[-1] % LANES != 0


def _odd_columns(op: Any, facts: Facts) -> bool:
    return facts.kind == "vulkan" and _is_large(op) and shape(op.result)[-1] % LANES != 0


def _odd_row(op: Any, facts: Facts) -> bool:
    size = shape(op.input)[_dim(op)]
    return facts.kind == "vulkan" and _is_large(op) and size > 32 and size % 2 != 0


def _odd_keys(op: Any, facts: Facts) -> bool:
    keys = shape(op.key)[-2]
    return facts.kind == "vulkan" and keys > 32 and keys % 2 != 0


def _row_beyond_shared(op: Any, facts: Facts) -> bool:
    row = 4 * shape(op.input)[_dim(op)]
    return 0 < facts.shared_memory_bytes < row


def _dim(op: Any) -> int:
    return ir.IntegerAttr(op.attributes["dim"]).value


def _groups(op: Any) -> int:
    return ir.IntegerAttr(op.attributes["groups"]).value


def _volume(op: Any, facts: Facts) -> bool:
    """Three window dims, all of them more than one wide."""
    return len(shape(op.weight)) == 5 and all(size > 1 for size in shape(op.weight)[2:])


def _large_dense_window(op: Any, facts: Facts) -> bool:
    window, channels = prod(shape(op.weight)[2:]), shape(op.weight)[1]
    return window >= 25 and _groups(op) == 1 and channels >= 16


def _beyond_buffer(op: Any, facts: Facts) -> bool:
    if isinstance(op, ops.ViewOp) and not is_gather(op):
        return False  # It never lies in memory.
    return any(result_bytes(v) > facts.max_buffer_bytes > 0 for v in op.operation.results)


def _f32_weight(op: Any, facts: Facts) -> bool:
    return facts.stores_16_bits and isinstance(element_type(op.operation.results[0]), ir.F32Type)


RULES = (
    SlowRule(
        "gather-view",
        ops.ViewOp,
        _gather_view,
        "a roll, a flip or a sliding window is read element by element, at computed positions",
        "do it once over all its dims; better, let shifts that follow each other cancel",
        "roll of 1x56x56x96 before a product: 152 ms, without it 32 ms (llvmpipe)",
    ),
    SlowRule(
        "odd-reduction",
        ops.ContractOp,
        _odd_reduction,
        "the summed dim is no multiple of 4, so loads are single elements",
        "pad features to a multiple of 4 with zeros, in the weights once",
        "linear on 512 rows, 255 to 256 features: 256 ms; 256 to 256: 77 ms (llvmpipe)",
    ),
    SlowRule(
        "odd-columns",
        ops.ContractOp,
        _odd_columns,
        "the rows of the result are no multiple of 4 long, so stores are single elements",
        "pad output features to a multiple of 4 in the weights and slice the result",
        "linear on 512 rows, 256 to 254 features: 692 ms; 256 to 256: 77 ms (llvmpipe)",
    ),
    SlowRule(
        "odd-softmax",
        ops.SoftmaxOp,
        _odd_row,
        "rows of odd length are done by one thread each",
        "pad the row to a multiple of 32 and mask the rest with -inf",
        "softmax of 591 rows of 197: 79 us; padded to 224 and masked: 2.8 us (H200)",
    ),
    SlowRule(
        "odd-attention",
        ops.AttentionOp,
        _odd_keys,
        "an odd number of keys: one thread for each row of its softmax, products without vectors",
        "pad the tokens to a multiple of 32 and mask them",
        "attention of 3 heads, 197 tokens, 64 wide: 205 us; padded to 224: 14.9 us (H200)",
    ),
    SlowRule(
        "long-softmax",
        ops.SoftmaxOp,
        _row_beyond_shared,
        "a row is larger than the workgroup's shared memory, so it is read from memory three times",
        "split the row (two softmaxes over halves, combined by their sums), or shorten it",
        "arithmetic: 4 bytes an element against the target's shared memory",
    ),
    SlowRule(
        "dense-3d",
        ops.ConvOp,
        _volume,
        "a 3-D window is a loop over single elements",
        "a (2+1)-D pair: first 1xHxW, then Dx1x1",
        "conv3d of 16 channels, 3x3x3 on 16x16x16: 968 ms; as (2+1)-D: 464 ms (llvmpipe)",
    ),
    SlowRule(
        "dense-large-window",
        ops.ConvOp,
        _large_dense_window,
        "a large dense window multiplies window size by input channels for each output",
        "a depthwise convolution of that window followed by a pointwise one",
        "7x7, 32 to 32 channels on 28x28: 1852 ms; depthwise and pointwise: 111 ms (llvmpipe)",
    ),
    SlowRule(
        "sort",
        ops.ArgsortOp,
        lambda op, facts: facts.kind == "vulkan",
        "a row of n elements is merged in log2(n) kernels, one after another",
        "max or argmax where one value is enough; else take the sorting out of the model",
        "sort of 256 rows of 512: 944 ms, topk 590 ms; argmax: 128 ms (llvmpipe, a busy machine)",
    ),
    SlowRule(
        "scan",
        ops.ScanOp,
        lambda op, facts: facts.kind == "vulkan",
        "each element sums those before it in its row or block, one load after another",
        "a product with a triangular matrix of ones, for rows of up to some hundreds",
        "cumsum of 4096 rows of 512: 48.6 s; as a product: 1.2 s (llvmpipe, a busy machine)",
    ),
    SlowRule(
        "large-tensor",
        ops.LayoutDialect.Operation,
        _beyond_buffer,
        "a tensor is larger than the target's maxStorageBufferRange: kernels may not see all of it",
        "split it, shrink the batch or the image, or store it as float16",
        "passes/targets/*.toml",
    ),
    SlowRule(
        "float32-weights",
        ops.WeightOp,
        _f32_weight,
        "weights are float32 on a target that stores float16",
        "compile with --precision fp16: half the bytes to hold and to read; sums stay in float32",
        "arithmetic: 2 bytes an element instead of 4",
    ),
)


def slow_ops(module: Any, facts: Facts) -> Iterator[SlowOp]:
    """What the rules find, in the order of the table."""
    found = list(tensor_ops(module))
    for rule in RULES:
        hits = [op for op in found if isinstance(op, rule.op) and rule.applies(op, facts)]
        if hits:
            yield SlowOp(
                rule.name,
                hits[0].operation.name.removeprefix("layout."),
                tuple(dict.fromkeys(place(op.location) for op in hits)),
                rule.why,
                rule.instead,
                rule.source,
            )
