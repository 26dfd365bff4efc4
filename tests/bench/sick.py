"""SICK (sentence pairs: entailment, neutral, contradiction) with 64 labels, nothing pinned.

python tests/bench/sick.py --data ../shared/data [--output tests/bench/sick.md]
"""

import argparse
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

SPEC = """\
spec_version = 1
name = "SICK"

[task]
type = "pair-classification"

[data]
train = "train.jsonl"
test = { path = "test.jsonl", rows = "1-200" }
label_budget = 64

[constraints]
wall_time = "15 min"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; an interrupted run goes on there")
    options = parser.parse_args()
    place = Workplace("sick", options.folder)
    for name in ("train", "test"):
        place.add(options.data / "sick" / f"{name}.jsonl")
    place.write("sick.toml", SPEC)
    plan, _ = place.run("plan", "sick.toml")
    applied, seconds = place.run("apply", "sick.toml")
    found, _ = place.run("results")
    low, high = (plan["estimate"]["seconds"][name] for name in ("low", "high"))
    text = f"""# SICK, 64 labels in all

`python tests/bench/sick.py --data ../shared/data --output tests/bench/sick.md`, {machine()}.

{found["verdict"]["sentence"]}

{leaderboard_table(found, "test")}

{applied["started"]} jobs in {seconds:.0f} s; the plan said {low:.0f} to {high:.0f} s.
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
