"""What the filters catch of the planted faults, from the recording of tests/planted.py.

PYTHONPATH=tests python tests/bench/synthetic.py > tests/bench/synthetic.md
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from planted import COPIES, LEAKS, MODEL, RECORDING, planted, seeds, synthesis

from fewtune.runtime.augment.agreement import agreement
from fewtune.runtime.augment.filter import VENDOR_SHARE
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.recording import Recording, Replay
from fewtune.runtime.augment.synthesis import Synthetic
from fewtune.runtime.augment.vectors import embedded_vectors

THRESHOLDS = (0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
VIEWS = {"words and encoder": embedded_vectors, "words alone": lambda: None}
Truth = dict[tuple[str, int], tuple[str, str]]


def main() -> None:
    """Replay, filter, and print the tables."""
    truth: Truth = {(one.text.strip(), one.label): (one.fault, one.form) for one in reversed(planted())}
    print("# Planted faults in synthetic data\n")
    print("`PYTHONPATH=tests python tests/bench/synthetic.py`. 48 seeds, 56 test rows, and a recorded teacher whose "
          "answers hold 144 clean messages, 28 written for another label, and the table's rest.\n")  # fmt: skip
    found = run(VIEWS["words and encoder"]())
    outcomes = Counter(
        (*truth.get((left.candidate.fields["message"], left.candidate.label), ("format", "")), left.reason)
        for left in found.rejected
    )
    print("| planted | form | how many | caught | as |\n|---|---|---:|---:|---|")
    planned = [("leak", form) for form in LEAKS] + [("copy", form) for form in COPIES] + [("format", ""), ("label", "")]
    for fault, form in planned:
        rows = {reason: count for (f, g, reason), count in outcomes.items() if (f, g) == (fault, form)}
        total = sum(one.fault == fault and one.form == form for one in planted()) + 2 * (fault == "format")
        said = ", ".join(f"{reason} {count}" for reason, count in sorted(rows.items()))
        print(f"| {fault} | {form or '-'} | {total} | {sum(rows.values()) / total:.0%} | {said} |")
    clean = sum(one.fault == "clean" for one in planted())
    wrongly = {reason: count for (f, _, reason), count in outcomes.items() if f == "clean"}
    by_rules = sum(count for reason, count in wrongly.items() if reason != "label")
    print(f"\nClean messages that were left out: {by_rules / clean:.1%} by the rules on form, length and likeness, "
          f"{wrongly.get('label', 0) / clean:.1%} by the classifier at the default threshold.")  # fmt: skip
    low, high = VENDOR_SHARE
    print(
        f"Retained share: {found.share:.0%} of all that was written (Vereonix's page says {low:.0%} to {high:.0%}).\n"
    )
    print("## Wrong labels\n\nOf the examples that the other tests let pass; a threshold is the least probability that "
          "the label is right. The default is 0.85.\n")  # fmt: skip
    print("| views | threshold | doubted | wrong among them (precision) | found of the wrong (recall) |")
    print("|---|---:|---:|---:|---:|")
    for name, encode in VIEWS.items():
        curve(name, encode(), found, truth)


def run(encode: object) -> Synthetic:
    """The whole pipeline on the recording."""
    made = synthesis()
    made.encode = encode  # type: ignore[assignment]
    return made.run(seeds(), Replay(Recording(RECORDING), MODEL), Ledger())


def curve(name: str, encode: object, found: Synthetic, truth: Truth) -> None:
    """Precision and recall over thresholds."""
    judged = [kept.candidate for kept in found.kept]
    judged += [left.candidate for left in found.rejected if left.reason == "label"]
    quality = agreement(seeds(), judged, 4, encode).quality  # type: ignore[arg-type]
    wrong = [truth[one.fields["message"], one.label][0] == "label" for one in judged]
    for threshold in THRESHOLDS:
        doubted = [bad for bad, value in zip(wrong, quality, strict=True) if value < threshold]
        precision = f"{sum(doubted) / len(doubted):.0%}" if doubted else "-"
        print(f"| {name} | {threshold} | {len(doubted)} | {precision} | {sum(doubted) / sum(wrong):.0%} |")


if __name__ == "__main__":
    main()
