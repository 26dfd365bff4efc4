"""Rule filters and the search for near-duplicates over very many synthetic items, with copies planted among them.

    python tests/bench/near.py [--items 100000] [--copies 3000] > tests/bench/near.md

Items are 30 to 45 words of babble with the words of the example data; a copy has other case and punctuation, one word
replaced or left out, or two halves exchanged; some rows of the test split stand in longer items, half of them with a
word put in. The whole of stage 3 but the classifier is timed: form, length, leakage against 2,000 rows of a test split,
copies of 200 seeds and of each other. The classifier is timed apart.
"""

import argparse
import os
import platform
import random
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from babble import babble, copied

from fewtune.runtime.augment.agreement import agreement
from fewtune.runtime.augment.example import Candidate, Seed, texts
from fewtune.runtime.augment.filter import Filter
from fewtune.runtime.augment.leakage import leaks, likenesses

JUDGED = 2000
"""Items that the classifier is timed on."""
HIDDEN = 500
"""Test rows that stand in longer items."""


def buried(row: str, put_in: int, source: random.Random) -> str:
    """A longer item with the row in it, another word put in or not."""
    words = row.split()
    if put_in:
        words.insert(source.randrange(1, len(words)), "really")
    return f"{babble(source, 8, 12)} {' '.join(words)} {babble(source, 8, 12)}"


def main() -> None:
    """Plant, search, and print the table."""
    options = argparse.ArgumentParser()
    options.add_argument("--items", type=int, default=100_000)
    options.add_argument("--copies", type=int, default=3000)
    given = options.parse_args()
    source = random.Random(20)
    seeds = [Seed(fields={"text": babble(source)}, label=place % 4) for place in range(200)]
    held = {"test": [babble(source) for _ in range(2000)]}
    hidden = [buried(row, place % 2, source) for place, row in enumerate(held["test"][:HIDDEN])]
    plain = [babble(source) for _ in range(given.items - given.copies - HIDDEN)]
    origins = source.sample(range(len(plain)), given.copies)
    every = [*plain, *(copied(plain[place], source) for place in origins), *hidden]
    items = [Candidate(fields={"text": text}, label=place % 4) for place, text in enumerate(every)]

    steps: dict[str, float] = {}
    cores: dict[str, float] = {}
    began, spent = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal began, spent
        now, used = time.perf_counter(), time.process_time()
        steps[name], began = now - began, now
        cores[name], spent = used - spent, used

    passed = Filter(seeds, 4, held).by_rules(items)
    lap("form and length")
    alike = likenesses({**held, "seed": texts(seeds)}, every, held=held)
    found = alike.copies()
    lap("likeness to 2,000 test rows, to 200 seeds, and to each other")
    leaked = leaks(held, every, alike)
    lap("test rows inside longer items")
    buried_found = sum(place in leaked for place in range(len(every) - HIDDEN, len(every))) / HIDDEN
    inside = {place for place, match in leaked.items() if match.form in ("inside", "stretch")}
    buried_false = sum(place in inside for place in range(len(plain))) / len(plain)
    recall = sum(len(plain) + number in found for number in range(given.copies)) / given.copies
    false = sum(place in found for place in range(len(plain))) / len(plain)
    agreement(seeds, items[:JUDGED], 4, None)
    lap("classifier")
    rate = JUDGED / steps.pop("classifier")

    print("# Rule filters and near-duplicates\n")
    print(f"`python tests/bench/near.py --items {given.items} --copies {given.copies}`, {os.cpu_count()} cores "
          f"({platform.machine()}), Python {platform.python_version()}, load average "
          f"{os.getloadavg()[0]:.1f}.\n")  # fmt: skip
    print("| step | seconds | of one core |\n|---|---:|---:|")
    for name, seconds in steps.items():
        print(f"| {name} | {seconds:.1f} | {cores[name]:.1f} |")
    used = sum(cores[name] for name in steps)
    print(f"| **all, {given.items:,} items** | **{sum(steps.values()):.1f}** | {used:.1f} |\n")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print("| measured | value |\n|---|---:|")
    print(f"| planted copies that were found ({given.copies:,}) | {recall:.2%} |")
    print(f"| other items that were taken for copies | {false:.3%} |")
    print(f"| test rows inside longer items that were found ({HIDDEN}) | {buried_found:.2%} |")
    print(f"| other items that were taken to hold a test row | {buried_false:.3%} |")
    print(f"| items that passed form and length | {len(passed) / len(items):.1%} |")
    print(f"| words of an item (mean) | {sum(len(text.split()) for text in every) / len(every):.1f} |")
    print(f"| peak memory | {peak:.1f} GB |")
    print(f"| classifier (words alone, cross-fitted), items a second | {rate:.0f} |")


if __name__ == "__main__":
    main()
