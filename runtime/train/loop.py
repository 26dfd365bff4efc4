"""The training loop: one for every method, and for one trial as for many that share their steps.

What moves and how it is read out is the learner's business. Each trial has an AdamW of its own on one flat vector, its
own data order, schedule and gradient norm, and is validated by accuracy with the loss breaking ties, or by its texts'
metric. Steps are those of the optimizer. The base stays in evaluation mode; what drops out is LoRA's business.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from fewtune.compiler.arm import Recipe
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.dropout import Key
from fewtune.runtime.train.loss import NO_LABEL, Soft, answer_losses, set_losses
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prediction import Said
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.schedule import factor
from fewtune.runtime.train.weights import Weights

LOGGED = 50
"""About how many losses a training keeps."""


@dataclass(frozen=True)
class Example:
    """One training example; what it is to answer is read out at its last tokens, one answer at each."""

    tokens: Sequence[int]
    """What is read; of a target all but the last token."""
    label: int = -1
    """Index of the label; -1 where a target is to be written, or a text has several labels."""
    target: Sequence[int] = ()
    """Tokens of the target, its end included; or a tag for each token, NO_LABEL where none is read out."""
    labels: Sequence[int] | None = None
    """Indices of a set of labels; None: it has one, or a target."""
    key: Key = (0, 0, 0)
    """Names what drops out of it in this step."""
    soft: Soft | None = None
    """A teacher's answer, for an example with a label's place."""

    @property
    def answers(self) -> Sequence[int]:
        """The label alone, or each token of the target."""
        return self.target or (self.label,)

    @property
    def counted(self) -> int:
        """How many answers weigh in the batch's mean."""
        return sum(answer != NO_LABEL for answer in self.target) if self.target else 1


Logits = Callable[[Sequence[Sequence[Example]]], Tensor]
"""Examples of each trial to a logit of each label (or token), one trial's answers after the other's: (answers, labels).
"""
Backward = Callable[[Sequence[Sequence[Sequence[Example]]], Logits], Tensor]
"""Each trial's micro-batches to its loss, (trials,); adds the gradients."""


@dataclass(frozen=True)
class Learner:
    """What is trained."""

    view: Callable[[], Tuned]
    """Makes a view of the base with what is trained in it."""
    weights: Weights
    keeps_masters: bool
    """Whether its result are the fp32 masters, or what the model computes with."""

    @cached_property
    def tuned(self) -> Tuned:
        """The view, made when it is needed: a trial that shares its steps needs one for its validation only."""
        return self.view()

    def snapshot(self) -> dict[str, Tensor]:
        """The result as of now."""
        return self.weights.snapshot(masters=self.keeps_masters)


@dataclass(frozen=True)
class Validation:
    """How validation rows are predicted, and what is right."""

    predict: Callable[[], Said]
    labels: Sequence[Any]
    """Label indices, or targets."""


@dataclass
class Course:
    """What came of a training."""

    result: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    best_step: int = 0
    diverged: bool = False
    losses: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    tokens: int = 0
    best: tuple[float, float] = (-math.inf, -math.inf)
    """Quality of the best validation."""
    prediction: Said | None = None
    """The best validation's."""
    stale: int = 0
    """Validations since the best one."""
    note: str = ""
    """What a reader of the result must know."""

    def log(self, recent: list[float]) -> None:
        """Note the mean of the losses since the last note, and forget them."""
        if recent:
            self.losses.append((self.steps, sum(recent) / len(recent)))
            recent.clear()


