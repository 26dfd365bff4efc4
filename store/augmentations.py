"""The synthetic data sets of one plan, summed up by source and data size: what was asked for, what stayed, and why."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from fewtune.compiler.plan import Gate, Plan, Stage
from fewtune.specs.diagnostic import StoreError
from fewtune.store.event import Augmented
from fewtune.store.reader import Reader

MOST_THIN = 4
"""Labels or forms that the analysis names as rare."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """All samples of one data size, of one source."""

    source: str
    n: int
    model: str | None
    """The teacher's; None: there was none."""
    planned: int
    """Data sets that the plan has."""
    made: int
    """Of them, those that are there."""
    asked: int
    """Examples that those were to have before the filter."""
    written: int
    kept: int
    empty: int
    """Data sets of which no example stayed, their gate being open."""
    passed_share: float | None
    """Of what was written, what passed the tests; None: nothing was written."""
    rejected: dict[str, int]
    """Reason -> examples that were left out for it, the most first."""
    calls: int
    tokens: int
    cost: float
    gated: int
    """Data sets whose teacher had to beat the student first."""
    opened: int
    """Of them, those where it did."""
    teacher_accuracy: float | None
    """Mean share of the samples' texts that it labels rightly; None: it was not asked."""
    student_accuracy: float | None
    """The same of the student unasked, or of the most frequent label."""
    notes: tuple[str, ...]


def augmentations(reader: Reader, plan: Plan) -> tuple[Augmentation, ...]:
    """Those of a plan, whichever run made them."""
    stages: dict[tuple[str, int], list[Stage]] = {}
    sizes = {sample.id: sample.n for sample in plan.samples}
    for stage in plan.stages:
        if stage.kind == "augment":
            stages.setdefault((stage.id.split("/")[1], sizes[stage.sample or ""]), []).append(stage)
    return tuple(_summed(reader, plan, source, n, found) for (source, n), found in sorted(stages.items()))


def analysis(reader: Reader, plan: Plan) -> tuple[str, ...]:
    """What the labelled examples of the largest size's first sample are like, in at most two sentences."""
    for stage in sorted((s for s in plan.stages if s.kind == "augment"), key=lambda s: -_size(plan, s)):
        event = reader.history().augmented.get(stage.fingerprint)
        content = _content(reader, event) if event is not None else None
        if event is not None and content is not None:
            where = f"n = {event.n}, data seed {event.data_seed}" + (f", fold {event.fold}" if event.fold else "")
            return _sentences(content["analysis"], where)
    return ()


def _size(plan: Plan, stage: Stage) -> int:
    return next(sample.n for sample in plan.samples if sample.id == stage.sample)


def _summed(reader: Reader, plan: Plan, source: str, n: int, stages: list[Stage]) -> Augmentation:
    known = reader.history().augmented
    found = [known[stage.fingerprint] for stage in stages if stage.fingerprint in known]
    arms = [arm.augmentation for arm in plan.arms if arm.augmentation is not None]
    amounts = next(made.level(n) for made in arms if made.source == source)
    gates = {gate.stage: gate for gate in plan.gates if gate.kind == "writer-leads"}
    written = sum(one.written for one in found)
    return Augmentation(
        source=source, n=n, model=next((one.model for one in found if one.model), None), planned=len(stages),
        made=len(found), asked=sum(amounts.target or amounts.copies * one.seeds for one in found), written=written,
        kept=sum(one.kept for one in found), empty=sum(one.opened and not one.kept for one in found),
        passed_share=sum((one.passed_share or 0.0) * one.written for one in found) / written if written else None,
        rejected=_rejected(reader, found), calls=sum(one.calls for one in found),
        tokens=sum(one.tokens for one in found), cost=sum(one.cost for one in found),
        **_gate(gates, stages, known),
        notes=tuple(dict.fromkeys(one.note for one in found if one.note)),
    )  # fmt: skip


def _gate(gates: dict[str, Gate], stages: list[Stage], known: dict[str, Augmented]) -> dict[str, Any]:
    found = [known[stage.fingerprint] for stage in stages if stage.id in gates and stage.fingerprint in known]
    return {
        "gated": len(found),
        "opened": sum(one.opened for one in found),
        "teacher_accuracy": _mean([one.teacher_accuracy for one in found]),
        "student_accuracy": _mean([one.student_accuracy for one in found]),
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _rejected(reader: Reader, found: list[Augmented]) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for event in found:
        content = _content(reader, event)
        reasons.update(one["reason"] for one in (content or {"rejected": ()})["rejected"])
    return dict(reasons.most_common())


def _content(reader: Reader, event: Augmented) -> dict[str, Any] | None:
    """The data set's artefact; None where it was lost."""
    try:
        found: dict[str, Any] = json.loads(reader.read(event.artefact))
    except StoreError:
        return None
    return found


def _sentences(found: dict[str, Any], where: str) -> tuple[str, ...]:
    words = [one["words"] for one in found["labels"]]
    low, high = min(least for least, _, _ in words), max(most for _, _, most in words)
    said = (
        f"The {found['seeds']} labelled examples ({where}) have {low} to {high} words and {found['vocabulary']} "
        f"different ones, {found['once']:.0%} of which occur once"
    )
    if found["nearest"] is not None:
        said += f"; their likeness to the nearest other one is {found['nearest']:.2f}"
    thin = found["under"]
    more = f" and {len(thin) - MOST_THIN} more" if len(thin) > MOST_THIN else ""
    rare = f"Rare among them: {', '.join(thin[:MOST_THIN])}{more}" if thin else "No label or form is rare among them"
    return f"{said}.", f"{rare}."
