"""Tuned encoders beside the frozen one: AG News with 8 and 32 labels, two data seeds, 150 test rows.

python tests/bench/encoders.py --data ../shared/data [--sizes 8 32] [--output tests/bench/encoders.md]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from workplace import Workplace, machine

SPEC = """\
spec_version = 1
name = "tuned encoders"

[task]
type = "classification"

[data]
train = "train.jsonl"
test = {{ path = "test.jsonl", rows = "1-150" }}
label_budget = [{sizes}]

[evaluation]
data_seeds = 2
validation = "fixed-schedule"

[methods]
arms = [{{ method = "setfit" }}, {{ method = "encoder+lora" }}, {{ method = "encoder+full" }}]
exclude = ["tfidf", "probe", "zero-shot"]
"""
FOUND = """
SELECT n, arm, round(mean, 3) AS accuracy, round(ci_low, 3) AS low, round(ci_high, 3) AS high, seeds, items
FROM leaderboard WHERE split = 'test' AND metric = 'accuracy' ORDER BY n, accuracy DESC"""
COSTS = """
SELECT arm, n, round(avg(training_seconds)) AS seconds, round(max(peak_memory_bytes) / 1e9, 2) AS gb,
    max(trainable_parameters) AS moved, round(max(adapter_bytes) / 1e6, 1) AS mb, round(avg(latency_ms)) AS ms
FROM trials GROUP BY arm, n ORDER BY n, arm"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    place = Workplace("encoders")
    for split in ("train", "test"):
        place.add(options.data / "agnews" / f"{split}.jsonl")
    given = " ".join(map(str, options.sizes))
    place.write("spec.toml", SPEC.format(sizes=given.replace(" ", ", ")))
    applied, seconds = place.run("apply", "spec.toml", "--in-process")
    found, costs = (place.run("sql", query)[0]["rows"] for query in (FOUND, COSTS))
    parts = [
        f"# Tuned encoders\n\n`python tests/bench/encoders.py --data ../shared/data --sizes {given}`, {machine()}.",
        table(("n", "arm", "accuracy", "low", "high", "seeds", "items"), found),
        table(("arm", "n", "seconds", "GB", "moved", "MB", "ms"), costs),
        f"{applied['started']} jobs in {seconds:.0f} s.",
    ]  # fmt: skip
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown; nothing is an empty cell."""
    lines = [heads, ["---"] * len(heads), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
