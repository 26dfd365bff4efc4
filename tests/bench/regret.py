"""What the rules' choice costs against the best arm of a grid, and what it gains over common defaults.

    python tests/bench/regret.py --data ../shared/data [--folder FOLDER] [--minutes 60] [--output tests/bench/regret.md]

AG News (test rows 201-600), SICK (2001-2400) and CoLA (1-400, by MCC, reported apart), 16 and 64 labels, 4 data seeds,
the embedded model. For each cell one spec that pins nothing, and one with the grid {pattern, head} x {LoRA r = 8, full}
x {1e-4, 5e-4}, the defaults of LLaMA-Factory and TRL, and LoRA at a fixed 60 steps; all in one workspace, and one SQL
query spans them. What was measured is kept in regret.tar.xz beside this script (journal and predictions, no weights, no
texts), from which the run goes on; after `--minutes` it stops cleanly. Each cell has one precision for all its arms,
which the table says: fp32 where it was begun on a processor without bf16.

Regret without the winner's curse: the best arm is picked on half of the seeds and items and compared with the rules'
arm on the other half, averaged over splits; intervals by resampling seeds and items.

A plan with several data seeds chooses its arm once, by the labels of several samples, which somebody with one sample
does not have. So a second table has each sample choose for itself, by its own labels alone.
"""

import argparse
import json
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from workplace import Workplace, machine

from fewtune.api.session import plan_spec
from fewtune.runtime.choosing import NEVER, validation_scores
from fewtune.store.metrics import score
from fewtune.store.reader import Reader
from fewtune.store.trial_predictions import arm_runs

SIZES = (16, 64)
SEEDS = 4
TASKS = {
    "cola": {"type": "classification", "test": "validation.jsonl", "rows": "1-400", "metric": "mcc"},
    "sick": {"type": "pair-classification", "test": "test.jsonl", "rows": "2001-2400", "metric": "accuracy"},
    "agnews": {"type": "classification", "test": "test.jsonl", "rows": "201-600", "metric": "accuracy"},
}
FP32 = {("cola", 16), ("sick", 16)}
"""Cells measured in fp32; the others in bf16, which is three times as fast where the hardware has it."""
SPEC = """\
spec_version = 1
name = "{name}"

[task]
type = "{type}"

[model]
precision = "{precision}"

[data]
train = "{task}/train.jsonl"
test = {{ path = "{task}/{test}", rows = "{rows}" }}
label_budget = {n}

[evaluation]
metric = "{metric}"
data_seeds = {seeds}
"""
DEFAULTS = {
    "LLaMA-Factory defaults": {"rank": 8, "alpha": 16.0, "learning_rate": 5e-5, "epochs": 3.0, "batch_size": 8},
    "TRL defaults": {"rank": 16, "alpha": 32.0, "learning_rate": 2e-4, "epochs": 3.0, "batch_size": 8},
    "LoRA, 60 steps": {"rank": 8, "learning_rate": 5e-4, "steps": 60},
}
"""Pattern arms with LoRA, as the tools would set them."""
BASELINES = ("majority", "tfidf", "encoder", "probe", "zero-shot")
RIVALS = (*DEFAULTS, "TF-IDF + logistic regression", "sentence encoder + logistic regression")
"""What the rules' choice is compared with, arm by arm."""
QUESTIONS = {
    "Which arm is the best over all tasks scored by accuracy?": """
SELECT arm, n, round(avg(mean), 3) AS accuracy, count(*) AS tasks
FROM leaderboard
WHERE split = 'test' AND metric = 'accuracy' AND experiment NOT LIKE 'cola%' AND experiment LIKE '%grid'
GROUP BY arm, n QUALIFY row_number() OVER (PARTITION BY n ORDER BY avg(mean) DESC) <= 3 ORDER BY n, accuracy DESC""",
    "What does a pattern gain over a head, all else equal?": """
SELECT p.experiment, p.metric, replace(p.arm, 'pattern+', '') AS training, round(p.mean - h.mean, 3) AS gain
FROM leaderboard p JOIN leaderboard h USING (experiment, metric, split, n)
WHERE split = 'test' AND p.arm LIKE 'pattern+%' AND h.arm = replace(p.arm, 'pattern+', 'head+')
AND metric = CASE WHEN p.experiment LIKE 'cola%' THEN 'mcc' ELSE 'accuracy' END ORDER BY p.experiment, gain DESC""",
    "What did a trial of each kind take, in seconds?": """
SELECT method, round(median(seconds)) AS median, count(*) AS trials
FROM trials WHERE state = 'finished' GROUP BY method ORDER BY median DESC""",
}
"""Asked of the one workspace that holds all specs."""
ALONE = """\
The plan's choice above looks at the labels of all samples that are cut, four at n = 16 and two at n = 64. Here each of
these samples chooses by its own labels alone, as somebody with one sample would have to; all scores are over these
samples."""
SPLITS, DRAWS = 40, 300
KEPT = Path(__file__).with_name("regret.tar.xz")
"""Journal, plans and predictions of all that was measured."""
WEIGHTS = "state.safetensors"


