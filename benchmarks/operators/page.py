"""``docs/operators.md``, the support page: made from the claims and from what was recorded.

python -m smartmem.benchmarks.operators.page docs/operators.md
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smartmem.benchmarks.operators.claims import Claims, claims
from smartmem.benchmarks.operators.compare import HALF_TOLERANCE, RESOLUTION, TOLERANCE
from smartmem.benchmarks.operators.results import Row, recorded
from smartmem.frontend.decompositions.spectrum import LARGEST

RESULTS = Path(__file__).resolve().parents[1] / "results"

_HEAD = """\
# Which operators are supported

Made by `make docs` from what `python -m smartmem.benchmarks.operators --record` found: edit neither
this page nor the numbers.

The judge is PyTorch's own operator database (`op_db`). An entry is **claimed** where every one of
its float32 sample inputs must give what eager PyTorch gives, without fallback: relative L2 of at
most {tolerance:.0e} (16-bit floats {half:.0e}), NaN and infinities at the same places, integers and
bools exactly; an average error of {resolution:.0e} per element is always allowed. Ops of integers
alone are judged by int64 samples. A model may use much more than this list: what PyTorch decomposes
into these ops works too, and what does not is refused with its line before anything is compiled.

**outside** are samples that cannot be had whatever the op: inputs or results in float64 or complex
numbers, numbers of more than 32 bits, or a shape that depends on values, which `torch.export` does
not trace.

Samples are compiled ahead of time; those that draw random numbers or write to their inputs
(dropout, running statistics, `max_norm`) by `torch.compile` with `strict=True` and
`fullgraph=True`. These get eager's seed, and what they leave in their inputs is compared like their
results.

Norms of matrices of the orders 2, -2 and nuc need singular values: these are computed for matrices
with a side of at most {side}, in about a hundred kernels, and refused beyond. Of constants, such as
weights, anything is computed at compile time.

On Vulkan a NaN or an infinity may get lost where it is multiplied by zero: drivers may leave such
products out.

## Element types

| type | inside the model | |
|---|---|---|
| float32, float16, bfloat16 | as they are | 16-bit floats are summed in float32 |
| int32, int8, bool | as they are | |
| int64 | int32 | inputs and constants are checked; what is computed from them wraps at 32 bits |
| int16, uint8 | int32 | wrapped after each op, so they overflow as in PyTorch |
| float64 | refused | mobile GPUs have none; constants may be computed in it, numbers are rounded |
| complex, uint16, uint32, uint64, quantized | refused | |

An input of uint8 takes one byte per element, one of int64 or int16 four. A float that becomes an
integer must be within the range of int32. Tensors without elements and of rank 0 work everywhere.
"""


def _of(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    return sorted((row for row in rows if row.op in names), key=lambda row: row.op)


def _cell(row: Row | None) -> str:
    if row is None:
        return "not judged"
    judged = row.samples - row.counts.get("outside", 0)
    passed = row.counts.get("passed", 0)
    text = f"{passed} of {judged}"
    if row.counts.get("outside"):
        text += f" ({row.counts['outside']} outside)"
    return text if row.passes else f"**{text}**"


def _claimed(held: Claims, documents: dict[str, dict[str, Any]]) -> list[str]:
    """One table per family, a column per target."""
    by_target = {
        target: {row.op: row for row in document["rows"]} for target, document in documents.items()
    }
    lines: list[str] = []
    for family in dict.fromkeys(held.family_of.values()):
        lines += ["", f"### {family}", "", f"| entry | {' | '.join(by_target)} |"]
        lines.append("|---" * (1 + len(by_target)) + "|")
        for op in sorted(op for op, own in held.family_of.items() if own == family):
            cells = " | ".join(_cell(rows.get(op)) for rows in by_target.values())
            lines.append(f"| `{op}` | {cells} |")
    return lines


def _unclaimed(held: Claims) -> list[str]:
    lines: list[str] = []
    for reason in dict.fromkeys(held.reason_of.values()):
        ops = sorted(op for op, own in held.reason_of.items() if own == reason)
        listed = ", ".join(f"`{op}`" for op in ops)
        lines += ["", *textwrap.wrap(f"**{reason}**: {listed}", 100, break_on_hyphens=False)]
    return lines


def _how(target: str, document: dict[str, Any]) -> str:
    """One line on a record."""
    rows: list[Row] = [row for row in document["rows"] if row.op in claims().family_of]
    samples = sum(row.samples - row.counts.get("outside", 0) for row in rows)
    passed = sum(row.counts.get("passed", 0) for row in rows)
    versions = document["versions"]
    limit = document["samples_per_entry"]
    share = "all samples" if limit is None else f"at most {limit} samples of each"
    commits = ", ".join(dict.fromkeys(row.commit for row in rows))
    return (
        f"* {target}: {sum(row.passes for row in rows)} of {len(rows)} claimed entries pass, "
        f"{passed} of {samples} samples ({share}); {document['date']}, torch {versions['torch']}, "
        f"IREE {versions['iree-base-compiler']}, smartmem at {commits}."
    )


def page(documents: dict[str, dict[str, Any]]) -> str:
    """The page for the records of some targets."""
    held = claims()
    head = _HEAD.format(
        tolerance=TOLERANCE, half=HALF_TOLERANCE, resolution=RESOLUTION, side=LARGEST
    )
    lines = [head, "## Claimed", ""]
    lines += [_how(target, document) for target, document in documents.items()]
    lines += _claimed(held, documents)
    lines += ["", "## Not claimed, and why", *_unclaimed(held)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page to the path given."""
    files = {target: RESULTS / f"operators-{target}.json" for target in ("cpu", "llvmpipe")}
    documents = {target: recorded(file) for target, file in files.items() if file.is_file()}
    Path(sys.argv[1]).write_text(page(documents), encoding="utf-8")


if __name__ == "__main__":
    main()
