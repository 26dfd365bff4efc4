"""Which rows a trial sees: quotas by hand and by property, folds, held-out rows, and what a changed row may change."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import facts, relabelled, twins, with_split, with_splits

from fewtune.compiler.facts import Facts
from fewtune.compiler.plan import Level, Sample, Scheme
from fewtune.compiler.sample import assign_folds, draw, ordered, parts, pool, quotas, stratified

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def level(n: int, *, held_out: int = 0, per_class: int | None = None, scheme: Scheme | None = None) -> Level:
    scheme = scheme or ("held-out" if held_out else "fixed-schedule")
    return Level(n=n, per_class=per_class, train=n - held_out, validation=held_out, scheme=scheme)


def drawn(given: Facts, wanted: Level, data_seed: int = 0, folds: int | None = None) -> list[Sample]:
    usable, _ = pool(given.data)
    return draw(given.data, usable, (wanted,), data_seed, folds)[wanted.n]


def assigned(given: Facts, folds: int, seed: int) -> dict[int, int]:
    train = given.data.train
    return assign_folds(ordered(range(len(train)), train, "fold", seed), train, folds)


def labels_of(given: Facts, rows: Sequence[int]) -> Counter[int]:
    return Counter(given.data.train.labels[row] for row in rows)


@pytest.mark.parametrize(
    ("counts", "n", "wanted"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([1, 1], 2, [1, 1]),
        ([3, 3], 10, [3, 3]),
        ([5, 5, 5], 7, [3, 2, 2]),
        ([98, 1, 1], 10, [8, 1, 1]),
        ([98, 1, 1], 3, [1, 1, 1]),
        ([98, 1, 1], 2, [2, 0, 0]),
        ([7], 3, [3]),
        ([70, 20, 10], 8, [5, 2, 1]),  # shares 5.6, 1.6 and 0.8; the floor of one takes the last remainder
        ([45, 35, 20], 10, [5, 3, 2]),  # 4.5, 3.5 and 2: the first of equal remainders
        ([10, 10], 0, [0, 0]),
        ([0, 4], 2, [0, 2]),
        ([98, 1, 0], 2, [1, 1, 0]),  # a label without rows needs no floor
        ([0, 0], 2, [0, 0]),
    ],
)
def test_quotas_by_hand(counts: list[int], n: int, wanted: list[int]) -> None:
    assert quotas(counts, n) == wanted


@given(COUNTS, st.integers(0, 800))
def test_quotas_divide_n_over_the_labels(counts: list[int], n: int) -> None:
    given_out = quotas(counts, n)
    assert sum(given_out) == min(n, sum(counts))
    assert all(0 <= got <= count for got, count in zip(given_out, counts, strict=True))
    if n >= len(counts):
        assert min(given_out) >= 1


@given(COUNTS, st.integers(0, 800))
def test_quotas_are_proportional(counts: list[int], n: int) -> None:
    """Where no label needs its floor, each has its share, rounded down or up."""
    shares = [min(n, sum(counts)) * count / sum(counts) for count in counts]
    if min(shares) >= 1:
        assert all(abs(got - share) < 1 for got, share in zip(quotas(counts, n), shares, strict=True))


def test_a_sample_is_stratified() -> None:
    given_facts = facts(labels=3, counts=(50, 30, 20))
    (sample,) = drawn(given_facts, level(10))
    assert labels_of(given_facts, sample.train) == {0: 5, 1: 3, 2: 2}
    assert len(set(sample.train)) == 10
    assert sample.validation == ()
    assert sample.scored is None


def test_a_sample_of_so_many_of_each_label() -> None:
    given_facts = facts(labels=3, counts=(50, 30, 20))
    (sample,) = drawn(given_facts, level(24, per_class=8))
    assert labels_of(given_facts, sample.train) == {0: 8, 1: 8, 2: 8}


def test_labels_are_mixed_in_the_order_of_a_sample() -> None:
    """Blocks of one label after another would be a bad order to train in."""
    given_facts = facts(labels=2, counts=(50, 50))
    (sample,) = drawn(given_facts, level(40))
    blocks = [given_facts.data.train.labels[row] for row in sample.train]
    changes = sum(one != other for one, other in pairwise(blocks))
    assert changes > 8


def test_seeds_give_different_samples() -> None:
    given_facts = facts()
    samples = [drawn(given_facts, level(48), seed)[0] for seed in range(20)]
    assert len({sample.content for sample in samples}) == 20
    assert len({frozenset(sample.train) for sample in samples}) == 20


def test_seeds_that_draw_everything_differ_in_the_order() -> None:
    given_facts = facts(n_rows=24)
    samples = [drawn(given_facts, level(24), seed)[0] for seed in range(20)]
    assert len({frozenset(sample.train) for sample in samples}) == 1
    assert len({sample.train for sample in samples}) == len({sample.content for sample in samples}) == 20


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    """A learning curve adds examples, it does not exchange them."""
    given_facts = facts()
    small, large = (drawn(given_facts, level(n))[0] for n in (24, 96))
    assert set(small.train) < set(large.train)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 119), st.integers(0, 2))
def test_a_changed_label_changes_only_samples_that_hold_the_row(row: int, label: int) -> None:
    """Or those whose labels' counts shift: here they are so equal that a single row moves no quota of 24 rows."""
    before = facts(n_rows=120, labels=3)
    after = relabelled(before, row, label)
    for seed in range(5):
        (was,), (now,) = drawn(before, level(24), seed), drawn(after, level(24), seed)
        if was.content == now.content:
            assert was.train == now.train
            continue
        changed = set(was.train) ^ set(now.train)
        assert row in {*was.train, *now.train}
        assert len(changed) <= 4, "the row itself, what takes its place, and one more of each of the two labels"


