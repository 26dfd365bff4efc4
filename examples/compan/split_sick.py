"""SICK's parts -> what sick.toml reads: training and test pairs without, and a split with, lexical overlap.

    python split_sick.py FOLDER [TO]

FOLDER holds train.jsonl, validation.jsonl and test.jsonl with premise, hypothesis and label in a row. The split
`overlap` has 100 pairs of the test part that entail and 100 that do not, in their order, whose hypothesis has no word
that the premise lacks: the lexical-overlap heuristic of HANS (arXiv 1902.01007, section 2).
"""

import json
import re
import sys
from pathlib import Path

HALF = 100


def overlaps(row: dict[str, str]) -> bool:
    """Whether every word of the hypothesis stands in the premise.

    >>> overlaps({"premise": "A dog is chasing a cat", "hypothesis": "A cat is chasing a dog"})
    True
    """
    premise, hypothesis = (set(re.findall(r"\w+", row[name].lower())) for name in ("premise", "hypothesis"))
    return hypothesis <= premise


def main(source: Path, target: Path) -> None:
    """Write the parts and say how many pairs each has."""
    parts = {
        name: [json.loads(line) for line in (source / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "validation", "test")
    }
    found = [row for row in parts.pop("test") if overlaps(row)]
    entailing = [row for row in found if row["label"] == "entailment"][:HALF]
    others = [row for row in found if row["label"] != "entailment"][:HALF]
    split = {name: [row for row in rows if not overlaps(row)] for name, rows in parts.items()}
    target.mkdir(parents=True, exist_ok=True)
    for name, rows in {**split, "overlap": [*entailing, *others]}.items():
        (target / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        sys.stdout.write(f"{name}: {len(rows)} pairs\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "sick"))
