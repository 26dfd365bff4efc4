"""What is left out, and for which reason."""

import random

import numpy as np
import pytest
from messages import FRAMES, LABELS, message, seeds

from fewtune.runtime.augment.agreement import agreement
from fewtune.runtime.augment.example import Candidate, Seed
from fewtune.runtime.augment.filter import Filter
from fewtune.runtime.augment.format import Form
from fewtune.runtime.augment.selection import select

PEOPLE = Form(("Where is my parcel, please?", "The driver was rude to me!", "Thank you, [name], for the help."))


def candidates(count: int, wrong: float = 0.0, seed: int = 1) -> list[Candidate]:
    """Distinct messages, a share of them with a wrong label."""
    source = random.Random(seed)
    found: dict[str, int] = {}
    while len(found) < count:
        label = len(found) % len(LABELS)
        found[message(LABELS[label], source)] = label
    return [
        Candidate(fields={"text": text}, label=(label + 1) % 3 if place < wrong * count else label, call=str(place))
        for place, (text, label) in enumerate(found.items())
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Where is the red lamp that I ordered?", ""),
        ("Thanks, [name], you saved my day!", ""),  # a seed has that form, too
        ("", "empty"),
        ('{"text": "Where is it?"}', "braces of JSON"),
        ("```json\nWhere is it?", "a code fence"),
        ("Text: where is it?", "a heading"),
        ("3. Where is it?", "a number of a list"),
        ("Sure! Here is an example of praise.", "talk of the teacher"),
        ("As an AI I have no parcels.", "talk of the teacher"),
        ("**Where** is it?", "markup"),
        ("Where is it", "no end of a sentence"),
        ("Where\x00 is it?", "control characters"),
        ("my lamp my lamp my lamp my lamp my lamp my lamp my lamp.", "repeats itself"),
    ],
)
def test_forms(text: str, fault: str) -> None:
    assert PEOPLE.fault(text) == fault


def test_lengths_follow_the_seeds() -> None:
    assert PEOPLE.words == (2, 13)
    assert [bool(PEOPLE.misfit("word " * count)) for count in (1, 2, 13, 14)] == [True, False, False, True]


def test_each_reason_in_its_turn() -> None:
    people, held = seeds(), "My kettle is in two pieces and the locker says that it is none of their business today."
    good = candidates(40, seed=4)
    like = {text: place for place, text in enumerate(one.fields["text"] for one in good)}
    bad = {
        "format": Candidate(fields={"text": "Label: praise"}, label=1),
        "length": Candidate(fields={"text": "Thanks."}, label=1),
        "leak": Candidate(fields={"text": held.replace("kettle", "teapot")}, label=0),
        "near-seed": Candidate(fields={"text": people[0].fields["text"].upper() + "!"}, label=people[0].label),
    }
    found = Filter(people, 3, {"test": [held]}).run([*bad.values(), *good, good[-1]])
    reasons = {one.reason: one.candidate for one in found.rejected if one.candidate in bad.values()}
    assert reasons == bad
    assert {one.detail for one in found.rejected if one.reason == "leak"} == {"split test, row 1 (edited)"}
    assert any(one.reason == "near-synthetic" and one.candidate == good[-1] for one in found.rejected)
    assert len(found.kept) + len(found.rejected) == 45
    assert {one.candidate.fields["text"] for one in found.kept} <= set(like)
    assert found.share == pytest.approx(len(found.kept) / 45)


def test_wrong_labels_are_found_and_right_ones_stay() -> None:
    made = candidates(150, wrong=0.1, seed=2)
    judged = agreement(seeds(), made, 3, None)
    assert judged.informed
    assert judged.rate == pytest.approx(0.1, abs=0.06)
    doubted = judged.quality < 0.85
    assert doubted[:15].mean() >= 0.5
    assert (judged.quality[:15, None] < judged.quality[15:]).mean() >= 0.98
    assert doubted[15:].mean() <= 0.02


