"""Jobs in, answers out."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fewtune.runtime.job import Answer, Corpus, Fitted, Job, ModelRef, Progress, Scored
from fewtune.runtime.train.engine import Engine

METHODS = [
    ("majority", "none"),
    ("tfidf", "none"),
    ("pattern", "none"),
    ("in-context", "none"),
    ("pattern", "lora"),
    ("head", "lora"),
    ("pattern", "full"),
    ("head", "full"),
]
PROGRAM = """
import hashlib, sys
from fewtune.runtime.job import Corpus, Job, ModelRef
from fewtune.runtime.train.engine import Engine
path, corpus, *jobs = sys.stdin.read().splitlines()
engine = Engine(ModelRef(path=path, weights_hash=""), Corpus.model_validate_json(corpus), threads=1)
for job in jobs:
    fitted, scored = engine.run(Job.model_validate_json(job)).outcomes
    print(hashlib.sha256(fitted.state).hexdigest(), hashlib.sha256(repr(scored.probabilities).encode()).hexdigest())
"""


def digests(answer: Answer) -> str:
    fitted, scored = answer.outcomes
    assert isinstance(fitted, Fitted)
    assert isinstance(scored, Scored)
    return " ".join(hashlib.sha256(x).hexdigest() for x in (fitted.state, repr(scored.probabilities).encode()))


def test_the_same_job_gives_the_same_bits_in_one_process_and_in_two(
    job: Callable[..., Job], engine: Callable[..., Engine], corpus: Corpus, models: Callable[..., Path]
) -> None:
    jobs = [
        job(formulation, moves, precision=precision, validated=True, evaluate_every=2, steps=3, scored=range(12))
        for formulation, moves in METHODS
        for precision in ("fp32", "bf16")
        if precision == "fp32" or moves != "none"
    ]
    subject = engine()
    here = [digests(subject.run(each)) for each in jobs]
    assert [digests(subject.run(each)) for each in reversed(jobs)] == here[::-1]
    lines = [str(models()), corpus.model_dump_json(), *(each.model_dump_json() for each in jobs)]
    there = subprocess.run(
        [sys.executable, "-c", PROGRAM], input="\n".join(lines), text=True, check=True, capture_output=True, timeout=120
    )
    assert there.stdout.splitlines() == here


@pytest.mark.parametrize(
    ("formulation", "moves"), [("pattern", "lora"), ("head", "lora"), ("pattern", "full"), ("head", "full")]
)
def test_every_trained_method_learns(
    formulation: str, moves: str, job: Callable[..., Job], engine: Callable[..., Engine], corpus: Corpus
) -> None:
    rate = 0.02 if moves == "lora" else 0.004
    task = job(formulation, moves, rows=range(96), steps=60, learning_rate=rate, batch_size=16, micro_batch=16)
    fitted, scored = engine().run(task).outcomes
    assert isinstance(fitted, Fitted)
    assert isinstance(scored, Scored)
    labels = [corpus.splits["test"][row].label for row in scored.rows.rows]
    right = sum(label == guess for label, guess in zip(labels, scored.predicted, strict=True))
    assert right >= 24, f"{right} of 40, chance 10"
    assert fitted.losses[-1][1] < 0.5 * fitted.losses[0][1]
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in scored.probabilities)


@pytest.mark.parametrize("seed", ["init_seed", "order_seed"])
def test_both_seeds_matter(seed: str, job: Callable[..., Job], engine: Callable[..., Engine]) -> None:
    subject = engine()
    one, two = (subject.run(job("pattern", "lora", **{seed: value})) for value in (1, 3))
    assert digests(one) != digests(two)


def test_fitted_says_what_happened(job: Callable[..., Job], engine: Callable[..., Engine]) -> None:
    told: list[Progress] = []
    task = job("pattern", "lora", steps=7, validated=True, evaluate_every=3, micro_batch=4)
    answer = engine(fresh=True).run(task, notify=told.append)
    fitted = answer.outcomes[0]
    assert isinstance(fitted, Fitted)
    assert (fitted.stage, fitted.fingerprint, fitted.steps, fitted.micro_batch) == ("fit", "f", 7, 4)
    assert [step for step, _ in fitted.validation] == [3, 6, 7]
    assert fitted.best_step in (3, 6, 7)
    assert [step for step, _ in fitted.losses] == list(range(1, 8))
    assert fitted.seconds > 0
    assert fitted.tokens > 7 * 8
    assert fitted.peak_memory_bytes > 50_000_000
    assert {"loading", "training", "validating", "scoring"} == {sign.phase for sign in told}
    steps = [sign for sign in told if sign.phase == "training"]
    assert steps[-1].done == steps[-1].total == 7
    assert steps[-1].loss == pytest.approx(fitted.losses[-1][1])
    assert set(answer.versions) == {"torch", "transformers", "tokenizers", "safetensors"}
    assert answer.device == "cpu"
    fields = dataclasses.asdict(fitted) | {"state": fitted.state.hex()}
    assert json.loads(json.dumps(fields))


def test_a_validated_prediction_is_not_made_twice(
    job: Callable[..., Job], engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fewtune.runtime.train import tuner

    task = job("pattern", "lora", steps=2, validated=True, evaluate_every=2)
    assert task.fit is not None
    assert task.fit.validation is not None
    score = task.scores[0].model_copy(update={"rows": task.fit.validation})
    task = task.model_copy(update={"scores": (score,)})
    calls, predict = [], tuner.predict
    monkeypatch.setattr(tuner, "predict", lambda *given: calls.append(1) or predict(*given))  # type: ignore[func-returns-value]
    subject = engine()
    first = subject.run(task)
    assert len(calls) == 1
    fitted, scored = first.outcomes
    again = subject.run(task.model_copy(update={"fit": None}), state=bytes(bytearray(fitted.state)))  # type: ignore[union-attr]
    assert len(calls) == 2
    assert again.outcomes[0].probabilities == scored.probabilities  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lora": {"rank": 2, "alpha": 4, "targets": ["nothing"]}}, "no linear layer is called 'nothing'"),
        ({"pattern": None}, "no pattern"),
        ({"max_tokens": 1}, "the pattern alone takes"),
        ({"rows": []}, "no training rows"),
        ({"fit": None}, "no state is given"),
        ({"rows": [10_000]}, "IndexError"),
    ],
)
def test_what_goes_wrong_is_part_of_the_answer(
    given: dict[str, Any], message: str, job: Callable[..., Job], engine: Callable[..., Engine]
) -> None:
    if "lora" in given:
        from fewtune.compiler.arm import Lora

        given = {"lora": Lora(**given["lora"])}
    subject = engine()
    answer = subject.run(job("pattern", "lora", **given))
    assert answer.failure == "error"
    assert message in answer.message
    assert answer.outcomes == ()
    assert subject.run(job("pattern", "lora", steps=1)).failure is None


def test_outcomes_before_a_failure_are_kept(job: Callable[..., Job], engine: Callable[..., Engine]) -> None:
    answer = engine().run(job("pattern", "lora", steps=1, scored=[99_999]))
    assert answer.failure == "error"
    assert isinstance(answer.outcomes[0], Fitted)


def test_a_missing_model_is_an_error(job: Callable[..., Job], corpus: Corpus, tmp_path: Path) -> None:
    answer = Engine(ModelRef(path=str(tmp_path), weights_hash=""), corpus).run(job("pattern"))
    assert answer.failure == "error"


def test_an_interrupt_passes_through(job: Callable[..., Job], engine: Callable[..., Engine]) -> None:
    def interrupt(sign: Progress) -> None:
        if sign.phase == "training":
            raise KeyboardInterrupt

    subject = engine()
    with pytest.raises(KeyboardInterrupt):
        subject.run(job("pattern", "lora"), notify=interrupt)
    assert digests(subject.run(job("pattern", "lora"))) == digests(engine(fresh=True).run(job("pattern", "lora")))


def test_a_wild_learning_rate_diverges_and_is_scored(job: Callable[..., Job], engine: Callable[..., Engine]) -> None:
    task = job(
        "pattern", "full", learning_rate=1.0, steps=200, schedule="constant", max_grad_norm=1e30, weight_decay=10.0
    )
    answer = engine().run(task)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert isinstance(scored, Scored)
    assert isinstance(fitted, Fitted)
    assert all(sum(row) == pytest.approx(1, abs=1e-5) for row in scored.probabilities)