def grid() -> Iterator[dict[str, Any]]:
    """The arms that are written out."""
    for method in ("pattern+lora", "head+lora", "pattern+full", "head+full"):
        for rate in (1e-4, 5e-4):
            lora = {"rank": 8} if method.endswith("lora") else {}
            yield {"name": f"{method} {rate:g}", "method": method, "learning_rate": rate, **lora}
    for name, pins in DEFAULTS.items():
        yield {"name": name, "method": "pattern+lora", **pins}


def precision(task: str, n: int) -> str:
    """Of all arms of this cell."""
    return "fp32" if (task, n) in FP32 else "bf16"


def specs(task: str, n: int) -> dict[str, str]:
    """Experiment -> its spec."""
    told = {"task": task, "n": n, "seeds": SEEDS, "precision": precision(task, n), **TASKS[task]}
    written = "".join(
        "\n[[methods.arms]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in arm.items())
        for arm in grid()
    )
    methods = f'validation = "fixed-schedule"\n\n[methods]\ninclude = {json.dumps(BASELINES)}\n'
    rules, pinned = f"{task} {n}", f"{task} {n} grid"
    return {rules: SPEC.format(name=rules, **told), pinned: SPEC.format(name=pinned, **told) + methods + written}


@dataclass(frozen=True)
class Cell:
    """One task at one size."""

    name: str
    metric: Any
    chosen: tuple[str, ...]
    """Data seed -> the rules' arm, by its name in `answers`."""
    labels: Any
    """(items,)"""
    answers: dict[str, Any]
    """Arm -> what it answered: (seeds, items), or (1, items) where it sees no labels."""

    def score(self, arm: str, seeds: Any, items: Any) -> float:
        """Mean score on these seeds and items."""
        rows = self.answers[arm]
        rows = rows[seeds % len(rows)] if len(rows) > 1 else rows
        return float(np.mean([score(self.metric, self.labels[items], row[items]) for row in rows]))

    def own(self, seeds: Any, items: Any) -> float:
        """Mean score of the rules' choice."""
        return float(np.mean([self.score(self.chosen[seed], np.array([seed]), items) for seed in seeds]))

    def shown(self) -> str:
        """The rules' arms, each with how many seeds chose it where they differ."""
        counts = {arm: self.chosen.count(arm) for arm in dict.fromkeys(self.chosen)}
        return ", ".join(arm + (f" ({count})" if len(counts) > 1 else "") for arm, count in counts.items())

    def regret(self, seeds: Any, items: Any, rng: Any, splits: int) -> float:
        """The best arm's score less that of the rules' choice, picked on one half and taken on the other."""
        found = []
        for _ in range(splits):
            mixed, order = rng.permutation(seeds), rng.permutation(items)
            halves = [(mixed[i::2], order[i::2]) for i in (0, 1)]
            for picked, taken in (halves, halves[::-1]):
                best = max(self.answers, key=lambda arm: self.score(arm, *picked))
                found.append(self.score(best, *taken) - self.own(*taken))
        return float(np.mean(found))

    def gain(self, rival: str, seeds: Any, items: Any) -> float:
        """The rules' choice less another arm."""
        return self.own(seeds, items) - self.score(rival, seeds, items)


