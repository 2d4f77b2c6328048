"""``smartmem-opt``: parse a module, verify it, run named passes, print it. The lit tests drive
passes through it.

    smartmem-opt in.mlir --pass-pipeline='cse,smartmem-lower-to-linalg{device=cpu}'

Names starting with ``smartmem-`` are ours; others are upstream MLIR passes.
"""

import argparse
import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir, passmanager
from smartmem.errors import SmartmemError, UserError
from smartmem.passes.base import ir_dump
from smartmem.passes.registry import PASSES
from smartmem.spelling import did_you_mean

_STEP = re.compile(r"(?P<name>[\w.-]+(?:\(.*\))?)(?:\{(?P<options>[^}]*)\})?$", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Step:
    """One pass of a pipeline, with its options."""

    name: str
    options: dict[str, str]


def parse_pipeline(text: str) -> list[Step]:
    """Steps of ``a,b{x=1},c(d,e)``; an outer ``builtin.module(...)`` is optional.

    Raises UserError.
    """
    text = text.strip()
    if text.startswith("builtin.module(") and text.endswith(")"):
        text = text.removeprefix("builtin.module(").removesuffix(")")
    steps: list[Step] = []
    for part in _split(text):
        match = _STEP.match(part)
        if match is None:
            raise UserError(f"cannot read pass '{part}' of the pipeline")
        pairs = (match["options"] or "").replace(",", " ").split()
        if any("=" not in pair for pair in pairs):
            raise UserError(
                f"options of {match['name']} are written name=value, got '{match['options']}'"
            )
        steps.append(Step(match["name"], dict(pair.split("=", 1) for pair in pairs)))
    return steps


def _split(text: str) -> list[str]:
    """Parts between the commas that stand in no bracket."""
    parts: list[str] = []
    depth, current = 0, ""
    for char in text:
        depth += (char in "({") - (char in ")}")
        if char == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += char
    return [p for p in (*parts, current.strip()) if p]


def run_step(step: Step, module: Any) -> None:
    """Run one pass on ``module``. Raises UserError for an unknown name or option."""
    if not step.name.startswith("smartmem-"):
        options = (
            "{" + " ".join(f"{k}={v}" for k, v in step.options.items()) + "}"
            if step.options
            else ""
        )
        try:
            manager = passmanager.PassManager.parse(f"builtin.module({step.name}{options})")
        except ValueError as error:
            if "registered pass" in str(error):
                raise UserError(f"unknown pass '{step.name}'{_nearest(step.name)}") from error
            raise UserError(f"{step.name}: {' '.join(str(error).split())}") from error
        manager.run(module.operation)
        return
    factory = PASSES.get(step.name)
    if factory is None:
        raise UserError(f"unknown pass '{step.name}'{_nearest(step.name)}")
    # What is nothing by default is no text, either: it comes from a target's file.
    fields = dataclasses.fields(cast(Any, factory))
    defaults = {field.name: field.default for field in fields if field.default is not None}
    for option in step.options:
        if option not in defaults:
            raise UserError(
                f"{step.name} has no option '{option}'.{did_you_mean(option, defaults)}"
            )
    options = {
        name: _value(step.name, name, text, defaults[name]) for name, text in step.options.items()
    }
    factory(**options).run(module)


def _value(name: str, option: str, text: str, default: Any) -> Any:
    """An option's text as a value of its default's type. Raises UserError for another text."""
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise UserError(f"{name}: {option} is true or false, not '{text}'")
        return text == "true"
    if isinstance(default, int):
        if not text.isdecimal() or int(text) < 1:
            raise UserError(f"{name}: {option} is a number from 1, not '{text}'")
        return int(text)
    return text


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _parts(text: str) -> list[str]:
    """The modules between lines ``// -----``, each on the lines it has in the file."""
    parts: list[str] = []
    line = 0
    for part in re.split(r"^// -----.*$", text, flags=re.MULTILINE):
        parts.append("\n" * line + part)
        line += part.count("\n")
    return parts


def _nearest(name: str) -> str:
    return f".{did_you_mean(name, PASSES)} Ours are {', '.join(PASSES)}"


def _process(
    text: str, steps: Sequence[Step], generic: bool, locations: bool, *, show: bool = False
) -> str:
    with layout.context():
        module = ir.Module.parse(text)
        for step in steps:
            run_step(step, module)
            module.operation.verify()
            if show:
                sys.stderr.write(ir_dump(step.name, module))
        return module.operation.get_asm(print_generic_op_form=generic, enable_debug_info=locations)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="smartmem-opt", description="run passes on layout-dialect IR"
    )
    parser.add_argument("input", nargs="?", default="-", help="file to read, - for standard input")
    parser.add_argument("-o", "--output", default="-", help="file to write, - for standard output")
    parser.add_argument("--pass-pipeline", default="", help="passes to run, separated by commas")
    parser.add_argument(
        "--split-input-file", action="store_true", help="treat parts between // ----- apart"
    )
    parser.add_argument(
        "--mlir-print-op-generic", action="store_true", help="print the generic form"
    )
    parser.add_argument("--mlir-print-debuginfo", action="store_true", help="print locations")
    parser.add_argument(
        "--print-ir-after-all", action="store_true", help="print the module after each pass, too"
    )
    parser.add_argument("--list-passes", action="store_true", help="print our passes and stop")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; 0 on success, 1 where parsing, verifying or a pass failed."""
    options = _arguments(argv)
    if options.list_passes:
        sys.stdout.write("\n".join(PASSES) + "\n")
        return 0
    try:
        text = _read(options.input)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    parts = _parts(text) if options.split_input_file else [text]
    printed: list[str] = []
    status = 0
    for part in parts:
        try:
            steps = parse_pipeline(options.pass_pipeline)
            printed.append(
                _process(
                    part,
                    steps,
                    options.mlir_print_op_generic,
                    options.mlir_print_debuginfo,
                    show=options.print_ir_after_all,
                )
            )
        except (SmartmemError, ir.MLIRError) as error:
            # MLIR calls a text "-".
            sys.stderr.write(f"{error}\n".replace('"-":', f'"{options.input}":'))
            status = 1
    out = "// -----\n".join(printed)
    if options.output == "-":
        sys.stdout.write(out)
    else:
        Path(options.output).write_text(out, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
