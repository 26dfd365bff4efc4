"""Do the intervals cover what they claim, and is "better" false as rarely as it claims?

    python tests/bench/intervals.py --draws 5000 --output tests/bench/intervals.md

Draws whole experiments from populations whose expected scores are known, judges them with `fewtune.store.statistics`,
and counts. Every draw has new items, new data seeds and new model seeds.

An arm with the threshold t answers item i correctly in a run with data seed s when

    t + difficulty(i) + difficulty(arm, i) + seed(s) + seed(arm, s) + interaction(s, i) + interaction(arm, s, i) > 0,

all normal and independent; difficulties and interactions have variance 1 together. t and the seeds' sd are solved from
the expected accuracy and the sd of accuracy over seeds that a cell asks for. Arms share an item's difficulty and part
of a data seed's luck. On such a scale the accuracies of seeds are skewed near 1, as those of real ones are.
"""

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from fewtune.specs.evaluation import Metric
from fewtune.store.metrics import BOUNDS, contributions
from fewtune.store.statistics import (
    Contrast,
    contrast_bounds,
    contrast_of,
    contrast_tail,
    holm,
    score_bounds,
    score_tail,
    spread_of,
)

Array = npt.NDArray[np.float64]
Outcomes = dict[str, npt.NDArray[np.bool_]]
Judge = Callable[[Array, Array], Outcomes]
Cell = str | int | float

RISK = 0.05
SHARED_LUCK = 0.3
"""Share of the variance of seeds and interactions that arms with the same data seed have in common."""
MODEL_LUCK = 0.5
"""Share of the rest that belongs to the model seed, where a data seed has several."""
VALIDATION_ITEMS = 100
"""Items behind the validation score that picks the best arm."""
CHUNK = 3_000_000
"""Values drawn at once."""
WIDTHS = 300
"""Draws whose interval is solved for its ends; coverage needs only the p-value at the truth."""

_HERMITE, _MASS = np.polynomial.hermite_e.hermegauss(80)
_MASS = _MASS / _MASS.sum()


@dataclass(frozen=True, kw_only=True)
class Population:
    """What experiments are drawn from; `accuracies` and `seed_sds` have one entry for each arm."""

    accuracies: Sequence[float]
    seed_sds: Sequence[float]
    """Sd over seeds of a run's expected accuracy."""
    items: int
    seeds: int
    model_seeds: int = 1
    interaction: float = 0.3
    """Share of the latent variance of an item that another run would draw again."""
    own_difficulty: float = 0.2
    """Share that belongs to the item and one arm."""
    collapse: float = 0.0
    """Chance that a run answers by chance; `accuracies` are those of the others."""

    def truth(self, arm: int) -> float:
        """Expected accuracy of an arm."""
        return (1 - self.collapse) * self.accuracies[arm] + self.collapse * 0.5


def latent(accuracy: float, sd: float) -> tuple[float, float]:
    """The threshold and the seeds' sd on the normal scale that give this expected accuracy and this sd of it."""
    normal = float(special.ndtri(accuracy))
    if sd == 0:
        return normal, 0.0

    def excess(scale: float) -> float:
        quality = special.ndtr(normal * np.sqrt(1 + scale**2) + scale * _HERMITE)
        return float(np.sqrt(_MASS @ np.square(quality) - (_MASS @ quality) ** 2) - sd)

    scale = float(optimize.brentq(excess, 1e-6, 10))
    return normal * float(np.sqrt(1 + scale**2)), scale


