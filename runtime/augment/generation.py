"""The second stage: a teacher writes examples, label first, until there are enough, or nothing new comes.

Questions go out in rounds of a fixed size, and what is asked next depends on the answers alone: with the same answers,
from a recording, the same examples come out, however many connections there are.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from fewtune.runtime.augment.analysis import Analysis
from fewtune.runtime.augment.example import Candidate, Seed, texts
from fewtune.runtime.augment.leakage import likenesses
from fewtune.runtime.augment.ledger import MANY, Ledger
from fewtune.runtime.augment.parsing import parsed
from fewtune.runtime.augment.prompting import Asked, Brief, ask_for
from fewtune.runtime.augment.teacher import Answer, Question, Teacher, Trouble, teacher_error

ROUND = 8
"""Questions of a round."""
STALE = 0.2
"""A teacher that writes so few new texts in two rounds has no more to say."""
PATIENCE = 4
"""Times as many questions as should be enough, after which a teacher is given up that writes what nobody can read."""
Stop = Literal["target", "tokens", "money", "saturation", "questions", "refusals"]
"""Why generation ended: enough, a ceiling, nothing new, too many questions, or too many that were refused."""
Plan = dict[int, int]
"""Label -> how many examples."""


@dataclass(frozen=True)
class Generated:
    """What a teacher wrote."""

    candidates: tuple[Candidate, ...]
    stopped: Stop
    ledger: Ledger
    novelty: tuple[float, ...]
    """Share of new texts in each round that no ceiling cut."""


def generate(
    brief: Brief, plan: Plan, seeds: Sequence[Seed], analysis: Analysis, teacher: Teacher, ledger: Ledger,
    say: Callable[[str], None] = lambda text: None,
) -> Generated:  # fmt: skip
    """Ask until the plan is met; a question that is refused is left, and the next one asked.

    Raises:
        RunError: E-teacher, also where all are refused, E-not-recorded; what the ledger's watch raises. What was
            answered before is recorded.
    """
    found: list[Candidate] = []
    novelty: list[float] = []
    number, whole, most = 0, True, PATIENCE * sum(ceil(count / brief.per_call) for count in plan.values())
    while True:
        asked = _round(brief, plan, seeds, analysis, found, number, teacher.structured)
        stop: Stop | None = "target" if not asked else "questions" if number >= most else None
        if stop is None and ledger.in_a_row >= MANY:
            stop = "refusals"
        if stop is None and _is_stale(novelty):
            stop = "saturation"
        if stop is None:
            count, ceiling = ledger.affordable([one.question for one in asked])
            whole, asked, stop = count == len(asked), asked[:count], None if count else ceiling
        if stop is not None and not found and ledger.in_a_row:
            raise ledger.refused_all()
        if stop is not None:
            return Generated(tuple(found), stop, ledger, tuple(novelty))
        ledger.watch()
        new = _answered(asked, brief, teacher, ledger)
        number += len(asked)
        if whole and new:  # the few questions that a ceiling leaves say nothing of the teacher
            novelty.append(_new_share(found, new, seeds))
        found.extend(new)
        say(f"{len(found)} examples from {ledger.calls} calls, {ledger.tokens} tokens")


def _round(
    brief: Brief, plan: Plan, seeds: Sequence[Seed], analysis: Analysis, found: Sequence[Candidate], number: int,
    structured: bool,
) -> list[Asked]:  # fmt: skip
    """The next questions, each for the label that lacks most; none where nothing lacks."""
    have = Counter(one.label for one in found if not one.fault)
    lacks = {label: count - have[label] for label, count in plan.items()}
    asked: list[Asked] = []
    while len(asked) < ROUND:
        label = max(lacks, key=lambda label: (lacks[label], -label))
        if lacks[label] <= 0:
            break
        asked.append(ask_for(brief, analysis, seeds, label, number + len(asked), structured=structured))
        lacks[label] -= brief.per_call
    return asked


def _answered(asked: Sequence[Asked], brief: Brief, teacher: Teacher, ledger: Ledger) -> list[Candidate]:
    answers = ask_all(teacher, [one.question for one in asked], ledger)
    return [
        candidate
        for one, answer in zip(asked, answers, strict=True) if isinstance(answer, Answer)
        for candidate in parsed(answer, brief.fields, one.label, one.question.key(teacher.model), one.attributes,
                                structured=teacher.structured)[: brief.per_call]
    ]  # fmt: skip


def ask_all(teacher: Teacher, questions: Sequence[Question], ledger: Ledger) -> list[Answer | Trouble]:
    """All answers and refusals, in the order of the questions; the ledger has what they cost, and what brought none.

    Raises:
        RunError: where one has neither, after all others are there (and recorded).
    """
    found = dict(teacher.ask(questions))
    ledger.settle(found[place] for place in sorted(found))  # in this order: sums of floats depend on it
    answers = [found[place] for place in range(len(questions))]
    for trouble in answers:
        if isinstance(trouble, Trouble) and trouble.kind != "refused":
            raise teacher_error(trouble)
    return answers


def _new_share(found: Sequence[Candidate], new: Sequence[Candidate], seeds: Sequence[Seed]) -> float:
    """Share of the readable new texts that are no copies of what was there."""
    readable = texts([one for one in new if not one.fault])
    if not readable:
        return 0.0
    known = {"seed": texts(seeds), "written": texts([one for one in found if not one.fault])}
    return 1 - len(likenesses(known, readable).by_text) / len(readable)


def _is_stale(novelty: Sequence[float]) -> bool:
    return len(novelty) >= 2 and sum(novelty[-2:]) / 2 < STALE
