"""Count what a compiled model executes: dispatches, pure layout work and bytes, from IREE's stream
phase.

The input is the text of ``iree-compile ... --compile-to=stream``: allocation and scheduling are
done there (``stream.cmd.*``, sizes in bytes) while the bodies of the dispatches still are linalg
on tensors, so one phase shows all. The same counter reads our compile and a stock-IREE compile.

Definitions.
* A *layout dispatch* is any dispatch, device copy or fill every element of whose output is an
  input element or a constant, casts and arithmetic identities included (``element_flow``),
  wherever it stands.
* ``dispatches``: ``stream.cmd.dispatch`` executed by one call of the entry. ``copies`` and
  ``fills``: ``stream.cmd.copy/fill`` of that call (IREE makes large slice updates copies).
  ``layout_dispatches`` are the layout ones among all three.
* ``boundary``: copies from a graph input or into a graph output, and transfers to or from the
  host. They are in none of the numbers above.
* Bytes are what the kernels load and store (``traffic``); a copy of n bytes counts 2n, a fill n.
* ``peak_transient_bytes``: the most that the transient allocations of one call hold at once.
  Results, staging memory and constants are apart.
* A loop with constant bounds counts each iteration; any other loop counts once, a branch counts
  all its sides, and both are named in ``unknown``, as are ops the analysis does not know (they
  count as compute).
* ``initializer`` holds the same sums for what runs once, when the module is loaded.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal

from smartmem.passes.iree import element_flow, phase_ir, traffic
from smartmem.passes.iree.phase_ir import Op, Value

Kind = Literal["compute", "layout", "copy", "fill"]
LAYOUT_KINDS = ("layout", "copy", "fill")
_CALLS = ("util.call", "func.call")
_FUNCTIONS = ("util.func", "func.func")
_FORWARDS = ("util.optimization_barrier", "stream.resource.subview")
_HOST_TRANSFERS = (
    "stream.resource.load",
    "stream.resource.store",
    "stream.file.read",
    "stream.file.write",
    "stream.cmd.parameter.load",
    "stream.cmd.parameter.read",
    "stream.cmd.parameter.write",
    "stream.cmd.parameter.gather",
    "stream.cmd.parameter.scatter",
)
_OPAQUE_WORK = ("stream.cmd.call", "stream.cmd.collective")
_BRANCHES = ("scf.if", "scf.index_switch")


@dataclass(frozen=True)
class Work:
    """One executed dispatch, copy or fill; ``calls`` times per call of the entry."""

    name: str
    kind: Kind
    read_bytes: int
    written_bytes: int
    calls: int
    computed_by: str | None
    location: str | None

    @property
    def bytes(self) -> int:
        """Bytes loaded and stored by all its calls."""
        return (self.read_bytes + self.written_bytes) * self.calls


@dataclass(frozen=True)
class Boundary:
    """Copies from graph inputs and into graph outputs; ``transfers`` to the host have no size."""

    copies: int
    bytes: int
    transfers: int


@dataclass(frozen=True)
class Initializer:
    """Work done once at load."""

    dispatches: int
    layout_dispatches: int
    total_bytes: int


@dataclass(frozen=True)
class Counts:
    """What one call of a compiled model executes; the definitions are in the module's docstring."""

    dispatches: int
    layout_dispatches: int
    copies: int
    fills: int
    layout_bytes: int
    total_bytes: int
    peak_transient_bytes: int
    staging_bytes: int
    result_bytes: int
    constant_bytes: int
    boundary: Boundary
    initializer: Initializer
    table: tuple[Work, ...]
    unknown: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """All fields, nested ones included, as JSON values."""
        return asdict(self)


def count(stream_ir: str, entry: str = "main") -> Counts:
    """Count what one call of ``entry`` executes.

    Raises ``ValueError`` when the text does not parse, is of another phase, or has no function
    ``entry``.
    """
    module = phase_ir.parse(stream_ir)
    program = _Program(module.operation)
    if entry not in program.functions:
        names = ", ".join(sorted(program.functions)) or "none"
        raise ValueError(f"no function {entry!r} in the stream IR; it has: {names}")
    main = _Run(program)
    main.visit(program.functions[entry], 1)
    startup = _Run(program)
    for initializer in phase_ir.body_ops(module.operation):
        if initializer.name == "util.initializer":
            startup.visit(initializer, 1)
    return _summary(main, startup)


def _summary(main: "_Run", startup: "_Run") -> Counts:
    return Counts(
        dispatches=_calls(main.table, ("compute", "layout")),
        layout_dispatches=_calls(main.table, LAYOUT_KINDS),
        copies=_calls(main.table, ("copy",)),
        fills=_calls(main.table, ("fill",)),
        layout_bytes=_bytes(main.table, LAYOUT_KINDS),
        total_bytes=_bytes(main.table, ("compute", *LAYOUT_KINDS)),
        peak_transient_bytes=main.memory.peak["transient"],
        staging_bytes=main.memory.peak["staging"],
        result_bytes=main.memory.peak["external"],
        constant_bytes=sum(main.constants.values()),
        boundary=Boundary(
            sum(work.calls for work in main.boundary),
            sum(work.bytes for work in main.boundary),
            main.transfers,
        ),
        initializer=Initializer(
            _calls(startup.table, ("compute", "layout")),
            _calls(startup.table, LAYOUT_KINDS),
            _bytes(startup.table, ("compute", *LAYOUT_KINDS)),
        ),
        table=tuple(main.table),
        unknown=tuple({**main.unknown, **startup.unknown}),
    )


