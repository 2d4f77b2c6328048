"""A captured program is split into parts to compile and islands that run in eager PyTorch.

Which calls can be compiled is found by importing each of them (``importer.survey``). They are
grouped into the largest sets that no path leaves and enters again (PyTorch's
``CapabilityBasedPartitioner``), and each set becomes one call of a module.

Results that are views of an argument, or of another result, are made in eager from what they view,
since they must share its memory; so is what the graph writes to its arguments.
"""

import contextlib
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export.graph_signature import OutputKind
from torch.fx import GraphModule, Node
from torch.fx.passes.infra.partitioner import CapabilityBasedPartitioner
from torch.fx.passes.operator_support import create_op_support
from torch.fx.passes.utils.fuser_utils import fuse_by_partitions
from torch.utils import flop_counter

from smartmem.errors import UserError
from smartmem.frontend.capture import BoundGraph, Captured
from smartmem.frontend.draws import draws, is_random
from smartmem.frontend.importer import Survey
from smartmem.frontend.registry import HANDLERS

# Beside an eager island, a part without a contraction, convolution or attention is compiled from
# this many computing calls on. A call of a part costs 0.1 to 0.3 ms (measured, CPU), a small
# eager op about 0.01 ms, and a large one the time of a pass over memory, which fusion saves.
LEAST_CALLS = 8

# Types and shapes are part of the signature: nobody need ask again.
_CHECKS = (torch.ops.aten._assert_tensor_metadata.default,)


def _attention_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Of shapes [..., length, width]: the two products of attention."""
    *batch, length, width = query
    return 2 * math.prod(batch) * length * key[-2] * (width + value[-1])


# What attention is on a CPU: PyTorch has no formula for it.
_FORMULAS = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}


@dataclass(frozen=True)
class Result:
    """An output: entry ``index`` of the split graph's results, and views to take of it.

    Without an index it is ``literal``: None or a number.
    """

    index: int | None
    views: tuple[Node, ...] = ()
    literal: Any = None

    def of(self, values: Sequence[Any]) -> Any:
        """The output, from the graph's results."""
        if self.index is None:
            return self.literal
        value = values[self.index]
        for view in self.views:
            value = view.target(value, *view.args[1:], **view.kwargs)  # type: ignore[operator]
        return value


@dataclass(frozen=True)
class Part:
    """A set of calls to compile.

    ``module`` takes the inputs that are no constants; ``examples`` are tensors of their shapes and
    strides; ``results`` the fake tensors of what it returns.
    """

    name: str
    module: BoundGraph
    calls: tuple[Node, ...]
    examples: tuple[torch.Tensor, ...]
    results: tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Split:
    """``graph`` takes the captured graph's arguments and returns what ``written`` (argument, index
    of its new value) and ``results`` refer to. ``eager`` are the calls outside all parts, less
    those that draw random numbers for them and read nothing: ``draws`` counts these.
    """

    graph: GraphModule
    parts: tuple[Part, ...]
    eager: tuple[Node, ...]
    draws: int
    crossings: int
    written: tuple[tuple[int, int], ...]
    results: tuple[Result, ...]


def is_call(node: Node) -> bool:
    """Whether ``node`` counts as an op: neither an item of a tuple nor arithmetic on sizes."""
    if node.op != "call_function" or node.target is operator.getitem:
        return False
    values = node.meta.get("val")
    values = values if isinstance(values, (tuple, list)) else [values]
    return any(isinstance(v, torch.Tensor) for v in values) or (
        isinstance(node.target, OpOverload) and not node.target._schema.name.startswith("aten::sym")
    )


def flops(node: Node) -> int:
    """PyTorch's count (``torch.utils.flop_counter``) for a call with known shapes: matrix products,
    convolutions and attention; 0 for all else.
    """
    if not isinstance(node.target, OpOverload):
        return 0
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: n.meta["val"])
    tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
    # One operand makes no product; a size known only at run time no number.
    if len(tensors) < 2 or any(not isinstance(s, int) for t in tensors for s in t.shape):
        return 0
    with flop_counter.FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter:
        node.target(*args, **kwargs)
    return counter.get_total_flops()


def flops_of(graph: GraphModule, arguments: Sequence[Any]) -> int:
    """The same for a graph as TorchDynamo hands it over; 0 where a shape depends on values."""
    with (
        FakeTensorMode(allow_non_fake_inputs=True) as fake,
        flop_counter.FlopCounterMode(display=False, custom_mapping=_FORMULAS) as counter,
        contextlib.suppress(Exception),
        torch.no_grad(),
    ):
        graph(*(fake.from_tensor(a) if isinstance(a, torch.Tensor) else a for a in arguments))
    return counter.get_total_flops()


