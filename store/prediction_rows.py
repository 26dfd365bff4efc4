"""Predictions of many results as one insertion: a row for each item."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fewtune.specs.diagnostic import StoreError
from fewtune.store.artefacts import Artefacts
from fewtune.store.database import Connection, insert
from fewtune.store.event import Evaluated
from fewtune.store.event_rows import Row
from fewtune.store.judgements import Judgements
from fewtune.store.markings import Markings
from fewtune.store.predictions import Predictions, parse_predictions
from fewtune.store.writings import Writings

Frame = dict[str, npt.NDArray[np.generic]]


def replace_predictions(
    connection: Connection, artefacts: Artefacts, evaluated: Mapping[str, tuple[int, Evaluated]]
) -> None:
    """Put the predictions of new results in the place of earlier ones; a lost artefact leaves none.

    Args:
        connection: in a transaction; the results' own rows are there already.
        artefacts: where the predictions lie.
        evaluated: fingerprint -> the result's number in the journal, and the result.
    """
    if not evaluated:
        return
    connection.execute(
        """
        DELETE FROM private.prediction
        WHERE seq IN (SELECT seq FROM private.evaluated WHERE fingerprint IN (SELECT unnest(?::VARCHAR[])))
        """,
        [list(evaluated)],
    )
    frames: list[Frame] = []
    written: list[Row] = []
    for seq, event in evaluated.values():
        try:
            found = parse_predictions(artefacts.read(event.artefact))
        except StoreError:
            continue
        if isinstance(found, Writings):
            written += _rows(seq, found)
        elif isinstance(found, Judgements):
            written += _judged(seq, found)
        elif isinstance(found, Markings):
            written += _marked(seq, found)
        else:
            frames.append(_frame(seq, found))
    if frames:
        whole = {column: np.concatenate([frame[column] for frame in frames]) for column in frames[0]}
        connection.register("frame", whole)
        connection.execute(
            """
            INSERT INTO private.prediction (seq, row_index, label, predicted, probability)
            SELECT seq, row_index, label, predicted, CASE WHEN isnan(probability) THEN NULL ELSE probability END
            FROM frame
            """
        )
        connection.unregister("frame")
    insert(connection, "prediction", written)


def _rows(seq: int, found: Writings) -> list[Row]:
    """Texts; a label of 0 for each, as every row has a target."""
    return [
        {"seq": seq, "row_index": row, "label": 0, "target": target, "text": text}
        | {metric: each[place] for metric, each in found.items.items()}
        for place, (row, target, text) in enumerate(zip(found.rows, found.targets, found.texts, strict=True))
    ]


def _judged(seq: int, found: Judgements) -> list[Row]:
    """The preferred texts, or those that were judged; a label of 0 for each."""
    return [
        {"seq": seq, "row_index": row, "label": 0, "target": text}
        | {metric: each[place] for metric, each in found.items.items()}
        for place, (row, text) in enumerate(zip(found.rows, found.preferred, strict=True))
    ]


def _marked(seq: int, found: Markings) -> list[Row]:
    """Right and predicted labels in words; a label of 0 for each, as every row has its labels, though they be none."""
    right = found.right if found.marks == "set" else [None] * len(found.rows)
    columns = zip(found.rows, found.wanted, found.said, found.numbers, right, strict=True)
    return [
        {"seq": seq, "row_index": row, "label": 0, "target": found.words(wanted), "text": found.words(said),
         "tallies": numbers, "subset_accuracy": whole}
        for row, wanted, said, numbers, whole in columns
    ]  # fmt: skip


def _frame(seq: int, found: Predictions) -> Frame:
    return {
        "seq": np.full(len(found.rows), seq, np.int64),
        "row_index": np.asarray(found.rows, np.int32),
        "label": np.asarray(found.labels, np.int32),
        "predicted": np.asarray(found.predicted, np.int32),
        "probability": np.asarray(found.confidence, np.float64),  # None becomes NaN
    }
