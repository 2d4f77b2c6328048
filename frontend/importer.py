"""An exported graph becomes a module in the layout dialect, node by node.

Parameters, buffers and all that depends on nothing else are constants: small ones stand in the IR,
the rest are ``layout.weight`` entries of the archive. Every op carries its Python line as location.
What cannot be imported is collected over the whole graph and raised once, as a table.
"""

import hashlib
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.fx import Node

from smartmem.dialects._mlir import arith, func, ir
from smartmem.dialects.layout import build
from smartmem.errors import UnsupportedError, UnsupportedOp, UserError
from smartmem.frontend import constants, families, types
from smartmem.frontend.program import Program
from smartmem.frontend.registry import HANDLERS, Handler, Refusal
from smartmem.frontend.source import location, source_of
from smartmem.frontend.tree import input_tree, output_tree
from smartmem.runtime.bundle import TensorSpec

Value = Any

# Up to this many elements a constant stands in the IR, where passes and kernels see its value.
INLINE_NUMEL = 16

# Metadata only: no value flows out of them.
_IGNORED = frozenset({"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"})


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
        node = _arguments(self.node).get(argument)
        value = self.known.get(node) if isinstance(node, Node) else None
        return value if isinstance(value, torch.Tensor) else None

    def operand_dtypes(self) -> list[Any]:
        """Fake tensors and numbers of the node's arguments, for PyTorch's promotion rules."""
        return [a.meta["val"] if isinstance(a, Node) else a for a in self.node.args]

    def constant(self, name: str, value: torch.Tensor) -> Value:
        """``value`` as a constant or an archive entry; equal content is stored once, under the
        first name.
        """
        array = types.to_numpy(value)
        element_type = types.element(value.dtype)
        if array.dtype == np.bool_:
            return build.elementwise("ne", self._stored(name, array.astype(np.int8)), _zero_i8())
        return self._stored(name, array, element_type)

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
    if not array.size:
        return arith.ConstantOp(result, ir.Attribute.parse(f"dense<> : {result}")).result
    if (array == array.flat[0]).all():
        return build.splat(array.flat[0].item(), element_type, array.shape)
    items = [build.number(v.item(), element_type) for v in array.flat]
    return arith.ConstantOp(result, ir.DenseElementsAttr.get(items, type=result)).result


def _arguments(node: Node) -> dict[str, Any]:
    """The node's arguments by schema name, defaults filled in."""
    schema = node.target._schema
    given = dict(node.kwargs)
    for argument, value in zip(schema.arguments, node.args, strict=False):
        given[argument.name] = value
    for argument in schema.arguments:
        if argument.name not in given:
            given[argument.name] = argument.default_value
    return given


def _op_name(node: Node) -> str:
    return str(node.target).removeprefix("aten.")


def _live_nodes(program: ExportedProgram, known: Mapping[Node, Any]) -> list[Node]:
    """Call nodes that depend on an input and that an output needs, in graph order."""
    graph = program.graph
    needed: set[Node] = set()
    stack = list(graph.output_node().all_input_nodes)
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(node.all_input_nodes)
    return [n for n in graph.nodes if n.op == "call_function" and n in needed and n not in known]


def _known_inputs(
    program: ExportedProgram,
) -> tuple[dict[Node, torch.Tensor], list[Node], dict[Node, str]]:
    """Placeholders with known values, those without (the user's, in order), and the names of the
    known.
    """
    placeholders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
    known: dict[Node, torch.Tensor] = {}
    names: dict[Node, str] = {}
    user: list[Node] = []
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.TOKEN, InputKind.CUSTOM_OBJ):
            raise UserError(
                f"the model has an effect or a custom object ('{spec.arg.name}'): "
                "smartmem compiles pure functions of tensors."
            )
        node = placeholders[spec.arg.name]
        if spec.kind == InputKind.USER_INPUT:
            user.append(node)
            continue
        target = spec.target or spec.arg.name
        held = (
            program.constants
            if spec.kind == InputKind.CONSTANT_TENSOR or not spec.persistent
            else None
        )
        tensor = (held or {}).get(target)
        known[node] = program.state_dict[target] if tensor is None else tensor
        names[node] = target
    return known, user, names


