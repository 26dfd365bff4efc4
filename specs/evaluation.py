"""How results are measured and compared."""

from typing import Annotated, Literal

from pydantic import Field

from fewtune.specs.frozen import Frozen
from fewtune.specs.task import MARKED, WRITTEN, TaskType

Metric = Literal[
    "accuracy", "macro_f1", "mcc", "rouge_l", "exact_match", "token_f1", "preference_accuracy", "margin",
    "micro_f1", "subset_accuracy", "span_f1", "tag_accuracy",
]  # fmt: skip
LABEL_METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "mcc")
TEXT_METRICS: tuple[Metric, ...] = ("rouge_l", "exact_match", "token_f1")
PREFERENCE_METRICS: tuple[Metric, ...] = ("preference_accuracy", "margin")
"""Metrics of predicted labels, of written texts, and of texts whose likelihoods are compared."""
SET_METRICS: tuple[Metric, ...] = ("micro_f1", "macro_f1", "subset_accuracy")
TAG_METRICS: tuple[Metric, ...] = ("span_f1", "tag_accuracy")
"""Metrics of sets of labels, and of a tag for each word."""
ITEM_METRICS: tuple[Metric, ...] = (*TEXT_METRICS, *PREFERENCE_METRICS, "subset_accuracy")
"""Metrics that are the mean of what each item scores."""


def metrics_of(task: TaskType) -> tuple[Metric, ...]:
    """What every evaluation of the task computes."""
    if task == "preference":
        return PREFERENCE_METRICS
    if task in MARKED:
        return SET_METRICS if MARKED[task] == "set" else TAG_METRICS
    return TEXT_METRICS if task in WRITTEN else LABEL_METRICS


Validation = Literal["held-out", "cross-validation", "fixed-schedule"]


class Evaluation(Frozen):
    """Metric, seeds, folds and how arms are chosen."""

    metric: Metric | None = None
    """What arms are chosen and compared by; all of the task's kind are reported. Labels: accuracy, macro_f1, mcc;
    omitted: accuracy, or where one label dominates, MCC (two labels) or macro-F1. Written texts: rouge_l, exact_match,
    token_f1; omitted: token_f1 for question-answering, else rouge_l. Preferences: preference_accuracy, margin; omitted:
    preference_accuracy. Several labels: micro_f1, macro_f1, subset_accuracy (all labels right and no other); omitted:
    micro_f1. A tag for each word: span_f1 (whole spans, as CoNLL counts them), tag_accuracy; omitted: span_f1."""
    data_seeds: Annotated[int, Field(ge=1, le=200, strict=True)] | None = None
    """How many different samples of labelled examples (without a test split: fold assignments)."""
    model_seeds: Annotated[int, Field(ge=1, le=50, strict=True)] | None = None
    """How many initialisations and data orders for each sample."""
    folds: Annotated[int, Field(ge=2, le=50, strict=True)] | None = None
    """Folds of the cross-validation, where there is no test split."""
    validation: Validation | None = None
    """held-out: part of the labels chooses arms and stops training. cross-validation: all labels train, and parts of
    the samples choose among all arms, scored by states that never saw them; up to five times the trainings.
    fixed-schedule: all labels train; the rules' order chooses."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = None
    """Share of the labels that is held out."""
    halving: Annotated[int, Field(ge=2, le=10, strict=True)] | None = None
    """Successive halving of the trained arms over the data seeds: after the first seed one arm in so many goes on, by
    the validation rows, after so many seeds one in so many of these, and so on. The largest data size decides for all.
    Omitted: every arm has every seed."""
    confidence: Annotated[float, Field(ge=0.5, le=0.999, strict=True)] = 0.95
    """Level of the intervals."""
