"""What 40 written pairs (examples/preference) move: margin and accuracy on 20 others, and what is forgotten.

    python tests/bench/preference.py [--arms dpo,orpo,simpo,generate] [--folder FOLDER] [--output FILE]

LoRA on the embedded model, three data seeds, nothing pinned but the arms; "generate" learns the better texts alone,
which is what preferences must beat. A later call in the same folder goes on from what is there.
"""

import argparse
import json
from pathlib import Path

from workplace import Workplace, machine

EXAMPLE = Path(__file__).resolve().parents[2] / "examples"
RULED = ("dpo+lora", "orpo+lora", "generate+lora")
"""Arms of the rules, which are left out where they are not asked for."""
QUERY = """
SELECT l.arm, l.metric, l.mean, l.ci_low, l.ci_high, f.mean, f.low, f.high
FROM leaderboard l LEFT JOIN (
    SELECT arm, avg(forgetting) AS mean, min(forgetting) AS low, max(forgetting) AS high FROM trials GROUP BY arm
) f USING (arm) WHERE l.split = 'test' ORDER BY l.metric, l.mean DESC"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", default="dpo,orpo,simpo,generate")
    parser.add_argument("--folder", type=Path, help="where to work; what is finished there is used")
    parser.add_argument("--in-process", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    place = Workplace("preference", options.folder)
    (place.folder / "preference").mkdir(exist_ok=True)
    for name in ("train.csv", "test.csv"):
        place.add(EXAMPLE / "preference" / name, f"preference/{name}")
    methods = [f"{name}+lora" for name in options.arms.split(",")]
    others = [name for name in RULED if name not in methods]
    spec = (EXAMPLE / "preference.toml").read_text().replace('wall_time = "30 min"', 'wall_time = "9 h"')
    place.write("spec.toml", f"{spec}\n[methods]\ninclude = {json.dumps(methods)}\nexclude = {json.dumps(others)}\n")
    place.run("apply", "spec.toml", *(["--in-process"] if options.in_process else []))
    results, _ = place.run("results")
    found, _ = place.run("sql", QUERY)
    cells: dict[str, dict[str, str]] = {}
    for arm, metric, mean, low, high, *lost in found["rows"]:
        row = cells.setdefault(arm, {"forgetting": ""})
        row[metric] = f"{mean:.2f} [{low:.2f}, {high:.2f}]"
        if lost[0] is not None:
            row["forgetting"] = f"{lost[0]:+.3f} ({lost[1]:+.3f} to {lost[2]:+.3f})"
    lines = [f"| {arm} | {row['margin']} | {row['preference_accuracy']} | {row['forgetting']} |"
             for arm, row in cells.items()]  # fmt: skip
    text = f"""# What 40 written pairs move

`python tests/bench/preference.py --arms {options.arms}`, {machine()}. 20 other pairs, 3 data seeds;
forgetting is the mean over the seeds, and its range.

| arm | margin, nats a token | preference accuracy | forgetting, nats a token |
| --- | --- | --- | --- |
{chr(10).join(lines)}

{results["verdict"]["sentence"]}
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
