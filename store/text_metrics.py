"""Scores of a written text against its target, one for each item: each is a number from 0 to 1, higher is better.

ROUGE-L is the F1 of the longest common subsequence of words (Lin 2004), with the words of the `rouge-score` package and
without its stemmer. Exact match and token F1 compare answers as SQuAD's script does (Rajpurkar et al. 2016).
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from fewtune.specs.evaluation import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


def rouge_words(text: str) -> list[str]:
    """Runs of the letters a to z and digits, in lower case; all else stands between words.

    >>> rouge_words("The patient's BMI: 31.5")
    ['the', 'patient', 's', 'bmi', '31', '5']
    """
    return re.findall(r"[a-z0-9]+", text.lower())


def common_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, row by row of its table.

    >>> common_length("abcbdab", "bdcaba")
    4
    """
    above = [0] * (len(second) + 1)
    for word in first:
        row = [0]
        for place, other in enumerate(second):
            row.append(above[place] + 1 if word == other else max(above[place + 1], row[place]))
        above = row
    return above[-1]


def rouge_l(text: str, target: str) -> float:
    """F1 of the longest common subsequence; 0 where either has no words.

    >>> round(rouge_l("the cat sat", "the dog sat down"), 3)
    0.571
    """
    said, wanted = rouge_words(text), rouge_words(target)
    return _f1(common_length(said, wanted), len(said), len(wanted))


def answer_words(text: str) -> list[str]:
    """Words of an answer in lower case, without punctuation and articles.

    >>> answer_words("The U.S. dollar, a currency")
    ['us', 'dollar', 'currency']
    """
    return ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split()


def exact_match(text: str, target: str) -> float:
    """1 where both are the same words, else 0.

    >>> exact_match("The 4.5%", "45"), exact_match("yes", "no")
    (1.0, 0.0)
    """
    return float(answer_words(text) == answer_words(target))


def token_f1(text: str, target: str) -> float:
    """F1 of the words as bags; where either has none, 1 if both have none.

    >>> round(token_f1("in the third quarter", "third quarter of 2021"), 3)
    0.571
    """
    said, wanted = answer_words(text), answer_words(target)
    if not said or not wanted:
        return float(said == wanted)
    return _f1((Counter(said) & Counter(wanted)).total(), len(said), len(wanted))


def _f1(common: int, said: int, wanted: int) -> float:
    return 2 * common / (said + wanted) if common else 0.0


_EACH: dict[Metric, Callable[[str, str], float]] = {
    "rouge_l": rouge_l, "exact_match": exact_match, "token_f1": token_f1,
}  # fmt: skip


def item_scores(metric: Metric, texts: Sequence[str], targets: Sequence[str]) -> tuple[float, ...]:
    """Score each text by its target."""
    return tuple(_EACH[metric](text, target) for text, target in zip(texts, targets, strict=True))
