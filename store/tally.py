"""What each item adds to an F1 of counts: hits, and what they are measured by.

F1 = 2 hits / met, where met counts what is right and what was said, each once: 2 TP / (2 TP + FP + FN). A share of
right words is the same form, with met twice the words. An item has several such pairs (of a set of labels one for each
label; of tags one of spans and one of words), so an item is one value of a structured array, and arrays of answers keep
their shape (..., items).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fewtune.specs.task import Marks
from fewtune.store.spans import spans

Tallies = npt.NDArray[Any]
"""(..., items), each with `hits` and `met`, both (pairs,)."""


def kind(pairs: int) -> np.dtype[Any]:
    """The type of one item."""
    return np.dtype([("hits", np.float64, (pairs,)), ("met", np.float64, (pairs,))])


def is_tally(answers: npt.NDArray[Any]) -> bool:
    """Whether these answers are tallies."""
    return answers.dtype.names is not None


def tallies(numbers: Sequence[Sequence[int]]) -> Tallies:
    """Items as arrays: (items,).

    Args:
        numbers: of each item hits and met of its first pair, then of its second one, and so on.
    """
    flat = np.asarray([list(each) for each in numbers], np.float64)
    pairs = flat.reshape(len(flat), -1, 2)
    found = np.zeros(len(flat), kind(pairs.shape[1]))
    found["hits"], found["met"] = pairs[..., 0], pairs[..., 1]
    return found


def of_item(marks: Marks, wanted: Sequence[int], said: Sequence[int], names: Sequence[str]) -> list[int]:
    """The numbers of one item.

    Args:
        marks: whether its labels are a set or tags.
        wanted: the right labels, or the right tag of each word.
        said: the predicted ones.
        names: of all labels.
    """
    if marks == "set":
        right, given = set(wanted), set(said)
        pairs: Iterable[tuple[int, int]] = (
            (int(label in right and label in given), (label in right) + (label in given)) for label in range(len(names))
        )
    else:
        whole, found = (spans([names[tag] for tag in each]) for each in (wanted, said))
        words = sum(a == b for a, b in zip(wanted, said, strict=True))
        pairs = ((len(whole & found), len(whole) + len(found)), (words, 2 * len(wanted)))
    return [number for pair in pairs for number in pair]
