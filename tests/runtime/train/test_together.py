"""Jobs done together: the same results as alone, and nobody suffers from a neighbour."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load

from fewtune.compiler.arm import Generation, Lora
from fewtune.runtime.job import Answer, Batch, Corpus, Fitted, Job, ModelRef, Scored
from fewtune.runtime.train import tuner as tuners
from fewtune.runtime.train.engine import Engine

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
TRIALS: tuple[dict[str, Any], ...] = (
    {"steps": 6, "lora": Lora(rank=4, alpha=8, targets=ALL)},
    {"steps": 9, "lora": Lora(rank=1, alpha=2, targets=ALL), "init_seed": 7, "learning_rate": 0.02},
    {"steps": 3, "lora": Lora(rank=8, alpha=8, targets=ALL), "order_seed": 9, "batch_size": 4, "micro_batch": 4},
    {"steps": 8, "lora": Lora(rank=4, alpha=8, targets=ALL), "validated": True, "evaluate_every": 2, "patience": 2},
    {"steps": 6, "lora": Lora(rank=2, alpha=8, targets=ALL), "schedule": "cosine", "rows": range(32, 64)},
)
Jobs = Callable[..., Job]


def trials(jobs: Jobs, formulation: str = "pattern") -> tuple[Job, ...]:
    return tuple(
        jobs(formulation, "lora", **dict(each)).model_copy(update={"id": f"job {place}"})
        for place, each in enumerate(TRIALS)
    )


def batch(jobs: tuple[Job, ...], slots: int) -> Batch:
    return Batch(jobs, (None,) * len(jobs), slots)


def outcomes(answer: Answer) -> tuple[Fitted, Scored]:
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert isinstance(fitted, Fitted)
    assert isinstance(scored, Scored)
    return fitted, scored


@pytest.mark.parametrize("formulation", ["pattern", "head"])
@pytest.mark.parametrize("slots", [1, 2, 5, 16])
def test_together_is_as_alone(slots: int, formulation: str, job: Jobs, engine: Callable[..., Engine]) -> None:
    given = trials(job, formulation)
    together = {answer.job: outcomes(answer) for answer in engine().run_batch(batch(given, slots))}
    assert together.keys() == {one.id for one in given}
    for one in given:
        fitted, scored = outcomes(engine().run(one))
        packed, predicted = together[one.id]
        unequal = {"slots", "state", "seconds", "peak_memory_bytes", "losses", "validation"}
        same = {name: value for name, value in vars(fitted).items() if name not in unequal}
        assert {name: value for name, value in vars(packed).items() if name not in unequal} == same
        np.testing.assert_allclose([loss for _, loss in packed.losses], [loss for _, loss in fitted.losses], rtol=1e-4)
        np.testing.assert_allclose(np.array(packed.validation), np.array(fitted.validation))
        assert packed.slots == min(slots, len(given)), "trained alone after all"
        theirs = load(packed.state)
        for name, value in load(fitted.state).items():
            np.testing.assert_allclose(theirs[name], value, atol=2e-4)
        np.testing.assert_allclose(predicted.probabilities, scored.probabilities, atol=2e-3)


@pytest.mark.parametrize("slots", [2, 5])
def test_those_that_write_texts_share_too(slots: int, job: Jobs, models: Callable[..., Path], texts: Corpus) -> None:
    """Their answers are as many as their targets' tokens."""
    ends = Generation(max_new_tokens=8, end_tokens=(0,), stop_at_newline=False)
    given = [
        one.model_copy(update={"arm": one.arm.model_copy(update={"generation": ends}), "metric": "token_f1"})
        for one in trials(job, "generation")
    ]
    engine = Engine(ModelRef(path=str(models()), weights_hash="tiny"), texts)
    together = {answer.job: outcomes(answer) for answer in engine.run_batch(batch(tuple(given), slots))}
    for one in given:
        fitted, scored = outcomes(engine.run(one))
        packed, written = together[one.id]
        assert packed.slots == slots, "trained alone after all"
        assert (packed.steps, packed.best_step, packed.tokens) == (fitted.steps, fitted.best_step, fitted.tokens)
        np.testing.assert_allclose([loss for _, loss in packed.losses], [loss for _, loss in fitted.losses], rtol=1e-4)
        theirs = load(packed.state)
        for name, value in load(fitted.state).items():
            np.testing.assert_allclose(theirs[name], value, atol=2e-4)
        assert sum(a == b for a, b in zip(written.texts, scored.texts, strict=True)) >= 38  # of 40; ties round apart


def test_answers_come_as_trials_end(job: Jobs, engine: Callable[..., Engine]) -> None:
    seen: list[tuple[str, str]] = []
    given = trials(job)[:3]
    found = engine().run_batch(batch(given, 3), notify=lambda told: seen.append((told.job, told.phase)))
    first = next(found)
    assert first.job == "job 2"  # three steps
    assert ("job 2", "scoring") in seen
    assert all(one != "job 1" or phase != "scoring" for one, phase in seen)
    assert [answer.job for answer in found] == ["job 0", "job 1"]


def test_what_fails_together_is_done_alone(
    job: Jobs, engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Small(tuners.Pack):
        def logits(self, rows: Any, slots: Any) -> Any:
            if len(slots) > 1:
                raise MemoryError
            return super().logits(rows, slots)

    monkeypatch.setattr(tuners, "Pack", Small)
    given = trials(job)
    found = {answer.job: outcomes(answer)[0] for answer in engine().run_batch(batch(given, 4))}
    assert {name: fitted.slots for name, fitted in found.items()} == {one.id: 1 for one in given}


def test_a_trial_that_cannot_begin_fails_by_itself(job: Jobs, engine: Callable[..., Engine]) -> None:
    given = list(trials(job))
    empty = given[1].fit.model_copy(update={"train": given[1].fit.train.model_copy(update={"rows": ()})})  # type: ignore[union-attr]
    given[1] = given[1].model_copy(update={"fit": empty})
    found = {answer.job: answer for answer in engine().run_batch(batch(tuple(given), 3))}
    assert found.keys() == {one.id for one in given}
    assert [name for name, answer in found.items() if answer.failure] == ["job 1"]
    assert "no training rows" in found["job 1"].message


def test_scores_alone_are_no_pack(job: Jobs, engine: Callable[..., Engine]) -> None:
    fitted, scored = outcomes(engine().run(job("pattern", "lora")))
    asked = tuple(job("pattern", "lora", fit=None).model_copy(update={"id": name}) for name in "ab")
    found = list(engine().run_batch(Batch(asked, (fitted.state, fitted.state), 1)))
    assert [answer.job for answer in found] == ["a", "b"]
    assert all(replace(answer.outcomes[0], seconds=0) == replace(scored, seconds=0) for answer in found)
