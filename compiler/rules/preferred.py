"""Which method stands first in the rules' order, where the user's own runs say so."""

from collections import defaultdict

from fewtune.compiler.adopted import Win
from fewtune.compiler.situation import Choice, Situation, otherwise

NEAR = 2.0
"""An experiment speaks for up to so many times its labels, and down to as small a part of them."""


def preferred(s: Situation) -> Choice:
    """The method that was ahead most often on this kind of task, by this metric and base, at a similar n; else none."""
    wins = defaultdict[str, list[Win]](list)
    for win in s.facts.adopted.wins:
        if _speaks(win, s):
            wins[win.method].append(win)
    if not wins:
        adopted = "nothing that was adopted speaks of such a task" if s.facts.adopted.wins else "nothing was adopted"
        return Choice(
            value=None, because=f"{adopted}: the order is that of the rules", rule="design",
            flips_when="`fewtune evidence adopt`, after runs with a clear winner",
        )  # fmt: skip
    method = max(wins, key=lambda name: (len(wins[name]), max(win.mean for win in wins[name])))
    best = max(wins[method], key=lambda win: max(other.low for other in win.behind))
    over = max(best.behind, key=lambda other: other.low)
    return Choice(
        value=method,
        because=f"ahead in {len(wins[method])} of {sum(map(len, wins.values()))} such experiments here; in "
        f"{best.experiment!r}, n = {best.n}, of {over.arm} by {over.difference:.2f} [{over.low:.2f}, {over.high:.2f}]",
        rule="local",
        alternatives=(otherwise(None, "the rules' own order knows less of this task"),),
        flips_when="`fewtune evidence drop`",
    )


def _speaks(win: Win, s: Situation) -> bool:
    same = win.task == s.experiment.task.type and win.metric == s.metric and win.model == s.facts.model.weights_hash
    return same and win.n / NEAR <= s.largest_n <= win.n * NEAR and win.method not in s.experiment.methods.exclude