def _calls(table: Iterable[Work], kinds: tuple[str, ...]) -> int:
    return sum(work.calls for work in table if work.kind in kinds)


def _bytes(table: Iterable[Work], kinds: tuple[str, ...]) -> int:
    return sum(work.bytes for work in table if work.kind in kinds)


@dataclass(frozen=True)
class _Body:
    """What one dispatch function does."""

    kind: Kind
    computed_by: str | None
    moved: traffic.Traffic
    unknown: tuple[str, ...]
    location: str | None


class _Program:
    """The functions and dispatch bodies of a module; bodies are analysed when first executed."""

    def __init__(self, module: Op) -> None:
        self.functions = {
            phase_ir.symbol(op): op for op in phase_ir.body_ops(module) if op.name in _FUNCTIONS
        }
        self._executables = {
            phase_ir.symbol(op): op
            for op in phase_ir.body_ops(module)
            if op.name == "stream.executable"
        }
        self._bodies: dict[tuple[str, ...], _Body | None] = {}

    def body(self, entry_point: tuple[str, ...]) -> _Body | None:
        """The body of ``@executable::@export``; None where its code is not in the module."""
        if entry_point not in self._bodies:
            function = self._function(entry_point)
            self._bodies[entry_point] = None if function is None else _analyse(function)
        return self._bodies[entry_point]

    def _function(self, entry_point: tuple[str, ...]) -> Op | None:
        executable = self._executables.get(entry_point[0])
        if executable is None:
            return None
        exports = phase_ir.named(executable, "stream.executable.export")
        export = next(op for op in exports if phase_ir.symbol(op) == entry_point[-1])
        name = phase_ir.symbol_ref(export.attributes["function_ref"])[-1]
        return next(
            (op for op in phase_ir.named(executable, "func.func") if phase_ir.symbol(op) == name),
            None,
        )


def _analyse(function: Op) -> _Body:
    flow = element_flow.analyse(function)
    computed_by = element_flow.computed_by(flow)
    moved = traffic.measure(function)
    name = phase_ir.symbol(function)
    unknown = [f"{op} in {name}: counted as compute" for op in flow.unknown]
    unknown += [
        f"{type_} in {name}: no static size, its bytes are not counted" for type_ in moved.unsized
    ]
    return _Body(
        "compute" if computed_by else "layout",
        computed_by,
        moved,
        tuple(unknown),
        _stored_at(function),
    )


def _stored_at(function: Op) -> str | None:
    """The model line of what a dispatch stores."""
    store = next(iter(phase_ir.named(function, element_flow.STORE)), None)
    if store is None:
        return None
    return phase_ir.source_location(phase_ir.defining_op(store.operands[0]) or store)


@dataclass
class _Memory:
    """Bytes allocated and not yet freed, by lifetime, in program order."""

    peak: dict[str, int] = field(
        default_factory=lambda: {"transient": 0, "staging": 0, "external": 0}
    )
    _live: dict[str, int] = field(default_factory=dict[str, int])

    def change(self, lifetime: str, size_bytes: int) -> None:
        """Allocate (or with a negative size free) a resource."""
        self._live[lifetime] = self._live.get(lifetime, 0) + size_bytes
        self.peak[lifetime] = max(self.peak.get(lifetime, 0), self._live[lifetime])