class Training:
    """One trial's training under way."""

    def __init__(
        self,
        learner: Learner,
        recipe: Recipe,
        examples: Sequence[Example],
        seed: int,
        validation: Validation | None,
        pulse: Pulse,
        *,
        note: str = "",
        backward: Backward | None = None,
        phase: Phase = "training",
    ) -> None:
        """Prepare the first step.

        Args:
            learner: moved in place.
            recipe: steps, batches, optimizer, validation.
            examples: the training rows.
            seed: of their order.
            validation: None: the result is the state after the last step; else the best validated one.
            pulse: told of every step.
            note: why there is nothing to learn; empty: there is.
            backward: what is learnt; None: the answers, by cross-entropy. Of a trial that is alone.
            phase: what the pulse is told.
        """
        self.learner, self.recipe, self.examples = learner, recipe, examples
        self.validation = validation if recipe.evaluate_every else None
        self.pulse, self.backward, self.phase = pulse, backward, phase
        self.course = Course(note=note)
        self.over = recipe.steps == 0 or bool(note)
        self._stream, self._seed = batches(len(examples), recipe.batch_size, seed), seed
        self._tokens = 0
        self._recent = list[float]()
        self._logged_every = max(1, recipe.steps // LOGGED)
        self._groups = learner.weights.optimizer.param_groups
        for group in self._groups:
            group["weight_decay"] = recipe.weight_decay

    def draw(self) -> list[list[Example]]:
        """The next batch, in micro-batches of similar length."""
        batch = sorted((self.examples[place] for place in next(self._stream)), key=lambda each: len(each.tokens))
        self._tokens = sum(len(example.tokens) for example in batch)
        batch = [replace(each, key=(self._seed, self.course.steps, place)) for place, each in enumerate(batch)]
        size = max(1, self.recipe.micro_batch or len(batch))
        return [batch[start : start + size] for start in range(0, len(batch), size)]

    def clip(self) -> Tensor:
        """Clip the gradient as `clip_grad_norm_` does with lists of them; returns its norm before, a scalar."""
        gradient = self.learner.weights.master.grad
        assert gradient is not None
        norm: Tensor = torch.linalg.vector_norm(gradient)
        gradient.mul_((self.recipe.max_grad_norm / (norm + 1e-6)).clamp_max(1.0))
        return norm

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        recipe = self.recipe
        return recipe.learning_rate * factor(recipe.schedule, self.course.steps, recipe.steps, recipe.warmup_steps)

    def move(self, loss: float, norm: float) -> None:
        """Take an optimizer step, or end the trial where loss or gradient norm are not finite."""
        if math.isfinite(loss) and math.isfinite(norm):
            for group in self._groups:
                group["lr"] = self.rate * group["factor"]
            self.learner.weights.optimizer.step()
            self.learner.weights.publish()
        self.moved(loss, norm)

    def moved(self, loss: float, norm: float) -> None:
        """Take note of a step that was taken, or was not because loss or gradient norm are not finite."""
        course, recipe = self.course, self.recipe
        if not (math.isfinite(loss) and math.isfinite(norm)):
            course.diverged = self.over = True
            return
        course.steps += 1
        course.tokens += self._tokens
        self._recent.append(loss)
        if len(self._recent) == self._logged_every:
            course.log(self._recent)
        self.pulse.step(course.steps, recipe.steps, loss, self.phase)
        self.over = course.steps == recipe.steps
        if self.validation is not None and recipe.evaluate_every and course.steps % recipe.evaluate_every == 0:
            judge(course, self.learner, self.validation, self.pulse)
            self.over = self.over or (recipe.patience is not None and course.stale >= recipe.patience)

    def end(self) -> Course:
        """What came of it; validated once more if the last step was not."""
        course = self.course
        course.log(self._recent)
        if self.validation is None:
            course.result, course.best_step = self.learner.snapshot(), course.steps
        elif not course.validation or course.validation[-1][0] != course.steps:
            judge(course, self.learner, self.validation, self.pulse)
        return course


def train(training: Training) -> Course:
    """Train one trial alone."""

    def logits(parts: Sequence[Sequence[Example]]) -> Tensor:
        (examples,) = parts
        return training.learner.tuned.logits(
            [example.tokens for example in examples], last=[len(example.answers) for example in examples]
        )

    while not training.over:
        step([training], logits, training.backward)
    return training.end()


def step(trainings: Sequence[Training], logits: Logits, learn: Backward | None = None) -> None:
    """One optimizer step of each trial, as if each were alone; the host waits for the device once."""
    losses = (learn or backward)([training.draw() for training in trainings], logits)
    norms = torch.stack([training.clip() for training in trainings])
    for training, loss, norm in zip(trainings, *torch.stack([losses, norms]).tolist(), strict=True):
        training.move(loss, norm)


def backward(batches: Sequence[Sequence[Sequence[Example]]], logits: Logits) -> Tensor:
    """Add the gradients of each trial's mean loss over its batch's answers; returns the losses, one for each trial.

    The trials' first micro-batches go together, then their second ones, and so on. Each answer's loss is divided by the
    number of answers in its own trial's batch, so that neither neighbours nor the size of micro-batches change more
    than rounding, and a long target counts by its tokens, tags by their words, and a set of labels as one.
    """
    sizes = [max(1, sum(example.counted for example in chain(*parts))) for parts in batches]
    losses: list[Tensor] = []
    for parts in zip_longest(*batches, fillvalue=()):
        scores = logits(parts)
        owners = [owner for owner, part in enumerate(parts) for example in part for _ in example.answers]
        labels = torch.tensor([answer for example in chain(*parts) for answer in example.answers], device=scores.device)
        shares = torch.tensor([1.0 / sizes[owner] for owner in owners], dtype=scores.dtype, device=scores.device)
        softs = [example.soft for example in chain(*parts) for _ in example.answers]
        sets = [example.labels for example in chain(*parts) if example.labels is not None]
        rows = (set_losses(scores, sets) if sets else answer_losses(scores, labels, softs)) * shares
        rows.sum().backward()  # type: ignore[no-untyped-call]
        own = torch.tensor(owners, device=scores.device)
        losses.append(rows.new_zeros(len(batches)).index_add(0, own, rows.detach()))
    return torch.stack(losses).sum(0)


def judge(course: Course, learner: Learner, validation: Validation, pulse: Pulse) -> None:
    """Validate, and keep the state if it is the best so far."""
    pulse.beat("validating", 0, len(validation.labels))
    prediction = validation.predict()
    quality = prediction.quality(validation.labels)
    course.validation.append((course.steps, quality[0]))
    if quality > course.best:
        course.best, course.stale = quality, 0
        course.best_step, course.prediction, course.result = course.steps, prediction, learner.snapshot()
    else:
        course.stale += 1
