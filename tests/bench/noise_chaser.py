"""How often does somebody who chases noise come to a false win, and is a real difference still found?

    python tests/bench/noise_chaser.py --sessions 2000 --output tests/bench/noise_chaser.md

A session is one test split and ten looks at it. Each look is a plan of three arms: two of the same method with fresh
seeds, and a baseline whose results are reused. All arms have the same expected accuracy, so every win is false. After
each look the chaser reads the verdict (the arm that validation chose against the two others) and compares the best arm
of all looks so far with the worst one, with the baseline and with the arm that it tried first, as `fewtune compare
RUN/ARM RUN/ARM` does. A session is a false win where any of these up to 40 answers says "better".

The rates are counted by p-values, as `fewtune.store.statistics` judges them; a test holds some sessions against
`compare_family` and `compare_picked` themselves. Populations are those of `intervals.py`.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from intervals import RISK, VALIDATION_ITEMS, Array, Population, draw

from fewtune.store.event import Looked
from fewtune.store.looks import Look, place
from fewtune.store.statistics import contrast_of, contrast_tail, holm

LOOKS = 10
TRIED = 2
"""Arms of a plan that are trained anew."""
ARMS = TRIED + 1
CHUNK = 2_000_000
"""Values drawn at once."""
BASELINE = 0
"""Place of the reused arm."""

Table = Sequence[Sequence[str | int | float]]


@cache
def look(number: int) -> Look:
    """The look of this number, from 1, in a session of equal plans."""
    seen = {str(name): Looked(content="c", plan_hash=str(name), split="test", arms=ARMS) for name in range(number)}
    return place(seen, str(number - 1), ARMS)


@dataclass(frozen=True, eq=False)
class Sessions:
    """All answers of some test splits, (sessions, arms, seeds, items), and whom validation chose."""

    values: Array
    chosen: npt.NDArray[np.int64]
    """(sessions, looks): the arm that validation chose."""

    def tail(self, a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Of each session, two-sided p-value of one arm against another, and whether it is ahead."""
        one, other = (np.take_along_axis(self.values, arm[:, None, None, None], axis=1)[:, 0] for arm in (a, b))
        ahead = one.mean(axis=(1, 2)) > other.mean(axis=(1, 2))
        paired, apart = (contrast_of(one, other, paired=kind) for kind in (True, False))
        tails = [contrast_tail(each, each.difference.mean) for each in (paired, apart)]
        return np.where(plan_of(a) == plan_of(b), *tails), ahead

    def verdict_wins(self, number: int, *, corrected: bool) -> npt.NDArray[np.bool_]:
        """Whether a look's verdict says that the chosen arm beats another one."""
        chosen = self.chosen[:, number - 1]
        other = 1 + (chosen - 1) // TRIED * TRIED + (TRIED - 1 - (chosen - 1) % TRIED)
        rivals = [self.tail(chosen, arm) for arm in (np.zeros_like(chosen), other)]
        p_values, ahead = (np.stack(each, axis=1) for each in zip(*rivals, strict=True))
        if corrected:
            risk = RISK * look(number).share
            p_values = np.array([[p for p, _ in holm(row, risk)] for row in p_values.tolist()]) / look(number).share
        return np.asarray((ahead & (p_values <= RISK)).any(axis=1))

    def picked(self, number: int) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """The pairs that the chaser compares after a look: the best arm so far with three others."""
        means = self.values[:, : 1 + TRIED * number].mean(axis=(2, 3))
        best, worst = means.argmax(axis=1), means.argmin(axis=1)
        return [(best, other) for other in (worst, np.full_like(best, BASELINE), np.ones_like(best))]

    def compare_wins(self, number: int, *, corrected: bool) -> npt.NDArray[np.bool_]:
        """Whether `compare` says that the best arm so far beats one of those."""
        won = np.zeros(len(self.values), bool)
        for a, b in self.picked(number):
            p_values, ahead = self.tail(a, b)
            later = np.maximum(plan_of(a), plan_of(b))
            part = np.array([look(each).pair_share for each in later.tolist()]) if corrected else 1.0
            won |= ahead & (p_values <= RISK * part)
        return won

    def wins(self, *, corrected: bool) -> npt.NDArray[np.bool_]:
        """Whether any verdict, and whether any comparison, claimed a win: (sessions, 2)."""
        numbers = range(1, LOOKS + 1)
        verdicts = [self.verdict_wins(number, corrected=corrected) for number in numbers]
        compared = [self.compare_wins(number, corrected=corrected) for number in numbers]
        return np.stack([np.any(verdicts, axis=0), np.any(compared, axis=0)], axis=1)