def alone(reader: Reader, run: str) -> tuple[str, ...]:
    """Data seed -> the arm that its own labels choose, for the samples that are cut into parts."""
    plan, history = reader.plan_of(run).plan, reader.history()
    stage = next(stage for stage in plan.stages if stage.kind == "select")
    arms = next(gate.arms for gate in plan.gates if gate.stage == stage.id)
    seed_of = {sample.id: sample.data_seed for sample in plan.samples}
    needs: dict[int, list[str]] = {}
    for need in stage.needs:
        needs.setdefault(seed_of[plan.stage_index[need].sample or ""], []).append(need)
    found = []
    for _, own in sorted(needs.items()):
        scores = validation_scores(plan, stage.model_copy(update={"needs": tuple(own)}), history, reader.read)
        found.append(f"rules: {max(arms, key=lambda arm: scores.get(arm, NEVER))}")
    return tuple(found)


def cell(reader: Reader, task: str, n: int) -> tuple[Cell, Cell] | None:
    """What is known of a cell: with the plan's choice, and with each sample's own; None while something is missing."""
    answers, labels, metric = {}, None, TASKS[task]["metric"]
    chosen: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    for name in specs(task, n):
        run = reader.latest_run(name)
        if run is None or not run.ended or run.ended.state != "succeeded":
            return None
        plan = reader.plan_of(run.id).plan
        selected = reader.selection_of(run.id)
        for arm in plan.arms:
            found = arm_runs(reader, plan, arm.name, n, "test", metric)  # type: ignore[arg-type]
            shown = arm.name if name.endswith("grid") else f"rules: {arm.name}"
            answers[shown], labels = found.runs.predicted, found.labels
        if not name.endswith("grid") and selected is not None:
            chosen, own = (f"rules: {selected.arm}",) * SEEDS, alone(reader, run.id)
    name = f"{task}, n = {n}, {precision(task, n)}"
    return Cell(name, metric, chosen, labels, answers), Cell(name, metric, own, labels, answers)


