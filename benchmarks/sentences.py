"""Sentence embeddings with the pre-trained MiniLM: tokenise, run, pool, search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartmem.benchmarks.models.language import minilm_folder

TOKENS = 32

Embed = Callable[..., Any]


@dataclass(frozen=True)
class Batch:
    """``ids`` and ``mask`` [1, TOKENS] int64: one sentence, padded."""

    ids: Any
    mask: Any


def lines(name: str) -> list[str]:
    """The sentences of ``data/NAME.txt``."""
    text = (files("smartmem.benchmarks") / "data" / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def tokenised(sentences: Sequence[str]) -> list[Batch]:
    """One batch of one per sentence, cut or padded to ``TOKENS``."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    batches: list[Batch] = []
    for sentence in sentences:
        held = tokenizer(
            sentence, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        )
        batches.append(Batch(held["input_ids"], held["attention_mask"]))
    return batches


def embeddings(model: Embed, batches: Sequence[Batch]) -> NDArray[np.float32]:
    """Unit vectors [sentences, width]: the mean over the tokens that are not padding, as the model
    was trained.
    """
    rows: list[NDArray[np.float32]] = []
    for batch in batches:
        hidden = np.asarray(model(batch.ids, batch.mask)["last_hidden_state"].detach())[0]
        weight = np.asarray(batch.mask)[0][:, None].astype(np.float32)
        mean = (hidden * weight).sum(0) / weight.sum()
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows).astype(np.float32)


def nearest(queries: NDArray[np.float32], corpus: NDArray[np.float32]) -> list[tuple[int, float]]:
    """For each query the closest row of ``corpus`` and the cosine of the angle between them."""
    cosines = queries @ corpus.T
    best = cosines.argmax(axis=1)
    return [(int(row), float(cosines[i, row])) for i, row in enumerate(best)]
