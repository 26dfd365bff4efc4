"""A CSV of 60 rows and nothing else: init, plan, apply, predict, export, on the embedded model.

python tests/bench/own_csv.py [--output tests/bench/own_csv.md]
"""

import argparse
import csv
from pathlib import Path

from workplace import Workplace, leaderboard_table, machine

CLAUSES = Path(__file__).resolve().parents[2] / "examples" / "legal" / "train.csv"
TYPES = ("payment", "termination", "warranty")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where to work; an interrupted run goes on there")
    options = parser.parse_args()
    place = Workplace("csv", options.folder)
    with CLAUSES.open(newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["type"] in TYPES][:60]
    with (place.folder / "contracts.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ["clause", "type"])
        writer.writeheader()
        writer.writerows(rows)
    made, _ = place.run("init", "contracts.csv")
    plan, _ = place.run("plan", "contracts.toml")
    applied, seconds = place.run("apply", "contracts.toml")
    found, _ = place.run("results")
    exported, _ = place.run("export", "model")
    low, high = (plan["estimate"]["seconds"][name] for name in ("low", "high"))
    text = f"""# Sixty rows and nothing else

`python tests/bench/own_csv.py --output tests/bench/own_csv.md`, {machine()}.

`fewtune init contracts.csv` writes

```toml
{made["spec"].strip()}
```

{found["verdict"]["sentence"]}

{leaderboard_table(found, "cv")}

{applied["started"]} jobs in {seconds:.0f} s; the plan said {low:.0f} to {high:.0f} s. `fewtune export model` writes
{", ".join(f"`{name}`" for name in exported["files"])}.
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
