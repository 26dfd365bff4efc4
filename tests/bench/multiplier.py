"""Learning curves with and without synthetic examples on AG News, and what these were worth in real ones.

    python tests/bench/multiplier.py --data ../shared/data [--arms tfidf encoder pattern+lora] [--factor 1]
        [--sizes 8 16 32 64] [--seeds 3] [--keep FOLDER] [--output tests/bench/multiplier.md]

The teacher is the embedded model, whatever it is worth: its calls are recorded as they are made, so that a run that was
stopped goes on where it was (--keep), and then replayed in a second workspace, whose synthetic data must be the same;
there only the cheapest arm is trained on them.
The gate is left open, as it would drop a teacher that knows less than the student. Only the table is committed.
"""

import argparse
import json
import os
import random
import shutil
from pathlib import Path

from workplace import Row, Workplace, machine

TEST_ITEMS = 400
TEACHER = "smollm2-135m-instruct"
METHODS = (
    "majority",
    "tfidf",
    "encoder",
    "probe",
    "zero-shot",
    "in-context",
    "pattern+lora",
    "head+lora",
    "pattern+full",
)
SPEC = """\
spec_version = 1
name = "multiplier"

[task]
type = "classification"
question = "Which section of a newspaper is the report for?"

[data]
train = "train.jsonl"
test = "test.jsonl"
label_budget = {sizes}

[methods]
exclude = {excluded}

[evaluation]
data_seeds = {seeds}
validation = "fixed-schedule"

[augmentation]
eda = true
factor = {factor}
gate = false
domain_constraints = ["one or two sentences of a news report, with its headline"]

[augmentation.teacher]
model = "{teacher}"
"""
LAST = "run = (SELECT max(run) FROM runs)"
DATA_SETS = (
    "SELECT source, n, data_seed, count(*) AS rows, md5(string_agg(label || chr(10) || text, chr(10) "
    f"ORDER BY label, text)) AS content FROM augmented_examples WHERE kept AND {LAST} GROUP BY ALL ORDER BY ALL"
)


def prepared(place: Workplace, data: Path) -> None:
    """The training file, and a fixed part of the test file."""
    place.add(data / "agnews" / "train.jsonl")
    lines = (data / "agnews" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = random.Random("multiplier").sample(lines, TEST_ITEMS)
    place.write("test.jsonl", "\n".join(chosen) + "\n")


def sql(place: Workplace, query: str) -> list[Row]:
    """Rows of a query."""
    found, _ = place.run("sql", query, "--limit", "5000")
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, row, strict=True)) for row in found["rows"]]


def table(rows: list[Row], columns: dict[str, str]) -> str:
    """Rows as Markdown."""
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        cells = (f"{row[name]:.2f}" if isinstance(row[name], float) else str(row[name]) for name in columns)
        lines.append("| " + " | ".join("-" if cell in ("None", "") else cell for cell in cells) + " |")
    return "\n".join(lines)


def written(given: argparse.Namespace, arms: list[str]) -> str:
    """The spec with these arms, and the majority class."""
    excluded = [name for name in METHODS if name not in (*arms, "majority")]
    return SPEC.format(sizes=given.sizes, excluded=json.dumps(excluded), seeds=given.seeds, factor=given.factor,
                       teacher=TEACHER)  # fmt: skip


def main() -> None:
    """Record, replay, compare, print."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--arms", nargs="+", default=["tfidf", "encoder", "pattern+lora"])
    options.add_argument("--sizes", type=int, nargs="+", default=[8, 16, 32, 64])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--factor", type=float, default=1.0)
    options.add_argument("--keep", type=Path)
    options.add_argument("--output", type=Path)
    given = options.parse_args()
    os.environ["FEWTUNE_WORKSPACE"] = ".fewtune"
    place = Workplace("multiplier", given.keep)
    prepared(place, given.data)
    place.write("spec.toml", written(given, given.arms))
    place.run("apply", "spec.toml", "--in-process")
    again = Workplace("multiplier-replay", given.keep and given.keep / "replay")
    prepared(again, given.data)
    shutil.copyfile(place.folder / ".fewtune" / "teachers" / f"{TEACHER}.jsonl", again.folder / "calls.jsonl")
    again.write("spec.toml", f'{written(given, ["tfidf"])}recording = "calls.jsonl"\n')
    again.run("apply", "spec.toml", "--in-process")
    made, replayed = sql(place, DATA_SETS), sql(again, DATA_SETS)
    text = report(place, given, same=bool(made) and made == replayed)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


def report(place: Workplace, given: argparse.Namespace, *, same: bool) -> str:
    """Everything that was measured."""
    made = sql(place, "SELECT source, n, sum(written) AS written, sum(kept) AS kept, "
                      "sum(kept) / sum(written) AS share, "
                      "sum(calls) AS calls, sum(tokens) AS tokens FROM augmentations "
                      "GROUP BY ALL ORDER BY ALL")  # fmt: skip
    notes = sql(place, "SELECT DISTINCT note FROM augmentations WHERE source = 'teacher' ORDER BY note")
    curves = sql(place, "SELECT arm, n, mean, ci_low, ci_high FROM leaderboard WHERE split = 'test' "
                        "AND metric = (SELECT any_value(metric) "
                        "FROM effective_multiplier) ORDER BY arm, n")  # fmt: skip
    numbers = ", ".join(
        f"concat_ws(' ', {bound}, printf('%.2f', {name})) AS {name}"
        for name, bound in (("multiplier", "bound"), ("ci_low", "ci_low_bound"), ("ci_high", "ci_high_bound"))
    )
    worth = sql(place, f"SELECT arm, n, {numbers}, says FROM effective_multiplier ORDER BY arm, n")
    (took,) = sql(place, "SELECT sum(seconds) FILTER (WHERE job LIKE 'augment/teacher/%') / 60 AS writing, "
                         "sum(seconds) / 60 AS total FROM attempts")  # fmt: skip
    command = f"python tests/bench/multiplier.py --data ../shared/data --arms {' '.join(given.arms)}"
    command += f" --sizes {' '.join(map(str, given.sizes))} --seeds {given.seeds} --factor {given.factor:g}"
    return "\n\n".join([
        "# What synthetic examples were worth on AG News",
        f"`{command}`, {machine()}; {took['total']:.0f} minutes of work, {took['writing']:.0f} of them the "
        f"teacher's. {TEST_ITEMS} test items, {given.seeds} data seeds; the "
        f"teacher is the embedded model ({TEACHER}), its gate left open. Replayed from its recording in a second "
        f"workspace, the synthetic data are {'the same' if same else 'NOT the same'}.",
        "## The synthetic data, all seeds together",
        table(made, {"source": "source", "n": "n", "written": "written", "kept": "kept", "share": "share kept",
                     "calls": "calls", "tokens": "tokens"}),
        *(f"What the stages of the teacher say: {row['note']}." for row in notes),
        "## The multiplier\n\nReal examples that would give the arm's accuracy, over n, with its 95 % interval over "
        "data seeds. At most and at least stand where a score lies beyond the curve: the number is the curve's end, "
        "and the value lies below or above.",
        table(worth, {"arm": "arm", "n": "n", "multiplier": "multiplier", "ci_low": "from", "ci_high": "to",
                      "says": "in words"}),
        "## The curves",
        table(curves, {"arm": "arm", "n": "n", "mean": "mean", "ci_low": "from", "ci_high": "to"}),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
