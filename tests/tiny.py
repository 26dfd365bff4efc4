"""A tiny random causal language model with a real tokenizer, and a toy task that it can learn."""

import random
import string
from pathlib import Path
from typing import Any

from fewtune.runtime.job import Row

LABELS = ("world", "sports", "business", "science")
KEYWORDS = {
    "world": ("treaty", "border", "minister", "election", "embassy"),
    "sports": ("goal", "coach", "league", "match", "stadium"),
    "business": ("profit", "market", "shares", "bank", "merger"),
    "science": ("planet", "gene", "rocket", "laser", "theory"),
}
"""Label -> words that tell it."""
FILLERS = (
    "the",
    "a",
    "new",
    "report",
    "says",
    "that",
    "on",
    "monday",
    "after",
    "long",
    "talks",
    "with",
    "people",
    "in",
)
"""Words that tell nothing."""
ANSWERS = ("yes", "no", "maybe", "Yes", "No", "Maybe", *(label.capitalize() for label in LABELS))
POSITIONS = 512


def tiny_tokenizer(folder: Path, *, begins: str | None = None) -> int:
    """Write tokenizer.json: byte-level BPE trained on the toy task's words, each of which becomes one token.

    Args:
        folder: where to write.
        begins: a special token that the tokenizer puts before every text.

    Returns:
        The size of the vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    words = [*LABELS, *ANSWERS, *FILLERS, *(word for group in KEYWORDS.values() for word in group)]
    words += ["Question:", "Answer:", "Topic:", "Category:", *string.ascii_letters]
    lines = [f"{word} {other} {word} " for word in words for other in words[:4]]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", *([begins] if begins else [])]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    if begins:
        first = [(begins, tokenizer.token_to_id(begins))]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{begins} $A", special_tokens=first)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return int(tokenizer.get_vocab_size())


def tiny_model(folder: Path, *, architecture: str = "llama", seed: int = 0) -> Path:
    """Write a random two-layer model with its tokenizer in the Hugging Face layout.

    Args:
        folder: where to write.
        architecture: llama (tied embeddings, grouped key heads), qwen2 (untied, biases), opt (tied, learned positions,
            a token before every text) or gpt_neox (untied, parallel blocks).
        seed: of the weights.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    size = tiny_tokenizer(folder, begins="</s>" if architecture == "opt" else None)
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    if architecture in ("llama", "qwen2"):
        shape |= {"num_key_value_heads": 2, "intermediate_size": 64, "tie_word_embeddings": architecture == "llama"}
    elif architecture == "opt":
        shape |= {"ffn_dim": 64, "word_embed_proj_dim": 32, "tie_word_embeddings": True, "init_std": 0.1}
    else:
        shape |= {"intermediate_size": 64, "tie_word_embeddings": False}
    config = AutoConfig.for_model(
        architecture,
        vocab_size=size,
        max_position_embeddings=POSITIONS,
        initializer_range=0.1,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        **shape,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def tiny_encoder(folder: Path, *, architecture: str = "bert", seed: int = 0) -> Path:
    """Write a random two-layer encoder with its tokenizer in the Hugging Face layout.

    Args:
        folder: where to write.
        architecture: bert (tells a pair's texts apart), roberta (does not; positions begin behind the padding's id) or
            deberta-v2 (relative positions).
        seed: of the weights.
    """
    import torch
    from tokenizers import Tokenizer, processors
    from transformers import AutoConfig, AutoModel

    tiny_tokenizer(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    special = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    second = 1 if architecture == "bert" else 0
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=f"[CLS] $A [SEP] $B:{second} [SEP]:{second}", special_tokens=special
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"intermediate_size": 64, "initializer_range": 0.1, "pad_token_id": 0, "max_position_embeddings": 64}
    shape |= {"type_vocab_size": {"bert": 2, "roberta": 1}.get(architecture, 0)}
    if architecture == "deberta-v2":
        shape |= {"relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]}
        shape |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}
    config = AutoConfig.for_model(architecture, vocab_size=int(tokenizer.get_vocab_size()), **shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def tiny_rows(
    count: int, *, labels: tuple[str, ...] = LABELS, seed: int = 0, noise: float = 0.0, pairs: bool = False
) -> tuple[Row, ...]:
    """Make rows whose keywords tell their label, in turns, so that every beginning is balanced.

    Args:
        count: how many.
        labels: some of `LABELS`.
        seed: of the words.
        noise: share of rows with a random label.
        pairs: with the fields premise and hypothesis instead of text.
    """
    source = random.Random(f"tiny {seed}")
    rows = []
    for place in range(count):
        label = place % len(labels)
        told = [source.choice(KEYWORDS[labels[label]]) for _ in range(2)]
        words = [source.choice(FILLERS) for _ in range(source.randint(2, 9))]
        for word in told:
            words.insert(source.randint(0, len(words)), word)
        half = len(words) // 2
        first, second = " ".join(words[:half]), " ".join(words[half:])
        fields = {"premise": first, "hypothesis": second} if pairs else {"text": f"{first} {second}"}
        if source.random() < noise:
            label = source.randrange(len(labels))
        rows.append(Row(fields=fields, label=label))
    return tuple(rows)


def tiny_word_tokens(folder: Path, words: tuple[str, ...] = LABELS) -> dict[str, int]:
    """Word -> the token of the word after a space."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return {word: tokenizer.encode(f" {word}", add_special_tokens=False).ids[0] for word in words}
