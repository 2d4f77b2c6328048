"""A saved program (``.pt2``) is checked before torch reads it: loading one runs no code it brings.

``torch.export.load`` (torch 2.13) trusts its file, in four ways:

* pickles: example inputs that ``weights_only`` refuses are unpickled in full, as are weights and
  constants that are no plain tensors;
* native code: AOTInductor members are loaded as shared libraries;
* text that is evaluated: symbolic sizes (by sympy), names, guards and strings (they become Python
  source that ``ExportedProgram.module()`` executes);
* look-ups by name: functions anywhere under ``torch``, modules named by a tree's context.

So only the members of a plain archive are let in, pickles are read as weights only, and whatever
could be evaluated or looked up must be a plain name. What does not pass is refused, not repaired.
"""

import json
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from torch.export import ExportedProgram
from torch.export.pt2_archive._package import PT2ArchiveReader, load_pt2

from smartmem.errors import UnsupportedError, UnsupportedOp, UserError, not_supported
from smartmem.frontend.source import source_of

_MODEL = "models/model.json"
_MEMBERS = re.compile(
    r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/model\.json|data/sample_inputs/model\.pt|extra/.*"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
_ARITHMETIC = (
    "add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem"
)
_FUNCTION = re.compile(
    rf"torch\.ops(\.\w+)+|torch\._?sym_\w+|math\.[a-z0-9]+|_operator\.({_ARITHMETIC})"
)
# Ops that touch files although they are in torch.ops.
_REACHES_FILES = frozenset({"from_file", "load_library"})
_PLAIN = re.compile(r"[\w.\-]*")
# What torch puts into generated source or looks up, by its key in the archive's JSON.
_NAME_KEYS = re.compile(r"name|\w+_name|fqn|class_fqn|forward_arg_names")

_TRUST = (
    "Export it again with tensors only. A file you trust can be loaded by your own code: write a "
    "function that returns (torch.export.load(FILE), inputs) and give it as module:function."
)


def load_archive(path: Path) -> ExportedProgram:
    """The program in the file. Raises UserError where it is none or holds more than a plain
    program, UnsupportedError where a shape is not fixed.
    """
    try:
        reader = PT2ArchiveReader(str(path))
        members = reader.get_file_names()
        graph = json.loads(reader.read_bytes(_MODEL)) if _MODEL in members else None
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(graph, dict):
        raise UserError(f"{path}: holds no exported program", hint="Save it by torch.export.save.")
    for member in members:
        if not _MEMBERS.fullmatch(member):
            _refuse(path, f"the member {member!r} is not part of a plain program")
    try:
        _check_plain(path, graph)
        _check_static(path, graph)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _unreadable(path, error) from error
    return _load(path)


def _load(path: Path) -> ExportedProgram:
    try:
        with _weights_only():
            program = load_pt2(str(path)).exported_programs["model"]
    except Exception as error:
        if "weights_only" in str(error).lower() or "WeightsUnpickler" in str(error):
            _refuse(path, "it holds pickled objects that are no tensors")
        raise _unreadable(path, error) from error
    # Conditions on the inputs as Python source. Shapes are fixed here and checked at every call.
    program._guards_code = []
    return program


@contextmanager
def _weights_only() -> Generator[None]:
    """Lets torch.load build tensors and containers of them, whatever its caller asks for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def _unreadable(path: Path, error: Exception) -> UserError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
    return UserError(
        f"{path}: cannot be read as a program of torch.export.save: {first}",
        hint="The file may be damaged, of another kind, or made by another version of torch.",
    )


def _refuse(path: Path, what: str) -> NoReturn:
    raise UserError(f"{path}: {what}; loading it could run code, so it is refused", hint=_TRUST)


def _walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """All dict entries below ``value`` and the items of its lists, each with its key."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name, item
            yield from _walk(item, name)
    elif isinstance(value, list):
        for item in value:
            yield key, item
            yield from _walk(item, key)


def _check_plain(path: Path, program: dict[str, Any]) -> None:
    """Refuses text that torch would evaluate, paste into source, or look up."""
    for key, value in _walk(program):
        if not isinstance(value, str):
            continue
        if key in ("target", "as_operator"):
            if not _FUNCTION.fullmatch(value) or not _REACHES_FILES.isdisjoint(value.split(".")):
                _refuse(path, f"it calls {value!r}")
        elif key in ("in_spec", "out_spec"):
            _check_tree(path, value)
        elif _NAME_KEYS.fullmatch(key):
            _check_name(path, value)
    for argument in program["graph_module"]["graph"]["inputs"]:
        _check_name(path, argument.get("as_string", ""))


def _check_tree(path: Path, text: str) -> None:
    """How arguments nest: contexts are keys and sizes, never classes to import."""
    for key, context in _walk(json.loads(text)):
        if key != "context":
            continue
        if isinstance(context, str) and context[:1] in ("[", "{", '"'):
            context = json.loads(context)
        if any(isinstance(value, dict) for _, value in _walk([context])):
            _refuse(path, "the tree of its arguments names a class")
        for _, value in _walk([context]):
            _check_name(path, value)


def _check_name(path: Path, value: Any) -> None:
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        _refuse(path, f"{value[:80]!r} is no plain name")


def _check_static(path: Path, program: dict[str, Any]) -> None:
    """Names the input dimension, else the op, whose size is a symbol."""
    graph = program["graph_module"]["graph"]
    tensors = graph["tensor_values"]
    inputs = [a["as_tensor"]["name"] for a in graph["inputs"] if "as_tensor" in a]
    for name in inputs:
        for dim, size in enumerate(tensors[name]["sizes"]):
            if "as_expr" in size:
                raise UnsupportedError(
                    f"{path}: dimension {dim} of input '{name}' is dynamic",
                    hint="smartmem compiles for fixed shapes: export without dynamic_shapes, "
                    "once for each size.",
                )
    rows = [_unsized(node) for node in graph["nodes"] if _starts_symbols(node, tensors)]
    if rows:
        raise UnsupportedError(f"{path}: {not_supported(len(rows))}", rows)
    if any(key == "expr_str" for key, _ in _walk(program)):
        raise UnsupportedError(
            f"{path}: computes with symbolic sizes", hint="Export with fixed shapes."
        )


def _starts_symbols(node: dict[str, Any], tensors: dict[str, Any]) -> bool:
    """Whether a result has a symbol in its shape and no operand has."""

    def symbolic(part: str) -> bool:
        names = [v for k, v in _walk(node[part]) if k == "name" and isinstance(v, str)]
        return any(k == "expr_str" for n in names for k, _ in _walk(tensors.get(n)))

    return symbolic("outputs") and not symbolic("inputs")


def _unsized(node: dict[str, Any]) -> UnsupportedOp:
    trace = {"stack_trace": node["metadata"].get("stack_trace")}
    return UnsupportedOp(
        node["target"].removeprefix("torch.ops."),
        str(source_of(SimpleNamespace(meta=trace))),
        "its shape is known only at run time",
        "keep shapes fixed: torch.where or a mask for a selection",
    )
