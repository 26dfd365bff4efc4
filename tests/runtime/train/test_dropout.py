"""Dropout by keyed masks: a trial against a plain peft loop with the same masks, in a pack as alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plain_loop
import pytest
import torch
from peft_oracle import examples, peft_model, peft_names
from tiny import LABELS
from torch import Tensor, nn

from fewtune.compiler.arm import Lora, Recipe
from fewtune.runtime.job import Corpus
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.dropout import Key, Mask, site
from fewtune.runtime.train.loop import Course, Example, Training
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.pulse import Pulse

RATES = (0.1, 0.0, 0.5)
Trial = tuple[Any, Recipe, Sequence[Example], int]
"""(arm, recipe, rows, seed)"""


class Masked(nn.Module):
    """What stands in the place of peft's dropout: the masks of the batch that is read."""

    def __init__(self, path: str, rate: float, batch: list[tuple[int, Key]]) -> None:
        super().__init__()
        self.layer, self.rate, self.batch = site(path), rate, batch

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, d_in), or (B L, d_in); `batch` has (tokens, key) of each row."""
        rows = [
            row * Mask(self.rate, [(0, tokens, name)]).factor(self.layer, row)
            for row, (tokens, name) in zip(x.view(len(self.batch), -1, x.shape[-1]), self.batch, strict=True)
        ]
        return torch.stack(rows).view(x.shape)


@pytest.fixture
def trials(models: Any, job: Any, corpus: Corpus) -> list[Trial]:
    """Three that differ in rate, rank, batch and micro-batch."""
    made = []
    for place, rate in enumerate(RATES):
        task = job("pattern", "lora", architecture="opt")
        lora = Lora(rank=(2, 4, 8)[place], alpha=8, targets=task.arm.lora.targets, dropout=rate)
        arm = task.arm.model_copy(update={"lora": lora, "name": f"arm {place}"})
        recipe = task.recipe.model_copy(
            update={"steps": 12 - place, "batch_size": (4, 3, 5)[place], "micro_batch": (4, 2, 2)[place]}
        )
        data = examples(models("opt"), arm, corpus, 12)
        made.append((arm, recipe, [Example(e.tokens[place:], e.label) for e in data], 30 + place))
    return made


def packed(base: Base, trials: Sequence[Trial], tokens: Sequence[int]) -> list[Course]:
    pack = Pack(base, [arm for arm, *_ in trials], tokens, len(LABELS), len(trials))

    def start(trial: Trial, slot: int) -> Training:
        arm, recipe, data, seed = trial
        return Training(pack.seat(slot, arm, seed), recipe, data, seed, None, Pulse(arm.name, lambda _: None))

    found = {trial[0].name: course for trial, course, _ in train_packed(pack, trials, start)}
    return [found[arm.name] for arm, *_ in trials]


def by_peft(folder: Path, base: Base, trial: Trial, tokens: Sequence[int]) -> dict[str, Tensor]:
    """The parameters after the same training, alone, with peft's own layers."""
    arm, recipe, data, seed = trial
    tuned = peft_model(folder, arm, torch.float64)
    parameters = dict(tuned.named_parameters())
    for name, value in peft_names(adaptation.initial(base, arm, len(LABELS), seed)):
        parameters[name].data.copy_(value)
    now: list[tuple[int, Key]] = []
    for path, module in tuned.named_modules():
        if hasattr(module, "lora_dropout"):
            module.lora_dropout["default"] = Masked(path.removeprefix("base_model.model."), arm.lora.dropout, now)
    stream, steps = batches(len(data), recipe.batch_size, seed), iter(range(recipe.steps))

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        step, lengths = next(steps), [len(data[place].tokens) for place in next(stream)]
        order = sorted(range(len(lengths)), key=lambda place: lengths[place])
        now[:] = [(length, (seed, step, order.index(place))) for place, length in enumerate(lengths)]
        return plain_loop.last(tuned(input_ids=ids, attention_mask=mask).logits, mask)[:, list(tokens)]

    moving = [parameter for parameter in parameters.values() if parameter.requires_grad]
    plain_loop.train(moving, logits, recipe, data, seed)
    return parameters


def test_it_is_what_peft_does_with_the_same_masks(models: Any, bases: Any, job: Any, trials: list[Trial]) -> None:
    base, tokens = bases("opt", "double"), list(job("pattern", architecture="opt").tokens.values())
    for trial, course in zip(trials, packed(base, trials, tokens), strict=True):
        parameters = by_peft(models("opt"), base, trial, tokens)
        for name, value in peft_names(course.result):
            torch.testing.assert_close(value, parameters[name].data, atol=1e-10, rtol=1e-10)


def test_neighbours_change_nothing(bases: Any, job: Any, trials: list[Trial]) -> None:
    base, tokens = bases("opt", "double"), list(job("pattern", architecture="opt").tokens.values())
    together = packed(base, trials, tokens)
    for trial, course in zip(trials, together, strict=True):
        (alone,) = packed(base, [trial], tokens)
        for name, value in course.result.items():
            torch.testing.assert_close(alone.result[name], value, atol=1e-10, rtol=1e-10)


def test_it_moves_the_result(bases: Any, job: Any, trials: list[Trial]) -> None:
    base, tokens = bases("opt", "double"), list(job("pattern", architecture="opt").tokens.values())
    arm, *rest = trials[0]
    plain = arm.model_copy(update={"lora": arm.lora.model_copy(update={"dropout": 0.0})})
    (dropped,), (kept,) = packed(base, [(arm, *rest)], tokens), packed(base, [(plain, *rest)], tokens)
    assert any(not torch.allclose(kept.result[name], value, atol=1e-6) for name, value in dropped.result.items())


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_a_mask_keeps_the_mean(rate: float) -> None:
    like = torch.empty(3000, 40)
    factor = Mask(rate, [(0, 2000, (1, 2, 3)), (2000, 900, (1, 2, 4))]).factor(site("a.q_proj"), like)
    assert sorted(factor[:2900].unique().tolist()) == pytest.approx([0.0, 1 / (1 - rate)])
    assert factor[:2900].mean().item() == pytest.approx(1.0, abs=0.05)
    assert (factor[2900:] == 1).all(), "padding stays as it is"


def test_a_mask_is_named_by_trial_step_place_and_layer() -> None:
    like = torch.empty(4, 32)

    def drawn(seed: int, step: int, place: int, path: str) -> Tensor:
        return Mask(0.5, [(0, 4, (seed, step, place))]).factor(site(path), like)

    first = drawn(1, 2, 3, "q")
    assert torch.equal(first, drawn(1, 2, 3, "q"))
    for other in ((2, 2, 3, "q"), (1, 3, 3, "q"), (1, 2, 4, "q"), (1, 2, 3, "k")):
        assert not torch.equal(first, drawn(*other))
