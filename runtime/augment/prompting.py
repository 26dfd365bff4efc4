"""How a teacher is asked for examples of a label."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from fewtune.compiler.fingerprint import seed as seeded
from fewtune.runtime.augment.analysis import THIN, Analysis
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
"""A declared attribute that every brief has; what fewer seeds have is asked for more often."""
FORMS = {
    "question": "a question", "exclamation": "with an exclamation mark", "number": "with a number in it",
    "several sentences": "in several sentences", "small letters first": "begun with a small letter",
}  # fmt: skip
"""Form of the analysis -> how it is asked for, where few seeds have it."""
SUBJECT = "near that of the first example, of which there are few"
RARELY, OFTEN = 0.25, 0.5
"""Shares of the questions that ask for a thin form, and for more of a thinly covered meaning."""
AROUND = 60
"""Tokens of an answer beside its texts; these have the tokens of usual seeds, guessed with half as many to spare."""


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
    own = [at for at, seed in enumerate(seeds) if seed.label == label]
    others = [seed for seed in seeds if seed.label != label]
    thin = [at for at in own if at in analysis.thin]
    attributes = _attributes(brief, analysis, source, has_thin=bool(thin))
    first = [source.choice(thin)] if "subject" in attributes.keys() - brief.attributes.keys() else []
    rest = [at for at in own if at not in first]
    shown = [seeds[at] for at in [*first, *source.sample(rest, min(SHOWN - len(first), len(rest)))]]
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
        max_tokens=analysis.tokens * brief.per_call + AROUND,
        temperature=brief.temperature,
        seed=seeded("augment-call", brief.seed, number) % 2**31,
    )
    return Asked(question, label, attributes)


def _attributes(brief: Brief, analysis: Analysis, source: random.Random, *, has_thin: bool) -> dict[str, str]:
    """What is asked of the texts beside their label: what was declared, and more of what the seeds lack."""
    found = {name: source.choice(values) for name, values in brief.attributes.items()}
    if "length" not in found:
        (found["length"],) = source.choices(LENGTHS, [1 - share / 2 for share in analysis.lengths.values()])
    forms = [FORMS[name] for name, share in analysis.formats.items() if 0 < share < THIN]
    if forms and "form" not in found and source.random() < RARELY:
        found["form"] = source.choice(forms)
    if has_thin and "subject" not in found and source.random() < OFTEN:
        found["subject"] = SUBJECT
    return found


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
