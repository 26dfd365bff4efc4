"""Scores of a written text against its target, one for each item: each is a number from 0 to 1, higher is better.

ROUGE-L is the F1 of the longest common subsequence of words (Lin 2004), without a stemmer. Exact match and token F1
compare answers as SQuAD's script does (Rajpurkar et al. 2016), but for points in numbers. Both references know English:
the words of the `rouge-score` package are runs of a to z and digits, so that of a Chinese text nothing is left. Here
words are runs of any alphabet's letters, and ideographs and kana are a word each, as MLQA's script has it (Lewis et al.
2020). Scores of ASCII texts are the references'. Thai, Lao, Khmer and Burmese, which write no spaces either, are not
taken apart.
"""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

from fewtune.specs.evaluation import Metric

ARTICLES = re.compile(r"\b(a|an|the)\b")
POINTS = re.compile(r"(?<!\d)\.|\.(?!\d)")
"""Points that are no part of a number: to SQuAD's script, 4.5 and 45 are the same answer."""
SINGLE = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
"""Ideographs and kana."""


def _prepared(text: str) -> str:
    """In lower case and composed form; characters that are words stand apart."""
    return SINGLE.sub(r" \1 ", unicodedata.normalize("NFC", text).lower())


def rouge_words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case; all else stands between words.

    >>> rouge_words("The patient's BMI: 31.5"), rouge_words("für 患者 हिन्दी")
    (['the', 'patient', 's', 'bmi', '31', '5'], ['für', '患', '者', 'हिन्दी'])
    """
    kept = (c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in _prepared(text))
    return "".join(kept).split()


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

    >>> answer_words("The U.S. dollar, a currency"), answer_words("约 12%。")
    (['us', 'dollar', 'currency'], ['约', '12'])
    """
    text = POINTS.sub("", _prepared(text))
    return ARTICLES.sub(" ", "".join(c for c in text if c == "." or not _is_punctuation(c))).split()


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def exact_match(text: str, target: str) -> float:
    """1 where both are the same words, else 0.

    >>> exact_match("The 4.5%", "4.5"), exact_match("4.5", "45")
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
