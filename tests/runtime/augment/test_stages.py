"""Analysis, questions, answers, ceilings, copies by operations."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from babble import babble
from messages import LABELS, TASK, message, seeds

from fewtune.runtime.augment.analysis import analyse
from fewtune.runtime.augment.eda import eda
from fewtune.runtime.augment.example import Seed, joined
from fewtune.runtime.augment.generation import generate
from fewtune.runtime.augment.labelling import examined, named
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.parsing import parsed
from fewtune.runtime.augment.prompting import LENGTHS, Brief, ask_for
from fewtune.runtime.augment.synthesis import Synthesis
from fewtune.runtime.augment.teacher import Answer, Question

BRIEF = Brief(labels=LABELS, fields=("text",), task=TASK, constraints=("no names of people",))


def said(text: str, ended: Any = "stop") -> Answer:
    return Answer(text=text, model="m", prompt_tokens=10, completion_tokens=10, ended=ended)


def test_analysis_says_what_is_there_and_what_lacks() -> None:
    people = [*seeds(18), *(Seed(fields={"text": f"Why {word}?"}, label=2) for word in ("me", "so"))]
    people = [seed for seed in people if seed.label != 1 or seed is people[1]]
    found = analyse(people, LABELS)
    assert [(one.label, one.seeds) for one in found.labels] == [("complaint", 6), ("praise", 1), ("question", 8)]
    assert found.labels[2].words[0] == 2
    assert found.under[0] == "the label praise (1 seeds)"
    assert found.formats["question"] == pytest.approx(8 / 15)
    assert found.nearest is None
    assert any("praise" in line for line in found.lines())


def test_what_the_seeds_lack_is_asked_for_more_often() -> None:
    texts = [f"The word {'abcdefghijk'[at]} stands in a text that is long enough." for at in range(11)]
    texts[7] = "Why?"
    people = [Seed(fields={"text": text}, label=0) for text in texts]
    angles = dict(zip(texts, [0.0, 0.1, 0.2, 1.5, 0.0, 0.1, 0.1, 1.2, 0.0, 0.1, 0.2], strict=True))
    found = analyse(people, ("one",), lambda every: np.array([(np.cos(angles[t]), np.sin(angles[t])) for t in every]))
    assert found.thin == (3, 7)  # a quarter, those that point elsewhere
    assert found.lengths == {"short": 1 / 11, "middling": 0, "long": 10 / 11}
    assert found.under == ("texts with this form: question", "short texts (9% of the seeds)",
                           "middling texts (0% of the seeds)")  # fmt: skip
    brief = Brief(labels=("one",), fields=("text",), task=TASK)
    asked = [ask_for(brief, found, people, 0, number, structured=True) for number in range(200)]
    lengths = Counter(one.attributes["length"] for one in asked)
    assert lengths[LENGTHS[2]] < min(lengths[LENGTHS[0]], lengths[LENGTHS[1]])
    forms = Counter(one.attributes.get("form") for one in asked)
    assert forms.keys() == {None, "a question"}
    assert 30 < forms["a question"] < 70
    near = [one for one in asked if "subject" in one.attributes]
    assert 80 < len(near) < 120
    assert {one.question.user.partition("'one':\n- ")[2].splitlines()[0] for one in near} == {texts[3], texts[7]}
    plain = Brief(labels=("one",), fields=("text",), task=TASK, attributes={"subject": ("sport",), "form": ("verse",)})
    assert ask_for(plain, found, people, 0, 1, structured=True).attributes["form"] == "verse"


def test_a_question_says_label_constraints_and_attributes_and_shows_seeds() -> None:
    people = seeds()
    brief = Brief(labels=LABELS, fields=("text",), task=TASK, constraints=("no names of people",), per_call=4,
                  attributes={"tone": ("formal", "angry")})  # fmt: skip
    analysis = analyse(people, LABELS)
    asked = [ask_for(brief, analysis, people, 1, number, structured=True) for number in range(30)]
    text = asked[0].question.user
    for part in (TASK, "'praise'", "no names of people", "Write 4 new", "tone: "):
        assert part in text
    shown = [seed.fields["text"] for seed in people if seed.label == 1]
    assert all(one in text for one in shown)
    assert {one.attributes["tone"] for one in asked} == {"formal", "angry"}
    assert len({one.attributes["length"] for one in asked}) == 3
    assert len({one.question.key("m") for one in asked}) == 30
    assert ask_for(brief, analysis, people, 1, 7, structured=True) == asked[7]


@pytest.mark.parametrize(
    ("text", "structured", "found"),
    [
        ('{"examples": ["a b", " c d "]}', True, ["a b", "c d"]),
        ('```json\n{"examples": ["a b"]}\n```', True, ["a b"]),
        ('Here: ["a b", "c"]', True, ["a b", "c"]),
        ('{"examples": ["a b", 7]}', True, ["a b", "!an example without the fields that were asked for"]),
        ('{"examples": ["a b", "c', True, ["!the answer is not the JSON that was asked for"]),
        ("no json at all", True, ["!the answer is not the JSON that was asked for"]),
        ("Sure:\n1. a b\n2) c d\n", False, ["a b", "c d"]),
        ("- a b\n* c d", False, ["a b", "c d"]),
        ("a b\n\nc d", False, ["a b", "c d"]),
        ("", False, ["!an empty answer"]),
    ],
)
def test_answers_are_read(text: str, structured: bool, found: list[str]) -> None:
    read = parsed(said(text), ("text",), 1, "call", {}, structured=structured)
    assert [f"!{one.fault}" if one.fault else one.fields["text"] for one in read] == found
    assert {one.label for one in read} == {1}


def test_answers_with_two_fields_and_cut_ones() -> None:
    pair = '{"examples": [{"premise": "a", "hypothesis": "b"}, {"premise": "a"}, "c"]}'
    read = parsed(said(pair), ("premise", "hypothesis"), 0, "call", {}, structured=True)
    assert [bool(one.fault) for one in read] == [False, True, True]
    assert read[0].fields == {"premise": "a", "hypothesis": "b"}
    cut = parsed(said("1. a b\n2. c", "length"), ("text",), 0, "call", {}, structured=False)
    assert [one.fault for one in cut] == ["", "the answer was cut"]


class Scripted:
    """Writes messages; after so many calls the same ones again."""

    model, structured, note = "scripted", False, ""

    def __init__(self, fresh: int = 1000, readable: bool = True) -> None:
        self.fresh, self.readable, self.calls = fresh, readable, 0

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        for place, question in enumerate(questions):
            self.calls += 1
            label = next(label for label in LABELS if f"of the label '{label}'. No" in question.user)
            source = random.Random(question.seed if self.calls <= self.fresh else 1)
            lines = [f"{number}. {message(label, source)} {babble(source, 14, 18)}" for number in range(1, 6)]
            yield place, said("\n".join(lines) if self.readable else "")


@pytest.mark.parametrize(
    ("teacher", "ledger", "stopped"),
    [
        (Scripted(), Ledger(), "target"),
        (Scripted(fresh=8), Ledger(), "saturation"),
        (Scripted(readable=False), Ledger(), "saturation"),
        (Scripted(), Ledger(most_tokens=500), "tokens"),
    ],
)
def test_generation_stops(teacher: Scripted, ledger: Ledger, stopped: str) -> None:
    people = seeds()
    made = generate(BRIEF, {0: 200, 2: 100}, people, analyse(people, LABELS), teacher, ledger)
    assert made.stopped == stopped
    counts = Counter(one.label for one in made.candidates if not one.fault)
    if stopped == "target":
        assert counts == {0: 200, 2: 100}
    else:
        assert counts.total() < 300


@pytest.mark.parametrize(
    ("plan", "counts"),
    [("balanced", {0: 2, 1: 4, 2: 4}), ("proportional", {0: 6, 1: 2, 2: 2}), ({"question": 1.0}, {2: 10})],
)
def test_label_plans(plan: Any, counts: dict[int, int]) -> None:
    people = [Seed(fields={"text": str(place)}, label=label) for place, label in enumerate((0, 0, 0, 1, 2))]
    assert Synthesis(BRIEF, target=10, label_plan=plan).plan(people) == counts


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('{"label": "praise"}', 1),
        ('<think>no question, I would say</think>\n{"label": "praise"}', 1),
        ('Here you are: {"label": "praise"}', 1),
        ("Praise.", 1),
        ("I think it is praise", 1),
        ("It is a question, not praise", -1),
        ("<think>it is praise but I have no room to say", -1),
        ("nothing", -1),
        ("", -1),
    ],
)
def test_labels_are_read_from_answers(text: str, label: int) -> None:
    assert named(text, LABELS) == label


def test_seeds_that_are_examined_come_label_by_label() -> None:
    people = [Seed(fields={"text": str(place)}, label=int(place > 9)) for place in range(200)]
    asked = examined(people, 2)
    assert len(asked) == 64
    assert Counter(seed.label for seed in asked[:20]) == {0: 10, 1: 10}


NEAR = {"driver": ("courier",), "angry": ("furious",), "kettle": ("teapot",), "parcel": ("packet", "box")}


def test_operations_make_new_texts_of_the_same_words() -> None:
    people = [Seed(fields={"text": "The driver was angry, and my Kettle fell out of the parcel."}, label=0)]
    made = eda(people, 12, 0.1, NEAR, seed=1)
    assert len({joined(one.fields) for one in made}) == 12
    assert {one.origin for one in made} == {"synonym", "insert", "swap", "delete"}
    words = people[0].fields["text"].split()
    for one in made:
        changed = one.fields["text"].split()
        assert len(changed) - len(words) == {"synonym": 0, "swap": 0, "insert": 1, "delete": -1}[one.origin]
        if one.origin == "swap":
            assert sorted(changed) == sorted(words)
        if one.origin == "synonym":
            assert len(set(changed) - set(words)) == 1
    assert eda(people, 12, 0.1, NEAR, seed=1) == made
    assert eda(people, 12, 0.1, NEAR, seed=2) != made


def test_without_neighbours_words_move_and_go_only() -> None:
    made = eda(seeds(), 4, 0.1, {}, seed=1)
    assert {one.origin for one in made} == {"swap", "delete"}
    assert eda([Seed(fields={"text": "Hello"}, label=0)], 4, 0.1, {}, seed=1) == []


def test_changed_copies_of_what_is_tested_are_left_out() -> None:
    people = seeds(3)
    held = {"test": [people[0].fields["text"]]}
    made = Synthesis(BRIEF, target=0, evaluation=held).changed(people, 4, 0.05)
    assert {one.candidate.place for one in made.kept} == {1, 2}
    assert {one.reason for one in made.rejected} == {"leak"}