def _is_view(node: Node) -> bool:
    """Whether the result shares the memory of the first operand, and depends on it alone."""
    if len(node.all_input_nodes) != 1 or node.op != "call_function":
        return False
    if node.target is operator.getitem:
        return _is_view(node.args[0])  # type: ignore[arg-type]
    if not isinstance(node.target, OpOverload):
        return False
    alias = node.target._schema.returns[0].alias_info if node.target._schema.returns else None
    return alias is not None and not alias.is_write


def _base(node: Node) -> tuple[Node, tuple[Node, ...]]:
    """What ``node`` is a view of in the end, and the views in between, first to last."""
    views: list[Node] = []
    while _is_view(node):
        views.insert(0, node)
        node = node.args[0]  # type: ignore[assignment]
    return node, tuple(views)


@dataclass(frozen=True)
class _Outputs:
    """The values the split graph returns, and what is made of them."""

    values: tuple[Node, ...]
    written: tuple[tuple[int, int], ...]
    results: tuple[Result, ...]


def _outputs(captured: Captured) -> _Outputs:
    """What the program returns and writes; views that must share memory are left for later."""
    program = captured.program
    (returned,) = program.graph.output_node().args
    specs = list(zip(program.graph_signature.output_specs, returned, strict=True))
    user = [v for s, v in specs if s.kind == OutputKind.USER_OUTPUT]
    new = [(s.target, v) for s, v in specs if s.kind == OutputKind.USER_INPUT_MUTATION]
    if len(user) + len(new) < len(specs):
        raise UserError("the graph writes to a constant of its own")
    values: dict[Node, int] = {}

    def index(node: Node) -> int:
        return values.setdefault(node, len(values))

    by_name = {n.name: p for n, p in captured.positions.items()}
    written = tuple((by_name[target], index(value)) for target, value in new)
    bases = [_base(v)[0] for v in user if isinstance(v, Node)]
    results: list[Result] = []
    for value in user:
        if not isinstance(value, Node):
            results.append(Result(None, literal=value))
            continue
        base, views = _base(value)
        if base.op == "placeholder" or base in values or bases.count(base) > 1:
            results.append(Result(index(base), views))
        else:
            results.append(Result(index(value)))
    return _Outputs(tuple(values), written, tuple(results))


def _lifted(
    captured: Captured, survey: Survey, outputs: _Outputs
) -> tuple[GraphModule, dict[Node, Node]]:
    """The program as a graph of the captured graph's arguments, without what depends on no input;
    and the copy of each node in it.
    """
    graph, root = torch.fx.Graph(), torch.nn.Module()
    copies: dict[Node, Node] = {}
    by_position = {position: node for node, position in captured.positions.items()}
    for position in range(captured.arguments):
        placeholder = graph.placeholder(f"argument_{position}")
        if position in by_position:
            copies[by_position[position]] = placeholder

    def argument(node: Node) -> Any:
        if node in copies:
            return copies[node]
        value = survey.known[node]
        if not isinstance(value, torch.Tensor):
            return value
        name = f"constant_{len(copies)}"
        root.register_buffer(name, value.detach())
        copies[node] = graph.get_attr(name)
        copies[node].meta["val"] = node.meta["val"]
        return copies[node]

    for node in captured.program.graph.nodes:
        if node.op == "get_attr":
            setattr(root, str(node.target), getattr(captured.program.graph_module, node.target))
            copies[node] = graph.get_attr(str(node.target))
        elif node.op == "call_function" and node not in survey.known and node.target not in _CHECKS:
            copies[node] = graph.node_copy(node, argument)
    graph.output(tuple(argument(n) for n in outputs.values))
    for node, copy in copies.items():
        copy.meta.setdefault("val", node.meta.get("val"))
    graph.eliminate_dead_code()
    return GraphModule(root, graph), copies


def _taken(survey: Survey) -> set[Node]:
    """Calls that can be compiled; of several results all are, or the call is not."""
    refused = {n.args[0] for n in survey.refused if n.target is operator.getitem}
    return {n for n in survey.taken if n not in refused}


