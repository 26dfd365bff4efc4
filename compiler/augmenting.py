"""Synthetic examples as a condition of the experiment: each arm that can use them once more, beside the arm without.

The twin has the same recipe, so that both take the same steps and differ in what they see. All of the sample's own rows
stay. Where validation rows choose, which no teacher sees, it may be chosen on the same terms, and on a tie is not.
Where parts of a sample choose it is measured only: each part would need a data set of its own, without the rows it
scores.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from math import ceil
from typing import Any, Literal

from fewtune.compiler.arm import Arm, Augmented, AugmentedLevel
from fewtune.compiler.encoder import ENCODER
from fewtune.compiler.finding import finding
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.notes import Notes
from fewtune.compiler.plan import Level, Sample
from fewtune.compiler.resolution import ResolvedArm
from fewtune.compiler.rules.eda_alpha import eda_alpha
from fewtune.compiler.rules.eda_copies import eda_copies
from fewtune.compiler.rules.synthetic_target import synthetic_target
from fewtune.compiler.situation import ArmSituation, Choice, RecipeSituation, Situation
from fewtune.specs.augmentation import Augmentation
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.model import EMBEDDED

AUGMENT_VERSION = 3
"""Of generation and filters: what changes their results changes the names of what they made."""
Source = Literal["teacher", "eda"]
SAID: dict[Source, str] = {"teacher": "augmented", "eda": "EDA"}
"""How an arm's name says it."""
PER_CALL, PER_CALL_SMALL = 5, 3
"""Examples that one question asks for; and of the embedded model, which loses its thread in long answers."""
LABELLED = 64
"""Examples that a teacher labels at most, before its gate."""
APART = {"teacher", "eda", "eda_copies", "eda_alpha", "target", "factor", "max_tokens", "max_cost"}
"""What shapes no synthetic data set but by the amounts of its level, or is named beside them."""
FORMULATIONS = ("pattern", "head", "tfidf", "encoder", "encoder-head")
"""How arms pose a task that can learn from more rows; an in-context prompt has no room for them."""
UNUSED = Choice(
    value=None, because="no arm of this plan learns from synthetic examples", rule="fact",
    flips_when="an arm with a pattern or a head that is trained on labels, tfidf or encoder",
)  # fmt: skip
"""Where the spec asks for what no arm can use."""


def with_twins(s: Situation, arms: Sequence[ResolvedArm], outer: Notes) -> tuple[ResolvedArm, ...]:
    """The arms, then each that can use synthetic examples once more for each source."""
    asked = s.experiment.augmentation
    if asked is None:
        return tuple(arms)
    sources: list[Source] = [*(["teacher"] if asked.teacher else []), *(["eda"] if asked.with_eda else [])]  # type: ignore[list-item]
    learning = [one for one in arms if suits_augmentation(one.arm)]
    if not learning:
        outer.warnings.append(_useless())
    return (*arms, *(_twin(s, one, source, asked, outer) for source in sources for one in learning))


def amounts(arms: Sequence[ResolvedArm], s: Situation) -> dict[str, float] | None:
    """What the arms get at the largest data size: source -> examples for each labelled one; None: none get any."""
    level = s.levels[-1]
    made = {one.arm.augmentation.source: one.arm.augmentation.level(level.n) for one in arms if one.arm.augmentation}
    each = {source: own.copies or round(own.target / level.train, 2) for source, own in made.items()}
    return {source: int(times) if times == int(times) else times for source, times in each.items()} or None


def _useless() -> Diagnostic:
    message = "no arm of this plan learns from synthetic examples: nothing will be written"
    remedy = "an arm with a pattern or a head that is trained on labels, tfidf or encoder; or remove augmentation"
    return finding("W-not-augmented", message, "/augmentation", remedy=remedy)


def gated(s: Situation) -> bool:
    """Whether a teacher that knows less than the student drops its arms."""
    return s.experiment.augmentation is not None and s.experiment.augmentation.gate


def suits_augmentation(arm: Arm) -> bool:
    """Whether an arm learns from as many labelled rows as there are."""
    fitted = arm.trained or arm.formulation in ("tfidf", "encoder")
    return fitted and arm.formulation in FORMULATIONS and arm.objective == "supervised" and arm.pattern_use == "each"