def _refuse_mutation(program: ExportedProgram) -> None:
    mutated = [s for s in program.graph_signature.output_specs if s.kind != OutputKind.USER_OUTPUT]
    if mutated:
        raise UserError(
            "the model changes its own state while it runs: "
            + ", ".join(f"{s.target} ({s.kind.name.lower()})" for s in mutated)
            + ". smartmem compiles functions of their inputs: pass the state in and out, "
            "or switch the cache off."
        )


def _refuse_dynamic(user: Sequence[Node]) -> None:
    for node in user:
        value = node.meta["val"]
        if isinstance(value, torch.Tensor) and not all(isinstance(s, int) for s in value.shape):
            raise UserError(
                f"input '{node.name}' has a dynamic shape {tuple(value.shape)}: "
                "export with fixed shapes, once per size."
            )


def _results(node: Node) -> list[Any]:
    value = node.meta["val"]
    return list(value) if isinstance(value, (tuple, list)) else [value]


def _is_static(node: Node) -> bool:
    """Whether the shapes of all results are known."""
    sizes = [s for v in _results(node) for s in (v.shape if isinstance(v, torch.Tensor) else [v])]
    return not any(isinstance(s, (torch.SymInt, torch.SymFloat, torch.SymBool)) for s in sizes)


def _refuse_shape(node: Node) -> None:
    if not _is_static(node):
        raise Refusal(
            "its shape or index is known only at run time",
            "keep shapes fixed: torch.where or a mask for a selection, index_select for an index",
        )
    first = _results(node)[0]  # Batch norm's unused ones are empty.
    if isinstance(first, torch.Tensor) and first.numel() == 0:
        raise Refusal(
            "it makes a tensor without elements", "leave the call out where there is nothing to do"
        )


def _has_type(node: Node) -> bool:
    """Whether all results are tensors that the dialect has a type for."""
    values = _results(node)
    return _is_static(node) and all(
        isinstance(v, torch.Tensor) and types.is_stored(v.dtype) for v in values
    )


def _stand_in(node: Node) -> Any:
    """Zeros in place of what could not be imported, so that what follows is checked too."""
    zeros = [build.splat(0, types.element(v.dtype), tuple(v.shape)) for v in _results(node)]
    return tuple(zeros) if isinstance(node.meta["val"], (tuple, list)) else zeros[0]


def _rule(node: Node) -> Handler:
    """The node's import rule. Raises Refusal where there is none."""
    entry = HANDLERS.get(_op_name(node))
    if entry is None:
        raise Refusal(
            "no import rule", "rewrite it with supported ops, or add a rule: docs/add-an-op.md"
        )
    return entry.handler


