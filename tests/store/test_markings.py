"""Sets of labels and tags as they are scored and kept: scikit-learn and spans worked out by hand are the measure."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from fewtune.specs.evaluation import SET_METRICS, TAG_METRICS, Metric
from fewtune.store.markings import Markings
from fewtune.store.metrics import contributions, score
from fewtune.store.predictions import answers_to, parse_predictions, right_labels
from fewtune.store.spans import spans
from fewtune.store.statistics import Runs, compare, score_interval

NAMES = ("billing", "login", "refund")
TAGS = ("O", "B-DRUG", "I-DRUG", "B-DOSE", "I-DOSE")


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", set()),
        ("B-A I-A O B-A", {("A", 0, 2), ("A", 3, 4)}),
        ("B-A B-A", {("A", 0, 1), ("A", 1, 2)}),
        ("I-A I-A O", {("A", 0, 2)}),  # I- without B- begins a span, too
        ("O I-B I-A", {("B", 1, 2), ("A", 2, 3)}),  # and where the name changes
        ("B-A I-B I-B", {("A", 0, 1), ("B", 1, 3)}),
        ("B-A-B I-A-B", {("A-B", 0, 2)}),
        ("", set()),
    ],
)
def test_spans(tags: str, found: set[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == found


def sets(wanted: Sequence[Sequence[int]], said: Sequence[Sequence[int]]) -> Markings:
    rows = tuple(range(len(wanted)))
    right, given = (tuple(map(tuple, each)) for each in (wanted, said))
    return Markings(marks="set", split="test", rows=rows, names=NAMES, wanted=right, said=given)


def drawn(rng: np.random.Generator, items: int) -> list[list[int]]:
    return [[label for label in range(3) if rng.random() < 0.4] for _ in range(items)]


def dense(rows: Sequence[Sequence[int]]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([[int(label in row) for label in range(3)] for row in rows])


def test_sets_score_as_scikit_learn_has_them() -> None:
    rng = np.random.default_rng(0)
    for items in (3, 10, 40):
        wanted, said = drawn(rng, items), drawn(rng, items)
        wanted[0] = said[0] = [0, 1, 2]  # each label occurs: of absent ones scikit-learn's mean would hold zeros
        found = sets(wanted, said).scores()
        right, given = dense(wanted), dense(said)
        assert found.micro_f1 == pytest.approx(f1_score(right, given, average="micro"))
        assert found.macro_f1 == pytest.approx(f1_score(right, given, average="macro"))
        assert found.subset_accuracy == pytest.approx(accuracy_score(right, given))
        assert (found.accuracy, found.span_f1) == (None, None)


def tagged(wanted: Sequence[str], said: Sequence[str]) -> Markings:
    rows, number = tuple(range(len(wanted))), TAGS.index
    both = [tuple(tuple(map(number, row.split())) for row in each) for each in (wanted, said)]
    return Markings(marks="tags", split="test", rows=rows, names=TAGS, wanted=both[0], said=both[1])


def test_spans_score_as_worked_out_by_hand() -> None:
    wanted = ["B-DRUG I-DRUG O B-DOSE I-DOSE", "O B-DRUG O", "O O"]
    said = ["B-DRUG I-DRUG O B-DOSE O", "O I-DRUG O", "O B-DOSE"]
    found = tagged(wanted, said).scores()
    # right: DRUG(0-2), DOSE(3-5), DRUG(1-2); said: DRUG(0-2), DOSE(3-4), DRUG(1-2), DOSE(1-2); in both: 2
    assert found.span_f1 == pytest.approx(2 * 2 / (3 + 4))
    assert found.tag_accuracy == pytest.approx(7 / 10)
    assert (found.micro_f1, found.subset_accuracy) == (None, None)


def test_nothing_to_find_and_nothing_found_counts_as_zero() -> None:
    assert tagged(["O", "O"], ["O", "O"]).scores().span_f1 == 0.0
    assert sets([[], []], [[], []]).scores().micro_f1 == 0.0
    assert sets([], []).scores().micro_f1 is None


KEPT = {
    "set": sets([[0], [], [1, 2], [0, 2]], [[0, 1], [], [2], [0, 2]]),
    "tags": tagged(["B-DRUG O", "O O", "B-DOSE I-DOSE", "O"], ["B-DRUG O", "O B-DRUG", "B-DOSE O", "O"]),
}
CASES: list[tuple[str, Metric]] = [("set", metric) for metric in SET_METRICS] + [
    ("tags", metric) for metric in TAG_METRICS
]


@pytest.mark.parametrize(("kind", "metric"), CASES)
def test_contributions_are_what_deleting_each_item_changes(kind: str, metric: Metric) -> None:
    answers, nothing = answers_to(KEPT[kind], metric), right_labels(KEPT[kind])
    runs = np.stack([answers, answers[::-1]])
    items, whole = len(nothing), score(metric, nothing, runs)
    without = [score(metric, np.delete(nothing, item), np.delete(runs, item, axis=-1)) for item in range(items)]
    pseudo = items * whole[:, None] - (items - 1) * np.stack(without, axis=-1)
    centred = pseudo - pseudo.mean(axis=-1, keepdims=True) + whole[:, None]
    np.testing.assert_allclose(contributions(metric, nothing, runs), centred, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KEPT))
def test_they_are_read_as_they_were_kept(kind: str) -> None:
    assert parse_predictions(KEPT[kind].artefact("f" * 24).content) == KEPT[kind]


def test_intervals_and_comparisons_take_them() -> None:
    rng = np.random.default_rng(1)
    wanted = drawn(rng, 60)
    good = [row if rng.random() < 0.9 else [0] for row in wanted]
    nothing = np.zeros(60, np.int64)
    better, worse = (
        np.stack([sets(wanted, said).answers("micro_f1") for said in each])
        for each in ([good] * 3, [drawn(rng, 60) for _ in range(3)])
    )
    found = score_interval("micro_f1", nothing, better, (0, 1, 2))
    assert found.mean == pytest.approx(score("micro_f1", nothing, better).mean())
    assert 0 < found.low < found.mean < found.high <= 1
    first, second = (Runs(predicted=each, data_seeds=(0, 1, 2)) for each in (better, worse))
    assert compare("micro_f1", nothing, first, second).verdict == "better"
