"""How well a teacher knows the task: its labels for the seeds, whose right ones are known."""

import json
import re
from collections.abc import Sequence

from fewtune.compiler.augmenting import LABELLED
from fewtune.compiler.fingerprint import seed as seeded
from fewtune.runtime.augment.example import Seed
from fewtune.runtime.augment.generation import ROUND, ask_all
from fewtune.runtime.augment.ledger import MANY, Ledger
from fewtune.runtime.augment.parsing import FENCE
from fewtune.runtime.augment.prompting import Brief, line
from fewtune.runtime.augment.teacher import Answer, Question, Teacher, Trouble

THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
"""What a reasoning model says to itself."""
SYSTEM = "You label texts. You answer with one of the given labels and nothing else."


def teacher_accuracy(brief: Brief, seeds: Sequence[Seed], teacher: Teacher, ledger: Ledger) -> tuple[float, int] | None:
    """(share of right labels, seeds that were asked for); None where the ceilings do not allow so many questions.

    A seed whose question is refused is not labelled rightly.

    Raises:
        RunError: E-teacher, also where many in a row are refused, E-not-recorded; what the ledger's watch raises.
    """
    asked = examined(seeds, len(brief.labels))
    questions = [_question(brief, seed, structured=teacher.structured) for seed in asked]
    if ledger.affordable(questions)[0] < len(questions):
        return None
    answers = list[Answer | Trouble]()
    for start in range(0, len(questions), ROUND):
        ledger.watch()
        answers += ask_all(teacher, questions[start : start + ROUND], ledger)
        if ledger.in_a_row >= min(MANY, len(questions)):
            raise ledger.refused_all()
    right = [
        isinstance(answer, Answer) and named(answer.text, brief.labels) == seed.label
        for answer, seed in zip(answers, asked, strict=True)
    ]
    return sum(right) / len(right), len(right)


def examined(seeds: Sequence[Seed], kinds: int) -> list[Seed]:
    """The seeds that are asked for: all, or the first of each label in turn."""
    by_label = [[seed for seed in seeds if seed.label == label] for label in range(kinds)]
    turns = [own[turn] for turn in range(max(map(len, by_label))) for own in by_label if turn < len(own)]
    return turns[:LABELLED]


def named(text: str, labels: Sequence[str]) -> int:
    """The label that an answer names: the whole answer, or the only one that stands in it; -1: none, or several.

    What a model thought before it answered does not count.
    """
    bare = FENCE.sub("", THOUGHT.sub("", text).strip()).strip()
    try:
        bare = json.loads(bare[bare.find("{") : bare.rfind("}") + 1] or bare)["label"]
    except (ValueError, KeyError, TypeError):
        bare = bare.strip('."')
    bare = str(bare).casefold()
    for place, label in enumerate(labels):
        if bare == label.casefold():
            return place
    inside = [place for place, label in enumerate(labels) if label.casefold() in bare]
    longest = [place for place in inside if not any(_within(labels[place], labels[other]) for other in inside)]
    return longest[0] if len(longest) == 1 else -1


def _within(label: str, other: str) -> bool:
    """Whether one label is a part of another one."""
    return label != other and label.casefold() in other.casefold()


def _question(brief: Brief, seed: Seed, *, structured: bool) -> Question:
    label = {"type": "string", "enum": list(brief.labels)}
    form = {"type": "object", "properties": {"label": label}, "required": ["label"], "additionalProperties": False}
    how = 'Answer with JSON: {"label": "..."}.' if structured else "Answer with the label alone."
    parts = [f"Task: {brief.task}", f"Labels: {'; '.join(brief.labels)}", f"Text: {line(seed.fields)}", how]
    return Question(
        system=SYSTEM, user="\n\n".join(parts), form=form if structured else None, max_tokens=40, temperature=0.0,
        seed=seeded("label", brief.seed) % 2**31,
    )  # fmt: skip
