"""Tiny models, a toy corpus, and jobs over them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LABELS, tiny_model, tiny_rows, tiny_tokenizer, tiny_word_tokens
from transformers import AutoModelForCausalLM, BertConfig, BertModel

from fewtune.compiler.arm import Arm, Lora, Recipe
from fewtune.runtime.job import Corpus, Fit, Job, ModelRef, Row, RowRef, Score
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.model import Base, load, prepared

ARCHITECTURES = ("llama", "qwen2", "opt", "gpt_neox")
TARGETS = {
    "llama": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "qwen2": ("q_proj", "v_proj", "down_proj"),
    "opt": ("q_proj", "v_proj", "fc1"),
    "gpt_neox": ("query_key_value", "dense_4h_to_h"),
}
Models = Callable[..., Path]
Jobs = Callable[..., Job]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Timings and rounding do not depend on who else works on the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """Architecture -> folder of a tiny model, made once."""

    @cache
    def made(architecture: str = "llama") -> Path:
        return tiny_model(tmp_path_factory.mktemp(architecture), architecture=architecture)

    return made


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """96 rows to train on, 16 to validate with, 40 to test with, and pairs."""
    rows = tiny_rows(152, seed=1)
    splits = {"train": rows[:96], "validation": rows[96:112], "test": rows[112:]}
    return Corpus(labels=LABELS, splits={**splits, "pairs": tiny_rows(24, seed=2, pairs=True)})


@pytest.fixture(scope="session")
def texts(corpus: Corpus) -> Corpus:
    """The same rows with a target each."""
    splits = {
        name: tuple(Row(fields=row.fields, target=f"about {corpus.labels[row.label]}") for row in rows)
        for name, rows in corpus.splits.items()
    }
    return Corpus(labels=(), splits=splits)


@pytest.fixture
def job(models: Models) -> Jobs:
    """Builds a job: jobs("pattern", "lora", steps=5, ...); what is no field of a recipe goes to arm, fit or job."""

    def made(formulation: str, adaptation: str = "none", *, architecture: str = "llama", **given: Any) -> Job:
        trained = adaptation != "none"
        usual: dict[str, Any] = {"n": 32, "demonstrations": 8}
        if trained:
            usual = {"n": 32, "steps": 6, "batch_size": 8, "micro_batch": 8, "learning_rate": 0.01, "warmup_steps": 1}
        recipe = Recipe(**usual | {name: given.pop(name) for name in list(given) if name in Recipe.model_fields})
        lora = Lora(rank=4, alpha=8, targets=TARGETS[architecture]) if "lora" in adaptation else None
        pattern = "{text}" if formulation == "head" else "{text}\nTopic:"
        arm = Arm(
            name=given.pop("name", "arm"),
            method="pattern+lora",
            formulation=formulation,  # type: ignore[arg-type]
            adaptation=adaptation,  # type: ignore[arg-type]
            role="candidate",
            pattern=given.pop("pattern", pattern),
            lora=given.pop("lora", lora),
            max_tokens=given.pop("max_tokens", 64),
            precision=given.pop("precision", "fp32"),
            recipes=(recipe,),
        )
        validation = RowRef(split="validation", rows=tuple(range(16)))
        fit = Fit(
            stage="fit",
            fingerprint="f",
            train=RowRef(split="train", rows=tuple(given.pop("rows", range(32)))),
            validation=validation if given.pop("validated", False) else None,
            init_seed=given.pop("init_seed", 1),
            order_seed=given.pop("order_seed", 2),
        )
        scored = RowRef(split="test", rows=tuple(given.pop("scored", range(40))))
        return Job(
            id="job",
            arm=arm,
            recipe=recipe,
            words={label: label for label in LABELS},
            tokens=tiny_word_tokens(models(architecture)),
            fit=given.pop("fit", fit),
            scores=given.pop("scores", (Score(stage="score", fingerprint="s", split="test", rows=scored),)),
            **given,
        )

    return made


@pytest.fixture(scope="session")
def engine(models: Models, corpus: Corpus) -> Callable[..., Engine]:
    """Architecture -> an engine that many tests share, or a fresh one."""

    @cache
    def shared(architecture: str) -> Engine:
        return Engine(ModelRef(path=str(models(architecture)), weights_hash="tiny"), corpus)

    def made(architecture: str = "llama", *, fresh: bool = False) -> Engine:
        return shared.__wrapped__(architecture) if fresh else shared(architecture)

    return made


@pytest.fixture(scope="session")
def bases(models: Models) -> Callable[..., Base]:
    """(architecture, precision, "double", or "fp32 nf4") -> a resident base that many tests share."""

    @cache
    def made(architecture: str = "llama", precision: str = "fp32") -> Base:
        folder = models(architecture)
        if precision == "double":
            return prepared(AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double())
        kind, _, held = precision.partition(" ")
        return load(str(folder), kind, "cpu", four_bit=held == "nf4")  # type: ignore[arg-type]

    return made


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random encoder in the Hugging Face layout."""
    folder = tmp_path_factory.mktemp("encoder")
    size = tiny_tokenizer(folder)
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = BertModel(BertConfig(vocab_size=size, intermediate_size=64, max_position_embeddings=512, **shape))
    model.save_pretrained(folder)
    return folder
