"""From rows to tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import LABELS

from fewtune.runtime.job import Corpus, Row, RowRef
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer, shared_beginning, shares


@pytest.fixture
def encoder(models: Callable[..., Path]) -> Encoder:
    return Encoder(load_tokenizer(str(models() / "tokenizer.json")))


def test_known_fields_are_replaced_and_nothing_else() -> None:
    template = Template("{premise} {other} {labels}: {hypothesis}", options="yes, no", opening="{text} ")
    fields = {"premise": "a {hypothesis} {labels} {0}", "hypothesis": "b%s{"}
    assert template.filled(fields) == "{text} a {hypothesis} {labels} {0} {other} yes, no: b%s{"


@pytest.mark.parametrize("limit", [12, 20, 33, 64])
def test_a_long_text_is_cut_until_it_fits_and_the_pattern_never(encoder: Encoder, limit: int) -> None:
    template = Template("Question: {text}\nTopic:")
    text = "the report says that people talks " * 20
    fields, ids = encoder.fitting(template, {"text": text}, limit)
    assert limit - 2 <= len(ids) <= limit
    decoded = encoder.tokenizer.decode(ids)
    assert decoded == template.filled(fields)
    assert decoded.startswith("Question: the report")
    assert decoded.endswith("\nTopic:")
    assert text.startswith(fields["text"])


def test_of_a_pair_the_longer_text_is_cut_first(encoder: Encoder) -> None:
    template = Template("{premise}\nQuestion: {hypothesis}\nAnswer:")
    long, short = "the report " * 40, "people talks"
    fields, ids = encoder.fitting(template, {"premise": long, "hypothesis": short}, 40)
    assert len(ids) <= 40
    assert fields["hypothesis"] == short
    assert long.startswith(fields["premise"])
    both, _ = encoder.fitting(template, {"premise": long, "hypothesis": "a new " * 40}, 40)
    tokens = [len(encoder.ids(both[name])) for name in ("premise", "hypothesis")]
    assert abs(tokens[0] - tokens[1]) <= 1


def test_characters_of_several_tokens_are_cut_too(encoder: Encoder) -> None:
    _, ids = encoder.fitting(Template("{text} Topic:"), {"text": "é🙂漢" * 30}, 25)
    assert len(ids) <= 25


def test_a_pattern_that_does_not_fit_is_an_error(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="the pattern alone takes"):
        encoder.fitting(Template("the report says that people talks {text}"), {"text": "monday"}, 4)


def test_special_tokens_count_and_stay(models: Callable[..., Path]) -> None:
    encoder = Encoder(load_tokenizer(str(models("opt") / "tokenizer.json")))
    _, ids = encoder.fitting(Template("{text}\nTopic:"), {"text": "the report " * 40}, 16)
    assert len(ids) <= 16
    assert ids[0] == encoder.tokenizer.token_to_id("</s>")


def test_an_empty_text_leaves_something_to_read(encoder: Encoder) -> None:
    assert encoder.encode(Template("{text}"), Row(fields={"text": ""}, label=0), 8)


def test_encodings_are_remembered_by_template_and_row(encoder: Encoder) -> None:
    corpus = Corpus(labels=LABELS, splits={"a": (Row(fields={"text": "goal"}, label=0),) * 2})
    first = encoder.rows(Template("{text}"), 8, corpus, RowRef(split="a", rows=(1, 0)))
    assert encoder.rows(Template("{text}"), 8, corpus, RowRef(split="a", rows=(0,)))[0] is first[1]
    assert encoder.rows(Template("{text}!"), 8, corpus, RowRef(split="a", rows=(0,)))[0] != first[1]


@pytest.mark.parametrize(("lengths", "room"), [([7], 3), ([5, 5, 5], 7), ([1, 9, 4], 8), ([3, 2], 0), ([2, 2], 9)])
def test_shares_fill_the_room_and_cut_the_longest(lengths: list[int], room: int) -> None:
    kept = shares(lengths, room)
    assert sum(kept) == min(room, sum(lengths))
    cut = [place for place in range(len(kept)) if kept[place] < lengths[place]]
    assert all(kept[place] >= max(kept) - 1 for place in cut)


def test_shared_beginning() -> None:
    assert shared_beginning([[1, 2, 3], [1, 2], [1, 2, 9]]) == 2
    assert shared_beginning([[1], [2]]) == 0
    assert shared_beginning([[4, 5]]) == 2
