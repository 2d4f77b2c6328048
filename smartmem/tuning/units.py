"""What `smartmem tune` measures: distinct contractions, each as a dispatch of a model that has it.

Tiles are measured with all that is fused into the dispatch, as the model will run it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smartmem.errors import UserError
from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.configure import contractions
from smartmem.passes.iree.isolate import entry_functions
from smartmem.passes.rules.kernels import Contraction
from smartmem.passes.tuning.database import key_of

if TYPE_CHECKING:
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.target import Target

_SHAPE = re.compile(r"(\d+(?:x\d+){2,3})(?::(f16|f32))?")
_BUNDLE = ".smartmem"


@dataclass(frozen=True)
class Unit:
    """A contraction, the entry point of a dispatch that has it in ``stream_ir``, and how often the
    models call it.
    """

    op: Contraction
    entry: str
    stream_ir: str
    calls: int

    @property
    def key(self) -> str:
        """Its key in the database."""
        return key_of(self.op)


def units(
    specs: Sequence[str],
    target: Target,
    cache: Cache,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Unit]:
    """The distinct contractions of models (as `smartmem compile` takes them, or compiled folders)
    and of shapes (``MxNxK``, ``BxMxNxK``, both with ``:f16`` for halves), in their order.

    Raises UserError for what is neither.
    """
    found: dict[str, Unit] = {}
    for spec in specs:
        progress(f"{spec}: its contractions")
        stream_ir = stream_ir_of(spec, target, cache)
        for unit in _contractions(stream_ir):
            held = found.get(unit.key)
            calls = unit.calls + (held.calls if held else 0)
            first = held or unit
            found[unit.key] = Unit(first.op, first.entry, first.stream_ir, calls)
    return list(found.values())


def stream_ir_of(spec: str, target: Target, cache: Cache) -> str:
    """The stream-phase IR of a model, a compiled folder or a shape, for ``target``."""
    from smartmem.passes.iree.driver import compile_stream

    shape = _SHAPE.fullmatch(spec)
    if shape:
        return compile_stream(_product(shape[1], shape[2] or "f32"), target, cache)
    if spec.endswith(_BUNDLE) or Path(spec).is_dir():
        from smartmem.runtime.bundle import Bundle

        bundle = Bundle.open(spec)
        if target.name not in bundle.manifest.targets:
            raise UserError(
                f"{spec}: was not compiled for {target.name}",
                hint="Compile it for that target, or give the model itself.",
            )
        return bundle.dispatches(target.name)
    from smartmem.compiler import stream_module
    from smartmem.frontend.loader import load_source

    return stream_module(*load_source(spec), target=target, cache=cache)


def called(stream_ir: str) -> Mapping[str, int]:
    """How often one call of the module dispatches each entry point."""
    from smartmem.passes.iree.count import count

    counts: Counter[str] = Counter()
    for work in count(stream_ir).table:
        counts[work.name] += work.calls
    return counts


def _contractions(stream_ir: str) -> list[Unit]:
    module = phase_ir.parse(stream_ir).operation
    entries = {phase_ir.symbol(f): entry for entry, f in entry_functions(module).items()}
    calls = called(stream_ir)
    return [
        Unit(op, entries[name], stream_ir, calls.get(entries[name], 0))
        for function, _, op in contractions(module)
        if (name := phase_ir.symbol(function)) in entries and calls.get(entries[name])
    ]


def _product(shape: str, dtype: str) -> str:
    """A module of one product [B x] M x N x K, its weights [K, N]; halves are summed in f32."""
    *batch, rows, columns, depth = map(int, shape.split("x"))
    loops = ["b", "m", "n", "k"] if batch else ["m", "n", "k"]
    outer = loops[:-3]
    sizes = dict(zip(loops, (*batch, rows, columns, depth), strict=True))

    def tensor(axes: Sequence[str], element: str) -> str:
        return f"tensor<{'x'.join(str(sizes[a]) for a in axes)}x{element}>"

    operands = [[*outer, "m", "k"], [*outer, "k", "n"], [*outer, "m", "n"]]
    maps = ", ".join(f"affine_map<({', '.join(loops)}) -> ({', '.join(a)})>" for a in operands)
    kinds = ", ".join([*['"parallel"'] * (len(loops) - 1), '"reduction"'])
    lhs, rhs, result = (
        tensor(operands[0], dtype),
        tensor(operands[1], dtype),
        tensor(operands[2], "f32"),
    )
    wide = (
        ""
        if dtype == "f32"
        else "%c = arith.extf %a : f16 to f32\n %d = arith.extf %b : f16 to f32"
    )
    factors = "%a, %b" if dtype == "f32" else "%c, %d"
    return f"""
func.func @main(%x: {lhs}, %w: {rhs}) -> {result} {{
  %z = arith.constant 0.0 : f32
  %e = tensor.empty() : {result}
  %f = linalg.fill ins(%z : f32) outs(%e : {result}) -> {result}
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
    ins(%x, %w : {lhs}, {rhs}) outs(%f : {result}) {{
  ^bb0(%a: {dtype}, %b: {dtype}, %o: f32):
    {wide}
    %m = arith.mulf {factors} : f32
    %s = arith.addf %o, %m : f32
    linalg.yield %s : f32
  }} -> {result}
  return %r : {result}
}}"""
