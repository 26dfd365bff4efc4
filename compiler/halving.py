"""Successive halving: which candidates go on to further samples of labelled examples.

All candidates are trained on the first data seed. The best of them by the validation rows, one in `factor`, go on to
the next ones until `factor` seeds are done, the best of these to `factor` squared, and so on (arXiv 1502.07943,
section 3). What is rationed are data seeds, not steps: a training that is cut short has not seen the end of its
schedule, and a trial is the same whether others are dropped or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One decision."""

    seeds: int
    """Data seeds whose validation scores decide; those who stay are trained on the next ones."""
    keep: int
    """Candidates that stay."""


def rungs(candidates: int, data_seeds: int, factor: int) -> tuple[Rung, ...]:
    """The decisions, none where there is nothing to drop or nothing left to save."""
    found: list[Rung] = []
    seeds, left = 1, candidates
    while seeds < data_seeds and left > 1:
        left = -(-left // factor)
        found.append(Rung(seeds, left))
        seeds *= factor
    return tuple(found)


def spans(candidates: int, data_seeds: int, decisions: Sequence[Rung]) -> list[tuple[int, int]]:
    """(candidates, data seeds they are trained on until the next decision), one after the other."""
    starts = [0, *(rung.seeds for rung in decisions), data_seeds]
    alive = [candidates, *(rung.keep for rung in decisions)]
    return [(count, end - start) for count, start, end in zip(alive, starts, starts[1:], strict=False)]


def share(candidates: int, data_seeds: int, decisions: Sequence[Rung]) -> float:
    """The part of all candidates' trials that is done."""
    done = sum(count * seeds for count, seeds in spans(candidates, data_seeds, decisions))
    return done / (candidates * data_seeds)
