"""Spec + facts -> plan. Pure: no clock, no disk, no network; the same input gives the same bytes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import chain

from fewtune.compiler.budget import countable, within
from fewtune.compiler.cost import around
from fewtune.compiler.decision import Decision
from fewtune.compiler.detectable import detectable
from fewtune.compiler.estimate import Costing
from fewtune.compiler.evidence import RULE_SET
from fewtune.compiler.expand import Expanded, Expansion
from fewtune.compiler.facts import Facts
from fewtune.compiler.facts_checks import check_facts
from fewtune.compiler.finding import finding
from fewtune.compiler.notes import LEFT_OUT
from fewtune.compiler.plan import Compiled, FactsDigest, Plan, Sample, SampleRef, StageKind
from fewtune.compiler.price import Estimate, Range
from fewtune.compiler.refit import refit_sample
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.resolution_checks import check_resolution
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment


def compile_plan(experiment: Experiment, facts: Facts, name: str = "experiment") -> Compiled:
    """Resolve, check, fit into the limits, expand and price.

    Args:
        experiment: the checked spec.
        facts: what was measured.
        name: the experiment's name where the spec gives none.

    Raises:
        PlanError: with every fault that was found.
    """
    usable, excluded = pool(facts.data)
    resolution, warnings = _resolved(experiment, facts, usable)
    expansion = Expansion(resolution)
    expanded = expansion.run()
    _refuse(_distinct(expanded.samples) + _trainable(expanded.samples))
    s = resolution.situation
    plan = Plan(
        rule_set=RULE_SET,
        experiment_name=experiment.name or name,
        experiment=experiment,
        facts=_digest(facts, len(excluded)),
        labels=facts.data.labels,
        metric=s.metric,
        verbalizer=s.verbalizer,
        levels=s.levels,
        folds=s.folds,
        choosing=s.choosing,
        preferred=s.preferred,
        data_seeds=s.data_seeds,
        model_seeds=s.model_seeds,
        precision=s.precision,
        patterns=s.patterns,
        augmentation=resolution.augmentation,
        arms=tuple(resolved.arm for resolved in resolution.arms),
        left_out=tuple(noted.choice.value for noted in resolution.noted if noted.pointer == LEFT_OUT),
        samples=tuple(_sample_refs(expanded)),
        trials=expanded.trials,
        stages=expanded.stages,
        gates=expanded.gates,
        decisions=_decisions(resolution),
        warnings=tuple({(one.code, one.pointer, one.message): one for one in warnings}.values()),
    )
    refit = refit_sample(resolution, expansion.samples[s.levels[-1].n, 0])
    return Compiled(plan=plan, estimate=_estimate(plan, resolution, expanded), samples=(*expanded.samples, refit))


def check_plan(experiment: Experiment, facts: Facts) -> list[Diagnostic]:
    """The warnings of the plan that there would be, without stages and prices.

    Raises:
        PlanError: with every fault that was found; the same as `compile_plan`'s.
    """
    resolution, warnings = _resolved(experiment, facts, pool(facts.data)[0])
    samples = Expansion(resolution).all_samples
    _refuse(_distinct(samples) + _trainable(samples))
    return list({(one.code, one.pointer, one.message): one for one in warnings}.values())


def _resolved(experiment: Experiment, facts: Facts, usable: tuple[int, ...]) -> tuple[Resolution, list[Diagnostic]]:
    """Resolve, check and fit into the limits; with all warnings."""
    start = Situation.first(experiment, facts, usable)
    warnings = _refuse([*countable(experiment), *check_facts(start)])
    resolution, cuts = within(start)
    return resolution, warnings + _refuse([*resolution.warnings, *check_resolution(resolution)]) + cuts


def _refuse(found: list[Diagnostic]) -> list[Diagnostic]:
    """Raise when there is an error among the findings, all of them together; else hand them on."""
    if any(finding.severity == "error" for finding in found):
        raise PlanError(found)
    return found


def _distinct(samples: Iterable[Sample]) -> list[Diagnostic]:
    """Data seeds must have drawn different samples (R-131)."""
    seen: dict[tuple[int, int | None, str], int] = {}
    for sample in samples:
        other = seen.setdefault((sample.n, sample.fold, sample.content), sample.data_seed)
        if other != sample.data_seed:
            message = (
                f"data seeds {other} and {sample.data_seed} drew the same examples in the same order at n = {sample.n}"
            )
            remedy = "fewer data seeds: there are too few rows for so many different samples"
            return [finding("E-too-few-rows", message, "/evaluation/data_seeds", remedy=remedy)]
    return []


def _trainable(samples: Iterable[Sample]) -> list[Diagnostic]:
    """Every fold must leave something to train on: duplicates stay together and can empty one."""
    empty = next((sample for sample in samples if not sample.train), None)
    if empty is None:
        return []
    message = f"the sample {empty.id} leaves no training rows: too many of them are duplicates of scored ones"
    return [finding("E-too-few-rows", message, "/data/train", remedy="more distinct rows, or data.test")]


def _label_counts(facts: Facts) -> dict[str, int]:
    """Training rows with each label; words with each tag."""
    train = facts.data.train
    counts = Counter(chain(*train.marks) if train.marks else train.labels)
    return {name: counts[index] for index, name in enumerate(facts.data.labels)}


def _digest(facts: Facts, excluded: int) -> FactsDigest:
    return FactsDigest(
        identity=facts.identity,
        model=facts.model.place,
        model_hash=facts.model.weights_hash,
        parameters=facts.model.parameters,
        encoder=facts.encoder.place if facts.encoder else "",
        encoder_hash=facts.encoder.weights_hash if facts.encoder else "",
        device=facts.device.name,
        devices=facts.device.count,
        columns=facts.data.columns,
        rows={name: len(split) for name, split in sorted(facts.data.splits.items())},
        labels=_label_counts(facts),
        excluded_rows=excluded,
        adopted=facts.adopted.id,
    )


def _sample_refs(expanded: Expanded) -> list[SampleRef]:
    return [
        SampleRef(
            id=sample.id, n=sample.n, data_seed=sample.data_seed, fold=sample.fold,
            train=len(sample.train), validation=len(sample.validation), content=sample.content,
            flipped=len(sample.flipped),
        )
        for sample in expanded.samples
    ]  # fmt: skip


def _decisions(resolution: Resolution) -> tuple[Decision, ...]:
    """Every choice at its place in the plan."""
    absent = iter(range(len(resolution.noted)))
    decisions = [
        replace(noted, pointer=f"/left_out/{next(absent)}").decision()
        if noted.pointer == LEFT_OUT
        else noted.decision()
        for noted in resolution.noted
    ]
    for index, resolved in enumerate(resolution.arms):
        decisions += [noted.decision(f"/arms/{index}") for noted in resolved.noted]
    return tuple(decisions)


def _estimate(plan: Plan, resolution: Resolution, expanded: Expanded) -> Estimate:
    costing = Costing(resolution)
    seconds, (making, tokens) = costing.seconds(), costing.augmented
    device = resolution.situation.facts.device
    busy = sum(costing.arm_seconds(resolved.arm) for resolved in resolution.arms) + costing.refit_seconds()
    costs = tuple(costing.arm_cost(resolved) for resolved in resolution.arms)
    disk, methods = costing.disk_bytes(), {arm.method for arm in plan.arms}
    hours = around(busy / 3600 if device.kind == "cuda" else 0.0, device, methods)
    return Estimate(
        seconds=_with(around(seconds - making.mid, device, methods), making),
        gpu_hours=hours,
        peak_memory_bytes=max((cost.peak_memory_bytes for cost in costs), key=lambda peak: peak.high),
        disk_bytes=Range(low=round(0.5 * disk), mid=disk, high=round(1.5 * disk) + 2_000_000),
        arms=costs,
        packing=(*costing.packings.values(), *costing.alone),
        stage_seconds=_stage_seconds(costing, expanded),
        teacher_tokens=tokens if tokens.high else None,
        detectable=detectable(plan),
    )


def _stage_seconds(costing: Costing, expanded: Expanded) -> dict[str, float]:
    s = costing.resolution.situation
    arms = {resolved.arm.name: resolved.arm for resolved in costing.resolution.arms}
    levels = {level.n: level for level in s.levels}
    sizes = {trial.id: trial.n for trial in expanded.trials}

    @cache
    def seconds(kind: StageKind, name: str, n: int, split: str | None, first: bool) -> float:
        arm, level = arms[name], levels.get(n, s.levels[-1])
        if kind != "evaluate":
            return round(costing.fit_seconds(arm, level) + (costing.general_seconds(arm) if first else 0.0), 3)
        own = s.facts.data.splits.get(split or "")
        if own is not None and split != "validation":
            return round(costing.split_seconds(arm, own), 3)
        rows = level.validation if split == "validation" else len(s.pool) // (s.folds or 1)
        if s.choosing is not None:
            rows = level.n // s.choosing.folds
        return round(costing.score_seconds(arm, rows, costing.mean_train), 3)

    return _augment_seconds(costing, expanded) | {
        stage.id: seconds(
            stage.kind,
            stage.arm,
            sizes.get(stage.trial or "", 0),
            stage.split,
            stage.fold is None or (s.folds is not None and stage.fold == 0),
        )
        for stage in expanded.stages
        if stage.arm is not None
    }


def _augment_seconds(costing: Costing, expanded: Expanded) -> dict[str, float]:
    """Augment stage -> its mid estimate."""
    sizes = {sample.id: sample.n for sample in expanded.samples}
    making = [(stage, stage.id.split("/")[1]) for stage in expanded.stages if stage.kind == "augment"]
    return {stage.id: costing.making[source, sizes[stage.sample or ""]].mid for stage, source in making}


def _with(rest: Range, making: Range) -> Range:
    """The range of a run with its augment stages, whose spread is their own."""
    sums = {name: round(getattr(rest, name) + getattr(making, name), 3) for name in ("low", "mid", "high")}
    return rest.model_copy(update=sums)