def test_a_changed_label_changes_the_content_of_a_sample_that_keeps_its_rows() -> None:
    before = facts(n_rows=24, labels=3)
    after = relabelled(before, 0, 1)
    (was,), (now,) = drawn(before, level(24)), drawn(after, level(24))
    assert set(was.train) == set(now.train)
    assert was.content != now.content


def test_the_order_of_the_rows_in_the_file_does_not_matter() -> None:
    given_facts = facts(n_rows=120, labels=3)
    train = given_facts.data.train
    turned = {name: tuple(reversed(getattr(train, name))) for name in ("text_keys", "groups", "labels", "tokens")}
    (was,), (now,) = drawn(given_facts, level(30)), drawn(with_split(given_facts, "train", **turned), level(30))
    assert [train.text_keys[row] for row in was.train] == [turned["text_keys"][row] for row in now.train]
    assert was.content == now.content


def test_the_names_of_the_labels_do_not_matter() -> None:
    """Renamed labels are sorted otherwise; the same rows are drawn, in the same order."""
    given_facts = facts(n_rows=120, labels=("a", "b", "c"))
    mirrored = tuple(2 - label for label in given_facts.data.train.labels)
    renamed = with_split(given_facts, "train", labels=mirrored)
    for wanted in (level(30), level(30, per_class=10), level(60, held_out=12)):
        (was,), (now,) = drawn(given_facts, wanted), drawn(renamed, wanted)
        assert was.train == now.train
        assert was.validation == now.validation


def test_the_names_of_the_labels_are_part_of_the_content() -> None:
    one, other = (facts(labels=names) for names in (("a", "b", "c", "d"), ("a", "b", "c", "e")))
    assert drawn(one, level(30))[0].train == drawn(other, level(30))[0].train
    assert drawn(one, level(30))[0].content != drawn(other, level(30))[0].content


def test_the_pool_has_each_text_once_beside_a_test_split() -> None:
    given_facts = twins(facts(n_rows=40), "train", {4: 0, 8: 0, 5: 1})
    usable, excluded = pool(given_facts.data)
    assert usable == tuple(row for row in range(40) if row not in (4, 5, 8))
    assert excluded == ()


@pytest.mark.parametrize("name", ["test", "validation", "blogs"])
def test_the_pool_has_nothing_of_a_scored_split(name: str) -> None:
    given_facts = facts(n_rows=40, test_rows=30, validation_rows=30, ood={"blogs": 30})
    keys = list(given_facts.data.splits[name].groups)
    keys[7] = given_facts.data.train.groups[3]
    usable, excluded = pool(with_split(given_facts, name, groups=tuple(keys)).data)
    assert excluded == (3,)
    assert 3 not in usable
    assert len(usable) == 39


def test_unlabelled_text_may_be_sampled_where_it_is_labelled() -> None:
    given_facts = facts(n_rows=40, unlabelled_rows=10)
    same = with_split(given_facts, "unlabelled", groups=given_facts.data.train.groups[:10])
    assert pool(same.data)[0] == tuple(range(40))


def test_rows_without_label_are_not_sampled() -> None:
    assert 5 not in pool(relabelled(facts(n_rows=40), 5, -1).data)[0]


@st.composite
def with_twins(make: st.DrawFn) -> Facts:
    """Rows without a test split, some of them the same text."""
    rows, labels = make(st.integers(12, 40)), make(st.integers(2, 4))
    same = make(st.dictionaries(st.integers(0, rows - 1), st.integers(0, rows - 1), max_size=8))
    return twins(facts(n_rows=rows, labels=labels, test_rows=0), "train", same)


@settings(max_examples=40, deadline=None)
@given(with_twins(), st.integers(2, 5), st.integers(0, 4))
def test_every_row_is_scored_once_and_by_a_model_that_never_saw_its_text(
    given_facts: Facts, folds: int, seed: int
) -> None:
    usable, _ = pool(given_facts.data)
    samples = drawn(given_facts, level(len(usable)), seed, folds)
    assert sorted(row for sample in samples for row in sample.scored or ()) == sorted(usable)
    groups = given_facts.data.train.groups
    for sample in samples:
        seen = {groups[row] for row in (*sample.train, *sample.validation)}
        assert not seen & {groups[row] for row in sample.scored or ()}