def plan_of(arms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The look at which arms were tried; the baseline is there from the first one on."""
    return np.maximum((arms - 1) // TRIED + 1, 1)


def sessions(population: Population, count: int, rng: np.random.Generator) -> Iterator[Sessions]:
    """Draw sessions; validation sees the same runs on items of its own."""
    p = population
    most = max(1, CHUNK // (len(p.accuracies) * p.seeds * p.items))
    for start in range(0, count, most):
        values, quality = draw(p, rng, min(most, count - start))
        mean = quality.mean(axis=-1)
        validation = mean + np.sqrt(mean * (1 - mean) / VALIDATION_ITEMS) * rng.standard_normal(mean.shape)
        tried = validation[:, 1:].reshape(len(values), LOOKS, TRIED)
        yield Sessions(values, 1 + TRIED * np.arange(LOOKS) + tried.argmax(axis=2))


def alike(items: int, seeds: int, sd: float, accuracy: float = 0.7) -> Population:
    """Arms without any difference: the baseline and those of ten looks."""
    count = 1 + TRIED * LOOKS
    return Population(accuracies=(accuracy,) * count, seed_sds=(sd,) * count, items=items, seeds=seeds)


def false_wins(population: Population, count: int, rng: np.random.Generator) -> dict[str, float]:
    """Shares of sessions with a false win, as it is judged and as it would be without any correction."""
    drawn = [(each.wins(corrected=True), each.wins(corrected=False)) for each in sessions(population, count, rng)]
    judged, naive = (np.concatenate(each) for each in zip(*drawn, strict=True))
    return {
        "verdict": float(judged[:, 0].mean()), "compare": float(judged[:, 1].mean()),
        "either": float(judged.any(axis=1).mean()), "uncorrected": float(naive.any(axis=1).mean()),
    }  # fmt: skip


def power(gap: float, items: int, seeds: int, sd: float, count: int, rng: np.random.Generator) -> dict[int, float]:
    """Look -> how often its verdict finds an arm that is better by `gap` than a baseline and another arm.

    Both come from the same draws: the arm, its rivals and the look's share of the risk are all that counts.
    """
    scores = (0.7, 0.7 + gap, 0.7)
    p = Population(accuracies=scores, seed_sds=(sd,) * 3, items=items, seeds=seeds)
    values, _ = draw(p, rng, count)
    tails = [contrast_of(values[:, 1], values[:, rival], paired=True) for rival in (BASELINE, 2)]
    p_values = np.stack([contrast_tail(each, each.difference.mean) for each in tails], axis=1)
    ahead = tails[0].difference.mean > 0
    found = {}
    for number in (1, 2, 4, LOOKS):
        risk = RISK * look(number).share
        said = np.array([holm(row, risk)[0][0] <= risk for row in p_values.tolist()])
        found[number] = float((said & ahead).mean())
    return found


def false_table(count: int, rng: np.random.Generator) -> Table:
    """A/A sessions: every cell is a share of sessions."""
    rows = []
    for items, seeds, sd in itertools.product((100, 300), (2, 3, 5), (0.0, 0.02, 0.05)):
        found = false_wins(alike(items, seeds, sd), count, rng)
        rows.append((items, seeds, str(sd), *found.values()))
    return [("items", "seeds", "sd", "verdict", "compare", "either", "without corrections"), *rows]


def power_table(count: int, rng: np.random.Generator) -> Table:
    """Real differences."""
    rows = []
    for gap, items, seeds in itertools.product((0.1, 0.15, 0.2), (200, 500), (3, 5)):
        rows.append((f"0.7 / {0.7 + gap:.2f}", items, seeds, *power(gap, items, seeds, 0.02, count, rng).values()))
    return [("accuracies", "items", "seeds", "look 1", "look 2", "look 4", f"look {LOOKS}"), *rows]


def markdown(table: Table) -> str:
    """The table; shares with three decimals."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def main() -> None:
    """Simulate both tables and print them."""
    parser = argparse.ArgumentParser(description="false wins of somebody who chases noise, and power")
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args()
    count = options.sessions
    wrong, right = false_table(count, np.random.default_rng(1)), power_table(count, np.random.default_rng(2))
    worst = max(float(row[5]) for row in wrong[1:])
    text = (
        "# False wins of somebody who chases noise\n\n"
        f"Made by `python tests/bench/noise_chaser.py --sessions {count} --output tests/bench/noise_chaser.md`. "
        f"{count} sessions a cell, ten looks each, accuracy 0.7, level 0.95; Monte-Carlo standard error of a share: "
        f"{np.sqrt(0.05 * 0.95 / count):.4f} at 0.05. What a session is, the script's docstring says. Largest share of "
        f"sessions with a false win: {worst:.3f}.\n\n## No difference: share of sessions with a false win\n\n"
        f"{markdown(wrong)}\n## A real difference: how often the look's verdict finds it\n\nThe better arm against a "
        f"baseline, one of two comparisons; seeds' sd 0.02.\n\n{markdown(right)}"
    )
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
