"""Patterns and label words: everything that a rule may ask the model about is measured."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import compiled, experiment, facts

from fewtune.compiler.arm import Verbalizer
from fewtune.compiler.rules.verbalizer import verbalizer
from fewtune.compiler.situation import Situation
from fewtune.compiler.wording import (
    SYNONYMS,
    candidate_patterns,
    candidate_words,
    default_pattern,
    fields,
    fixed_text,
    head_pattern,
    word_forms,
    writing_pattern,
    writing_patterns,
)
from fewtune.specs.data import FIELD
from fewtune.specs.experiment import Experiment
from fewtune.specs.task import FIELDS, WRITTEN, Task

PLAIN = experiment()
PAIR = experiment(task={"type": "pair-classification"})
ASKED = experiment(task={"question": "Which team?"})
ASKED_PAIR = experiment(task={"type": "pair-classification", "question": "Same?"})

NAMES = st.lists(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=2, max_size=12).filter(str.strip),
    min_size=2,
    max_size=8,
    unique=True,
)


@pytest.mark.parametrize("asked", [PLAIN, PAIR, ASKED, ASKED_PAIR], ids=["plain", "pair", "asked", "asked pair"])
@pytest.mark.parametrize("labels", [("a", "b"), ("entailment", "contradiction")])
def test_a_default_pattern_has_the_fields_of_its_task(asked: Experiment, labels: tuple[str, ...]) -> None:
    pattern = default_pattern(asked, labels)
    assert FIELD.findall(pattern) == list(fields(asked))
    assert fields(asked) == FIELDS[asked.task.type]
    assert pattern == pattern.strip(), "the label's word follows after one space"
    if asked.task.question:
        assert asked.task.question in pattern


def test_a_head_reads_the_texts_alone() -> None:
    assert head_pattern(PLAIN) == "{text}"
    assert head_pattern(PAIR) == "{premise}\n{hypothesis}"


def test_entailment_is_asked_for_by_its_name() -> None:
    pattern = default_pattern(PAIR, ("Entailment", "NEUTRAL", "contradiction"))
    assert "Yes, no, or maybe?" in pattern
    assert "Yes, no, or maybe?" not in default_pattern(PAIR, ("entailment", "neutral", "other"))


@pytest.mark.parametrize(
    ("label", "forms"),
    [
        ("World", ("World", "world")),
        ("not_spam", ("not_spam", "not spam", "Not spam")),
        ("e-mail", ("e-mail", "e mail", "E mail")),
        ("ABC", ("ABC", "abc", "Abc")),
        ("0", ("0",)),
        ("_", ("_",)),
    ],
)
def test_spellings_of_a_name(label: str, forms: tuple[str, ...]) -> None:
    assert word_forms(label) == forms


def test_synonyms_are_words_for_lower_case_labels() -> None:
    for table in SYNONYMS:
        assert all(label == label.lower() for label in table)
        assert len(set(table.values())) == len(table)
    assert len({frozenset(table) for table in SYNONYMS}) == len(SYNONYMS)


@settings(deadline=None)
@given(NAMES, st.booleans())
def test_every_word_that_is_chosen_was_measured(labels: list[str], blurred: bool) -> None:
    measured = facts(n_rows=8, labels=labels, blurred=blurred, test_rows=0)
    chosen = verbalizer(Situation(experiment=PLAIN, facts=measured, pool=()))
    words = Verbalizer.model_validate(chosen.value)
    assert set(words.words) == set(words.tokens) == set(labels)
    assert set(words.words.values()) <= set(candidate_words(PLAIN, tuple(labels)))
    assert len(set(words.tokens.values())) == len(labels)


def test_the_user_s_own_words_and_patterns_are_measured() -> None:
    asked = experiment(task={"verbalizer": {"a": "globe", "b": "game"}, "patterns": ["{text} It was", "On {text}:"]})
    assert {"globe", "game"} <= set(candidate_words(asked, ("a", "b")))
    assert {"{text} It was", "On {text}:"} <= set(candidate_patterns(asked, ("a", "b")))


@pytest.mark.parametrize("asked", [PLAIN, PAIR, ASKED, ASKED_PAIR], ids=["plain", "pair", "asked", "asked pair"])
def test_every_pattern_of_a_plan_was_measured(asked: Experiment) -> None:
    given_facts = facts(asked)
    plan = compiled({"task": asked.task.model_dump(exclude_none=True), "data": {"label_budget": 32}}).plan
    assert {arm.pattern for arm in plan.arms if arm.pattern} <= given_facts.model.pattern_tokens.keys()


def test_candidates_are_named_once() -> None:
    for candidates in (candidate_words(PLAIN, ("Yes", "yes", "A")), candidate_patterns(PLAIN, ("a", "b"))):
        assert len(candidates) == len(set(candidates))


def test_letters_are_measured_for_as_many_labels_as_there_are() -> None:
    assert {"A", "B", "C"} <= set(candidate_words(PLAIN, ("1", "2", "3")))
    assert "D" not in candidate_words(PLAIN, ("1", "2", "3"))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("{text}\nCategory:", "\nCategory:"),
        ("{premise} and {hypothesis}?", " and ?"),
        ("{text} is one of {labels}:", " is one of cats, dogs:"),
    ],
)
def test_the_fixed_text_of_a_pattern(pattern: str, text: str) -> None:
    assert fixed_text(pattern, ("cats", "dogs")) == text


def test_a_label_with_braces_is_part_of_the_fixed_text() -> None:
    assert fixed_text("{labels}: {text}", ("{cat}", "dogs")) == "{cat}, dogs: "


@pytest.mark.parametrize("kind", sorted(WRITTEN))
@pytest.mark.parametrize(("instruct", "chat"), [(False, None), (True, None), (True, "chatml")])
def test_a_pattern_to_write_from_has_the_fields_and_ends_open(kind: Any, instruct: bool, chat: str | None) -> None:
    task = Task(type=kind)
    pattern = writing_pattern(task, FIELDS[kind], instruct=instruct, chat=chat)
    assert FIELD.findall(pattern) == list(FIELDS[kind])
    assert pattern.endswith("<|im_start|>assistant\n" if chat else ":")
    assert pattern in writing_patterns(task), "its length is measured"
    asked = writing_pattern(
        Task(type=kind, instruction="Say it in French."), FIELDS[kind], instruct=instruct, chat=chat
    )
    assert "Say it in French." in asked


def test_a_question_may_have_no_context() -> None:
    task = Task(type="question-answering")
    pattern = writing_pattern(task, ("question",), instruct=True, chat="chatml")
    assert FIELD.findall(pattern) == ["question"]
    assert pattern in writing_patterns(task)


def test_texts_need_no_words() -> None:
    assert candidate_words(experiment(task={"type": "summarisation"}), ()) == ()
