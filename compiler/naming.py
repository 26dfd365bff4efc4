"""Arm names, as a reader would say them."""

from collections.abc import Container
from itertools import chain, count

from fewtune.compiler.plan import Recipe
from fewtune.compiler.situation import ArmSituation
from fewtune.specs.methods import LOW_RANK

NAMES = {
    "majority": "majority",
    "tfidf": "TF-IDF + logistic regression",
    "encoder": "sentence encoder + logistic regression",
    "probe": "frozen base + logistic regression",
    "zero-shot": "zero-shot",
    "in-context": "in-context",
    "pattern+lora": "pattern + LoRA",
    "pattern+qlora": "pattern + QLoRA",
    "pattern+full": "pattern + full",
    "head+lora": "head + LoRA",
    "head+qlora": "head + QLoRA",
    "head+full": "head + full",
    "lead": "first sentence",
    "generate+lora": "generate + LoRA",
    "generate+qlora": "generate + QLoRA",
    "generate+full": "generate + full",
}
UNITS = {"learning_rate": "lr={:g}", "steps": "{} steps", "epochs": "{:g} epochs", "batch_size": "batch {}",
         "demonstrations": "k={}", "penalty": "l2={:g}", "pattern": "pattern {}"}  # fmt: skip


def free(name: str, taken: Container[str], sign: str) -> str:
    """Number a name from 2 on where it is taken.

    >>> free("lora", {"lora", "lora-2"}, "-")
    'lora-3'
    """
    numbered = (f"{name}{sign}{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def arm_name(a: ArmSituation, recipes: tuple[Recipe, ...]) -> str:
    """As a reader would name it: the method, the rank, and by what it differs from its siblings."""
    name = NAMES[a.arm.method]
    if a.arm.adaptation in LOW_RANK:
        name += f" r={a.rank}" + (" rslora" if a.rslora else "")
    if a.arm.formulation == "in-context" and len({recipe.demonstrations for recipe in recipes}) == 1:
        name += f" k={recipes[0].demonstrations}"
    shown = [UNITS[pin].format(value) for pin, value in a.arm.variant if pin in UNITS and pin != "demonstrations"]
    if a.arm.name is not None:
        differs = [f"r={value}" for pin, value in a.arm.variant if pin == "rank"] + shown
        return ", ".join([a.arm.name, *differs])
    if not a.arm.variant and a.arm.origin == "arms":
        shown = [
            UNITS[pin].format(values[0])
            for pin in UNITS
            if pin != "demonstrations" and (values := getattr(a.arm.pins, pin, None))
        ]
    return ", ".join([name, *shown])
