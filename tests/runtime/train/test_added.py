"""Synthetic rows behind a sample's own: what is fitted to them is what the same rows of a split would give."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fewtune.runtime.job import Corpus, Fit, Fitted, Job, ModelRef, RowRef
from fewtune.runtime.train.engine import Engine

ARMS = {
    "tfidf": ("tfidf", "none", {}), "encoder": ("encoder", "none", {"penalty": 1.0}),
    "pattern": ("pattern", "lora", {}),
    "head": ("head", "lora", {}), "encoder-head": ("encoder-head", "lora", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", ARMS)
def test_added_rows_train_as_rows_of_the_split(
    name: str, job: Callable[..., Job], corpus: Corpus, models: Callable[..., Path], encoder: Path
) -> None:
    formulation, adaptation, more = ARMS[name]
    model = ModelRef(path=str(models()), weights_hash="tiny", encoder=str(encoder))

    def state(ref: RowRef) -> bytes:
        fit = Fit(stage="fit", fingerprint="f", train=ref, validation=None, init_seed=1, order_seed=2)
        asked = job(formulation, adaptation, fit=fit, scores=(), **more)
        if name == "encoder-head":
            targets = {"targets": ("query", "value")}
            assert asked.arm.lora is not None
            arm = asked.arm.model_copy(update={"lora": asked.arm.lora.model_copy(update=targets)})
            asked = asked.model_copy(update={"arm": arm})
        answer = Engine(model, corpus, threads=1).run(asked)
        assert answer.failure is None, answer.message
        (fitted,) = answer.outcomes
        assert isinstance(fitted, Fitted)
        return fitted.state

    own, rows = tuple(range(12)), corpus.splits["train"]
    added = state(RowRef(split="train", rows=own, added=rows[12:24]))
    assert added == state(RowRef(split="train", rows=tuple(range(24))))
    assert added != state(RowRef(split="train", rows=own))
