"""CompAn, corrected, on a laptop: CoLA and SICK, 2, 16 and 64 labels of each class, beside the published figures.

    python tests/bench/compan.py --data ../shared/data [--task cola|sick] [--folder FOLDER] [--output FILE]

Runs examples/compan/cola.toml and sick.toml, each in a workspace of its own: 8 arms, 3 data seeds, 40 steps of at most
8, 200 items in and 200 out of domain. A conclusion of the paper is a difference between two arms: it is tested on the
same items at each n, with an interval over seeds and items.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workplace import Workplace, machine

HERE = Path(__file__).parents[2] / "examples" / "compan"
SIZES = (2, 16, 64)
"""Labels of each class."""
TASKS = {"cola": (2, "test", "other-sources"), "sick": (3, "test", "overlap")}
"""Task -> number of labels, the split in the domain, the one out of it."""


@dataclass(frozen=True)
class Setting:
    """One of the paper's settings, beside our arm."""

    arm: str
    published: dict[str, tuple[str, ...]]
    """Task -> "in / out of domain" accuracy at each size; OPT-125M, 1 to 2 distinct runs of 10."""
    differs: str
    """What was done otherwise there."""


NONE = ("", "", "")
SETTINGS = (
    Setting(
        "vanilla",
        {"cola": (".531/.553", ".527/.531", ".589/.574"), "sick": (".492/.500", ".593/.494", ".683/.499")},
        "lr 1e-5, 40 epochs of 32",
    ),
    Setting("PBFT", {"cola": (".533/.571", ".495/.506", ".550/.549"), "sick": (".519/.494", ".557/.499", ".617/.500")},
            "the same; a prompt before a random head, no verbalizer"),
    Setting("adaptive", {"cola": (".507/.546", ".530/.560", ".557/.570"), "sick": NONE},
            "the same; last 2 of 12 blocks and the embeddings, one rate for all"),
    Setting("LoRA, r=1", {"cola": (".445/.451", ".444/.455", ".591/.599"), "sick": NONE},
            "lr 1e-5, alpha 8, dropout 0.1, q and v only"),
    Setting("LoRA, r=8", {"cola": (".418/.424", ".449/.461", ".598/.605"), "sick": NONE}, "the same"),
    Setting("LoRA, r=64", {"cola": (".418/.424", ".449/.461", ".607/.610"), "sick": NONE}, "the same"),
    Setting("context distillation", {"cola": NONE, "sick": NONE},
            "a random head as teacher, no context; on MNLI's whole training set (.721/.497 after 3 epochs)"),
    Setting("few-shot distillation", {"cola": NONE, "sick": (".480/.500", ".545/.500", ".585/.497")},
            "a random head as teacher, no context"),
)  # fmt: skip
BASELINES = ("majority", "zero-shot", "TF-IDF + logistic regression", "sentence encoder + logistic regression",
             "frozen base + logistic regression")  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A conclusion, as a difference that should be above 0."""

    text: str
    better: str
    worse: str
    tasks: tuple[str, ...]
    splits: tuple[int, ...]
    """1: in the domain, 2: out of it."""


CLAIMS = (
    Claim("vanilla is better than PBFT on CoLA", "vanilla", "PBFT", ("cola",), (1, 2)),
    Claim("PBFT is better than vanilla on pairs", "PBFT", "vanilla", ("sick",), (1,)),
    Claim("adaptive is better than PBFT", "adaptive", "PBFT", ("cola", "sick"), (1, 2)),
    Claim("context distillation is better out of the domain than vanilla", "context distillation", "vanilla",
          ("cola", "sick"), (2,)),
    Claim("few-shot distillation falls behind vanilla", "vanilla", "few-shot distillation", ("cola", "sick"), (1, 2)),
    Claim("LoRA at rank 8 falls behind vanilla", "vanilla", "LoRA, r=8", ("cola", "sick"), (1, 2)),
    Claim("LoRA gains from rank 64 over rank 1", "LoRA, r=64", "LoRA, r=1", ("cola", "sick"), (1, 2)),
)  # fmt: skip
FOUND = """
SELECT arm, n, split, metric, mean FROM leaderboard WHERE metric IN ('accuracy', 'mcc')"""
CLOSED = "SELECT trial, note FROM trials WHERE run = (SELECT max(run) FROM runs) AND note <> '' ORDER BY trial"
TITLE = """# CompAn (arXiv 2405.13181), corrected

