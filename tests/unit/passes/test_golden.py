"""What the passes decide and gain on a small model, as texts to review when they change."""

from collections.abc import Callable

from unit.frontend.nets import imported_net

from smartmem.passes import moves, pipeline
from smartmem.passes.plan import tensor_layouts


def module_of(place: str) -> str:
    """The module of `file:line (module)`."""
    file, _, module = place.partition(" (")
    assert file.startswith("unit/frontend/nets.py:")
    return module.removesuffix(")")


def _where(at: str) -> str:
    """The module of a place, or nothing where it is none of the model's lines."""
    return module_of(at) if at.startswith("unit/") else ""


def test_layouts_and_gains(golden: Callable[[str, str], None]) -> None:
    with imported_net() as program:
        found = moves.number(program.module)
        reports = pipeline.run(pipeline.layout_passes("vulkan"), program.module)
        rows = tensor_layouts(program.module)
        traced = moves.trace(found, program.module, "vulkan")
        reports += pipeline.run(pipeline.lowering_passes("vulkan"), program.module)
    # Lines of the model move with every edit of its file; its modules do not.
    kept = [
        f"{r['op']:<12} {r['shape']!s:<18} {r['layout']!s:<14} {module_of(r['at'])}".rstrip()
        for r in rows
    ]
    gains = [f"{r.name}: {name} = {value}" for r in reports for name, value in r.gains.items()]
    fates = [f"{m.fate:<8} {m.op:<10} {_where(m.at):<16} {m.reason}" for m in traced]
    golden("net.moves.txt", "\n".join(fates) + "\n")
    golden("net.layouts.txt", "\n".join(kept) + "\n")
    golden("net.gains.txt", "\n".join(gains) + "\n")
