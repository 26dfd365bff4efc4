"""Which rows of evidence fire in a situation, and which fact keeps the others out."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from fewtune.compiler.condition import Value, kept_out
from fewtune.compiler.evidence import EVIDENCE, ROWS, Evidence
from fewtune.compiler.feasibility import fits
from fewtune.compiler.situation import ArmSituation, Choice, RecipeSituation, Situation
from fewtune.specs.methods import suits

ROWS_OF: dict[str, tuple[Evidence, ...]] = {
    name: tuple(row for row in ROWS if name in row.decides) for name in {name for row in ROWS for name in row.decides}
}
"""What is decided -> the rows that are weighed."""


ACCEPTABILITY = (("acceptable", "unacceptable"), ("grammatical", "ungrammatical"))
"""Labels, or words for them, of a task that judges sentences."""


def _judged(s: Situation) -> str:
    """What the answer is about, where names tell it: a pair of texts, a sentence's acceptability; else a text."""
    if s.experiment.task.type == "pair-classification":
        return "pair"
    words = (s.experiment.task.words or {}).values()
    named = [tuple(sorted(word.strip().casefold() for word in some)) for some in (s.label_names, words)]
    return "acceptability" if any(names in ACCEPTABILITY for names in named) else "text"


def _contrastive(s: Situation) -> bool:
    """Whether the arm brings texts of equal labels together; before there are arms, whether one of the task can."""
    return s.arm.contrastive if isinstance(s, ArmSituation) else suits("setfit", s.experiment.task.type)


def _labels(s: Situation) -> int:
    return s.level.n if isinstance(s, RecipeSituation) else s.largest_n


def _steps(s: Situation) -> Value | None:
    return s.settled.get("steps") if isinstance(s, RecipeSituation) else None


FACTS: dict[str, Callable[[Situation], Value | None]] = {
    "answer": lambda s: "text" if s.writes else "labels" if s.marks else "label",
    "task": lambda s: s.experiment.task.type,
    "judged": _judged,
    "preferences": lambda s: s.preferences,
    "preference_loss": lambda s: s.arm.preference if isinstance(s, ArmSituation) else None,
    "labels": _labels,
    "labels_per_class": lambda s: None if s.writes or s.marks else _labels(s) / len(s.label_names),
    "label_words": lambda s: None if s.writes or s.marks else s.verbalizer is not None,
    "unlabelled_texts": lambda s: "unlabelled" in s.facts.data.splits,
    "out_of_domain": lambda s: bool(s.facts.data.ood),
    "architecture": lambda s: s.facts.model.architecture,
    "parameters": lambda s: s.facts.model.parameters,
    "instruct": lambda s: s.facts.model.instruct,
    "device": lambda s: s.facts.device.kind,
    "bf16": lambda s: s.facts.device.bf16,
    "memory_fits_16bit": lambda s: fits(s, "lora"),
    "latency_limit": lambda s: s.experiment.constraints.latency is not None,
    "deployments": lambda s: s.experiment.constraints.deployments or 1,
    "forgetting": lambda s: s.experiment.constraints.forgetting,
    "formulation": lambda s: s.arm.formulation if isinstance(s, ArmSituation) else None,
    "adaptation": lambda s: s.arm.adaptation if isinstance(s, ArmSituation) else None,
    "contrastive": _contrastive,
    "rank": lambda s: s.rank if isinstance(s, ArmSituation) else None,
    "steps": _steps,
}
"""What conditions may test -> its value in a situation; None: not known in this scope."""


def observe(s: Situation, fact: str) -> Value | None:
    """The value of a fact."""
    return FACTS[fact](s)


def fires(s: Situation, id: str) -> bool:
    """Whether a row's condition holds."""
    return kept_out(EVIDENCE[id].when, partial(observe, s)) is None


def first(s: Situation, *ids: str) -> str:
    """The first of these rows that fires; "design" where none does."""
    return next((id for id in ids if fires(s, id)), "design")


def weighed(choice: Choice, names: Iterable[str], s: Situation) -> Choice:
    """The choice with every row of what is decided: those that fire, and the others with what keeps them out.

    Args:
        choice: by a rule.
        names: of what it decides, as rows name it.
        s: what the rule looked at.
    """
    rows = {row.id: row for name in names for row in ROWS_OF.get(name, ())}
    failed = {id: kept_out(row.when, partial(observe, s)) for id, row in rows.items()}
    return replace(
        choice,
        fired=tuple(id for id, test in failed.items() if test is None and id != choice.rule),
        kept_out={id: str(test) for id, test in failed.items() if test is not None},
    )
