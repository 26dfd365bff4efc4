"""Continued pre-training: a plain language-model loop does the same, trials share it, and no test row is in it."""

from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Recipe
from fewtune.runtime.job import Progress, RowRef
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Example, Learner, Training, train
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.schedule import factor

TEXTS = [[3, 5, 7, 2], [4, 9, 8], [8, 2, 6, 11, 3], [7, 7]]
RECIPE = Recipe(n=8, steps=6, batch_size=3, micro_batch=2, learning_rate=0.01, warmup_steps=1, weight_decay=0.1)


def test_it_is_a_plain_language_model_loop(bases: Any, models: Any, job: Any) -> None:
    """Six steps in fp64: the mean loss over the batch's tokens, all parameters within 1e-10."""
    base, arm = bases("llama", "double"), job("pattern", "full").arm
    weights = adaptation.moving(base, arm, 0, seed=0)
    learner = Learner(lambda: adaptation.speaking(base, arm, weights.working), weights, keeps_masters=False)
    data = [Example(text[:-1], target=text[1:]) for text in TEXTS]
    course = train(Training(learner, RECIPE, data, 1, None, Pulse("job", lambda _: None)))

    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="sdpa", dtype=torch.float64).eval()
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.0, weight_decay=0.1)
    stream = batches(len(TEXTS), RECIPE.batch_size, 1)
    for step in range(RECIPE.steps):
        rows = [TEXTS[place] for place in next(stream)]
        logits = torch.cat([model(torch.tensor([row])).logits[0, :-1] for row in rows])
        loss = functional.cross_entropy(logits, torch.tensor([token for row in rows for token in row[1:]]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), RECIPE.max_grad_norm)
        optimizer.param_groups[0]["lr"] = RECIPE.learning_rate * factor("linear", step, RECIPE.steps, 1)
        optimizer.step()
        optimizer.zero_grad()
    for name, value in course.result.items():
        torch.testing.assert_close(value, parameters[name].data, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("formulation", ["pattern", "head"])
@pytest.mark.parametrize("moves", ["lora", "full"])
def test_trials_share_it(formulation: str, moves: str, job: Any, engine: Any) -> None:
    """Two seeds: the texts are read once, both start from what came of it, and a change of the texts starts anew."""
    subject, seen = engine(fresh=True), list[Progress]()
    texts = (RowRef(split="train", rows=tuple(range(40, 96))),)

    def run(seed: int, pretraining: tuple[RowRef, ...]) -> Any:
        work = job(formulation, moves, steps=3, pretraining_steps=20, init_seed=seed, order_seed=seed)
        fit = work.fit.model_copy(update={"pretraining": pretraining})
        seen.clear()
        answer = subject.run(work.model_copy(update={"fit": fit}), notify=seen.append)
        assert answer.failure is None, answer.message
        return answer.outcomes[0], {sign.total for sign in seen if sign.phase.endswith("training")}

    first, lengths = run(1, texts)
    assert lengths == {20, 3}
    second, lengths = run(2, texts)
    assert lengths == {3}
    assert first.state != second.state
    plain, _ = run(2, ())
    assert plain.state != second.state
    _, lengths = run(2, (RowRef(split="train", rows=(1, 2, 3)),))
    assert lengths == {20, 3}
    assert first.trainable_parameters == plain.trainable_parameters


def test_what_it_starts_from_is_what_a_fresh_process_would_make(job: Any, engine: Any) -> None:
    """The memory of one engine is no part of the result."""
    fit = {"pretraining": (RowRef(split="train", rows=tuple(range(40, 60))),)}
    work = job("pattern", "lora", steps=3, pretraining_steps=5)
    work = work.model_copy(update={"fit": work.fit.model_copy(update=fit)})
    warm = engine(fresh=True)
    warm.run(work.model_copy(update={"fit": work.fit.model_copy(update={"init_seed": 9})}))
    assert warm.run(work).outcomes[0].state == engine(fresh=True).run(work).outcomes[0].state
