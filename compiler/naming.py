"""Arm names, as a reader would say them."""

from collections.abc import Container
from itertools import chain, count

from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.arm import Recipe
from fewtune.compiler.situation import ArmSituation

PLAIN_NAMES = {
    "majority": "majority",
    "tfidf": "TF-IDF + logistic regression",
    "encoder": "sentence encoder + logistic regression",
    "probe": "frozen base + logistic regression",
    "zero-shot": "zero-shot",
    "in-context": "in-context",
    "lead": "first sentence",
    "unigram": "most frequent tag of each word",
    "setfit": "setfit",
}
SET_NAMES = {
    "majority": "most frequent set",
    "tfidf": "TF-IDF + one-vs-rest",
    "encoder": "sentence encoder + one-vs-rest",
}
"""The same where a text has a set of labels: a logistic regression for each of them."""
UNITS = {"learning_rate": "lr={:g}", "steps": "{} steps", "epochs": "{:g} epochs", "batch_size": "batch {}",
         "demonstrations": "k={}", "penalty": "l2={:g}", "temperature": "T={:g}", "pattern": "pattern {}",
         "pair_iterations": "R={}"}  # fmt: skip


LEARNT = ("learning_rate", "steps", "epochs", "batch_size", "temperature")
"""Pins that only a trained arm has."""
WORDS = ("demonstrations_by", "calibration", "pattern_use")
"""Pins whose values speak for themselves."""
SIZES = {"rank": "r={}", "width": "m={}", "virtual_tokens": "l={}", "top_layers": "{} blocks"}
"""Pins that stand in the method's own part of the name."""


def free(name: str, taken: Container[str], sign: str) -> str:
    """Number a name from 2 on where it is taken.

    >>> free("lora", {"lora", "lora-2"}, "-")
    'lora-3'
    """
    numbered = (f"{name}{sign}{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def arm_name(a: ArmSituation, recipes: tuple[Recipe, ...]) -> str:
    """As a reader would name it: the method, the rank, and by what it differs from its siblings."""
    name = (SET_NAMES if a.marks == "set" else PLAIN_NAMES).get(a.arm.method) or _tuned(a)
    if a.arm.formulation == "in-context" and len({recipe.demonstrations for recipe in recipes}) == 1:
        name += f" k={recipes[0].demonstrations}"
    if a.demonstrations_by != "balanced":
        name += f", {a.demonstrations_by}"
    calibrated = a.calibration != "none"
    if calibrated and not a.trained:
        name += ", calibrated"
    if a.pattern_use != "each":
        name += f", pattern {a.pattern_use}"
    if a.taught:
        name += f", {a.objective.replace('-distillation', ' distillation')}" + " by a calibrated teacher" * calibrated
    if any(recipe.pretraining_steps for recipe in recipes):
        name += f", {recipes[-1].pretraining_steps} steps of pre-training"
    shown = [UNITS[pin].format(value) for pin, value in a.arm.variant if pin in UNITS and pin != "demonstrations"]
    if a.arm.name is not None:
        differs = [str(value) for pin, value in a.arm.variant if pin in WORDS]
        differs += [SIZES[pin].format(value) for pin, value in a.arm.variant if pin in SIZES] + shown
        return ", ".join([a.arm.name, *differs])
    if not a.arm.variant and a.arm.origin == "arms":
        shown = [
            UNITS[pin].format(values[0])
            for pin in UNITS
            if pin != "demonstrations"
            and (a.trained or pin not in LEARNT)
            and (values := getattr(a.arm.pins, pin, None))
        ]
    return ", ".join([name, *shown])


def _tuned(a: ArmSituation) -> str:
    """How the task is posed, what moves, and its size."""
    trait = TRAITS[a.arm.adaptation]
    posed, _, _ = a.arm.method.partition("+")
    return f"{posed} + {trait.shown} {trait.size(a)}".rstrip()
