"""A small plan and a small apply, without data, model or training: what the store sees of a real one."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from fewtune.compiler.arm import Arm, Lora, Recipe
from fewtune.compiler.decision import Alternative, Decision
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.plan import FactsDigest, Gate, Level, Plan, SampleRef, Stage, Trial
from fewtune.compiler.price import ArmCost, Estimate, Range
from fewtune.specs.experiment import Experiment
from fewtune.store.artefacts import STATE, Artefact
from fewtune.store.event import ArmScore, AttemptEnded, AttemptStarted, Event, Fitted, Sampled, Selected
from fewtune.store.metrics import score
from fewtune.store.predictions import Predictions
from fewtune.store.statistics import Comparison, Interval
from fewtune.store.writer import Store

LABELS = ("cost", "date", "party")
ITEMS = {"validation": 8, "test": 40, "blogs": 30, "cv": 40}
SKILL = {"majority": 0.4, "zero-shot": 0.5, "pattern + LoRA r=8": 0.9, "head + LoRA r=8": 0.6}
DIGEST = {split: fingerprint("split", split) for split in ITEMS}
TIMES = Range(low=1.0, mid=2.0, high=4.0)
MEMORY = Range(low=1e6, mid=2e6, high=3e6)


def experiment(name: str = "clauses", notes: str | None = None) -> Experiment:
    return Experiment.model_validate(
        {
            "spec_version": 1,
            "name": name,
            "notes": notes,
            "task": {"type": "classification"},
            "data": {"train": "train.csv", "test": "test.csv"},
        }
    )


def make_plan(
    name: str = "clauses",
    *,
    levels: Sequence[int] = (8,),
    seeds: int = 2,
    folds: int | None = None,
    splits: Sequence[str] = ("test",),
    arms: Sequence[str] = tuple(SKILL),
    learning_rate: float = 5e-4,
    notes: str | None = None,
) -> Plan:
    """A plan of the same form as the compiler's: samples, trials, stages, a choice and its gates."""
    samples = [
        SampleRef(
            id=f"{n}/{seed}" + ("" if fold is None else f"/{fold}"), n=n, data_seed=seed, fold=fold,
            train=n // 2, validation=n - n // 2, content=fingerprint("sample", [n, seed, fold]),
        )
        for n in levels for seed in range(seeds) for fold in (range(folds) if folds else [None])
    ]  # fmt: skip
    made = [make_arm(arm, levels, learning_rate) for arm in arms]
    trials: list[Trial] = []
    stages: list[Stage] = []
    for arm in made:
        if arm.seeded:
            seeded(arm, samples, splits, trials, stages)
        else:
            unseeded(arm, splits, folds, trials, stages)
    candidates = tuple(arm.name for arm in made if arm.role == "candidate")
    choice = fingerprint("select", [stage.fingerprint for stage in stages if stage.split == "validation"])
    stages.append(Stage(id="select", kind="select", fingerprint=choice))
    gates = (
        Gate(stage="select", kind="best-validation", because="", metric="accuracy", n=levels[-1], arms=candidates),
    )
    return Plan(
        rule_set="rules-test",
        experiment_name=name,
        experiment=experiment(name, notes),
        facts=FactsDigest(
            identity="0" * 24, model="model", model_hash="0" * 24, parameters=1000, device="cpu", devices=1,
            rows={"train": 60, "test": 40}, columns={"text": "text", "label": "label"},
            labels=dict.fromkeys(LABELS, 20), excluded_rows=0,
        ),
        labels=LABELS,
        metric="accuracy",
        verbalizer=None,
        levels=tuple(Level(n=n, train=n // 2, validation=n - n // 2, scheme="held-out") for n in levels),
        folds=folds,
        data_seeds=seeds,
        model_seeds=1,
        precision="fp32",
        patterns=("{text} {label}",),
        arms=tuple(made),
        left_out=(),
        samples=tuple(samples),
        trials=tuple(trials),
        stages=tuple(stages),
        gates=gates,
        decisions=(DECISION,),
        warnings=(),
    )  # fmt: skip


DECISION = Decision(
    field="/arms/2/lora/rank", value=8, rule="R-001", decided_by="lora_rank", because="it's enough", strength="mixed",
    source="a paper", evidence=("R-001", "R-002"), alternatives=(Alternative(value=64, why_not="no gain"),),
)  # fmt: skip


def make_arm(name: str, levels: Sequence[int], learning_rate: float) -> Arm:
    lora = "LoRA" in name
    recipe = {"steps": 60, "batch_size": 8, "micro_batch": 8, "learning_rate": learning_rate} if lora else {}
    recipes = tuple(Recipe(n=n, **recipe) for n in levels)
    method = name.replace(" + LoRA r=8", "+lora")
    formulation = "majority" if name == "majority" else "head" if name.startswith("head") else "pattern"
    return Arm.model_validate(
        {
            "name": name, "method": method, "formulation": formulation, "adaptation": "lora" if lora else "none",
            "role": "candidate" if lora else "baseline", "recipes": recipes,
            "lora": Lora(rank=8, alpha=16, targets=("q_proj",)) if lora else None,
        }
    )  # fmt: skip


def seeded(arm: Arm, samples: Sequence[SampleRef], splits: Sequence[str], trials: list[Trial], stages: list[Stage]):
    groups: dict[tuple[int, int], list[SampleRef]] = {}
    for sample in samples:
        groups.setdefault((sample.n, sample.data_seed), []).append(sample)
    for (n, seed), drawn in groups.items():
        trial, fits = f"{arm.name.split()[0]}/n{n}/d{seed}", []
        for sample in drawn:
            recipe = arm.recipe(n).model_dump(mode="json")
            fit = fingerprint("fit", [arm.name, sample.content, recipe])
            train = f"train/{trial}" + ("" if sample.fold is None else f"/f{sample.fold}")
            at = {"trial": trial, "arm": arm.name, "sample": sample.id, "fold": sample.fold}
            stages.append(Stage(id=train, kind="train", fingerprint=fit, **at))
            scored = ["validation"] + ([] if sample.fold is None else ["cv"])
            scored += splits if sample.fold is None else []
            for split in scored:
                score = fingerprint("score", [fit, split])
                stage = Stage(id=f"evaluate/{train}/{split}", kind="evaluate", fingerprint=score, split=split,
                              needs=(train,), **at)  # fmt: skip
                stages.append(stage)
            fits.append(fit)
        trials.append(
            Trial(id=trial, arm=arm.name, n=n, data_seed=seed, model_seed=0, fingerprint=fingerprint("trial", fits))
        )


def unseeded(arm: Arm, splits: Sequence[str], folds: int | None, trials: list[Trial], stages: list[Stage]):
    for split in ("cv",) if folds else splits:
        score = fingerprint("score", [arm.name, split])
        stages.append(
            Stage(id=f"evaluate/{arm.name}/{split}", kind="evaluate", fingerprint=score, trial=f"{arm.name}/n0",
                  arm=arm.name, split=split)
        )  # fmt: skip
    trials.append(
        Trial(id=f"{arm.name}/n0", arm=arm.name, n=0, data_seed=None, model_seed=None,
              fingerprint=fingerprint("trial", arm.name))
    )  # fmt: skip


def make_estimate(plan: Plan) -> Estimate:
    costs = tuple(
        ArmCost(arm=arm.name, seconds=TIMES, peak_memory_bytes=MEMORY, trainable_parameters=10, artefact_bytes=100,
                trials=2)
        for arm in plan.arms
    )  # fmt: skip
    return Estimate(
        seconds=TIMES, gpu_hours=TIMES, peak_memory_bytes=MEMORY, disk_bytes=MEMORY, arms=costs, stage_seconds={}
    )


def predictions(stage: Stage, skill: float, folds: int | None = None) -> Predictions:
    """Right answers with the probability `skill`; the labels depend on split and row only."""
    split = stage.split or ""
    rows = list(range(ITEMS[split]))
    if split == "cv" and stage.fold is not None and folds:
        rows = rows[stage.fold :: folds]
    dice = random.Random(stage.fingerprint)
    labels = [random.Random(f"{split}{row}").randrange(3) for row in rows]
    predicted = [label if dice.random() < skill else dice.randrange(3) for label in labels]
    given = tuple(tuple(0.8 if number == label else 0.1 for number in range(3)) for label in predicted)
    return Predictions(
        split=split, names=LABELS, rows=tuple(rows), labels=tuple(labels), predicted=tuple(predicted),
        probabilities=given,
    )  # fmt: skip


def fitted(stage: Stage, attempt: str, *, diverged: bool = False, size: int = 64) -> tuple[Fitted, Artefact]:
    content = random.Random(stage.fingerprint).randbytes(size)
    artefact = Artefact(fingerprint=stage.fingerprint, name=STATE, content=content)
    event = Fitted(
        stage_kind="train", fingerprint=stage.fingerprint, attempt=attempt, artefact=artefact.ref, steps=60,
        best_step=40, diverged=diverged, losses=((20, 1.0), (40, 0.5), (60, float("nan") if diverged else 0.25)),
        validation=((20, 0.5), (40, 0.75)), seconds=1.5, tokens=1000, trainable_parameters=10,
        peak_memory_bytes=2_500_000, micro_batch=8, device="cpu", versions={"torch": "2.13"},
    )  # fmt: skip
    return event, artefact


def apply(store: Store, plan: Plan, *, trials: int | None = None, failing: Sequence[str] = (),
          diverging: Sequence[str] = (), publish: bool = True) -> Iterator[str]:  # fmt: skip
    """Do what is missing, job by job, and yield each acknowledged result's fingerprint.

    Args:
        store: opened.
        plan: to apply.
        trials: stop after so many.
        failing: trials whose first attempt loses its worker.
        diverging: trials whose loss is not finite.
        publish: also publish after each job.
    """
    store.start_run(plan, make_estimate(plan), devices=("cpu",), workers=1, engine="miniature")
    store.record(*(sampled(sample) for sample in plan.samples))
    for trial in plan.trials[:trials]:
        jobs: dict[int | None, list[Stage]] = {}
        for stage in plan.stages:
            if stage.trial == trial.id:
                jobs.setdefault(stage.fold, []).append(stage)
        for fold, stages in jobs.items():
            job = trial.id if fold is None else f"{trial.id}/f{fold}"
            for lost in [True, False] if trial.id in failing else [False]:
                yield from run_job(store, plan, trial, job, stages, lost=lost, diverged=trial.id in diverging)
            if publish:
                store.publish()
    if trials is None and plan.gates[0].arms:
        choose(store, plan)
    store.end_run("succeeded" if trials is None else "partial")


def sampled(sample: SampleRef) -> Sampled:
    return Sampled(
        sample=sample.id, content=sample.content, n=sample.n, data_seed=sample.data_seed, fold=sample.fold,
        train=tuple(range(sample.train)), validation=tuple(range(sample.train, sample.n)),
    )  # fmt: skip


def run_job(store: Store, plan: Plan, trial: Trial, job: str, stages: Sequence[Stage], *, lost: bool,
            diverged: bool) -> Iterator[str]:  # fmt: skip
    known = store.known([stage.fingerprint for stage in stages])
    missing = [s for s in stages if s.fingerprint not in (known.fitted if s.kind == "train" else known.evaluated)]
    if not missing:
        return
    (attempt,) = store.attempt_names(1)
    store.record(
        AttemptStarted(
            attempt=attempt, run=attempt.rpartition("-")[0], job=job, trial=trial.id, arm=trial.arm, worker="w1",
            stages=tuple(s.id for s in missing), fingerprints=tuple(s.fingerprint for s in missing), micro_batch=8,
        )
    )  # fmt: skip
    if lost:
        store.record(AttemptEnded(attempt=attempt, state="failed", failure="worker_lost", message="gone", seconds=1.0))
        return
    events: list[Event] = []
    files: list[Artefact] = []
    for stage in missing:
        if stage.kind == "train":
            event, artefact = fitted(stage, attempt, diverged=diverged)
        else:
            said = predictions(stage, SKILL[trial.arm], plan.folds)
            event, artefact = said.evaluated(
                fingerprint=stage.fingerprint, attempt=attempt, seconds=0.5, content=DIGEST[stage.split or ""]
            )
        events.append(event)
        files.append(artefact)
    ended = AttemptEnded(attempt=attempt, state="succeeded", seconds=2.0)
    store.record(*events, ended, artefacts=files)
    yield from (stage.fingerprint for stage in missing)


def choose(store: Store, plan: Plan) -> None:
    gate = plan.gates[0]
    stage = plan.stage_index[gate.stage]
    scores = tuple(ArmScore(arm=arm, value=SKILL[arm]) for arm in gate.arms)
    best = max(scores, key=lambda score: score.value or 0.0)
    selected = Selected(
        run=next(reversed(store.history.runs)), fingerprint=stage.fingerprint, arm=best.arm, gate=gate.kind,
        metric="accuracy", n=gate.n, scores=scores,
    )  # fmt: skip
    store.record(selected)


def mean_only(metric, labels, predicted, data_seeds, level) -> Interval:
    """Stand-in for `score_interval`."""
    mean = float(score(metric, labels, predicted).mean())
    return Interval(
        mean=mean, low=mean - 0.1, high=mean + 0.1, level=level, items=labels.size,
        basis="items_only" if len(set(data_seeds or ())) < 2 else "seeds_and_items", seeds=len(set(data_seeds or ())),
    )  # fmt: skip


def differences_only(metric, labels, chosen, others, level, **_) -> tuple[Comparison, ...]:
    """Stand-in for `compare_family`."""
    first, *means = (float(score(metric, labels, runs.predicted).mean()) for runs in (chosen, *others))
    return tuple(
        Comparison(difference=first - mean, low=-1.0, high=1.0, level=level, verdict="cannot tell", basis="items_only",
                   p_value=None, p_raw=None, raw_low=-1.0, raw_high=1.0, seeds=1, items=labels.size,
                   more_seeds=None, more_items=None)
        for mean in means
    )  # fmt: skip


def applied(root: Path, plan: Plan, **how) -> list[str]:
    """Apply in a workspace of its own, and return the acknowledged fingerprints."""
    with Store.open(root) as store:
        return list(apply(store, plan, **how))
