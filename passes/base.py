"""What a pass is: a named step over a module that leaves valid IR and says what it gained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, get_args

from smartmem.dialects._mlir import ir
from smartmem.errors import UserError
from smartmem.passes.target import DeviceKind


@dataclass(frozen=True)
class PassReport:
    """``gains`` are counts with their units in the names (``views_before``,
    ``relayout_bytes_after``).
    """

    name: str
    gains: Mapping[str, int] = field(default_factory=dict[str, int])


class Pass(Protocol):
    """A pass: options are dataclass fields, ``name`` is its name on the command line."""

    name: ClassVar[str]

    def run(self, module: Any) -> PassReport:
        """Change ``module`` in place. Same input, same output, to the byte."""
        ...


def check_device(name: str, device: str) -> None:
    """Raises UserError unless the option ``device`` of the pass ``name`` is a kind of device."""
    known = get_args(DeviceKind)
    if device not in known:
        raise UserError(f"{name}: device '{device}' is not one of {', '.join(known)}")


def functions(module: Any) -> Iterator[Any]:
    """The functions of ``module``, in order."""
    for op in module.body.operations:
        if op.operation.name == "func.func":
            yield op


def block_ops(function: Any) -> list[Any]:
    """The ops of a function's one block, in program order, as a list that survives edits."""
    return [op.opview for op in function.regions[0].blocks[0].operations]


def place(location: Any) -> str:
    """A location of the frontend as `file:line (module)`, as far as it is known."""
    module = ""
    if isinstance(location, ir.NameLoc):
        module, location = location.name_str, location.child_loc
    if not isinstance(location, ir.FileLineColLoc):
        return module or "unknown line"
    line = f"{location.filename}:{location.start_line}"
    return f"{line} ({module})" if module else line


def module_of(location: Any) -> str:
    """The path of the PyTorch module that an op comes from; empty where it is not known."""
    return location.name_str if isinstance(location, ir.NameLoc) else ""


def result_bytes(value: Any) -> int:
    """Bytes of a static tensor value, sub-byte elements counted as one byte each."""
    tensor_type = ir.RankedTensorType(value.type)
    element = tensor_type.element_type
    bits = 64 if isinstance(element, ir.IndexType) else element.width
    count = 1
    for size in tensor_type.shape:
        count *= size
    return count * max(bits // 8, 1)


def erase_unused(function: Any, dialect: str = "layout") -> int:
    """Remove ops of a pure dialect whose results nobody uses; the number removed."""
    removed = 0
    for op in reversed(block_ops(function)):
        name = op.operation.name
        pure = name.startswith(f"{dialect}.") or name == "arith.constant"
        if pure and all(not any(True for _ in r.uses) for r in op.operation.results):
            op.operation.erase()
            removed += 1
    return removed


def ir_dump(name: str, module: Any) -> str:
    """``module`` as text under the header that MLIR's own tools print after the pass ``name``."""
    text = module.operation.get_asm(large_elements_limit=64)
    return f"// -----// IR Dump After {name} //----- //\n{text}\n"
