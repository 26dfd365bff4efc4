"""Which texts are alike: both searches against all comparisons, and planted copies among very many texts."""

import random
from itertools import combinations
from math import ceil

import pytest
from babble import babble, copied

from fewtune.runtime.augment import containment, likeness, stretches
from fewtune.runtime.augment.containment import inside
from fewtune.runtime.augment.leakage import leaks, likenesses, pieces
from fewtune.runtime.augment.likeness import LEAST_HELD, edited, near
from fewtune.runtime.augment.words import WORD, sixths, units
from fewtune.runtime.probe.data import normalised
from fewtune.runtime.probe.near import alike, shingles

WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
CHARACTERS = "東京都大ขคงจ"


def differ_by_a_word(one: str, other: str) -> bool:
    whole = [without(units(text)) for text in (one, other)]
    return units(one) == units(other) or bool(whole[0] & whole[1])


def without(parts: list[str]) -> set[tuple[str, ...]]:
    """All bags that come out of leaving out nothing, or, of a long text, a word or neighbouring characters."""
    able = sum(sixths(parts)) >= LEAST_HELD * WORD
    runs = [(at, end) for at in range(len(parts)) for end in range(at + 1, len(parts) + 1) if able]
    cut = [parts[:at] + parts[end:] for at, end in runs if sum(sixths(parts[at:end])) <= WORD]
    return {tuple(sorted(bag)) for bag in [parts, *cut]}


@pytest.mark.parametrize("first", [0, 40])
def test_edited_pairs_are_those_of_all_comparisons(first: int) -> None:
    source = random.Random(first)
    texts = [" ".join(source.choices(WORDS, k=source.randint(2, 8))) for _ in range(90)]
    texts += [" ".join(source.choices([*WORDS[:1], *CHARACTERS], k=source.randint(4, 14))) for _ in range(60)]
    texts += ["".join(source.choices(CHARACTERS[4 * (place % 2) :][:4], k=12)) for place in range(60)]
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
        (f"{BEFORE} {LEAKED.upper()} {AFTER}", "inside"),
        (f"{BEFORE} {LEAKED.replace('our parcel', 'our heavy parcel')} {AFTER}", "inside"),
        (f"{BEFORE} {LEAKED.replace('our parcel', 'our own big heavy parcel')} {AFTER}", "stretch"),
        (f"{BEFORE} {LEAKED.replace('red', 'green')} {AFTER}", "stretch"),
        (f"{BEFORE} {LEAKED.replace('red', 'green').replace('rained', 'snowed')} {AFTER}", "stretch"),
        (f"{BEFORE} {LEAKED.replace('left', 'laid').replace('red', 'green').replace('all', 'one')}", None),
        (f"{BEFORE} The red garage is behind our parcel, and all night the quick courier left it there.", None),
        (f"{BEFORE} I would like to cancel my order that was placed on Monday. {AFTER}", None),
        (f"Behind the red garage, and it rained. {BEFORE} The quick courier left our parcel. {AFTER}", "stretch"),
        ("The quick courier left our parcel behind the", "stretch"),
        ("The quick courier left our parcel behind", None),  # seven words
        ("He said that the quick courier left our parcel behind the blue car again.", "stretch"),
        ("Behind the red garage, and it rained all", "stretch"),
    ],
)
def test_a_row_or_a_long_stretch_of_it_inside_a_text(text: str, found: str | None) -> None:
    held = {"test": ["Cancel my order", LEAKED], "validation": []}
    texts = ["An unlike one that is long enough to be looked at.", text]
    leaked = leaks(held, texts, likenesses(held, texts))
    assert {place: match[:3] for place, match in leaked.items()} == ({1: ("test", 1, found)} if found else {})


def test_a_stretch_is_half_of_a_row_at_least() -> None:
    row = f"{BEFORE} {AFTER}"
    words = row.split()
    half = len(words) / 2
    for count, found in ((ceil(half) - 1, False), (ceil(half), True)):
        for part in (words[:count], words[-count:], words[7 : 7 + count]):
            assert bool(stretches.stretches([row], [" ".join([*part, "so", "they", "say"])])) == found


def test_what_many_rows_share_is_a_frame() -> None:
    frame = "if you would like to know more about this please ask for"
    rows = [f"{frame} the {colour} leaflet" for colour in ("red", "green", "blue", "white")]
    text = f"{frame} another thing that nobody here has heard of so far"
    assert stretches.stretches(rows[:3], [text]) == {0: 0}
    assert stretches.stretches(rows, [text]) == {}
    assert stretches.stretches([*rows[:3], *rows[:3]], [text]) == {0: 0}  # copies are one row