def _groups(module: GraphModule, taken: set[Node], mixed: bool) -> list[dict[Node, int | None]]:
    """The sets of calls worth compiling, in the order of their first calls."""
    calls = [n for n in module.graph.nodes if n.op == "call_function"]
    if taken.issuperset(calls):
        return [dict.fromkeys(calls)] if _is_worth_it(dict.fromkeys(calls), mixed) else []
    support = create_op_support(lambda _, node: node in taken)
    partitioner = CapabilityBasedPartitioner(module, support, allows_single_node_partition=True)
    order = {node: i for i, node in enumerate(module.graph.nodes)}
    groups = [p.nodes for p in partitioner.propose_partitions()]
    worth = [g for g in groups if _is_worth_it(g, mixed)]
    return sorted(worth, key=lambda g: min(order[n] for n in g))


def _is_worth_it(group: Mapping[Node, Any], mixed: bool) -> bool:
    """Whether the calls compute anything, and enough of it where there are islands as well."""
    computing = [n for n in group if is_call(n) and not _moves_only(n)]
    if not mixed or not computing:
        return bool(computing)
    return len(computing) >= LEAST_CALLS or any(flops(n) for n in computing)


def _moves_only(node: Node) -> bool:
    entry = HANDLERS.get(str(node.target).removeprefix("aten."))
    return entry is not None and entry.moves_only


def _example(value: Any) -> torch.Tensor:
    made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
    if not made.is_floating_point():
        # Examples of integers are checked: what lies in memory may be beyond 32 bits.
        made.untyped_storage().fill_(0)
    return made


def _part(
    module: GraphModule, call: Node, arguments: Sequence[Any], frozen: Mapping[str, int]
) -> Part:
    """The part behind ``call``; constants it is given are bound, and no longer passed."""
    inner: Any = module.get_submodule(str(call.target))
    bound: dict[int, torch.Tensor] = {}
    for position, node in enumerate(call.args):
        assert isinstance(node, Node)
        if node.op == "get_attr":
            bound[position] = module.get_buffer(str(node.target))
        elif node.name in frozen:
            bound[position] = arguments[frozen[node.name]]
    rest = [n for i, n in enumerate(call.args) if i not in bound]
    call.args = tuple(rest)
    (returned,) = inner.graph.output_node().args
    return Part(
        name=str(call.target),
        module=BoundGraph(inner, bound).eval(),
        calls=tuple(n for n in inner.graph.nodes if is_call(n)),
        examples=tuple(_example(n.meta["val"]) for n in rest),  # type: ignore[union-attr]
        results=tuple(n.meta["val"] for n in returned),
    )


def _random_calls(module: GraphModule) -> list[str]:
    """Calls that draw numbers, or may, in order; eager's numbers depend on that order."""
    return [n.name for n in module.graph.nodes if is_random(n)]


def _crossings(module: GraphModule) -> int:
    """Tensors that pass between a part and an eager call, or between two parts."""
    count = 0
    for node in module.graph.nodes:
        if node.op == "call_function":
            readers = {u.op for u in node.users}
            of_part = node.target is operator.getitem and node.args[0].op == "call_module"
            count += "call_module" in readers or (of_part and "call_function" in readers)
    return count


def split(captured: Captured, survey: Survey, arguments: Sequence[Any]) -> Split:
    """``captured`` in parts and islands; ``arguments`` hold the constants' values."""
    outputs = _outputs(captured)
    module, copies = _lifted(captured, survey, outputs)
    live = set(module.graph.nodes)
    taken = {copies[n] for n in _taken(survey) if copies.get(n) in live}
    drawing = {copies[n].name for n in draws(captured.program, survey.known) if n in copies}
    mixed = any(is_call(n) and n not in taken and n.name not in drawing for n in live)
    drawn = _random_calls(module)
    module = fuse_by_partitions(
        module, _groups(module, taken, mixed), prefix="part_", always_return_tuple=True
    )
    left = _random_calls(module)
    if left != [name for name in drawn if name in left]:
        raise UserError("its random calls would change places")
    frozen = {copies[n].name: p for n, p in captured.positions.items() if n in survey.known}
    calls = [n for n in module.graph.nodes if n.op == "call_module"]
    parts = tuple(_part(module, call, arguments, frozen) for call in calls)
    crossings = _crossings(module)
    module.recompile()
    outside = [n for n in module.graph.nodes if is_call(n)]
    eager = tuple(n for n in outside if n.name not in drawing)
    return Split(
        graph=module,
        parts=parts,
        eager=eager,
        draws=len(outside) - len(eager),
        crossings=crossings,
        written=outputs.written,
        results=outputs.results,
    )
