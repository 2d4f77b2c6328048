"""Predict how long a model takes on a device nobody has at hand, without running it.

The model goes through all passes up to IREE's stream phase, where its dispatches are known and no
kernel is built: seconds, not minutes. Each dispatch then takes what the target's latency table says
or its cost model predicts (``passes/tuning/latency.py``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smartmem.errors import UserError

if TYPE_CHECKING:
    import torch

    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.tuning.latency import Latency, LatencyTable


def predict_latency(
    model: torch.nn.Module | torch.export.ExportedProgram | str | os.PathLike[str],
    example_inputs: Sequence[Any] | None = None,
    target: str | None = None,
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    table: LatencyTable | None = None,
    cache: Cache | None = None,
) -> Latency:
    """Milliseconds of one warm call of ``model`` on a device of ``target``, and its dispatches.

    ``model`` is a module with ``example_inputs``, an exported program, or the folder of a compiled
    model, which has one target or is given which. ``table`` is what was measured on such devices,
    by default the one shipped for the target.

    Raises UserError where nothing was measured for the target, or the model cannot be exported, and
    UnsupportedError with a table of all unsupported ops.
    """
    from smartmem.passes.target import resolve
    from smartmem.passes.tuning.latency import for_target
    from smartmem.tuning.profile import steps_of

    if isinstance(model, (str, os.PathLike)):
        from smartmem.cli.options import chosen_target
        from smartmem.runtime.bundle import Bundle

        bundle = Bundle.open(model)
        chosen = resolve(chosen_target(bundle, target, sorted(bundle.manifest.targets)))
        stream_ir = bundle.dispatches(chosen.name)
    else:
        from smartmem.compiler import stream_module

        if target is None:
            raise UserError("no target to predict for", hint="Name one, such as 'llvmpipe'.")
        chosen = resolve(target)
        inputs = _inputs(model, example_inputs)
        stream_ir = stream_module(model, inputs, example_kwargs, target=chosen, cache=cache)
    known = for_target(chosen.name) if table is None else table
    return known.predict(steps_of(stream_ir, chosen))


def _inputs(model: Any, example_inputs: Sequence[Any] | None) -> tuple[Any, ...]:
    """The example inputs; those an exported program carries where none are given."""
    if example_inputs is not None:
        return tuple(example_inputs)
    carried = getattr(model, "example_inputs", None)
    if carried is None:
        raise UserError("no example inputs", hint="Give them, or a program exported with its own.")
    args, kwargs = carried
    if kwargs:
        raise UserError(
            "the program was exported with keyword arguments",
            hint="Give example_inputs and example_kwargs.",
        )
    return tuple(args)