@settings(max_examples=40, deadline=None)
@given(with_twins(), st.integers(2, 8), st.integers(0, 3))
def test_held_out_rows_are_not_trained_on(given_facts: Facts, rows: int, seed: int) -> None:
    """Neither they nor their twins, in cross-validation and without."""
    usable, _ = pool(given_facts.data)
    for folds in (None, 3):
        for sample in drawn(given_facts, level(len(usable) - 4, held_out=rows), seed, folds):
            groups = given_facts.data.train.groups
            taken = {*sample.train, *sample.validation}
            assert len(taken) == len(sample.train) + len(sample.validation)
            assert not {groups[row] for row in sample.train} & {groups[row] for row in sample.validation}
            texts, labels = {groups[row] for row in taken}, labels_of(given_facts, sorted(taken))
            assert labels_of(given_facts, sample.train).keys() == labels.keys()
            assert len(sample.validation) >= min(rows, len(texts) - len(labels))


@settings(max_examples=40, deadline=None)
@given(st.integers(20, 60), st.integers(2, 4), st.integers(2, 5))
def test_folds_are_stratified_and_of_nearly_the_same_size(rows: int, labels: int, folds: int) -> None:
    given_facts = facts(n_rows=rows, labels=labels, test_rows=0)
    fold_of = assigned(given_facts, folds, 0)
    sizes = Counter(fold_of.values())
    assert len(sizes) == folds
    assert max(sizes.values()) - min(sizes.values()) <= 1
    for label in range(labels):
        each = Counter(fold for row, fold in fold_of.items() if given_facts.data.train.labels[row] == label)
        assert max(each.values()) - min(each[fold] for fold in range(folds)) <= 1


def test_seeds_assign_other_folds() -> None:
    given_facts = facts(n_rows=60, test_rows=0)
    assignments = [assigned(given_facts, 5, seed) for seed in range(10)]
    assert len({tuple(sorted(folds.items())) for folds in assignments}) == 10


def test_a_fold_draws_no_more_than_the_budget() -> None:
    given_facts = facts(n_rows=60, test_rows=0)
    assert {len(sample.train) for sample in drawn(given_facts, level(24), 0, 5)} == {24}


def test_validation_does_not_take_the_only_example_of_a_label() -> None:
    """A label that is validated and never trained on can only be got wrong."""
    given_facts = facts(labels=3, counts=(60, 59, 1))
    (sample,) = drawn(given_facts, level(120, held_out=24))
    assert labels_of(given_facts, sample.train).keys() == {0, 1, 2}


def test_validation_has_the_same_shares() -> None:
    given_facts = facts(labels=3, counts=(100, 60, 40))
    (sample,) = drawn(given_facts, level(100, held_out=20))
    assert labels_of(given_facts, sample.validation) == {0: 10, 1: 6, 2: 4}
    assert labels_of(given_facts, sample.train) == {0: 40, 1: 24, 2: 16}


def test_a_validation_split_takes_no_row_of_the_pool() -> None:
    given_facts = facts(validation_rows=30)
    (sample,) = drawn(given_facts, level(48, scheme="validation-split"))
    assert len(sample.train) == 48
    assert sample.validation == tuple(range(30))


def test_roles_are_part_of_the_content() -> None:
    """The same rows as training and as validation are two different samples."""
    given_facts = facts(n_rows=24)
    contents = {drawn(given_facts, level(24, held_out=rows))[0].content for rows in (0, 4, 8)}
    assert len(contents) == 3


def test_a_row_of_a_validation_split_is_part_of_the_content() -> None:
    given_facts = facts(validation_rows=30)
    labels = list(given_facts.data.splits["validation"].labels)
    labels[3] = (labels[3] + 1) % 4
    wanted = level(48, scheme="validation-split")
    changed = with_split(given_facts, "validation", labels=tuple(labels))
    assert drawn(given_facts, wanted)[0].content != drawn(changed, wanted)[0].content


def test_drawing_needs_no_more_than_the_rows_it_draws_from() -> None:
    given_facts = facts()
    rows = stratified(range(0, 240, 2), given_facts.data.train, 30, 4, None)
    assert all(row % 2 == 0 for row in rows)
    without_test = with_splits(given_facts, {"train": given_facts.data.train})
    assert drawn(given_facts, level(30))[0].content == drawn(without_test, level(30))[0].content


@pytest.mark.parametrize("counts", [(3, 3, 3, 3, 3, 3), (9, 5, 2), (8, 8), (5, 4, 4, 5), (16, 1)])
def test_what_is_fitted_sees_as_many_of_a_label_whichever_part_is_left_out(counts: tuple[int, ...]) -> None:
    given = facts(labels=len(counts), counts=counts)
    (whole,) = drawn(given, level(sum(counts)))
    found = parts(given.data, whole, 4)
    assert sorted(row for part in found for row in part.validation) == sorted(whole.train)
    for part in found:
        held = Counter(given.data.train.labels[row] for row in part.validation)
        kept = Counter(given.data.train.labels[row] for row in part.train)
        for label, count in enumerate(counts):
            most = max(1, count - -(-count // 4))
            assert kept[label] == min(most, count - held[label]), "a label's only row may be the one that is scored"
        assert not set(part.train) & set(part.validation)
        assert [row for row in whole.train if row in part.train] == list(part.train), "in the sample's order"
