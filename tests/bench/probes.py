"""Probes beside the other arms that move no weights: AG News (32 labels), SICK (pairs, 63), 5 seeds, 200 test rows.

python tests/bench/probes.py --data ../shared/data [--output tests/bench/probes.md]
"""

import argparse
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

SPEC = """\
spec_version = 1
name = "{name}"

[task]
type = "{type}"

[data]
train = "train.jsonl"
test = {{ path = "test.jsonl", rows = "1-200" }}
label_budget = {{ per_class = {each} }}

[evaluation]
data_seeds = 5

[methods]
exclude = ["pattern+lora", "pattern+full", "head+lora", "head+full"]
"""
TASKS = {"agnews": ("AG News", "classification", 8), "sick": ("SICK", "pair-classification", 21)}
"""Folder -> name, type, labels of each class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    parts = [f"# Arms that move no weights\n\n`python tests/bench/probes.py --data ../shared/data`, {machine()}."]
    for folder, (name, kind, each) in TASKS.items():
        place = Workplace(folder)
        for split in ("train", "test"):
            place.add(options.data / folder / f"{split}.jsonl")
        place.write("spec.toml", SPEC.format(name=name, type=kind, each=each))
        applied, seconds = place.run("apply", "spec.toml")
        found, _ = place.run("results")
        parts.append(
            f"## {name}\n\n{leaderboard_table(found, 'test')}\n\n{applied['started']} jobs in {seconds:.0f} s."
        )
    text = "\n\n".join(parts) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
