"""An exported graph becomes a module in the layout dialect, node by node.

Parameters, buffers and all that depends on nothing else are constants: small ones stand in the IR,
the rest are ``layout.weight`` entries of the archive. Every op carries its Python line as location.
What cannot be imported is collected over the whole graph and raised once, as a table.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, TensorArgument
from torch.fx import Node

from smartmem.dialects._mlir import func, ir
from smartmem.dialects.layout import build
from smartmem.errors import UnsupportedError, UnsupportedOp, not_supported
from smartmem.frontend import constants, empties, families, types
from smartmem.frontend.context import ImportContext
from smartmem.frontend.graph import (
    arguments_of,
    is_static,
    known_inputs,
    live_nodes,
    mutations,
    op_name,
    refuse_dynamic,
    refuse_shape,
    results_of,
)
from smartmem.frontend.program import Program
from smartmem.frontend.registry import HANDLERS, Handler, Refusal
from smartmem.frontend.remedies import remedy_of
from smartmem.frontend.source import location, source_of
from smartmem.frontend.tree import input_tree, output_tree
from smartmem.runtime.manifest import TensorSpec

Value = Any

# Metadata only: no value flows out of them.
_IGNORED = frozenset({"_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size"})


def _has_type(node: Node) -> bool:
    """Whether all results are tensors that the dialect has a type for."""
    values = results_of(node)
    return is_static(node) and all(
        isinstance(v, torch.Tensor) and types.is_stored(v.dtype) for v in values
    )


def _stand_in(node: Node) -> Any:
    """Zeros in place of what could not be imported, so that what follows is checked too."""
    zeros = [build.splat(0, types.element(v.dtype), tuple(v.shape)) for v in results_of(node)]
    return tuple(zeros) if isinstance(node.meta["val"], (tuple, list)) else zeros[0]


def _wrapped(node: Node, made: Any) -> Any:
    """What a rule made for ``node``, in the range of its type; moved elements are in theirs."""
    entry = HANDLERS.get(op_name(node))
    if made is None or (entry is not None and entry.moves_only):
        return made
    if isinstance(made, tuple):
        values = zip(made, results_of(node), strict=False)
        return tuple(v if v is None else types.wrapped(v, r.dtype) for v, r in values)
    return types.wrapped(made, results_of(node)[0].dtype)


def _refuse_types(inputs: Sequence[Node]) -> None:
    """UnsupportedError with a row for each input that no artefact has a type for."""
    rows: list[UnsupportedOp] = []
    for node in inputs:
        try:
            types.stored_dtype(node.meta["val"].dtype)
        except Refusal as refusal:
            row = UnsupportedOp("input", f"'{node.name}'", refusal.reason, refusal.remedy)
            rows.append(row)
    if rows:
        raise UnsupportedError(not_supported(len(rows)), rows)


def _rule(node: Node) -> Handler:
    """The node's import rule. Raises Refusal where there is none."""
    entry = HANDLERS.get(op_name(node))
    if entry is None:
        raise Refusal("no import rule", remedy_of(str(node.target)))
    return entry.handler


