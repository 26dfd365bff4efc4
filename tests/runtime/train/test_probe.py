"""Probes: the features of the base and of a sentence encoder, and arms made of them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForCausalLM, PreTrainedTokenizerFast

from fewtune.runtime.job import Corpus, Fitted, Job, ModelRef, RowRef, Scored
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.probe import Probe
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.reading import Reader
from fewtune.runtime.train.sentences import Sentences
from fewtune.runtime.train.threads import Threads

ROWS = ((3, 5, 7, 5, 9, 2, 8), (2, 6), (4, 3, 9), (11,))


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
@pytest.mark.parametrize("end_to_end", [True, False])
def test_the_bases_features_are_transformers_hidden_states(
    architecture: str, end_to_end: bool, bases: Callable[..., Base], models: Callable[..., Path]
) -> None:
    base = bases(architecture)
    oracle = AutoModelForCausalLM.from_pretrained(models(architecture), attn_implementation="eager")
    padded = Reader(oracle.base_model, end_to_end=False, device=base.device)
    reader = base.reader(base.model) if end_to_end else padded
    with torch.inference_mode():
        ours = reader.features(ROWS)
        for found, row in zip(ours, ROWS, strict=True):
            states = oracle(torch.tensor([row]), output_hidden_states=True).hidden_states
            expected = torch.cat([states[-1][0, -1], states[1][0].mean(0)])  # two blocks: states 0, 1 and 2
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.fixture
def sentences(encoder: Path, corpus: Corpus) -> Sentences:
    """The tiny encoder over the toy corpus."""
    return Sentences(encoder, corpus, "cpu", Threads(1, steady=True))


def test_a_texts_vector_is_the_mean_state_at_unit_length(
    sentences: Sentences, encoder: Path, corpus: Corpus, job: Callable[..., Job]
) -> None:
    ref = RowRef(split="test", rows=tuple(range(40)))
    found = sentences.read(job("encoder"), ref, Pulse("job", lambda _: None))
    oracle = AutoModel.from_pretrained(encoder).eval()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(encoder / "tokenizer.json"))
    for vector, row in zip(found, corpus.splits["test"], strict=True):
        with torch.inference_mode():
            mean = oracle(**tokenizer(row.fields["text"], return_tensors="pt")).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, (mean / mean.norm()).numpy(), atol=1e-5)


def test_a_pair_is_both_texts_their_difference_and_their_product(sentences: Sentences, job: Callable[..., Job]) -> None:
    (vector,) = sentences.read(job("encoder"), RowRef(split="pairs", rows=(3,)), Pulse("job", lambda _: None))
    u, v, difference, product = np.split(vector, 4)
    assert np.linalg.norm(u) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(difference, abs(u - v))
    np.testing.assert_allclose(product, u * v)


@pytest.mark.parametrize("formulation", ["probe", "encoder"])
def test_as_a_job(
    formulation: str, job: Callable[..., Job], corpus: Corpus, models: Callable[..., Path], encoder: Path
) -> None:
    model = ModelRef(path=str(models()), weights_hash="tiny", encoder=str(encoder))
    asked = job(formulation, penalty=1.0, rows=range(96))
    answer = Engine(model, corpus).run(asked)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert isinstance(fitted, Fitted)
    assert isinstance(scored, Scored)
    right = sum(corpus.splits["test"][row].label == label for row, label in enumerate(scored.predicted))
    assert right > 20  # of 40; chance is 10
    again = Engine(model, corpus).run(job(formulation, fit=None, penalty=1.0), state=fitted.state)
    assert again.outcomes[0].probabilities == scored.probabilities  # type: ignore[union-attr]


def test_each_row_is_read_once(job: Callable[..., Job], corpus: Corpus) -> None:
    read: list[tuple[str, int]] = []

    class Counted:
        def key(self, job: Job) -> str:
            return job.arm.pattern or ""

        def read(self, job: Job, ref: RowRef, pulse: Pulse) -> list[np.ndarray]:
            read.extend((ref.split, row) for row in ref.rows)
            return [np.full(3, float(row), np.float32) for row in ref.rows]

    probe, pulse = Probe(corpus, Counted), Pulse("job", lambda _: None)
    first = probe.features(job("probe"), RowRef(split="test", rows=(4, 2, 4)), pulse)
    assert first[:, 0].tolist() == [4, 2, 4]
    probe.features(job("probe"), RowRef(split="test", rows=(2, 5)), pulse)
    probe.features(job("probe"), RowRef(split="train", rows=(2,)), pulse)
    assert read == [("test", 4), ("test", 2), ("test", 5), ("train", 2)]
    probe.features(job("probe", pattern="{text}"), RowRef(split="test", rows=(2,)), pulse)
    assert read[-1] == ("test", 2)


@pytest.mark.model
@pytest.mark.skipif(not encoder_is_ready(), reason="the encoder is not in the cache: make pull")
def test_the_embedded_encoder_is_as_promised() -> None:
    from fewtune.compiler.encoder import ENCODER
    from fewtune.runtime.folders import encoder_folder
    from fewtune.runtime.wheel import check

    folder = encoder_folder()
    check(folder / "model.safetensors", ENCODER.weights_sha256)
    model = AutoModel.from_pretrained(folder)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.ndim == 2}
    assert sum(parameter.numel() for parameter in model.parameters()) == ENCODER.parameters
    assert sum(size for name, size in sizes.items() if "encoder.layer" in name) == ENCODER.block_parameters
    corpus = Corpus(labels=("a", "b"), splits={})
    features = Sentences(folder, corpus, "cpu", Threads(1, steady=True))
    cats, felines, shares = features._vectors(["Two cats sleep.", "A pair of felines naps.", "Shares fell."],
                                              Pulse("job", lambda _: None))  # fmt: skip
    assert cats @ felines > 0.6 > 0.2 > abs(cats @ shares)
