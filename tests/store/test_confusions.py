"""Which label is taken for which."""

import numpy as np

from fewtune.store.confusions import confusions
from fewtune.store.statistics import Runs
from fewtune.store.trial_predictions import ArmRuns

NAMES = ("cost", "date", "party")


def test_wrong_answers_are_counted_over_all_trials() -> None:
    predicted = np.array([[1, 0, 1, -1, 2], [1, 1, 1, 0, 2]])
    found = ArmRuns(
        rows=np.array([3, 4, 7, 8, 9]), labels=np.array([0, 0, 1, 2, 2]),
        runs=Runs(predicted=predicted, data_seeds=(0, 1)), contents=frozenset(),
    )  # fmt: skip
    seen = [(one.label, one.predicted, one.count, one.answers, one.items) for one in confusions(found, NAMES)]
    assert seen == [("cost", "date", 3, 4, (3, 4)), ("party", None, 1, 4, (8,)), ("party", "cost", 1, 4, (8,))]
    assert confusions(found, NAMES)[0].share == 0.75


def test_no_wrong_answer_no_confusion() -> None:
    labels = np.array([0, 1])
    runs = Runs(predicted=labels[None], data_seeds=None)
    found = ArmRuns(rows=np.array([0, 1]), labels=labels, runs=runs, contents=frozenset())
    assert confusions(found, NAMES) == ()
