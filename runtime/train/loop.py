"""The training loop: one for every method; what moves and how it is read out is the learner's business.

Plain AdamW on one flat vector, gradients clipped by their global norm, validation by accuracy with the loss breaking
ties. Steps are optimizer steps. Dropout is off: the base stays in evaluation mode.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.compiler.plan import Recipe
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.schedule import factor
from fewtune.runtime.train.weights import Weights

BETAS = (0.9, 0.999)
EPSILON = 1e-8
LOGGED = 50
"""About how many losses a training keeps."""


@dataclass(frozen=True)
class Example:
    """One training example."""

    tokens: Sequence[int]
    label: int


@dataclass(frozen=True)
class Learner:
    """What is trained."""

    tuned: Tuned
    weights: Weights
    keeps_masters: bool
    """Whether its result are the fp32 masters, or what the model computes with."""

    def snapshot(self) -> dict[str, Tensor]:
        """The result as of now."""
        return self.weights.snapshot(masters=self.keeps_masters)


@dataclass(frozen=True)
class Validation:
    """How validation rows are predicted, and what is right."""

    predict: Callable[[], Prediction]
    labels: Sequence[int]


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
    """(accuracy, minus loss) of the best validation."""
    prediction: Prediction | None = None
    """The best validation's."""
    stale: int = 0
    """Validations since the best one."""

    def log(self, recent: list[float]) -> None:
        """Note the mean of the losses since the last note, and forget them."""
        if recent:
            self.losses.append((self.steps, sum(recent) / len(recent)))
            recent.clear()


def train(
    learner: Learner,
    recipe: Recipe,
    examples: Sequence[Example],
    seed: int,
    validation: Validation | None,
    pulse: Pulse,
) -> Course:
    """Train by a recipe.

    Args:
        learner: moved in place.
        recipe: steps, batches, optimizer, validation.
        examples: the training rows.
        seed: of their order.
        validation: None: the result is the state after the last step; else the best validated one.
        pulse: told of every step.
    """
    weights, course = learner.weights, Course()
    optimizer = torch.optim.AdamW(
        [weights.master], lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=recipe.weight_decay, fused=True
    )
    stream = batches(len(examples), recipe.batch_size, seed)
    recent, logged_every = list[float](), max(1, recipe.steps // LOGGED)
    for step in range(recipe.steps):
        batch = [examples[place] for place in next(stream)]
        loss = backward(learner.tuned, batch, recipe.micro_batch)
        norm = torch.nn.utils.clip_grad_norm_([weights.master], recipe.max_grad_norm)
        loss_value, norm_value = torch.stack([loss, norm]).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            course.diverged = True
            break
        optimizer.param_groups[0]["lr"] = recipe.learning_rate * factor(
            recipe.schedule, step, recipe.steps, recipe.warmup_steps
        )
        optimizer.step()
        weights.publish()

        course.steps = step + 1
        course.tokens += sum(len(example.tokens) for example in batch)
        recent.append(loss_value)
        if len(recent) == logged_every:
            course.log(recent)
        pulse.step(course.steps, recipe.steps, loss_value)
        if validation is not None and recipe.evaluate_every and course.steps % recipe.evaluate_every == 0:
            judge(course, learner, validation, pulse)
            if recipe.patience is not None and course.stale >= recipe.patience:
                break
    course.log(recent)
    if validation is None or not recipe.evaluate_every:
        course.result, course.best_step = learner.snapshot(), course.steps
    elif not course.validation or course.validation[-1][0] != course.steps:
        judge(course, learner, validation, pulse)
    return course


def backward(tuned: Tuned, batch: Sequence[Example], micro_batch: int) -> Tensor:
    """Add the gradient of the batch's mean loss, in micro-batches of similar length; returns the loss, a scalar.

    Each micro-batch's sum is divided by the size of the whole batch, so that their size changes nothing but rounding.
    """
    ordered = sorted(batch, key=lambda example: len(example.tokens))
    size = max(1, micro_batch or len(batch))
    losses = []
    for start in range(0, len(ordered), size):
        part = ordered[start : start + size]
        logits = tuned.logits([example.tokens for example in part])
        labels = torch.tensor([example.label for example in part], device=logits.device)
        loss = functional.cross_entropy(logits, labels, reduction="sum") / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def judge(course: Course, learner: Learner, validation: Validation, pulse: Pulse) -> None:
    """Validate, and keep the state if it is the best so far."""
    pulse.beat("validating", 0, len(validation.labels))
    prediction = validation.predict()
    accuracy, loss = prediction.accuracy(validation.labels), prediction.loss(validation.labels)
    course.validation.append((course.steps, accuracy))
    if (accuracy, -loss) > course.best:
        course.best, course.stale = (accuracy, -loss), 0
        course.best_step, course.prediction, course.result = course.steps, prediction, learner.snapshot()
    else:
        course.stale += 1
