"""Sizes and times as people write them -> as the language does.

A bare number gets the unit in which such a number makes sense; of two that do, the smaller one, which asks for less.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["size", "time"]
KINDS: Mapping[str, Kind] = {
    "gpu_memory": "size", "disk": "size", "gpu_hours": "time", "wall_time": "time", "latency": "time",
}  # fmt: skip
"""Limit -> what it measures."""
SPELT: Mapping[str, str] = {
    "g": "GB", "gb": "GB", "gig": "GB", "gigs": "GB", "gigabyte": "GB", "gigabytes": "GB", "gbs": "GB", "go": "GB",
    "gib": "GiB", "gibibytes": "GiB", "gi": "GiB", "m": "MB", "mb": "MB", "mbs": "MB", "megabyte": "MB",
    "megabytes": "MB", "mib": "MiB", "mi": "MiB", "mo": "MB", "t": "TB", "tb": "TB", "terabytes": "TB", "tib": "TiB",
    "k": "kB", "kb": "kB", "kilobytes": "kB", "b": "B", "byte": "B", "bytes": "B",
}  # fmt: skip
TIMED: Mapping[str, str] = {
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "std": "h", "m": "min", "min": "min", "mins": "min",
    "mn": "min", "minute": "min", "minutes": "min", "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "ms": "ms", "msec": "ms", "millis": "ms", "millisecond": "ms", "milliseconds": "ms", "d": "days", "day": "days",
    "days": "days", "gpuhours": "h", "gpuh": "h",
}  # fmt: skip
SECONDS = {"days": 86_400, "h": 3600, "min": 60, "s": 1}
NUMBERS = {name: str(number) for number, name in enumerate(
    ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"), 1)}  # fmt: skip
UNITS_OF: Mapping[str, str] = {
    "gb": "GB", "mb": "MB", "gib": "GiB", "h": "h", "hours": "h", "hrs": "h", "min": "min", "mins": "min",
    "minutes": "min", "s": "s", "sec": "s", "secs": "s", "seconds": "s", "ms": "ms",
}  # fmt: skip
"""Last part of a key that names a unit -> the unit."""
PART = re.compile(r"(\d+(?:[.,]\d+)?)\s*([A-Za-z]+)")
CLOCK = re.compile(r"(\d{1,3}):(\d{2})(?::(\d{2}))?")
ISO = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", re.IGNORECASE)


def with_unit(value: Any, unit: str) -> str | None:
    """A number with its unit; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    return f"{value:g} {unit}" if value < 1e6 else f"{int(value)} {unit}"


def quantity(field: str, value: Any) -> str | None:
    """The quantity that was meant; None where that is not clear."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    kind = KINDS[field]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _bare(field, value)
    if not isinstance(value, str):
        return None
    text = re.sub(r"[a-z]+", lambda word: NUMBERS.get(word.group(), word.group()), value.strip().lower())
    if number := re.fullmatch(r"\d+(?:[.,]\d+)?", text):
        return _bare(field, float(number.group().replace(",", ".")))
    return _time(field, text) if kind == "time" else _size(field, text)


def _size(field: str, text: str) -> str | None:
    parts = PART.findall(text)
    if not parts and (turned := re.fullmatch(r"([a-z]+)\s*(\d+(?:\.\d+)?)", text)):
        parts = [(turned[2], turned[1])]
    if len(parts) != 1:
        return None
    number, unit = parts[0]
    if unit in SPELT and not text.startswith("-"):
        return f"{number.replace(',', '.')} {SPELT[unit]}"
    return _bare(field, float(number.replace(",", ".")))


def _time(field: str, text: str) -> str | None:
    if clock := CLOCK.fullmatch(text):
        hours, minutes, seconds = clock.groups()
        return _seconds(int(hours) * 3600 + int(minutes) * 60 + int(seconds)) if seconds else None
    if len(text) > 2 and (iso := ISO.fullmatch(text)):
        days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
        return _seconds(days * 86_400 + hours * 3600 + minutes * 60 + seconds)
    parts = PART.findall(text.replace("-", " ") if not text.startswith("-") else "")
    if not parts:
        return None
    known = [(number.replace(",", "."), TIMED.get(unit)) for number, unit in parts]
    if len(known) == 1:
        number, unit = known[0]
        return f"{number} {unit}" if unit else _bare(field, float(number))
    if any(unit not in SECONDS for _, unit in known):
        return None
    return _seconds(round(sum(float(number) * SECONDS[unit or "s"] for number, unit in known)))


def _seconds(seconds: int) -> str | None:
    unit = next((unit for unit, size in SECONDS.items() if seconds and seconds % size == 0), None)
    return f"{seconds // SECONDS[unit]} {unit}" if unit else None


def _bare(field: str, number: float) -> str | None:
    """A number without a unit, in the one in which it makes sense."""
    if number <= 0:
        return None
    if field == "latency":
        unit = "ms" if number >= 10 else "s"
    elif KINDS[field] == "size":
        unit = "GB" if number < 1000 else "MB" if number < 1e7 else "B"
    elif field == "gpu_hours":
        unit = "h"
    else:
        unit = "h" if number < 10 else "min" if number < 300 else "s"
    return with_unit(number, unit)