def test_stretches_are_those_of_all_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "TOGETHER", 70)
    monkeypatch.setattr(stretches, "SHARED", 1000)
    source = random.Random(3)
    known, texts = [], []
    for place in range(60):
        alphabet = [*WORDS[:4], *CHARACTERS] if place % 2 else WORDS
        known.append(" ".join(source.choices(alphabet, k=source.randint(4, 30))))
    for _ in range(200):
        row, around = source.choice(known).split(), [source.choices(WORDS, k=source.randint(0, 5)) for _ in range(2)]
        at = source.randrange(len(row))
        part = row[at : source.randint(at, len(row))]
        texts.append(" ".join([*around[0], *part, *around[1], *row[:at]]))

    def runs(parts: list[str]) -> dict[tuple[str, ...], list[int]]:
        found: dict[tuple[str, ...], list[int]] = {}
        for count in (6, 12, 18):
            for at in range(len(parts) - count + 1):
                run = tuple(parts[at : at + count])
                if sum(sixths(run)) >= stretches.RUN * WORD:
                    found.setdefault(run, []).append(at)
        return found

    def holds(text: list[str], row: list[str]) -> bool:
        shared = runs(text).keys()
        covered = {at + more for run, places in runs(row).items() if run in shared for at in places
                   for more in range(len(run))}  # fmt: skip
        return sum(sixths([row[at] for at in covered])) >= max(stretches.LEAST * WORD, sum(sixths(row)) / 2)

    wanted = {
        place: next(at for at, row in enumerate(known) if holds(text.split(), row.split()))
        for place, text in enumerate(texts) if any(holds(text.split(), row.split()) for row in known)
    }  # fmt: skip
    assert len(wanted) > 60
    assert stretches.stretches(known, texts) == wanted


@pytest.mark.parametrize(
    ("row", "text", "leak", "copy"),
    [
        ("Where is my parcel?", "Whe\u200bre is my par\u00adcel?", True, True),
        ("great movie", "gre\ufeffat mov\ufe0fie", True, True),
        ("cancel my subscription please", "pause my subscription please", True, True),  # most 5-grams, too
        ("The box contained gold", "The crate contained gold", True, False),
        ("The box had gold", "The box had much gold", True, False),
        ("The box had old gold", "The box had new gold", True, False),
        ("great movie", "bad movie", False, False),
        ("great old movie", "great new movie", False, False),
        ("这部电影非常好看", "这部电影非常难看", True, False),  # one character of eight
        ("我想取消我的订单谢谢", "我想查询我的订单谢谢", True, False),  # a word of two characters
        ("很好看", "很难看", False, False),
        ("昨日買った靴のサイズが合わないので交換したい", "昨日買った靴のサイズが合わないので返品したい", True, True),
        ("อาหารที่นี่อร่อยมาก", "อาหารที่นี่อร่อยมาค", True, True),
        ("靴のサイズ", "靴の色", False, False),
    ],
)
def test_small_changes_of_short_rows(row: str, text: str, leak: bool, copy: bool) -> None:
    held = {"test": ["Something else.", row]}
    assert (1 in leaks(held, ["Unlike all.", text], likenesses(held, ["Unlike all.", text], held=held))) == leak
    assert bool(likenesses({"seed": [row]}, [text]).known(["seed"])) == copy
    assert bool(likenesses({}, [row, text]).copies()) == copy


def test_a_row_inside_a_longer_text_without_spaces() -> None:
    row, around = (
        "昨日買った靴のサイズが合わないので交換したい",
        "先週からずっとこの店の返事を待っていますが誰も電話に出ません",
    )
    text = f"{around}{row.replace('靴', '服')}{around}"
    assert {place: match.form for place, match in leaks({"test": [row]}, [text], likenesses({}, [text])).items()} == {
        0: "stretch"
    }


def test_a_piece_of_a_seed_is_a_copy_and_what_goes_on_from_it_is_none() -> None:
    beginning = "The quick courier left our parcel behind the"
    texts = [beginning, f"{beginning} blue car again.", "Unlike all that there is here to be seen by you."]
    assert {place: match[:3] for place, match in pieces("seed", [LEAKED], texts).items()} == {0: ("seed", 0, "stretch")}


def test_what_is_not_shown_makes_no_other_text() -> None:
    assert normalised("Well\u200b-known,  a so\u00adft HYPHEN\ufe0f") == "well known a soft hyphen"
    assert normalised("می\u200cخواهم") == normalised("میخواهم")


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
