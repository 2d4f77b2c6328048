"""What an import rule sees: the node being imported, and constants as values."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from smartmem.dialects._mlir import arith, ir
from smartmem.dialects.layout import build
from smartmem.frontend import types
from smartmem.frontend.graph import arguments_of

Value = Any

# Up to this many elements a constant stands in the IR, where passes and kernels see its value.
INLINE_NUMEL = 16


class ImportContext:
    """What a handler sees: the node's meta data and constants as values.

    ``node`` is the node being imported; ``result`` its fake tensor (shape and dtype as PyTorch
    computed them).
    """

    def __init__(self, known: Mapping[Node, Any]) -> None:
        self.known = known
        self.weights: dict[str, Any] = {}
        self.node: Node
        self._keys: dict[bytes, str] = {}
        self._loaded: dict[str, Value] = {}

    @property
    def result(self) -> Any:
        """Fake tensor of the node's (first) result."""
        value = self.node.meta["val"]
        return value[0] if isinstance(value, (tuple, list)) else value

    def element(self) -> Any:
        """MLIR element type of the node's result."""
        return types.element(self.result.dtype)

    def constant_of(self, argument: str) -> torch.Tensor | None:
        """The compile-time value of the argument named so, or ``None`` where it depends on an
        input.
        """
        node = arguments_of(self.node).get(argument)
        value = self.known.get(node) if isinstance(node, Node) else None
        return value if isinstance(value, torch.Tensor) else None

    def operand_dtypes(self) -> list[Any]:
        """Fake tensors and numbers of the node's arguments, for PyTorch's promotion rules."""
        return [a.meta["val"] if isinstance(a, Node) else a for a in self.node.args]

    def constant(self, name: str, value: torch.Tensor) -> Value:
        """``value`` as a constant or an archive entry; equal content is stored once, under the
        first name.
        """
        if value.dtype == torch.float64 and value.dim() == 0:
            # As in PyTorch, it is rounded to the type of the tensor it is used with.
            value = value.float()
        array = types.to_numpy(value)
        if array.dtype == np.bool_:
            return build.elementwise("ne", self._stored(name, array.astype(np.int8)), _zero_i8())
        if array.dtype == np.uint8:
            return types.entered(self._stored(name, array.view(np.int8)), value.dtype)
        return self._stored(name, array, types.element(value.dtype))

    def _stored(self, name: str, array: Any, element_type: Any = None) -> Value:
        element_type = element_type or ir.IntegerType.get_signless(8)
        if array.size <= INLINE_NUMEL:
            return _dense(array, element_type)
        digest = hashlib.blake2b(array.tobytes(), digest_size=16)
        digest.update(f"{array.dtype}{array.shape}".encode())
        key = self._keys.setdefault(digest.digest(), name)
        self.weights.setdefault(key, array)
        if key not in self._loaded:
            self._loaded[key] = build.weight(key, array.shape, element_type)
        return self._loaded[key]


def _zero_i8() -> Value:
    return build.splat(0, ir.IntegerType.get_signless(8))


def _dense(array: Any, element_type: Any) -> Value:
    result = build.tensor_of(array.shape, element_type)
    if (array == array.flat[0]).all():
        return build.splat(array.flat[0].item(), element_type, array.shape)
    items = [build.number(v.item(), element_type) for v in array.flat]
    return arith.ConstantOp(result, ir.DenseElementsAttr.get(items, type=result)).result
