"""Options that several verbs take."""

import click

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