def _twin(s: Situation, one: ResolvedArm, source: Source, asked: Augmentation, outer: Notes) -> ResolvedArm:
    notes = Notes()
    levels = tuple(_level(s, one, source, asked, place, level, notes) for place, level in enumerate(s.levels))
    if source == "teacher":
        levels = _shared(s, asked, levels, notes)
    made = Augmented(source=source, twin=one.arm.name, levels=levels)
    name = f"{one.arm.name}, {SAID[source]}"
    arm = one.arm.model_copy(update={"name": name, "augmentation": made, "role": "baseline"})
    outer.warnings.extend(notes.warnings)
    return replace(one, arm=arm, noted=(*one.noted, *notes.noted))


def _level(
    s: Situation, one: ResolvedArm, source: Source, asked: Augmentation, place: int, level: Level, notes: Notes
) -> AugmentedLevel:
    a = ArmSituation(**{field.name: getattr(s, field.name) for field in fields(s)}, arm=one.idea)
    r = RecipeSituation(**{field.name: getattr(a, field.name) for field in fields(a)}, level=level)

    def settle(rule: Callable[[RecipeSituation], Any], name: str, pinned: Any, at: str) -> Any:
        return notes.settle(rule, r, f"/augmentation/levels/{place}/{name}", pinned, f"/augmentation/{at}")

    if source == "eda":
        copies = settle(eda_copies, "copies", asked.eda_copies, "eda_copies")
        return AugmentedLevel(n=level.n, copies=copies, alpha=settle(eda_alpha, "alpha", asked.eda_alpha, "eda_alpha"))
    wanted, written = asked.target, "target"
    if asked.factor is not None:
        wanted, written = max(1, round(asked.factor * level.train)), "factor"
    return AugmentedLevel(n=level.n, target=settle(synthetic_target, "target", wanted, written))


def _shared(
    s: Situation, asked: Augmentation, levels: tuple[AugmentedLevel, ...], notes: Notes
) -> tuple[AugmentedLevel, ...]:
    """The run's ceilings, divided by the questions: no sample's share depends on what another one took."""
    calls = [questions(s, asked, level.target) for level in levels]
    wanted = s.data_seeds * (s.folds or 1) * sum(calls)
    found = []
    for place, (level, own) in enumerate(zip(levels, calls, strict=True)):
        of = {
            "max_tokens": asked.max_tokens and asked.max_tokens * own // max(1, wanted),
            "max_cost": asked.max_cost and asked.max_cost * own / max(1, wanted),
        }
        for name, share in of.items():
            if share is not None:
                because = f"the share of a sample: {own} of the {wanted} questions that the run should need"
                choice = Choice(value=share, because=because, rule="pin", flips_when=f"another augmentation.{name}")
                notes.note(f"/augmentation/levels/{place}/{name}", "augmentation", choice)
        found.append(level.model_copy(update=of))
    return tuple(found)


def questions(s: Situation, asked: Augmentation, target: int) -> int:
    """Calls of the teacher that should be enough for so many examples of one sample, its labels taken as balanced."""
    labels = min(len(s.label_names), target)
    small = asked.teacher is not None and asked.teacher.model == EMBEDDED
    return labels * ceil(target / max(1, labels) / (PER_CALL_SMALL if small else PER_CALL))


def augment_fingerprint(
    s: Situation, made: Augmented, level: Level, sample: Sample, held: Sequence[tuple[str, str]]
) -> str:
    """Name a synthetic data set by all that shapes it.

    Args:
        s: spec and facts: the teacher, or the recording that answers for it, is among them.
        made: source and amounts.
        level: the data size.
        sample: its seeds.
        held: (split, hash of its rows) of what may not be in it.
    """
    asked, teacher = s.experiment.augmentation, None
    assert asked is not None
    if made.source == "teacher" and asked.teacher is not None:
        teacher = {"model": asked.teacher.model, "recording": s.facts.recording}
    shaping = asked.model_dump(mode="json", exclude=APART)
    prices = asked.teacher and [asked.teacher.prompt_price, asked.teacher.completion_price]
    return fingerprint(
        "augment",
        {
            "version": AUGMENT_VERSION,
            "source": made.source,
            "amount": made.level(level.n).model_dump(mode="json", exclude_none=True),
            "sample": sample.content,
            "held": sorted(held),
            "encoder": ENCODER.model_dump(mode="json"),
            "labels": s.facts.data.labels,
            **({"teacher": teacher, "settings": shaping, "task": task_description(s.experiment.task.question, asked),
                "prices": prices if asked.max_cost is not None else None}
               if made.source == "teacher" else {}),
        },
    )  # fmt: skip


def task_description(question: str | None, asked: Augmentation) -> str:
    """What the teacher is told of the task."""
    return asked.task_description or question or "Which of the labels does a text have?"
