"""Which texts are alike: both searches against all comparisons, and planted copies among very many texts."""

import random
from collections import Counter
from itertools import combinations

import pytest
from babble import babble, copied

from fewtune.runtime.augment import containment, likeness
from fewtune.runtime.augment.containment import inside
from fewtune.runtime.augment.leakage import leaks, likenesses
from fewtune.runtime.augment.likeness import LEAST_WORDS, edited, near
from fewtune.runtime.probe.near import alike, shingles

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]


def differ_by_a_word(one: str, other: str) -> bool:
    a, b = Counter(one.split()), Counter(other.split())
    out, into = sum((a - b).values()), sum((b - a).values())
    long_enough = all(sum(bag.values()) >= LEAST_WORDS for bag, lost in ((a, out), (b, into)) if lost)
    return (out, into) == (0, 0) or (max(out, into) == 1 and long_enough)


@pytest.mark.parametrize("first", [0, 40])
def test_edited_pairs_are_those_of_all_comparisons(first: int) -> None:
    source = random.Random(first)
    texts = [" ".join(source.choices(WORDS, k=source.randint(4, 8))) for _ in range(90)]
    wanted = {
        (i, j) for i, j in combinations(range(len(texts)), 2) if j >= first and differ_by_a_word(texts[i], texts[j])
    }
    assert len(wanted) > 40
    assert {tuple(pair) for pair in edited(texts, first).tolist()} == wanted


def test_the_search_for_many_finds_what_the_exact_one_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(5)
    texts = [babble(source) for _ in range(300)]
    texts += [copied(text, source) for text in texts[:120]]
    sets = [shingles([text]) for text in texts]
    exact = {(i, j): value for i, j, value in alike(sets, lambda i, j: True, likeness.LIKE)}
    monkeypatch.setattr(likeness, "FEW", 0)
    assert {(i, j): value for i, j, value in near(texts)} == exact
    assert len(exact) > 80
    assert {(i, j) for i, j, _ in near(texts, 350)} == {(i, j) for i, j in exact if j >= 350}


@pytest.mark.full
def test_very_many_copies_of_one_text_stay_cheap() -> None:
    texts = [f"This same text stands here very often {'!' * (place % 7)}" for place in range(2000)]
    assert len(likenesses({}, texts).copies()) == 1999
    texts = [f"{text} {place // 100} {place % 100}" for place, text in enumerate(texts)]
    assert len(likenesses({}, texts).copies()) > 1900


LEAKED = "The quick courier left our parcel behind the red garage, and it rained all night."


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (LEAKED, "same"),
        ("the QUICK courier - left our parcel behind the red garage and it rained all night", "same"),
        (LEAKED.replace("garage", "shed"), "edited"),
        (LEAKED.replace("quick ", ""), "edited"),
        ("It rained all night, and the quick courier left our parcel behind the red garage.", "edited"),
        (LEAKED + " Oh dear.", "near"),
        ("Where was the parcel left while it rained so hard the whole night?", None),
    ],
)
def test_forms_of_leaks(text: str, form: str | None) -> None:
    held = {"validation": ["Something else."], "test": ["Another text.", LEAKED]}
    found = likenesses(held, ["Unlike all.", text]).known(list(held))
    if form is None:
        assert not found
    else:
        assert found[1][:3] == ("test", 1, form)
        assert list(found) == [1]


BEFORE = "Hello, I am writing to you once more about what happened to me last week, as nobody picks up the phone."
AFTER = "What will you do about it now, and when may I expect to hear from somebody who knows what is going on?"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{BEFORE} {LEAKED.upper()} {AFTER}", True),
        (f"{BEFORE} {LEAKED.replace('our parcel', 'our heavy parcel')} {AFTER}", True),
        (f"{BEFORE} {LEAKED.replace('our parcel', 'our own big heavy parcel')} {AFTER}", False),
        (f"{BEFORE} {LEAKED.replace('red', 'green')} {AFTER}", False),
        (f"{BEFORE} The red garage is behind our parcel, and all night the quick courier left it there.", False),
        (f"{BEFORE} I would like to cancel my order that was placed on Monday. {AFTER}", False),
        (f"The quick courier left our parcel. {BEFORE} Behind the red garage, and it rained all night. {AFTER}", False),
    ],
)
def test_a_row_inside_a_longer_text(text: str, found: bool) -> None:
    held = {"test": ["Cancel my order", LEAKED], "validation": []}
    texts = ["An unlike one that is long enough to be looked at.", text]
    leaked = leaks(held, texts, likenesses(held, texts))
    assert {place: match[:3] for place, match in leaked.items()} == ({1: ("test", 1, "inside")} if found else {})


def test_rows_inside_longer_texts_are_those_of_all_comparisons() -> None:
    source = random.Random(8)
    known = [" ".join(source.choices(WORDS, k=source.randint(3, 8))) for _ in range(60)]
    texts = [" ".join(source.choices(WORDS, k=source.randint(6, 12))) for _ in range(200)]
    texts += [f"{source.choice(WORDS)} {source.choice(known)} {source.choice(WORDS)}" for _ in range(60)]

    def stands(row: list[str], text: list[str]) -> bool:
        room = len(row) // containment.ROOM
        windows = (text[at : at + len(row) + room] for at in range(len(text)))
        ways = ((window, ways) for window in windows for ways in combinations(window, len(row)))
        return len(text) > len(row) and any(list(way) == row for _, way in ways)

    wanted = {
        place for place, text in enumerate(texts)
        if any(stands(row.split(), text.split()) for row in known if len(row.split()) >= containment.LEAST_WORDS)
    }  # fmt: skip
    assert len(wanted) > 30
    assert set(inside(known, texts)) == wanted


def test_what_is_left_out_makes_no_other_text_a_copy() -> None:
    a = "we met extraordinarily many knowledgeable people near that pond"
    b = a.replace("knowledgeable", "uninteresting")
    c = b.replace("extraordinarily", "disappointingly")
    assert {text: match.other for text, match in likenesses({}, [a, b, c]).copies().items()} == {1: 0}  # c is like b
    found = likenesses({"seed": [a]}, [c, b])
    assert {text: match.other for text, match in found.known(["seed"]).items()} == {1: 0}
    assert found.copies(gone=[0]) == {}
    assert found.copies().keys() == {1}


@pytest.mark.parametrize("text", ["", "?!", "a", "ab"])
def test_texts_of_next_to_nothing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likeness, "FEW", 0)
    assert [(i, j) for i, j, _ in near([text, "some longer text", text])] == [(0, 2)]
    assert edited([text, "some longer text", text]).tolist() == [[0, 2]]