class _Importer:
    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        placeholders, self.user, self.names = _known_inputs(program)
        self.known = constants.fold(program.graph, placeholders)
        self.live = _live_nodes(program, self.known)
        self.context = ImportContext(self.known)
        self.values: dict[Node, Any] = {}
        self.refused: list[UnsupportedOp] = []
        # Nodes without even a stand-in, because a shape or number among what they read is not
        # known.
        self.unknown: set[Node] = set()

    def tensor_inputs(self) -> list[Node]:
        return [n for n in self.user if isinstance(n.meta["val"], torch.Tensor)]

    def value(self, argument: Any) -> Any:
        """An argument of a handler: nodes become values, constants are materialised where they are
        used.
        """
        if isinstance(argument, Node):
            if argument in self.known and argument not in self.values:
                held = self.known[argument]
                if not isinstance(held, torch.Tensor):
                    return held
                name = self.names.get(argument, f"constant.{argument.name}")
                return self.context.constant(name, held)
            return self.values[argument]
        if isinstance(argument, (list, tuple)):
            return type(argument)(self.value(a) for a in argument)
        return argument

    def import_node(self, node: Node) -> None:
        """Bind the node's value, or record why it cannot be had and go on with a stand-in of its
        type.
        """
        source = source_of(node)
        if node.target is not operator.getitem:
            self.context.node = node
        with location(source):
            try:
                if self.unknown.intersection(node.all_input_nodes):
                    self.unknown.add(node)
                    if isinstance(node.target, OpOverload):
                        _rule(node)
                else:
                    self.values[node] = self._call(node)
            except Refusal as refusal:
                row = UnsupportedOp(str(node.target), str(source), refusal.reason, refusal.remedy)
                self.refused.append(row)
                if _has_type(node):
                    self.values[node] = _stand_in(node)
                else:
                    self.unknown.add(node)

    def _item(self, node: Node) -> Any:
        source, position = node.args
        value = self.values[source][position]
        if value is None:
            raise Refusal(
                f"result {position} of {source.target} is not produced",
                "use its other results only",
            )
        return value

    def _call(self, node: Node) -> Any:
        if node.target is operator.getitem:
            return self._item(node)
        rule = _rule(node)
        _refuse_shape(node)
        arguments = {k: self.value(v) for k, v in _arguments(node).items()}
        try:
            return rule(self.context, **arguments)
        except ValueError as error:
            raise Refusal(str(error)) from error

    def run(self) -> Program:
        _refuse_mutation(self.program)
        _refuse_dynamic(self.user)
        inputs = self.tensor_inputs()
        self._refuse_types(inputs)
        outputs = [s.arg for s in self.program.graph_signature.output_specs]
        by_name = {n.name: n for n in self.program.graph.nodes}
        results = [by_name[a.name] for a in outputs if isinstance(a, TensorArgument)]
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            arguments = [
                build.tensor_of(n.meta["val"].shape, types.element(n.meta["val"].dtype))
                for n in inputs
            ]
            main = func.FuncOp("main", ir.FunctionType.get(arguments, []), visibility="public")
        block = main.add_entry_block()
        self.values.update(zip(inputs, block.arguments, strict=True))
        with ir.InsertionPoint(block):
            for node in self.live:
                if _op_name(node).split(".")[0] not in _IGNORED:
                    self.import_node(node)
            if self.refused:
                raise UnsupportedError(
                    f"{len(self.refused)} calls of this model are not supported", self.refused
                )
            returned = [self.value(n) for n in results]
            func.ReturnOp(returned)
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get(arguments, [v.type for v in returned])
        )
        return self._program(module, inputs, outputs, results)

    def _fixed_inputs(self) -> list[Any]:
        """Values of the arguments that are no tensors, which the graph was specialised for."""
        return [
            spec.arg.value if isinstance(spec.arg, ConstantArgument) else None
            for spec in self.program.graph_signature.input_specs
            if spec.kind == InputKind.USER_INPUT
        ]

    def _refuse_types(self, inputs: Sequence[Node]) -> None:
        for node in inputs:
            try:
                types.stored_dtype(node.meta["val"].dtype)
            except Refusal as refusal:
                raise UserError(
                    f"input '{node.name}': {refusal.reason}; {refusal.remedy}."
                ) from refusal

    def _program(
        self, module: Any, inputs: Sequence[Node], outputs: Sequence[Any], results: Sequence[Node]
    ) -> Program:
        moves = [n for n in self.live if (h := HANDLERS.get(_op_name(n))) and h.moves_only]
        constant_outputs = [a.value if isinstance(a, ConstantArgument) else None for a in outputs]
        is_tensor = [isinstance(a, TensorArgument) for a in outputs]
        spec = self.program.call_spec
        return Program(
            module=module,
            weights=self.context.weights,
            inputs=tuple(_spec(n, n.name) for n in inputs),
            outputs=tuple(_spec(n, n.name) for n in results),
            input_tree=input_tree(
                spec.in_spec, [n in inputs for n in self.user], self._fixed_inputs()
            ),
            output_tree=output_tree(spec.out_spec, is_tensor, constant_outputs),
            graph_ops=len(self.live),
            layout_ops=len(moves),
        )


def _spec(node: Node, name: str) -> TensorSpec:
    value = node.meta["val"]
    return TensorSpec(
        name=name,
        shape=tuple(int(s) for s in value.shape),
        dtype=types.stored_dtype(value.dtype),
        source_dtype=str(value.dtype).removeprefix("torch."),
    )


def import_program(program: ExportedProgram) -> Program:
    """``program`` (see ``export.py``) in the layout dialect; an MLIR context with the dialect must
    be entered.

    Raises UnsupportedError with a table of every op it cannot take, UserError for what no op could
    mend.
    """
    families.register_all()
    return _Importer(program).run()