`python tests/bench/compan.py --data ../shared/data`, {machine}. The embedded model (135M) beside the published
OPT-125M; 2, 16 and 64 labels of each class, 3 data seeds that differ, 40 steps of at most 8, 200 items in and 200 out
of domain. Each cell: accuracy in the domain / out of it. Out of CoLA's domain: its other sources. Out of SICK's: pairs
whose hypothesis has no word that the premise lacks, half of them entailed, which HANS is made of; the published columns
beside SICK are MNLI without neutral pairs, and HANS.
"""


def verdicts(places: Mapping[str, Workplace], claim: Claim) -> list[tuple[str, float, float, float]]:
    """(cell, difference, low, high) for each task, split and size, by accuracy."""
    cells = []
    for task in claim.tasks:
        classes = TASKS[task][0]
        for split in (TASKS[task][where] for where in claim.splits):
            for size in SIZES:
                found, _ = places[task].run(
                    "compare", claim.better, claim.worse, "--metric", "accuracy",
                    "--split", str(split), "--n", str(size * classes),
                )  # fmt: skip
                cells.append((f"{task} {split} {size}", found["difference"], found["low"], found["high"]))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", choices=TASKS, help="only this one, without a report [both, one after the other]")
    parser.add_argument("--folder", type=Path, help="where to work; what is finished there is used")
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fewtune-compan-"))
    places = {task: Workplace("compan", folder / task) for task in TASKS}
    for task in [options.task] if options.task else TASKS:
        place = places[task]
        prepare(place, task, options.data / task)
        place.run("apply", f"{task}.toml", *(["--in-process"] if options.in_process else []))
    if options.task:
        return
    text = report(places)
    print(text)
    if options.output:
        options.output.write_text(text)


def prepare(place: Workplace, task: str, data: Path) -> None:
    """Put spec and data where the spec looks for them."""
    place.add(HERE / f"{task}.toml")
    if task == "sick":
        command = [sys.executable, str(HERE / "split_sick.py"), str(data), str(place.folder / task)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        return
    (place.folder / task).mkdir(exist_ok=True)
    for part in ("train", "validation", "ood"):
        place.add(data / f"{part}.jsonl", f"{task}/{part}.jsonl")


def report(places: Mapping[str, Workplace]) -> str:
    """The tables and the claims, as Markdown."""
    parts = [TITLE.format(machine=machine())]
    for task, (classes, *splits) in TASKS.items():
        rows = places[task].run("sql", FOUND)[0]["rows"]
        means = {(arm, n, split, metric): mean for arm, n, split, metric, mean in rows}

        def cell(arm: str, size: int, metric: str, n: int = classes, means: Any = means, splits: Any = splits) -> str:
            found = [means.get((arm, size * n, each, metric), means.get((arm, 0, each, metric))) for each in splits]
            return "/".join("-" if mean is None else f"{mean:.3f}".replace("0.", ".", 1) for mean in found)

        def measured(arm: str, of: Any = cell) -> list[str]:
            return [*(of(arm, size, "accuracy") for size in SIZES), of(arm, SIZES[-1], "mcc")]

        heads = ["arm", *(f"{size} a class" for size in SIZES), f"MCC, {SIZES[-1]}"]
        heads += [*(f"published, {size}" for size in SIZES), "what was otherwise there"]
        parts.append(f"## {task}\n\n{row(heads)}\n|{' --- |' * len(heads)}")
        parts += [row([s.arm, *measured(s.arm), *s.published[task], s.differs]) for s in SETTINGS]
        parts += [row([arm, *measured(arm), *NONE, "no baselines"]) for arm in BASELINES]
        closed = places[task].run("sql", CLOSED)[0]["rows"]
        parts.append(f"\nGates that stayed closed: {len(closed)} of 18 distillations.\n")
        parts += [f"- {trial}: {note}" for trial, note in closed] + [""]
    heads = ["conclusion", "cells for it", "against it", "cannot tell", "mean difference"]
    parts.append(f"## Which conclusions hold\n\n{row(heads)}\n|{' --- |' * len(heads)}")
    for claim in CLAIMS:
        cells = verdicts(places, claim)
        good, bad = sum(low > 0 for _, _, low, _ in cells), sum(high < 0 for *_, high in cells)
        mean = sum(each[1] for each in cells) / len(cells)
        parts.append(row([claim.text, str(good), str(bad), str(len(cells) - good - bad), f"{mean:+.3f}"]))
    return "\n".join(parts) + "\n"


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
