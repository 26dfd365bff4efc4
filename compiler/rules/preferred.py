"""Which method stands first in the rules' order, where the user's own runs overturn it."""

from collections import defaultdict

from fewtune.compiler.adopted import Behind, Win
from fewtune.compiler.rules.methods import TRAINED, WRITERS, learners
from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.specs.methods import METHODS, MethodName

NEAR = 2.0
"""An experiment speaks for up to so many times its labels, and down to as small a part of them."""
MEASURES = ("majority", "zero-shot", "lead", "unigram")
"""What every arm must beat: to be ahead of it says nothing about other arms."""


def preferred(s: Situation) -> Choice:
    """The method that was ahead most often of one that the rules put before it, on such tasks; else none.

    Such a task is of the same type, metric and base, with half to twice the labels. To be ahead of the majority class
    or of zero-shot overturns nothing, and what the rules put first needs no evidence to stand there.
    """
    wins = defaultdict[MethodName, list[Win]](list)
    for win in s.facts.adopted.wins:
        if _speaks(win, s) and _overturned(win, s):
            wins[win.method].append(win)
    if not wins:
        adopted = "nothing that was adopted overturns it" if s.facts.adopted.wins else "nothing was adopted"
        return Choice(
            value=None, because=f"{adopted}: the order is that of the rules", rule="design",
            flips_when="`fewtune evidence adopt`, after runs with a later method of the order ahead of an earlier one",
        )  # fmt: skip
    method = max(wins, key=lambda name: (len(wins[name]), max(win.mean for win in wins[name])))
    best = max(wins[method], key=lambda win: max(other.low for other in _overturned(win, s)))
    over = max(_overturned(best, s), key=lambda other: other.low)
    open_still = f"; undecided against {', '.join(best.undecided)}" if best.undecided else ""
    return Choice(
        value=method,
        because=f"ahead in {len(wins[method])} of {sum(map(len, wins.values()))} such experiments here; in "
        f"{best.experiment!r}, n = {best.n}, of {over.arm} by {over.difference:.2f} [{over.low:.2f}, {over.high:.2f}]"
        + open_still,
        rule="local",
        alternatives=(otherwise(None, "the rules' own order knows less of this task"),),
        flips_when="`fewtune evidence drop`",
    )


def _speaks(win: Win, s: Situation) -> bool:
    same = win.task == s.experiment.task.type and win.metric == s.metric and win.model == s.facts.model.weights_hash
    return same and win.n / NEAR <= s.largest_n <= win.n * NEAR and win.method not in s.experiment.methods.exclude


def _overturned(win: Win, s: Situation) -> list[Behind]:
    """What the rules would put before the winner."""
    if win.method in MEASURES:
        return []
    place = _place(win.method, s)
    return [other for other in win.behind if other.method not in MEASURES and _place(other.method, s) < place]


def _place(method: MethodName, s: Situation) -> int:
    """A method's place in the rules' order: what is trained first, then what trains nothing, the last ones before."""
    trained = tuple(dict.fromkeys((*learners(s), *TRAINED, *WRITERS)))
    return [*trained, *(name for name in reversed(METHODS) if name not in trained)].index(method)
