"""Synthetic examples and where they come from, as rows of their private table."""

import json
from collections.abc import Mapping
from typing import Any

from fewtune.specs.diagnostic import StoreError
from fewtune.store.artefacts import Artefacts
from fewtune.store.database import Connection, insert
from fewtune.store.event import Augmented
from fewtune.store.event_rows import Row

SYNTHETIC = "synthetic.json"
"""The artefact's name."""


def replace_synthetic(
    connection: Connection, artefacts: Artefacts, augmented: Mapping[str, tuple[int, Augmented]]
) -> None:
    """Add the examples of new synthetic data sets; a lost artefact leaves none.

    Args:
        connection: in a transaction.
        artefacts: where the examples lie.
        augmented: fingerprint -> the event's number in the journal, and the event.
    """
    rows: list[Row] = []
    for seq, event in augmented.values():
        try:
            content = json.loads(artefacts.read(event.artefact))
        except StoreError:
            continue
        rows += [_row(seq, place, one, "") for place, one in enumerate(content["kept"])]
        rows += [_row(seq, place, one, one["reason"]) for place, one in enumerate(content["rejected"])]
    if rows:
        insert(connection, "synthetic", rows)


def _row(seq: int, place: int, one: dict[str, Any], reason: str) -> Row:
    candidate = one["candidate"]
    return {
        "seq": seq, "place": place, "label": candidate["label"], "text": "\n".join(candidate["fields"].values()),
        "origin": candidate["origin"], "call": candidate["call"] or None, "number": candidate["place"],
        "attributes": json.dumps(candidate["attributes"], ensure_ascii=False), "reason": reason or None,
        "detail": one.get("detail"), "value": one.get("value"), "quality": one.get("quality"),
        "nearest_seed": one.get("nearest_seed"),
    }  # fmt: skip
