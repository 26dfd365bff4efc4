"""Planted faults in a recording: what the filters catch, and what they let through, counted."""

from collections import Counter, defaultdict
from functools import cache

import pytest
from planted import COPIES, EACH, LEAKS, Planted, planted, replayed

from fewtune.runtime.augment.synthesis import Synthetic
from fewtune.runtime.augment.vectors import embedded_vectors
from fewtune.runtime.minilm import encoder_is_ready

LIKE = ("leak", "near-seed", "near-synthetic")


@cache
def made() -> Synthetic:
    """The recording, replayed and filtered with words alone."""
    return replayed()


@cache
def outcomes() -> dict[Planted, list[str]]:
    """Planted example -> why each example with its text was left out, or "kept"."""
    by_text = {(one.text.strip(), one.label): one for one in reversed(planted())}
    found: dict[Planted, list[str]] = defaultdict(list)
    for left in made().rejected:
        known = by_text.get((left.candidate.fields["message"], left.candidate.label))
        if known is not None:
            found[known].append(left.reason)
    for kept in made().kept:
        found[by_text[kept.candidate.fields["message"], kept.candidate.label]].append("kept")
    return found


def of(fault: str, form: str = "") -> list[str]:
    return [reason for one, all_ in outcomes().items() if one.fault == fault and one.form == form for reason in all_]


def test_the_recording_holds_all_that_was_planted() -> None:
    assert {one.text.strip() for one in planted()} == {one.text.strip() for one in outcomes()}
    assert made().stopped == "target"
    assert made().calls == 60
    assert Counter(left.detail for left in made().rejected)["the answer is not the JSON that was asked for"] == 2


@pytest.mark.parametrize("form", LEAKS)
def test_every_leak_is_caught(form: str) -> None:
    assert of("leak", form) == ["leak"] * EACH


def test_near_duplicates_are_caught() -> None:
    caught = [reason in LIKE for form in COPIES for reason in of("copy", form)]
    assert len(caught) == sum(COPIES.values())
    assert sum(caught) >= 0.95 * len(caught)


def test_broken_forms_are_caught_and_clean_ones_pass() -> None:
    assert set(of("format")) <= {"format", "length"}
    by_rules = [reason for reason in of("clean") if reason not in ("kept", "label")]
    assert len(by_rules) <= 0.02 * len(of("clean"))


@pytest.mark.full
@pytest.mark.model
@pytest.mark.skipif(not encoder_is_ready(), reason="the encoder is not in the cache: make pull")
def test_wrong_labels_are_caught_by_the_encoder() -> None:
    found = replayed(embedded_vectors())
    fault = {(one.text, one.label): one.fault for one in planted()}
    doubted = Counter(
        fault[left.candidate.fields["message"], left.candidate.label]
        for left in found.rejected if left.reason == "label"
    )  # fmt: skip
    assert doubted["label"] >= 24  # of 28
    assert doubted["clean"] <= 2  # of 144
