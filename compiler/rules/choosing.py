"""Whether the labels that train also choose the arm, by cross-validation within each sample."""

from math import ceil
from typing import Any

from fewtune.compiler.rules.validation import ENOUGH
from fewtune.compiler.situation import Choice, Situation, otherwise

FOLDS = 4
"""Parts of a sample, at most."""
LEAST = 16
"""Fewer labels than this leave fewer than four to score in each part."""


def choosing(s: Situation) -> Choice:
    """Up to four parts below 96 labels where there is a test split, of as many samples as score 96 labels in all.

    No more parts than labels of a class: further parts would leave no more of it to fit to.

    The value has the parts ("folds"), the data seeds whose samples are cut, and the trained arms that take part: the
    rules' first one, for the others cost as much again and the rules rank them; or null.
    """
    level = s.levels[-1]
    if s.folds is not None:
        return _none("cross-validation inside of the folds would train five times as often; the rules' order decides")
    if level.validation:
        return _none("the validation rows choose", flips_when=f"n < {ENOUGH}")
    if s.writes:
        return _none("a text costs more to write than a label to predict; the rules' order decides")
    if level.n < max(LEAST, 2 * s.facts.data.strata):
        because = f"{level.n} labels cut into parts leave too few to score; the rules' order decides"
        return _none(because, flips_when=f"n >= {max(LEAST, 2 * s.facts.data.strata)}")
    seeds = scored_seeds(s)
    seen = min(seeds * level.n, len(s.pool))
    together = f", so the choice sees up to {seen} labels" if seen > level.n else ""
    return Choice(
        value={"folds": parts(s), "seeds": seeds, "trained": "first"},
        because=f"{level.n} labels: all of them train; {parts(s)} parts of each sample, scored by states that never "
        f"saw them, choose among the rules' first trained arm and what trains nothing; "
        f"{seeds} sample{'s are' if seeds > 1 else ' is'} scored{together}",
        rule="design",
        alternatives=(otherwise(None, "the rules' order would choose, which knows neither the task nor its labels"),),
        flips_when=f"n >= {ENOUGH}, or too little time",
    )


def parts(s: Situation) -> int:
    """Parts of a sample: four, or as many as a class has labels; of texts with several labels four."""
    return max(2, min(FOLDS, s.levels[-1].n // s.facts.data.strata))


def scored_seeds(s: Situation) -> int:
    """Data seeds that give 96 scored labels, as far as there are so many."""
    return min(s.data_seeds, ceil(ENOUGH / s.levels[-1].n))


def asked_for(s: Situation) -> Any:
    """What the spec's `evaluation.validation` makes of it; None: the rule decides."""
    if s.experiment.evaluation.validation != "cross-validation" or s.folds is not None:
        return None
    return {"folds": parts(s), "seeds": scored_seeds(s), "trained": "all"}


def _none(because: str, flips_when: str | None = None) -> Choice:
    return Choice(value=None, because=because, rule="design", flips_when=flips_when)
