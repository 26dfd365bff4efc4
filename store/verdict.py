"""The answer in a sentence: what the chosen arm beats, by how much, and what cannot be told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fewtune.store.looks import Look
from fewtune.store.reader import ComparisonRow, LeaderboardRow

MOST = 6
"""Arms of a kind that the sentence names; the leaderboard and `compare` have all."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A sentence for people, and its parts for programs."""

    sentence: str
    chosen: str
    n: int
    split: str
    metric: str
    beats: tuple[str, ...]
    loses_to: tuple[str, ...]
    undecided: tuple[str, ...]


def verdict(
    board: Sequence[LeaderboardRow],
    comparisons: Sequence[ComparisonRow],
    *,
    look: Look | None = None,
    dropped: Collection[str] = (),
) -> Verdict | None:
    """Put one split, metric and n into words.

    Args:
        board: the leaderboard's rows for that split, metric and n.
        comparisons: the chosen arm against each other one there.
        look: the plan's place among those whose scores on this split were shown; None: none was counted.
        dropped: arms that a halving left behind: more seeds are not missing, they were not asked for.

    Returns:
        None where the chosen arm has no result yet.
    """
    chosen = next((row for row in board if row.chosen), None)
    if chosen is None:
        return None
    by = {kind: [row for row in comparisons if row.verdict == kind] for kind in ("better", "worse", "cannot tell")}
    parts = [_opening(chosen), *_better(by["better"]), *_worse(by["worse"])]
    parts += _open([row for row in by["cannot tell"] if row.arm not in dropped])
    behind = [f"{row.arm} ({_count(row.seeds, 'seed')})" for row in board if row.arm in dropped]
    if behind:
        parts.append(f"left behind by the halving: {_listed(behind[:MOST], behind[MOST:])}")
    parts += [_diverged(row) for row in board if row.diverged]
    higher = [row.arm for row in board if row.mean > chosen.mean and row.arm not in {r.arm for r in by["worse"]}]
    if higher:
        parts.append(f"{_listed(higher[:MOST], higher[MOST:])} scored higher here, within the noise; the choice stays")
    if chosen.split == "cv":
        parts.append("all seeds share these rows, so the spread over other samples may be wider")
    parts += _shared(comparisons, look)
    if look is not None and look.total > 1:
        rows = "these rows have" if chosen.split == "cv" else "this split has"
        parts.append(f"{rows} been looked at by {look.total} different plans: the best of their scores is too high")
    return Verdict(
        sentence="; ".join(parts) + ".",
        chosen=chosen.arm,
        n=chosen.n,
        split=chosen.split,
        metric=chosen.metric,
        beats=tuple(row.arm for row in by["better"]),
        loses_to=tuple(row.arm for row in by["worse"]),
        undecided=tuple(row.arm for row in by["cannot tell"]),
    )


def _better(rows: list[ComparisonRow]) -> list[str]:
    """What the chosen arm beats; of many, those that come nearest."""
    near = sorted(rows, key=lambda row: row.difference)[:MOST]
    won = [f"{row.arm} by {_gap(row)}" for row in rows if row in near]
    return ["it beats " + _listed(won, rows[MOST:])] if rows else []


def _worse(rows: list[ComparisonRow]) -> list[str]:
    """What is better than the chosen arm."""
    found = [f"{row.arm} is better by {_gap(row, swap=True)}" for row in rows[:MOST]]
    return [_listed(found, rows[MOST:]) + "; the choice was made before and stays"] if rows else []


def _open(rows: list[ComparisonRow]) -> list[str]:
    """What cannot be told, and what would tell."""
    said = [_undecided(row) for row in rows[:MOST]]
    return [*said, f"against {_count(len(rows) - MOST, 'other arm')}: cannot tell"] if rows[MOST:] else said


def _opening(row: LeaderboardRow) -> str:
    seeds = _count(row.seeds, "seed") if row.basis != "items_only" else "one run: items only"
    where = "by cross-validation" if row.split == "cv" else f"on {row.split}"
    return (
        f"{row.arm} reaches {row.mean:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}] {row.metric} {where} "
        f"at n = {row.n} ({seeds}, {row.items} items)"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _shared(rows: Sequence[ComparisonRow], look: Look | None) -> list[str]:
    """Which level the intervals of differences have, and why: what shares the risk of a false verdict."""
    judged = [row for row in rows if row.p_value is not None]
    number = look.number if look else 1
    if not judged or (len(judged) == 1 and number == 1):
        return []
    levels = sorted({percent(row.level) for row in judged})
    by = [_count(len(judged), "comparison")] if len(judged) > 1 else []
    by += [f"look {number} at this split"] if number > 1 else []
    level = levels[0] if len(levels) == 1 else f"{levels[0]} to {levels[-1]}"
    return [f"intervals of differences are {level} ones: the risk is shared ({', '.join(by)})"]


def percent(level: float) -> str:
    """A level for a reader.

    >>> percent(0.95), percent(1 - 0.05 / 90)
    ('95 %', '99.94 %')
    """
    return f"{100 * level:.2f}".rstrip("0").rstrip(".") + " %"


def _diverged(row: LeaderboardRow) -> str:
    left_out = "is" if row.diverged == 1 else "are"
    return f"{_count(row.diverged, 'run')} of {row.arm} diverged and {left_out} not in its mean"


def _gap(row: ComparisonRow, *, swap: bool = False) -> str:
    low, high = (-row.ci_high, -row.ci_low) if swap else (row.ci_low, row.ci_high)
    return f"{abs(row.difference):.2f} [{low:.2f}, {high:.2f}]"


def _undecided(row: ComparisonRow) -> str:
    would = [
        _count(row.more_seeds, "more seed") if row.more_seeds else "",
        _count(row.more_items, "more item") if row.more_items else "",
    ]
    needed = " or ".join(part for part in would if part)
    said = f"against {row.arm}: cannot tell ({row.difference:+.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}])"
    if row.basis == "items_only":
        return f"{said}: one seed says nothing of the spread over samples"
    return said + (f", {needed} would" if needed else ": neither more seeds nor more items alone would")


def _listed(parts: Sequence[str], more: Sequence[object] = ()) -> str:
    parts = [*parts, _count(len(more), "other arm")] if more else parts
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
