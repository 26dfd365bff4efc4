"""The quickstart as `make demo` runs it, with what it promises checked; ends with 1 where something does not hold.

python tests/bench/quickstart.py [--output tests/bench/quickstart.md]

Promised on 2 idle cores: under 5 minutes, inside the plan's range, every cut named, at least 3 data seeds of the chosen
arm, and no overlap of its interval with those of majority and zero-shot; a second apply starts nothing.
"""

import argparse
import shutil
import sys
from pathlib import Path

from workplace import Row, Workplace, leaderboard_table, machine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LIMIT = 300.0
AGAIN = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    place = Workplace("quickstart")
    shutil.copytree(EXAMPLES / "legal", place.folder / "legal")
    place.add(EXAMPLES / "quickstart.toml")
    plan, planned_in = place.run("plan", "quickstart.toml")
    applied, seconds = place.run("apply", "quickstart.toml")
    again, again_in = place.run("apply", "quickstart.toml")
    found, _ = place.run("results")
    low, mid, high = (plan["estimate"]["seconds"][name] for name in ("low", "mid", "high"))
    rows = {row["arm"]: row for row in found["leaderboard"] if row["split"] == "test"}
    chosen = next(row for row in rows.values() if row["chosen"])
    cuts = [decision for decision in plan["decisions"] if decision["rule"] == "budget"]
    checks = {
        f"{applied['started']} jobs in {seconds:.0f} s, at most {LIMIT:.0f} s": seconds <= LIMIT,
        f"the plan said {low:.0f} to {high:.0f} s, mid {mid:.0f} s": low <= seconds <= high,
        f"{chosen['seeds']} data seeds of the chosen arm": chosen["seeds"] >= 3,
        f"its interval is above majority's ({end(rows, 'majority'):.3f})": chosen["ci_low"] > end(rows, "majority"),
        f"its interval is above zero-shot's ({end(rows, 'zero-shot'):.3f})": chosen["ci_low"] > end(rows, "zero-shot"),
        f"a second apply: {again['started']} jobs in {again_in:.1f} s": not again["started"] and again_in < AGAIN,
        "cuts named: " + "; ".join(f"{cut['field']}: {cut['because']}" for cut in cuts): bool(cuts),
    }
    lines = "\n".join(f"- {'holds' if holds else 'DOES NOT HOLD'}: {what}" for what, holds in checks.items())
    text = f"""# The quickstart

`python tests/bench/quickstart.py --output tests/bench/quickstart.md`, {machine()}; planned in {planned_in:.1f} s.

{found["verdict"]["sentence"]}

{leaderboard_table(found, "test")}

{lines}
"""
    print(text)
    if options.output:
        options.output.write_text(text)
    sys.exit(not all(checks.values()))


def end(rows: dict[str, Row], arm: str) -> float:
    """The upper end of an arm's interval."""
    return float(rows[arm]["ci_high"])


if __name__ == "__main__":
    main()
