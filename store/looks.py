"""Looks: how many plans have had their scores on a split shown, and what risk of a false "better" is left to each.

A look is a plan that shows scores on a split which no look before it showed, or chooses otherwise among the same;
reading them again is none, nor is another plan of the very same scores, such as one with a wider limit. Who tries ten
plans on one test split and reports the best has made ten looks, and one of them is likely to shine by luck alone. So
the plans of a split share its risk in the order of their looks. The first one has all of it: nobody could have chosen
it for its score. Look k, from the second on, has the share 1 / (k (k - 1)), and these sum to one: 1/2, 1/6, 1/12, ...
Whenever one stops, all later looks together risk no more than one first look does, and what an earlier plan was told
never changes (alpha spending: Lan and DeMets 1983; an open number of hypotheses: Foster and Stine 2008).

What a plan announces, its chosen arm against each other one, has the plan's share. Any other pair of arms may have been
picked for its scores: all pairs that a look makes comparable share half as much again, so that who reads the verdicts
and picks pairs, too, is still wrong in at most 5 % (simulated: `tests/bench/noise_chaser.md`).

"Better" is one of two sides, so a family at the level 95 % is falsely "better" in at most 2.5 %, and a split's plans,
however many, in at most 5 %.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from fewtune.compiler.facts import DataFacts, SplitFacts
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.plan import CV, Plan
from fewtune.specs.diagnostic import Diagnostic
from fewtune.store.event import Looked
from fewtune.store.history import History

MANY_LOOKS = 3
"""From this look on a plan warns: a difference must be a third larger than at a first look to be told from chance, and
with three data seeds more than twice as large."""
PICKED = 0.5
"""What all picked pairs of a look risk together, where its announced comparisons risk 1."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """The place of one plan among all that looked at a split."""

    number: int
    """From 1."""
    total: int
    """Plans that have looked so far; below `number` for a look that is still to come."""
    arms: int
    """Arms of the plan."""
    earlier_arms: int
    """Arms of all plans that looked before it."""

    @property
    def share(self) -> float:
        """The share of the split's risk that this plan has."""
        return share(self.number)

    @property
    def next_share(self) -> float:
        """The share that another plan would have."""
        return share(max(self.total, self.number) + 1)

    def data(self) -> dict[str, int | float]:
        """For `--json`: `share` is that of the risk of a false verdict."""
        return {"number": self.number, "total": self.total, "share": round(self.share, 6)}

    @property
    def pair_share(self) -> float:
        """The share of the split's risk that each pair has which was picked after its scores were seen."""
        return PICKED * self.share / max(1, self.pairs)

    @property
    def pairs(self) -> int:
        """Pairs of arms that this look made comparable: of its own arms, and of each with every earlier one."""
        return self.arms * (self.arms - 1) // 2 + self.arms * self.earlier_arms


def share(number: int) -> float:
    """The share of a split's risk that is left to its look of this number, from 1.

    >>> [round(share(number), 3) for number in (1, 2, 3, 10)], round(sum(map(share, range(2, 10_000))), 3)
    ([1.0, 0.5, 0.167, 0.011], 1.0)
    """
    return 1.0 if number <= 1 else 1 / (number * (number - 1))


def looked_at(data: DataFacts) -> dict[str, SplitFacts]:
    """Name in the report -> rows, of all that scores are shown of; the training rows where these are scored."""
    scored = {split.name: split for split in data.evaluated}
    return scored if data.test else {CV: data.train, **scored}


def shown_by(plan: Plan, split: str) -> str:
    """Digest of the scores that a plan shows on a split, and of how it chooses the arm that it compares there.

    Fewer of the same scores are others: who saw them may have picked the pair that is left.
    """
    scores = sorted(
        {stage.fingerprint for stage in plan.stages if stage.kind == "evaluate" and stage.split == split}
        | {stage.fingerprint for stage in plan.stages if stage.kind == "select"}
    )
    return fingerprint("shown", scores)


def place(seen: Mapping[str, Looked], plan_hash: str, arms: int, shown: str = "") -> Look:
    """A plan's place among those that looked at a split, behind them where it would show something new.

    Args:
        seen: plan -> its first look, in the order of looking.
        plan_hash: the plan.
        arms: how many it has.
        shown: digest of what it shows; empty: something of its own.
    """
    counts: dict[str, int] = {}  # what was shown -> arms
    for name, one in seen.items():
        counts.setdefault(one.shown or name, one.arms)
    mine = (seen[plan_hash].shown if plan_hash in seen else shown) or plan_hash
    names = list(counts)
    before = names.index(mine) if mine in counts else len(names)
    earlier = sum(counts[name] for name in names[:before])
    return Look(number=before + 1, total=len(names), arms=arms, earlier_arms=earlier)


def many_looks(look: Look, split: str) -> Diagnostic:
    """The warning that a split wears out."""
    what = "these rows" if split == CV else f"the {split} split"
    others = look.number - 1
    message = (
        f"this plan is look {look.number} at {what}: {others} other plans have shown scores on it, and the best of "
        f"many scores is too high; a verdict now takes {stretch(look.number):.1f} times the difference of a first look"
    )
    pointer = "/data" if split == CV else "/data/test"
    remedy = "compare ideas by validation, in one plan; keep rows that no plan has seen for the last look"
    return Diagnostic(code="W-looks", severity="warning", message=message, pointer=pointer, remedy=remedy)


def stretch(number: int) -> float:
    """By how much a difference must be larger than at a first look, at the level 95 %, with many seeds.

    >>> [round(stretch(number), 2) for number in (1, 2, 3, 4, 10)]
    [1.0, 1.14, 1.35, 1.47, 1.76]
    """
    normal = NormalDist()
    return normal.inv_cdf(1 - 0.025 * share(number)) / normal.inv_cdf(0.975)


def look_of(history: History, plan_hash: str, split: str) -> Look | None:
    """The look of a plan at a split of its report; None where its scores there were never shown."""
    for first in history.looked:
        if (first.plan_hash, first.split) == (plan_hash, split):
            return place(history.looks(first.content, first.alike), plan_hash, first.arms)
    return None
