"""How a teacher is asked for examples of a label."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from fewtune.compiler.fingerprint import seed as seeded
from fewtune.runtime.augment.analysis import Analysis
from fewtune.runtime.augment.example import Seed, joined
from fewtune.runtime.augment.parsing import form_of
from fewtune.runtime.augment.teacher import Question

SYSTEM = (
    "You write examples for training a text classifier. Write what people really write in such a place: concrete, "
    "each one about something else, none a copy of the examples that you are shown. You give the examples only."
)
TEMPERATURE = 0.9
SHOWN, CONTRAST = 4, 2
"""Seeds of the label that are shown, and seeds of other labels."""
LENGTHS = ("as short as the shortest of the examples", "as long as a usual one", "as long as the longest of them")
"""A declared attribute that every brief has."""
TOKENS_PER_WORD, LONGER = 2.0, 1.5
"""Of an answer, JSON and rare words included; and what its texts may be longer by than usual seeds."""


@dataclass(frozen=True)
class Brief:
    """What is to be written."""

    labels: tuple[str, ...]
    fields: tuple[str, ...]
    task: str
    """What the labels say of a text, in a sentence or two."""
    constraints: tuple[str, ...] = ()
    """What every text must keep to."""
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What is varied from question to question: name -> values."""
    per_call: int = 5
    """Examples that one question asks for."""
    temperature: float = TEMPERATURE
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """A question, and what it asked for."""

    question: Question
    label: int
    attributes: dict[str, str]


def ask_for(
    brief: Brief, analysis: Analysis, seeds: Sequence[Seed], label: int, number: int, *, structured: bool
) -> Asked:
    """The question with this number: a label first, then the attributes and the seeds that are shown."""
    source = random.Random(seeded("augment", brief.seed, number))
    choices = {**brief.attributes, "length": brief.attributes.get("length", LENGTHS)}
    attributes = {name: source.choice(values) for name, values in choices.items()}
    own = [seed for seed in seeds if seed.label == label]
    others = [seed for seed in seeds if seed.label != label]
    shown = source.sample(own, min(SHOWN, len(own)))
    contrast = source.sample(others, min(CONTRAST, len(others)))
    parts = [
        f"Task: {brief.task}",
        f"Labels: {'; '.join(brief.labels)}",
        _listed("Every text keeps to this", brief.constraints),
        _listed(f"Examples of the label {brief.labels[label]!r}", [line(seed.fields) for seed in shown]),
        _listed("For comparison, of other labels", [f"({brief.labels[s.label]}) {line(s.fields)}" for s in contrast]),
        f"Write {brief.per_call} new examples of the label {brief.labels[label]!r}. No other label may fit them.",
        _listed("They all are like this", [f"{name}: {value}" for name, value in attributes.items()]),
        f"Do not begin with {', '.join(map(repr, analysis.openers))}." if analysis.openers else "",
        _wanted(brief, structured),
    ]
    question = Question(
        system=SYSTEM,
        user="\n\n".join(part for part in parts if part),
        form=form_of(brief.fields) if structured else None,
        max_tokens=int(TOKENS_PER_WORD * LONGER * analysis.usual_words * brief.per_call) + 60,
        temperature=brief.temperature,
        seed=seeded("augment-call", brief.seed, number) % 2**31,
    )
    return Asked(question, label, attributes)


def _wanted(brief: Brief, structured: bool) -> str:
    if not structured:
        return f"Give a numbered list of {brief.per_call} lines, one example a line, and nothing else."
    item = "a text" if len(brief.fields) == 1 else f"an object with {', '.join(brief.fields)}"
    return f'Answer with JSON: {{"examples": [...]}}, each example {item}.'


def line(fields: dict[str, str]) -> str:
    """An example in one line."""
    if len(fields) == 1:
        return " ".join(joined(fields).split())
    return " | ".join(f"{name}: {' '.join(text.split())}" for name, text in fields.items())


def _listed(head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{head}:", *(f"- {line}" for line in lines)]) if lines else ""
