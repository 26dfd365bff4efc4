"""Planted label errors among the first 20 of a ranking: AG News, 200 rows, 10 of them with another label.

    python tests/bench/errors.py --data ../shared/data [--draws 5] [--first 0] [--output tests/bench/errors.md]

Each draw samples 200 rows of the training file and gives 10 of them another label, uniformly. `fewtune errors SPEC`
sees the file with these labels, and is asked for the whole ranking. Its list says of each row at which place the
encoder alone and the words alone (TF-IDF, pairs of words too, logistic regression) put it; all are cross-fitted alike.
The settings were chosen on other draws than those reported.
"""

import argparse
import json
import math
import random
import statistics
from pathlib import Path

from workplace import Row, Workplace, machine

ROWS, PLANTED, FIRST = 200, 10, 20
SPEC = """\
spec_version = 1
name = "errors"

[task]
type = "classification"

[data]
train = "train.jsonl"
"""


def drawn(data: Path, draw: int) -> tuple[list[Row], set[int]]:
    """(rows with their labels, numbers from 1 of those with a wrong one)."""
    source = random.Random(f"errors {draw}")
    lines = (data / "agnews" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[Row] = [json.loads(line) for line in source.sample(lines, ROWS)]
    labels = sorted({row["label"] for row in rows})
    wrong = set(source.sample(range(1, ROWS + 1), PLANTED))
    for number in sorted(wrong):
        row = rows[number - 1]
        row["label"] = source.choice([label for label in labels if label != row["label"]])
    return rows, wrong


def found(rows: list[Row], wrong: set[int]) -> dict[str, float]:
    """(ranking -> planted errors among its first, and what the marks are worth)."""
    place = Workplace("errors")
    place.write("train.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    place.write("spec.toml", SPEC)
    answer, _ = place.run("errors", "spec.toml", "--limit", str(ROWS))
    checked = answer["mislabelled"]
    rankings = {"errors": [row["row"] for row in checked["rows"]]}
    for view in checked["views"]:
        rankings[view] = [row["row"] for row in sorted(checked["rows"], key=lambda row: row["ranks"][view])]
    hits: dict[str, float] = {name: len(wrong & set(ranking[:FIRST])) for name, ranking in rankings.items()}
    marked = {row["row"] for row in checked["rows"] if row["marked"]}
    said = {"expected": checked["expected"] or 0.0, "marked": len(marked), "right": len(marked & wrong)}
    return hits | said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="The first draw.")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    draws = range(options.first, options.first + options.draws)
    results = [found(*drawn(options.data, draw)) for draw in draws]
    text = report(results, list(draws))
    print(text)
    if options.output:
        options.output.write_text(text)


def report(results: list[dict[str, float]], draws: list[int]) -> str:
    """The page."""
    columns = ("errors", "encoder", "words", "expected", "marked", "right")
    lines = [
        "| draw | errors | encoder alone | TF-IDF alone | look wrong | marked | planted among the marked |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for draw, hits in zip(draws, results, strict=True):
        lines.append(f"| {draw} | " + " | ".join(f"{hits[name]:.0f}" for name in columns) + " |")
    lines.append("| mean | " + " | ".join(_mean([hits[name] for hits in results]) for name in columns) + " |")
    chance = FIRST * PLANTED / ROWS
    command = f"python tests/bench/errors.py --data ../shared/data --draws {len(draws)}"
    about = (
        f"# Planted label errors\n\n`{command}`, {machine()}.\n\n"
        f"AG News, {ROWS} rows, {PLANTED} with a wrong label: how many of them each ranking has among its first "
        f"{FIRST}. A random order would have {chance:.1f}. Means with their standard error over draws. `errors` pools "
        "the sentence encoder and TF-IDF, which also stand alone; a mark says likelier wrong than right. AG News has "
        "wrong and doubtful labels of its own, so that a row that is not planted may be one of them."
    )
    return about + "\n\n" + "\n".join(lines) + "\n"


def _mean(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values) / math.sqrt(len(values)):.1f}"


if __name__ == "__main__":
    main()
