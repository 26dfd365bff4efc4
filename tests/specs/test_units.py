"""Quantities: spellings, the canonical form, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from fewtune.specs.units import TIMES, DeviceTime, Duration, Quantity, Size

KINDS: tuple[type[Quantity], ...] = (Size, Duration, DeviceTime)


@pytest.mark.parametrize(
    ("kind", "written", "canonical", "amount"),
    [
        (Size, "24 GB", "24 GB", 24e9),
        (Size, "24GB", "24 GB", 24e9),
        (Size, "  24   gb ", "24 GB", 24e9),
        (Size, "0.5 GB", "500 MB", 5e8),
        (Size, "1.5 GB", "1500 MB", 1.5e9),
        (Size, "1000 GB", "1 TB", 1e12),
        (Size, "24 GiB", "24 GiB", 24 * 2**30),
        (Size, "1024 MiB", "1 GiB", 2**30),
        (Size, "1 MiB", "1 MiB", 2**20),
        (Size, "512 B", "512 B", 512),
        (Size, "3 kB", "3 kB", 3000),
        (Duration, "300 s", "5 min", 300_000),
        (Duration, "5 min", "5 min", 300_000),
        (Duration, "0.5 h", "30 min", 1_800_000),
        (Duration, "90 min", "90 min", 5_400_000),
        (Duration, "1.5 h", "90 min", 5_400_000),
        (Duration, "36 hours", "36 h", 129_600_000),
        (Duration, "1 day", "1 days", 86_400_000),
        (Duration, "2 d", "2 days", 172_800_000),
        (Duration, "250 ms", "250 ms", 250),
        (Duration, "0.25 s", "250 ms", 250),
        (Duration, "2 Hours", "2 h", 7_200_000),
        (DeviceTime, "2 h", "2 h", 7_200_000),
        (DeviceTime, "48 h", "2 days", 172_800_000),
        (DeviceTime, "20 ms", "20 ms", 20),
    ],
)  # fmt: skip
def test_spellings(kind: type[Quantity], written: str, canonical: str, amount: float) -> None:
    value = kind(written)
    assert value == canonical
    assert str(value) == canonical
    assert value.amount == amount


@pytest.mark.parametrize("spelling", TIMES)
def test_usual_spellings_of_time(spelling: str) -> None:
    assert Duration(f"2 {spelling}") == Duration(f"2 {TIMES[spelling]}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "written",
    [
        "", "24", "GB", "24 XB", "-1 GB", "+1 h", "1,5 h", "1e3 s", "1.5.2 h", "2 h 30 min", "about 2 h", "inf h",
        "nan s", "0 GB", "0.0 h", "0 s", "2 hs", "1234567890123 s", "1.1234567 h", "2\n\nh x",
    ],
)  # fmt: skip
def test_what_is_no_quantity(kind: type[Quantity], written: str) -> None:
    with pytest.raises(PydanticCustomError):
        kind(written)


@pytest.mark.parametrize(("kind", "written"), [(Size, "2 h"), (Duration, "24 GB"), (DeviceTime, "24 GB")])
def test_units_of_something_else_are_refused(kind: type[Quantity], written: str) -> None:
    with pytest.raises(PydanticCustomError, match="expected a number and a unit"):
        kind(written)


@pytest.mark.parametrize("value", [24, 1.5, True, None, ["2 h"], {"amount": 2}])
@pytest.mark.parametrize("kind", KINDS)
def test_a_number_without_unit_is_refused_in_a_document(kind: type[Quantity], value: Any) -> None:
    with pytest.raises(ValidationError, match="text with a unit"):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_names_units_and_an_example(kind: type[Quantity]) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        kind("much")
    for word in (*kind.units, kind.example):
        assert word in refused.value.message()


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_holds_the_canonical_spelling(kind: type[Quantity]) -> None:
    adapter = TypeAdapter(kind)
    value = adapter.validate_python(kind.example)
    assert adapter.dump_json(value) == f'"{kind.example}"'.encode()
    assert adapter.validate_json(adapter.dump_json(value)) == value
    assert adapter.validate_python(value) is value


UNITS = st.sampled_from([(kind, unit) for kind in KINDS for unit in kind.units])


@given(UNITS, st.integers(1, 10**12 - 1))
def test_the_canonical_form_is_read_as_itself(unit: tuple[type[Quantity], str], number: int) -> None:
    """Whatever was written: it is shorter than what may be written, and means the same."""
    kind, name = unit
    value = kind(f"{number} {name}")
    assert value.amount == number * kind.units[name]
    assert kind(str(value)) == value
    assert kind(str(value)).amount == value.amount


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_equal_exactly_where_the_amounts_are(one: int, other: int) -> None:
    for kind, small, large, factor in (
        (Duration, "s", "min", 60),
        (Size, "MB", "GB", 1000),
        (Size, "MiB", "GiB", 1024),
    ):
        assert kind(f"{one * factor} {small}") == kind(f"{one} {large}")
        assert (kind(f"{one} {small}") == kind(f"{other} {small}")) is (one == other)


@pytest.mark.parametrize("written", ["1000000 TB", "2000000 days", "99999.95 s", "0.001 s", "0.000001 MB"])
def test_a_quantity_far_from_one_is_read_as_itself(written: str) -> None:
    kind = Size if written.endswith("B") else Duration
    assert kind(str(kind(written))).amount == kind(written).amount


@pytest.mark.parametrize("written", ["0.000001 ms", "0.00001 B", "1.5 B", "0.0005 s"])
def test_parts_of_the_smallest_unit_are_refused(written: str) -> None:
    with pytest.raises(PydanticCustomError, match="whole numbers of the smallest unit"):
        (Size if written.endswith("B") else Duration)(written)


def test_what_could_not_be_read_again_is_refused() -> None:
    """In the unit that gives a whole number it has more than twelve digits."""
    with pytest.raises(PydanticCustomError, match="fewer digits"):
        Size("999999999.000001 TB")


@pytest.mark.parametrize(
    ("kind", "one", "other"), [(Duration, "123456.7 s", "123457 s"), (Size, "94 GiB", "100932 MB")]
)
def test_different_quantities_differ(kind: type[Quantity], one: str, other: str) -> None:
    assert kind(one) != kind(other)


def test_digits_are_ascii() -> None:
    with pytest.raises(PydanticCustomError):
        Duration("\N{ARABIC-INDIC DIGIT THREE} h")


@pytest.mark.parametrize("written", ["2 d", "48 h", "2 days"])
def test_device_time_is_written_as_other_times(written: str) -> None:
    assert DeviceTime(written).seconds == 172_800


@pytest.mark.parametrize(("kind", "one", "other"), [(Size, "0.27 TB", "270 GB"), (Duration, "0.03 min", "1.8 s")])
def test_equal_quantities_are_equal_in_every_unit(kind: type[Quantity], one: str, other: str) -> None:
    assert kind(one) == kind(other)


def test_the_canonical_form_decides_the_amount() -> None:
    """A plan's file holds the canonical form: planned from it, the same limit must hold."""
    assert Duration("0.07 h").amount == Duration(str(Duration("0.07 h"))).amount


def test_bytes_and_seconds() -> None:
    assert Size("1.5 kB").bytes == 1500
    assert Duration("1.5 h").seconds == 5400.0
    assert DeviceTime("30 min").seconds == 1800.0