def mix(*parts: tuple[float, npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Sum of standard normal parts with the given variances."""
    return sum((np.float32(np.sqrt(variance)) * part for variance, part in parts), np.zeros(1, dtype=np.float32))


def draw(population: Population, rng: np.random.Generator, draws: int) -> tuple[Array, Array]:
    """Draw experiments.

    Returns:
        Correct answers averaged over model seeds, (draws, arms, seeds, items), and what each data seed's runs would
        score on endless items, (draws, arms, seeds).
    """
    p = population
    runs = (draws, p.seeds, p.model_seeds)
    model = MODEL_LUCK * (p.model_seeds > 1)

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    difficulty, seed_luck = normal(draws, 1, 1, p.items), normal(draws, p.seeds, 1, 1)
    interaction = normal(draws, p.seeds, 1, p.items)
    values = np.empty((draws, len(p.accuracies), p.seeds, p.items))
    quality = np.empty((draws, len(p.accuracies), p.seeds))
    for arm, (accuracy, seed_sd) in enumerate(zip(p.accuracies, p.seed_sds, strict=True)):
        threshold, sd = latent(accuracy, seed_sd)
        own_luck = mix((1 - model, normal(draws, p.seeds, 1, 1)), (model, normal(*runs, 1)))
        seed = mix((SHARED_LUCK, seed_luck), (1 - SHARED_LUCK, own_luck))
        level = np.float32(threshold) + np.float32(sd) * seed
        right = level + mix(
            (1 - p.interaction - p.own_difficulty, difficulty),
            (p.own_difficulty, normal(draws, 1, 1, p.items)),
            (p.interaction * SHARED_LUCK, interaction),
            (p.interaction * (1 - SHARED_LUCK), normal(*runs, p.items)),
        )
        lost = rng.random((*runs, 1)) < p.collapse
        correct = np.where(lost, rng.random(right.shape) < 0.5, right > 0) if p.collapse else right > 0
        values[:, arm] = correct.mean(axis=2)
        quality[:, arm] = np.where(lost, 0.5, special.ndtr(level)).mean(axis=(2, 3))
    return values, quality


def rates(population: Population, draws: int, rng: np.random.Generator, judge: Judge) -> dict[str, float]:
    """How often each outcome happens in so many draws."""
    p = population
    most = max(1, CHUNK // (len(p.accuracies) * p.seeds * p.model_seeds * p.items))
    counts: dict[str, int] = {}
    for start in range(0, draws, most):
        for name, happened in judge(*draw(p, rng, min(most, draws - start))).items():
            counts[name] = counts.get(name, 0) + int(happened.sum())
    return {name: count / draws for name, count in counts.items()}


def covers(values: Array, truth: float) -> npt.NDArray[np.bool_]:
    """Whether the score intervals of `values` (draws, seeds, items) cover the truth."""
    spread = spread_of(values)
    return score_tail(spread, np.full_like(spread.mean, truth)) > RISK


def decisions(contrast: Contrast, truth: float) -> Outcomes:
    """Whether the intervals of differences cover the truth, and on which side they exclude 0."""
    mean = contrast.difference.mean
    decided = contrast_tail(contrast, mean) <= RISK
    return {
        "difference covers": contrast_tail(contrast, mean - truth) > RISK,
        "better": decided & (mean > 0),
        "worse": decided & (mean < 0),
    }


def pair(values: Array) -> Contrast:
    """The first two arms, paired by seed."""
    return contrast_of(values[:, 0], values[:, 1], paired=True)


def judge_pair(values: Array, truths: tuple[float, float]) -> Outcomes:
    """Both kinds of interval: the score of the first arm, and its difference from the second one."""
    return {"score covers": covers(values[:, 0], truths[0]), **decisions(pair(values), truths[0] - truths[1])}


def pair_widths(values: Array) -> dict[str, float]:
    """Median widths of both kinds of interval; solving for the ends takes longer than counting, so of fewer draws."""
    score_low, score_high = score_bounds(spread_of(values[:WIDTHS, 0]), RISK)
    low, high = contrast_bounds(pair(values[:WIDTHS]), RISK)
    return {"score width": float(np.median(score_high - score_low)), "difference width": float(np.median(high - low))}


def judge_family(population: Population, rng: np.random.Generator) -> Judge:
    """Pick the arm with the best validation score and compare it with each other one.

    The validation score is that of other runs, or (outcome "same runs") that of the same runs on other items.
    """
    truths = np.array([population.truth(arm) for arm in range(len(population.accuracies))])

    def falsely(values: Array, quality: Array) -> npt.NDArray[np.bool_]:
        mean = quality.mean(axis=-1)
        validation = mean + np.sqrt(mean * (1 - mean) / VALIDATION_ITEMS) * rng.standard_normal(mean.shape)
        order = np.argsort(-validation, axis=1)
        truth = truths[order]
        calls = call(np.take_along_axis(values, order[:, :, None, None], axis=1))
        return np.asarray((calls & (truth[:, :1] <= truth[:, 1:])).any(axis=1))

    def judge(values: Array, quality: Array) -> Outcomes:
        other = draw_quality(population, rng, len(values))
        return {"other runs": falsely(values, other), "same runs": falsely(values, quality)}

    return judge


def draw_quality(population: Population, rng: np.random.Generator, draws: int) -> Array:
    """What runs with other seeds would score on endless items, (draws, arms, seeds)."""
    normal = rng.standard_normal((draws, len(population.accuracies), population.seeds))
    solved = [latent(*arm) for arm in zip(population.accuracies, population.seed_sds, strict=True)]
    threshold, sd = np.array(solved).T
    return np.asarray(special.ndtr(threshold[:, None] + sd[:, None] * normal))


def call(ranked: Array) -> npt.NDArray[np.bool_]:
    """Whether the first arm of `ranked` (draws, arms, seeds, items) is called better than each other one."""
    contrasts = [contrast_of(ranked[:, 0], ranked[:, arm], paired=True) for arm in range(1, ranked.shape[1])]
    p_values = np.stack([contrast_tail(c, c.difference.mean) for c in contrasts], axis=1)
    adjusted = np.array([[p for p, _ in holm(row, RISK)] for row in p_values.tolist()])
    return (adjusted <= RISK) & (np.stack([c.difference.mean for c in contrasts], axis=1) > 0)


@dataclass(frozen=True, kw_only=True)
class Classes:
    """A task with unequal classes. Seeds differ in skill, and in how much they lean to the largest class, class 0."""

    shares: Sequence[float]
    accuracies: tuple[float, float]
    """Of two arms, for a run of average skill that does not lean."""
    skill: float
    lean: float
    """Sds over seeds of the threshold and of its shift in favour of class 0, on the normal scale."""
    items: int
    seeds: int

    def thresholds(self, arm: int, skill: Array, lean: Array) -> Array:
        """The threshold for the items of each class: (...) to (..., classes)."""
        side = np.where(np.arange(len(self.shares)) == 0, 1.0, -1.0)
        level = special.ndtri(self.accuracies[arm]) + self.skill * skill
        return np.asarray(level[..., None] + self.lean * lean[..., None] * side)

    def truth(self, metric: Metric, arm: int) -> float:
        """Expected score: that of each kind of seed on endless items, averaged by quadrature."""
        skill, lean = np.meshgrid(_HERMITE, _HERMITE)
        shares = np.asarray(self.shares)
        hits = shares * special.ndtr(self.thresholds(arm, skill, lean))  # (skill, lean, classes)
        answered = hits.copy()
        answered[..., 0] += (shares - hits)[..., 1:].sum(axis=-1)
        answered[..., 1] += (shares - hits)[..., 0]
        if metric == "macro_f1":
            scores = (2 * hits / (answered + shares)).mean(axis=-1)
        else:
            spread = (1 - np.square(answered).sum(axis=-1)) * (1 - np.square(shares).sum())
            scores = (hits.sum(axis=-1) - answered @ shares) / np.sqrt(spread)
        return float(_MASS @ scores @ _MASS)

    def draw(self, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """One experiment: labels (items,) and predictions (2, seeds, items). Wrong answers are class 0, or 1 for 0."""
        labels = rng.choice(len(self.shares), size=self.items, p=self.shares)
        difficulty = np.sqrt(0.5) * rng.standard_normal(self.items)
        own = np.sqrt(0.2) * rng.standard_normal((2, 1, self.items))
        noise = np.sqrt(0.3) * rng.standard_normal((2, self.seeds, self.items))
        levels = [self.thresholds(arm, *rng.standard_normal((2, self.seeds)))[:, labels] for arm in range(2)]
        right = np.stack(levels) + difficulty + own + noise > 0
        return labels, np.where(right, labels, np.where(labels == 0, 1, 0))

    def rates(self, metric: Metric, draws: int, rng: np.random.Generator) -> dict[str, float]:
        """Coverage of both intervals and their widths, on the metric's scale."""
        bottom, top = BOUNDS[metric]
        unit = [(contributions(metric, *self.draw(rng)) - bottom) / (top - bottom) for _ in range(draws)]
        values = np.stack(unit)  # (draws, 2, seeds, items)
        first, second = ((self.truth(metric, arm) - bottom) / (top - bottom) for arm in range(2))
        shares = {name: float(happened.mean()) for name, happened in judge_pair(values, (first, second)).items()}
        return shares | {name: (top - bottom) * width for name, width in pair_widths(values).items()}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A heading, what it shows, and rows of cells."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def markdown(self) -> str:
        """The table in Markdown; shares with three decimals."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in line] for line in lines]
        body = "\n".join("| " + " | ".join(line) + " |" for line in cells)
        return f"## {self.title}\n\n{self.note}\n\n{body}\n"

    def worst(self) -> list[str]:
        """The lowest coverage and the highest rate of false verdicts, one line for each such column."""
        lines = []
        for index, column in enumerate(self.columns):
            values = [float(row[index]) for row in self.rows if isinstance(row[index], float)]
            if "covers" in column:
                lines.append(f"{column}: at least {min(values):.3f}, median {np.median(values):.3f}")
            if "false" in column:
                lines.append(f"{column}: at most {max(values):.3f}, median {np.median(values):.3f}")
        return lines


def pair_rates(population: Population, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """Coverage of both intervals, verdicts, and widths, for the first two arms."""
    truths = (population.truth(0), population.truth(1))
    found = rates(population, draws, rng, lambda values, _: judge_pair(values, truths))
    return found | pair_widths(draw(population, rng, WIDTHS)[0])


INTERVALS = ("score covers", "score width", "difference covers", "difference width")


def intervals_table(draws: int, rng: np.random.Generator, seeds: Sequence[int] = (3, 5, 10)) -> Table:
    """Both kinds of interval over the whole grid."""
    rows: list[Sequence[Cell]] = []
    for cell in itertools.product((40, 100, 200, 500), seeds, (0.0, 0.02, 0.05), (0.3, 0.6, 0.8, 0.95)):
        items, count, sd, score = cell
        p = Population(accuracies=(score, score - 0.05), seed_sds=(sd, sd), items=items, seeds=count)
        found = pair_rates(p, draws, rng)
        rows.append((*map(str, cell), *(found[name] for name in INTERVALS)))
    return Table(
        title="Intervals of scores and of differences",
        note="One arm, and its difference from an arm whose expected accuracy is 0.05 lower; accuracy.",
        columns=("items", "seeds", "sd", "accuracy", *INTERVALS),
        rows=rows,
    )


def interaction_table(draws: int, rng: np.random.Generator) -> Table:
    """Other shares of interaction, and several model seeds."""
    rows: list[Sequence[Cell]] = []
    for cell in itertools.product((0.1, 0.6), (1, 3), (100, 500), (3, 5, 10), (0.6, 0.95)):
        share, models, items, count, score = cell
        p = Population(accuracies=(score, score - 0.05), seed_sds=(0.03, 0.03), items=items, seeds=count)
        found = pair_rates(replace(p, interaction=share, model_seeds=models), draws, rng)
        rows.append((*map(str, cell), *(found[name] for name in INTERVALS)))
    return Table(
        title="Little and much interaction, one and three model seeds",
        note="As above, with sd 0.03; interaction is the share of an item's latent variance that each run redraws.",
        columns=("interaction", "model seeds", "items", "seeds", "accuracy", *INTERVALS),
        rows=rows,
    )


def steadiness_table(draws: int, rng: np.random.Generator) -> Table:
    """Arms of equal expected accuracy, one of which varies more."""
    rows: list[Sequence[Cell]] = []
    for cell in itertools.product(((0.05, 0.0), (0.05, 0.02), (0.02, 0.0)), (0.7, 0.95), (100, 500), (3, 5, 10)):
        sds, score, items, seeds = cell
        p = Population(accuracies=(score, score), seed_sds=sds, items=items, seeds=seeds)
        found = pair_rates(p, draws, rng)
        rows.append((*map(str, cell), *(found[name] for name in ("difference covers", "better", "worse"))))
    return Table(
        title="Equal arms of unequal steadiness",
        note="One comparison of two arms with the same expected accuracy. Near 1 the unsteady arm mostly looks better "
        "than it is: its rare bad seeds are seldom drawn.",
        columns=("sds", "accuracy", "items", "seeds", "difference covers", "first falsely better", "falsely worse"),
        rows=rows,
    )


def collapse_table(draws: int, rng: np.random.Generator) -> Table:
    """Runs that sometimes fail altogether."""
    rows: list[Sequence[Cell]] = []
    for cell in itertools.product((0.05, 0.1, 0.2), (0.7, 0.9), (3, 5, 10)):
        chance, score, seeds = cell
        p = Population(accuracies=(score, score), seed_sds=(0.02, 0.02), items=200, seeds=seeds, collapse=chance)
        found = pair_rates(p, draws, rng)
        rows.append((*map(str, cell), *(found[name] for name in INTERVALS)))
    return Table(
        title="Runs that collapse: outside what the intervals can know",
        note="Each run answers by chance with the given probability; 200 items. Most sets of three seeds contain no "
        "such run, and then nothing in the data tells of them.",
        columns=("chance", "accuracy", "seeds", *INTERVALS),
        rows=rows,
    )


def unpaired_table(draws: int, rng: np.random.Generator) -> Table:
    """Arms with other data seeds, and arms without training."""
    counts = ((3, 3), (5, 3), (10, 5), (3, 0), (5, 0), (10, 0), (0, 0))
    rows: list[Sequence[Cell]] = []
    for (a, b), items, score in itertools.product(counts, (40, 200, 500), (0.6, 0.95)):
        p = Population(
            accuracies=(score, score - 0.05), seed_sds=(0.03 * (a > 0), 0.03 * (b > 0)), items=items, seeds=a + b or 1
        )

        def judge(values: Array, _: Array, p: Population = p, a: int = a or 1, b: int = b or 1) -> Outcomes:
            first, second = values[:, 0, :a], values[:, 1, -b:]
            contrast = contrast_of(first, second, paired=False)
            return {"score covers": covers(second, p.truth(1)), **decisions(contrast, p.truth(0) - p.truth(1))}

        found = rates(p, draws, rng, judge)
        rows.append((f"{a} / {b}", items, str(score), found["score covers"], found["difference covers"]))
    return Table(
        title="Different data seeds, and arms without training",
        note="Sd 0.03 over the seeds of a trained arm; 0 is an arm without training. The score interval is that of the "
        "second arm; without training it is Wilson's.",
        columns=("seeds", "items", "accuracy", "second score covers", "difference covers"),
        rows=rows,
    )


def families_table(draws: int, rng: np.random.Generator, arms_in_all: Sequence[int] = (2, 4, 6)) -> Table:
    """How often the chosen arm is called better than one that is as good or better."""
    kinds = (
        ("equal", 0.0, 0.6), ("equal", 0.02, 0.6), ("equal", 0.05, 0.95),
        ("equal", 0.05, 0.6), ("unequal sd", 0.05, 0.95), ("one better", 0.02, 0.6),
    )  # fmt: skip
    rows: list[Sequence[Cell]] = []
    for arms, items, count, (kind, sd, score) in itertools.product(arms_in_all, (40, 200, 500), (3, 5, 10), kinds):
        if arms == 4 and kinds.index((kind, sd, score)) % 2 == 0:
            continue
        p = Population(
            accuracies=[score - 0.03 * (arm > 0 and kind == "one better") for arm in range(arms)],
            seed_sds=[sd * (arm % 2 == 0 or kind != "unequal sd") for arm in range(arms)],
            items=items,
            seeds=count,
        )
        found = rates(p, draws, rng, judge_family(p, rng))
        rows.append((arms, kind, items, count, str(sd), str(score), found["other runs"], found["same runs"]))
    return Table(
        title="Families: the chosen arm against all others",
        note=f"The chosen arm has the best validation score on {VALIDATION_ITEMS} items, measured on other runs, or "
        "(last column) on the same runs that the test then scores, whose luck it shares. Counted: at least one arm of "
        'equal or higher expected accuracy is called worse than the chosen one. "unequal sd": every second arm has '
        'sd 0; "one better": all others are 0.03 lower.',
        columns=("arms", "truth", "items", "seeds", "sd", "accuracy", "falsely better", "falsely better, same runs"),
        rows=rows,
    )


def power_table(draws: int, rng: np.random.Generator, seeds: Sequence[int] = (3, 5, 10)) -> Table:
    """How often a true gap is called."""
    families = {"alone": [0, 1], "one of five": [0, 1, 2, 3, 4, 5], "only gap of five": [0, 1, 6, 7, 8, 9]}

    def judge(values: Array, _: Array) -> Outcomes:
        return {name: call(values[:, arms])[:, 0] for name, arms in families.items()}

    rows: list[Sequence[Cell]] = []
    for gap, items, count, sd in itertools.product((0.15, 0.1), (100, 200), seeds, (0.02, 0.03)):
        scores = (0.75, *(0.75 - gap,) * 5, *(0.75,) * 4)
        p = Population(accuracies=scores, seed_sds=[sd] * len(scores), items=items, seeds=count)
        found = rates(p, draws, rng, judge)
        rows.append((f"0.75 / {0.75 - gap:.2f}", items, count, str(sd), *(found[name] for name in families)))
    return Table(
        title="Power",
        note="How often the better arm is called better than one given other arm: alone, as one of five comparisons of "
        "that gap, and as the only gap among five comparisons (Holm's first step).",
        columns=("accuracies", "items", "seeds", "sd", *families),
        rows=rows,
    )


def metrics_table(draws: int, rng: np.random.Generator) -> Table:
    """Macro-F1 and MCC on unequal classes."""
    tasks: tuple[tuple[Metric, tuple[float, ...]], ...] = (("macro_f1", (0.6, 0.3, 0.1)), ("mcc", (0.7, 0.3)))
    skills = ((0.65, 0.0), (0.65, 0.4), (0.9, 0.4))
    rows: list[Sequence[Cell]] = []
    for (metric, shares), items, seeds, (score, lean) in itertools.product(tasks, (40, 200, 500), (3, 5, 10), skills):
        accuracies = (score, score - 0.05)
        task = Classes(shares=shares, accuracies=accuracies, skill=0.1, lean=lean, items=items, seeds=seeds)
        found = task.rates(metric, draws, rng)
        rows.append((metric, items, seeds, str(lean), str(score), *(found[name] for name in INTERVALS)))
    return Table(
        title="Macro-F1 and MCC",
        note="Classes 0.6, 0.3, 0.1 (macro-F1) and 0.7, 0.3 (MCC). Lean: the sd over seeds, on the normal scale, of a "
        "shift to the largest class; accuracy is that of a run of average skill. The truth is the score on endless "
        "items.",
        columns=("metric", "items", "seeds", "lean", "accuracy", *INTERVALS),
        rows=rows,
    )


TABLES = (
    intervals_table, interaction_table, steadiness_table, unpaired_table, families_table, power_table, metrics_table,
    collapse_table,
)  # fmt: skip


def main() -> None:
    """Simulate all tables and print them."""
    parser = argparse.ArgumentParser(description="coverage, false verdicts and power of the intervals")
    parser.add_argument("--draws", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=None)
    options = parser.parse_args()
    tables = []
    for make in TABLES:
        start = time.process_time()
        tables.append(make(options.draws, np.random.default_rng(options.seed)))
        print(f"{make.__name__}: {time.process_time() - start:.0f} s of one core", file=sys.stderr)
    errors = ", ".join(f"{np.sqrt(p * (1 - p) / options.draws):.4f} at {p}" for p in (0.95, 0.8, 0.025))
    worst = "\n".join(f"- {table.title}: {line}" for table in tables for line in table.worst())
    text = (
        "# Coverage, false verdicts and power\n\n"
        f"Made by `python tests/bench/intervals.py --draws {options.draws} --seed {options.seed} --output "
        f"tests/bench/intervals.md`. {options.draws} draws a cell; Monte-Carlo standard error of a share: {errors}. "
        "Level 0.95. What is drawn is written in the script's docstring; widths are medians.\n\n"
        f"{worst}\n\n" + "\n".join(table.markdown() for table in tables)
    )
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
