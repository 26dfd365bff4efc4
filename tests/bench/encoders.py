"""Tuned encoders beside the frozen one: AG News with 8 and 32 labels, two data seeds, 150 test rows.

python tests/bench/encoders.py --data ../shared/data [--output tests/bench/encoders.md]
"""

import argparse
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

SPEC = """\
spec_version = 1
name = "tuned encoders"

[task]
type = "classification"

[data]
train = "train.jsonl"
test = { path = "test.jsonl", rows = "1-150" }
label_budget = [8, 32]

[evaluation]
data_seeds = 2
validation = "fixed-schedule"

[methods]
arms = [{ method = "setfit" }, { method = "encoder+lora" }, { method = "encoder+full" }]
exclude = ["tfidf", "probe", "zero-shot"]
"""
COSTS = """
SELECT arm, n, round(avg(training_seconds)) AS seconds, max(peak_memory_bytes) / 1e9 AS gb,
    max(trainable_parameters) AS moved, max(adapter_bytes) / 1e6 AS mb, round(avg(latency_ms)) AS ms
FROM trials GROUP BY arm, n ORDER BY n, arm"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    place = Workplace("encoders")
    for split in ("train", "test"):
        place.add(options.data / "agnews" / f"{split}.jsonl")
    place.write("spec.toml", SPEC)
    applied, seconds = place.run("apply", "spec.toml", "--in-process")
    found, _ = place.run("results")
    costs, _ = place.run("sql", COSTS)
    parts = [
        f"# Tuned encoders\n\n`python tests/bench/encoders.py --data ../shared/data`, {machine()}.",
        leaderboard_table(found, "test"),
        "\n".join(["| arm | n | seconds | GB | moved | MB | ms |", "| --- | --- | --- | --- | --- | --- | --- |",
                   *(f"| {' | '.join(map(str, row))} |" for row in costs["rows"])]),
        f"{applied['started']} jobs in {seconds:.0f} s.",
    ]  # fmt: skip
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