def test_nothing_is_doubted_where_nothing_can_be_told() -> None:
    source = random.Random(3)
    frames = [frame for each in FRAMES.values() for frame in each]
    noise = [
        Candidate(fields={"text": source.choice(frames).format(thing=place, place="x", day="y")}, label=place % 3)
        for place in range(60)
    ]
    judged = agreement([], noise, 3, None)
    assert not judged.informed
    assert np.isnan(judged.quality).all()
    found = Filter(noise_seeds(noise), 3, {}).run(noise[40:])
    assert {one.quality for one in found.kept} == {None}
    assert "label" not in found.reasons


def noise_seeds(noise: list[Candidate]) -> list[Seed]:
    return [Seed(fields=one.fields, label=one.label) for one in noise[:12]]


def test_the_seeds_judge_a_few_examples() -> None:
    few = candidates(12, wrong=0.25, seed=2)
    assert agreement(seeds(6), few, 3, None).judge == ""  # two of each label know nothing of each other
    judged = agreement(seeds(45), few, 3, None)
    assert (judged.judge, judged.rate, judged.views) == ("seeds", None, ("words",))
    assert (judged.quality[:3] < judged.quality[3:].min()).all()


def test_selection_takes_turns_between_quality_and_distance() -> None:
    angle = np.array([0.0, 0.01, 0.02, 1.2, 1.5])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    quality = np.array([0.99, 0.98, 0.97, 0.95, 0.94])
    labels, none = [0] * 5, np.zeros((0, 2))
    assert select(vectors, none, quality, labels, 1, 3, weight=0.0) == [0, 1, 2]
    assert select(vectors, none, quality, labels, 1, 3, weight=0.5) == [0, 4, 3]
    assert select(vectors, vectors[4:], quality, labels, 1, 1, weight=0.5) == [0]
    assert sorted(select(vectors, none, quality, labels, 1, None, weight=0.5)) == [0, 1, 2, 3, 4]
    assert sorted(select(vectors, none, quality, [0, 0, 0, 0, 1], 2, 2, weight=0.0)) == [0, 4]


def test_selection_keeps_to_the_target_and_to_its_labels_first() -> None:
    vectors, none = np.eye(9), np.zeros((0, 9))
    labels, quality = [0, 0, 0, 0, 1, 1, 1, 2, 2], np.linspace(0.9, 0.8, 9)

    def chosen(target: dict[int, int], want: int | None = None) -> list[int]:
        return sorted(select(vectors, none, quality, labels, 3, want, 0.3, target))

    assert chosen({0: 2, 1: 2, 2: 2}) == [0, 1, 4, 5, 7, 8]
    assert chosen({0: 1, 1: 1, 2: 4}) == [
        0,
        1,
        4,
        5,
        7,
        8,
    ]  # of the label 2 there are two, and of others more than asked
    assert chosen({0: 20, 1: 20, 2: 20}) == list(range(9))
    assert chosen({0: 2, 1: 2, 2: 2}, want=3) == [0, 4, 7]
    assert chosen({0: 1}) == [0]


def test_what_passes_beyond_the_target_is_not_selected() -> None:
    good = candidates(40, seed=4)
    made = Filter(seeds(), 3, {}, target={0: 4, 1: 4, 2: 4}).run(good)
    assert len(made.kept) == 12
    passed = Filter(seeds(), 3, {}).run(good)
    assert made.share == passed.share
    assert made.reasons["not-selected"] == len(passed.kept) - 12


def test_pairs_of_texts_are_compared_as_wholes() -> None:
    people = [Seed(fields={"premise": "It rains a lot.", "hypothesis": "It is wet out."}, label=0)]
    one = Candidate(fields={"premise": "It snows a lot.", "hypothesis": "It is cold out."}, label=0)
    other = Candidate(fields={"premise": "It rains a lot."}, label=0)
    found = Filter(people, 1, {}).run([one, other])
    assert [kept.candidate for kept in found.kept] == [one]
    assert [left.detail for left in found.rejected] == ["other fields than the seeds'"]