class _Importer:
    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        placeholders, self.user, self.names = known_inputs(program)
        self.known = constants.fold(program.graph, placeholders)
        self.live = live_nodes(program, self.known)
        self.context = ImportContext(self.known)
        self.values: dict[Node, Any] = {}
        self.refused: dict[Node, UnsupportedOp] = {}
        # The refused, and those that read what the dialect has no type for.
        self.untaken: dict[Node, None] = {}
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
                if not held.numel():
                    return None
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
                if not self.unknown.intersection(node.all_input_nodes):
                    self.values[node] = self._call(node)
                    return
                if isinstance(node.target, OpOverload):
                    _rule(node)
            except Refusal as refusal:
                row = UnsupportedOp(str(node.target), str(source), refusal.reason, refusal.remedy)
                self.refused[node] = row
            self.untaken[node] = None
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
        if empties.reads_empty(node):
            rule = empties.rule(op_name(node))
        refuse_shape(node)
        given = {k: self.value(v) for k, v in arguments_of(node).items()}
        try:
            return _wrapped(node, rule(self.context, **given))
        except build.DoesNotFit as error:
            raise Refusal(str(error), types.WIDE_REMEDY) from error
        except ValueError as error:
            raise Refusal(str(error)) from error

    def run(self) -> Program:
        refuse_dynamic(self.user)
        inputs = self.tensor_inputs()
        _refuse_types(inputs)
        outputs = [s.arg for s in self.program.graph_signature.output_specs]
        by_name = {n.name: n for n in self.program.graph.nodes}
        results = [by_name[a.name] for a in outputs if isinstance(a, TensorArgument)]
        module = ir.Module.create()
        main = self._import_body(module, inputs)
        rows = [*self.refused.values(), *mutations(self.program).values()]
        if rows:
            raise UnsupportedError(not_supported(len(rows)), rows)
        with ir.InsertionPoint(main.entry_block):
            returned = [
                types.left(self.value(n), n.meta["val"].dtype)
                for n in results
                if not empties.is_empty(n)
            ]
            func.ReturnOp(returned)
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get(main.type.inputs, [v.type for v in returned])
        )
        return self._program(module, inputs, outputs, results)

    def survey(self) -> "Survey":
        """Try every call; inputs that have no type are unknown."""
        inputs = [n for n in self.user if _has_type(n)]
        self.unknown.update(n for n in self.user if n not in inputs)
        self._import_body(ir.Module.create(), inputs)
        taken = tuple(n for n in self.live if n in self.values and n not in self.untaken)
        return Survey(self.known, taken, self.refused)

    def _import_body(self, module: Any, inputs: Sequence[Node]) -> Any:
        """``@main`` over those of ``inputs`` that have elements, with every live call; not
        terminated yet.
        """
        inputs = [n for n in inputs if not empties.is_empty(n)]
        with ir.InsertionPoint(module.body):
            arguments = [
                build.tensor_of(n.meta["val"].shape, types.border_element(n.meta["val"].dtype))
                for n in inputs
            ]
            main = func.FuncOp("main", ir.FunctionType.get(arguments, []), visibility="public")
        block = main.add_entry_block()
        with ir.InsertionPoint(block):
            for node, argument in zip(inputs, block.arguments, strict=True):
                self.values[node] = types.entered(argument, node.meta["val"].dtype)
            for node in self.live:
                if op_name(node).split(".")[0] not in _IGNORED:
                    self.import_node(node)
        return main

    def _fixed_inputs(self) -> list[Any]:
        """Values of the arguments that are no tensors, which the graph was specialised for."""
        return [
            spec.arg.value if isinstance(spec.arg, ConstantArgument) else None
            for spec in self.program.graph_signature.input_specs
            if spec.kind == InputKind.USER_INPUT
        ]

    def _program(
        self, module: Any, inputs: Sequence[Node], outputs: Sequence[Any], results: Sequence[Node]
    ) -> Program:
        moves = [n for n in self.live if (h := HANDLERS.get(op_name(n))) and h.moves_only]
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


@dataclass(frozen=True)
class Survey:
    """What could be imported of a program, call by call.

    ``known``: nodes that depend on no input, and their values; ``taken``: the calls an import rule
    takes, in graph order; ``refused``: calls that none does, and why. A live call in none of the
    three reads something the dialect has no type for.
    """

    known: Mapping[Node, Any]
    taken: tuple[Node, ...]
    refused: Mapping[Node, UnsupportedOp]


def survey(program: ExportedProgram) -> Survey:
    """Which calls of ``program`` have an import rule that takes them; an MLIR context with the
    dialect must be entered.

    Raises UnsupportedError for an effect or a custom object.
    """
    families.register_all()
    return _Importer(program).survey()


def import_program(program: ExportedProgram) -> Program:
    """``program`` (see ``export.py``) in the layout dialect; an MLIR context with the dialect must
    be entered.

    Raises UnsupportedError with a table of every op or input it cannot take.
    """
    families.register_all()
    return _Importer(program).run()
