"""Options that several verbs take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from smartmem.errors import UserError
from smartmem.spelling import did_you_mean

if TYPE_CHECKING:
    from smartmem.runtime.bundle import Bundle

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")

targets_option = click.option(
    "--target",
    "targets",
    multiple=True,
    default=("cpu",),
    show_default=True,
    metavar="NAME",
    help="cpu, vulkan (the device at hand), llvmpipe, adreno, mali, nvidia, generic, or an IREE "
    "Vulkan target name; may be repeated.",
)

budget_option = click.option(
    "--budget",
    metavar="SIZE",
    help="The most memory for weights: 512MiB, 50% of them, or auto (the smallest predicted to "
    "take at most 1.5 times as long); what does not fit is read from the archive in each run. "
    "Without it all weights are loaded once and stay.",
)

devices_option = click.option(
    "--device",
    "devices",
    multiple=True,
    default=("auto",),
    show_default=True,
    help="auto, cpu, vulkan, or a name; may be repeated.",
)

executor_option = click.option(
    "--executor",
    type=click.Choice(("auto", "smartmem", "iree")),
    default="auto",
    show_default=True,
    help="What runs it: our own Vulkan executor, or IREE's runtime; auto is ours where it can.",
)

load_budget_option = click.option(
    "--budget",
    metavar="SIZE",
    help="The most device memory for weights in our own executor: 512MiB, 50% of them, or auto; "
    "what does not fit is read from the archive in each run. No compiling is needed. Without it, "
    "what the model was compiled with.",
)

report_target_option = click.option(
    "--target", "targets", multiple=True, help="Only this target; may be repeated."
)


def chosen_targets(bundle: Bundle, wanted: Sequence[str]) -> list[str]:
    """The targets of ``bundle`` that are wanted, all where none is named.

    Raises UserError for one it was not compiled for.
    """
    known = bundle.manifest.targets
    for name in wanted:
        if name not in known:
            raise UserError(
                f"{bundle.path}: no target {name!r}.{did_you_mean(name, known)}",
                hint=f"It was compiled for {', '.join(known)}.",
            )
    return list(wanted) or sorted(known)


def chosen_target(bundle: Bundle, wanted: str | None, known: Sequence[str]) -> str:
    """The target ``wanted``, or without one the only one of ``known``. Raises UserError."""
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None or wanted not in known:
        one_of = f"one of {', '.join(known)}" if known else "once it is compiled for one that suits"
        problem = f"{len(known)} targets suit" if wanted is None else f"no target {wanted!r}"
        raise UserError(
            f"{bundle.path}: {problem}.{did_you_mean(wanted or '', known)}",
            hint=f"Give --target, {one_of}.",
        )
    return wanted


storage_option = click.option(
    "--storage",
    type=click.Choice(("buffer", "texel", "image", "auto")),
    default="buffer",
    show_default=True,
    help="How kernels of our Vulkan executor read weights and activations.",
)