def interval(work: Any, cells: list[Cell], rng: Any) -> tuple[float, float, float]:
    """(mean over cells, low, high) of a figure of a cell, seeds and items resampled."""

    def once(resample: bool) -> float:
        found = []
        for each in cells:
            seeds, items = np.arange(len(each.chosen)), np.arange(len(each.labels))
            if resample:
                seeds, items = rng.choice(seeds, len(seeds)), rng.choice(items, len(items))
            found.append(work(each, seeds, items))
        return float(np.mean(found))

    draws = [once(resample=True) for _ in range(DRAWS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return once(resample=False), float(low), float(high)


def report(cells: list[Cell], heading: str) -> list[str]:
    """The tables as Markdown."""
    rng = np.random.default_rng(0)

    def regret(each: Cell, seeds: Any, items: Any) -> float:
        return each.regret(seeds, items, rng, 4 if len(set(seeds)) < len(each.chosen) else SPLITS)

    lines = [f"| cell | metric | {heading} | its score | best score of all arms | regret, cross-fitted |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for each in cells:
        seeds, items = np.arange(len(each.chosen)), np.arange(len(each.labels))
        best = max(each.answers, key=lambda arm: each.score(arm, seeds, items))
        mean, low, high = interval(regret, [each], rng)
        lines.append(
            f"| {each.name} | {each.metric} | {each.shown()} | {each.own(seeds, items):.3f} | "
            f"{each.score(best, seeds, items):.3f} ({best}) | {mean:+.3f} [{low:+.3f}, {high:+.3f}] |"
        )
    parts = ["\n".join(lines)]
    accuracy = [each for each in cells if each.metric == "accuracy"]
    if accuracy:
        mean, low, high = interval(regret, accuracy, rng)
        parts.append(f"Mean regret over the accuracy cells: {mean:+.3f} [{low:+.3f}, {high:+.3f}].")
        lines = ["| the rules' choice against | mean gain over the accuracy cells |", "| --- | --- |"]
        for rival in RIVALS:
            mean, low, high = interval(lambda each, *more, rival=rival: each.gain(rival, *more), accuracy, rng)
            lines.append(f"| {rival} | {mean:+.3f} [{low:+.3f}, {high:+.3f}] |")
        parts.append("\n".join(lines))
    return parts


def answers(place: Workplace) -> str:
    """The questions with their answers, as Markdown."""
    parts = []
    for question, query in QUESTIONS.items():
        found, _ = place.run("sql", query)
        names = [column["name"] for column in found["columns"]]
        head = f"| {' | '.join(names)} |\n|{' --- |' * len(names)}"
        rows = "\n".join(f"| {' | '.join(map(str, row))} |" for row in found["rows"])
        parts.append(f"{question}\n\n```sql{query}\n```\n\n{head}\n{rows}")
    return "\n\n".join(parts)


def restored(place: Workplace) -> Path:
    """The workspace, with what was measured earlier."""
    workspace = place.folder / ".fewtune"
    if KEPT.exists() and not workspace.exists():
        with tarfile.open(KEPT) as kept:
            kept.extractall(workspace, filter="data")
    return workspace


def keep(workspace: Path) -> None:
    """Write what was measured beside this script; weights stay out, and large ones go, for they fill the disk."""
    for state in workspace.glob(f"artefacts/*/*/{WEIGHTS}"):
        if state.stat().st_size > 1e8:
            state.unlink()
    new = KEPT.with_suffix(".new")
    with tarfile.open(new, "w:xz") as kept:
        for file in sorted([workspace / "journal.jsonl", *workspace.glob("artefacts/*/*/*")]):
            if file.name != WEIGHTS:
                kept.add(file, file.relative_to(workspace))
    new.replace(KEPT)


def measured(workspace: Path, spec: Path) -> bool:
    """Whether the spec's run came to its end and today's plan asks for nothing else; a pinned choice says nothing."""
    reader = Reader(workspace)
    run = reader.latest_run(spec.stem)
    if run is None or run.ended is None or run.ended.state != "succeeded":
        return False
    plan, known = plan_spec(spec, workspace).plan, reader.history().evaluated
    scored = all(stage.fingerprint in known for stage in plan.stages if stage.kind == "evaluate")
    return plan.hash == run.started.plan_hash or (scored and spec.stem.endswith("grid"))


def applied(place: Workplace, name: str, how: list[str], limit: float) -> bool:
    """Apply a spec; after so many seconds stop it cleanly. Whether it came to its end."""
    command = [sys.executable, "-m", "fewtune.api.cli", "apply", f"{name}.toml", *how]
    process = subprocess.Popen(command, cwd=place.folder)
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="where to work; a later run goes on there")
    parser.add_argument("--minutes", type=float, default=10_000, help="no longer than this; 0: only the table")
    parser.add_argument("--in-process", action="store_true", help="one worker instead of one for each core")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    over = time.monotonic() + 60 * options.minutes
    place = Workplace("regret", options.folder)
    workspace = restored(place)
    for task in TASKS:
        (place.folder / task).mkdir(exist_ok=True)
        for file in ("train.jsonl", TASKS[task]["test"]):
            place.add(options.data / task / file, f"{task}/{file}")
    every = [(task, n) for n in SIZES for task in TASKS]
    written = {name: text for task, n in every for name, text in reversed(specs(task, n).items())}
    for name, text in written.items():
        place.write(f"{name}.toml", text)
        if (left := over - time.monotonic()) > 0 and not measured(workspace, place.folder / f"{name}.toml"):
            applied(place, name, ["--in-process"] if options.in_process else [], left)
            keep(workspace)
    reader = Reader(workspace)
    cells = [found for task, n in every if (found := cell(reader, task, n)) is not None]
    tables = report([pooled for pooled, _ in cells], "the rules' arm")
    tables += ["## Each sample chooses for itself", ALONE, *report([own for _, own in cells], "the rules' arms")]
    if len(cells) < len(every):
        tables.append(f"{len(every) - len(cells)} cells are not done yet.")
    shown = "\n\n".join(tables)
    text = f"""# Regret of the rules' choice

`python tests/bench/regret.py --data ../shared/data`, {machine()}. {SEEDS} data seeds, 400 items.

{shown}

## One query over all of them

{answers(place)}
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
