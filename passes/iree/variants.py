"""One dispatch of a stream-phase module with several configurations, each an executable of its own.

    stream.executable private @e { ... }
    ==>
    stream.executable public @v0 { ... }
    stream.executable public @v1 { ... compilation_info = #iree_codegen.compilation_info<...> ... }

Nothing calls them, so what is public stays: compiled, they are kernels to measure.
"""

from collections.abc import Sequence

from smartmem.passes.iree import phase_ir
from smartmem.passes.iree.configure import contractions, set_config
from smartmem.passes.iree.phase_ir import ir
from smartmem.passes.rules.kernels import KernelConfig


def variants(stream_ir: str, entry: str, configs: Sequence[KernelConfig | None]) -> str:
    """The executables ``v0``, ``v1``, ... of the contraction called ``entry``, in the order of
    ``configs``; None is IREE's own configuration.
    """
    module = phase_ir.parse(stream_ir)
    found = [
        op
        for op in phase_ir.named(module.operation, "stream.executable")
        if any(phase_ir.symbol(e) == entry for e in phase_ir.named(op, "stream.executable.export"))
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} executables with an entry {entry!r}")
    with module.context:
        for number, config in enumerate(configs):
            with ir.InsertionPoint(module.body), ir.Location.unknown():
                made = found[0].clone()
            made.attributes["sym_name"] = ir.StringAttr.get(f"v{number}")
            made.attributes["sym_visibility"] = ir.StringAttr.get("public")
            # Each kernel's name says whose it is, so that what is found wrong can be told apart.
            for op in phase_ir.walk(made):
                if op.name == "stream.executable.export":
                    op.attributes["sym_name"] = ir.StringAttr.get(f"{entry}_v{number}")
                    op.attributes["function_ref"] = ir.FlatSymbolRefAttr.get(f"{entry}_v{number}")
                elif op.name == "func.func":
                    op.attributes["sym_name"] = ir.StringAttr.get(f"{entry}_v{number}")
            if config is not None:
                ((_, root, _),) = contractions(made)
                set_config(root, config)
        for op in list(phase_ir.body_ops(module.operation)):
            is_variant = op.name == "stream.executable" and phase_ir.symbol(op).startswith("v")
            is_device = op.name == "util.global" and "device" in str(op.attributes["type"])
            if not is_variant and not is_device:
                op.erase()
    return module.operation.get_asm(enable_debug_info=False)
