"""Into how many folds the rows are cut where there is no test split."""

from collections import Counter

from fewtune.compiler.situation import Choice, Situation, otherwise

USUAL = 5


def folds(s: Situation) -> Choice:
    """None with a test split; else five, fewer where a label is rarer."""
    if s.facts.data.test is not None:
        return Choice(value=None, because="there is a test split: no cross-validation", rule="fact")
    train = s.facts.data.train
    texts = {(train.groups[row], train.labels[row]) for row in s.pool}
    counts = Counter(label for _, label in texts)
    rarest = min((counts[index] for index in range(s.facts.data.strata)), default=0)
    value = max(2, min(USUAL, rarest))
    because = "no test split: every row is scored once for each seed, by a model that never saw it"
    if value < USUAL:
        whose = "the training rows have" if s.facts.data.strata == 1 else "the rarest label has"
        because += f"; {whose} {rarest} different texts, so {value} folds"
    return Choice(
        value=value,
        because=because,
        rule="design",
        alternatives=(otherwise(10, "twice the training for slightly larger training parts"),),
        flips_when="data.test is given",
    )