class _Run:
    """Everything executed below one function, gathered in program order."""

    def __init__(self, program: _Program) -> None:
        self.table: list[Work] = []
        self.boundary: list[Work] = []
        self.transfers = 0
        self.memory = _Memory()
        self.constants: dict[str, int] = {}
        self.unknown: dict[str, None] = {}
        self._program = program
        self._stack: list[Op] = []
        self._handlers: dict[str, Callable[[Op, int], None]] = {
            "stream.cmd.dispatch": self._dispatch,
            "stream.cmd.copy": self._copy,
            "stream.cmd.fill": self._fill,
            "stream.cmd.execute": self._execute,
            "stream.resource.alloca": self._allocate,
            "stream.resource.dealloca": self._free,
        }

    def visit(self, parent: Op, calls: int) -> None:
        """Visit what ``parent`` executes, ``calls`` times."""
        if parent.name in _FUNCTIONS and any(len(region.blocks) > 1 for region in parent.regions):
            self._note(f"control flow between blocks of {parent.name}: every block counted once")
        for op in phase_ir.body_ops(parent):
            self._visit_op(op, calls)

    def _visit_op(self, op: Op, calls: int) -> None:
        if op.name.startswith("stream.async."):
            raise ValueError(
                f"{op.name} found: this is not the stream phase (compile with --compile-to=stream)"
            )
        if op.name in self._handlers:
            self._handlers[op.name](op, calls)
        elif op.name in _CALLS:
            self._call(op, calls)
        elif op.name in _HOST_TRANSFERS:
            self.transfers += calls
        elif op.name in _OPAQUE_WORK:
            self._note(f"{op.name}: not counted")
        elif len(op.regions):
            self.visit(op, calls * self._trips(op))

    def _note(self, text: str) -> None:
        self.unknown[text] = None

    def _trips(self, op: Op) -> int:
        if op.name in _BRANCHES:
            self._note(f"{op.name}: all branches counted")
        if not op.name.startswith("scf.") or op.name in _BRANCHES:
            return 1
        trips = traffic.trip_count(op)
        if trips is None:
            self._note(f"{op.name} of unknown length: one iteration counted")
        return 1 if trips is None else trips

    def _call(self, op: Op, calls: int) -> None:
        callee = self._program.functions.get(phase_ir.symbol_ref(op.attributes["callee"])[-1])
        if callee is None:
            return
        if callee in self._stack:
            self._note(f"recursive call of {phase_ir.symbol(callee)}: counted once")
            return
        self._stack.append(callee)
        self.visit(callee, calls)
        self._stack.pop()

    def _execute(self, op: Op, calls: int) -> None:
        resources, sizes = phase_ir.operand_groups(op)[:2]
        for resource, size in zip(resources, sizes, strict=True):
            source = phase_ir.defining_op(_origin(resource))
            if (
                source is not None
                and source.name == "util.global.load"
                and _lifetime(resource) == "constant"
            ):
                self.constants[phase_ir.symbol_ref(source.attributes["global"])[-1]] = self._size(
                    op, size
                )
        self.visit(op, calls)

    def _size(self, op: Op, value: Value) -> int:
        size = phase_ir.constant_int(value)
        if size is None:
            self._note(f"{op.name} of a size known only at run time: its bytes are not counted")
        return size or 0

    def _dispatch(self, op: Op, calls: int) -> None:
        entry_point = phase_ir.symbol_ref(next(iter(op.attributes["entry_points"])))
        body = self._program.body(entry_point)
        name = entry_point[-1]
        if body is None:
            self._note(f"{name}: its code is not in the module; counted as compute of no bytes")
            self.table.append(
                Work(name, "compute", 0, 0, calls, None, phase_ir.source_location(op))
            )
            return
        for text in body.unknown:
            self._note(text)
        moved = body.moved
        location = body.location or phase_ir.source_location(op)
        work = Work(
            name,
            body.kind,
            moved.read_bytes,
            moved.written_bytes,
            calls,
            body.computed_by,
            location,
        )
        self.table.append(work)

    def _copy(self, op: Op, calls: int) -> None:
        source, _, _, target, _, _, length = op.operands
        size_bytes = self._size(op, length)
        work = Work(
            "copy", "copy", size_bytes, size_bytes, calls, None, phase_ir.source_location(op)
        )
        (self.boundary if _is_boundary(source, target) else self.table).append(work)

    def _fill(self, op: Op, calls: int) -> None:
        size_bytes = self._size(op, op.operands[3])
        self.table.append(
            Work("fill", "fill", 0, size_bytes, calls, None, phase_ir.source_location(op))
        )

    def _allocate(self, op: Op, _: int) -> None:
        self.memory.change(_lifetime(op.results[0]), self._size(op, op.operands[0]))

    def _free(self, op: Op, _: int) -> None:
        self.memory.change(_lifetime(op.operands[0]), -self._size(op, op.operands[1]))


def _lifetime(resource: Value) -> str:
    """``transient``, ``external`` (inputs and outputs), ``constant``, ``staging``, ``variable``."""
    return str(resource.type).removeprefix("!stream.resource<").removesuffix(">")


def _is_boundary(source: Value, target: Value) -> bool:
    """Whether a copy reads a graph input, fills a graph output, or goes through host memory."""
    if "staging" in (_lifetime(source), _lifetime(target)):
        return True
    made_here = "stream.resource.alloca"
    origin = phase_ir.defining_op(_origin(source))
    is_input = _lifetime(source) == "external" and (origin is None or origin.name != made_here)
    return is_input or _lifetime(target) == "external"


def _origin(resource: Value) -> Value:
    """The value a resource comes from: an allocation, an import, a global or an argument."""
    op = phase_ir.defining_op(resource)
    if op is None:
        owner = resource.owner.owner.operation
        return (
            _origin(owner.operands[resource.arg_number])
            if owner.name == "stream.cmd.execute"
            else resource
        )
    if op.name == "stream.timepoint.await":
        return _origin(op.operands[resource.result_number])
    return _origin(op.operands[0]) if op.name in _FORWARDS else resource
