"""A value that the language does not take there: another form, word, range or unit of what was meant."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from fewtune.specs.findings import BASE_URL
from fewtune.specs.repairs.fixing import Applicability
from fewtune.specs.repairs.names import WORDS, bare
from fewtune.specs.repairs.quantities import KINDS, quantity

Candidate = tuple[Any, Applicability]
MAIN_KEYS: Mapping[str, str] = {
    "/task": "type", "/data": "train", "/model": "name", "/methods": "include", "/evaluation": "metric",
    "/constraints": "wall_time", "/augmentation/teacher": "model",
}  # fmt: skip
"""Table -> the key that a lone value most likely is."""
WORDED: Mapping[str, str] = {"/evaluation": "validation", "/model": "precision"}
"""Table -> a key of it that takes few words: a lone value that is one of them belongs there."""
SOURCES = ("train", "validation", "test", "unlabelled", "replay", "path", "encoder_path")
"""Fields for which a number is no name of a file."""
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?", re.IGNORECASE)
"""An address on this machine, without its scheme."""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def candidates(place: str, value: Any, allowed: Sequence[str], bounds: Mapping[str, float]) -> Iterator[Candidate]:
    """Other values that may have been meant, the likeliest first.

    Args:
        place: the pointer.
        value: what stands there.
        allowed: words that are taken there.
        bounds: ge, gt, le, lt, as far as they were broken.
    """
    field = place.rsplit("/", 1)[-1]
    if field in KINDS:
        meant = quantity(field, value)
        if meant:
            yield meant, "likely"
    if place == "/data/label_budget" and "le" in bounds:
        yield "all", "likely"
    if isinstance(value, bool):
        if field not in SOURCES:
            yield str(value).lower(), "likely"
    elif isinstance(value, (int, float)):
        yield from _of_number(value, bounds)
        if field not in SOURCES and not place.startswith("/data/ood/"):
            yield str(value), "likely"
    elif isinstance(value, str):
        yield from _of_text(place, value, allowed)
    elif isinstance(value, list):
        yield from _of_list(value)
    elif isinstance(value, dict):
        yield from _of_table(place, value)
    if place == "/data/ood" and isinstance(value, str):
        yield {re.split(r"[/\\]", value)[-1].partition(".")[0]: value}, "likely"
    if place in WORDED and isinstance(value, str):
        yield {WORDED[place]: value}, "likely"
    if place in MAIN_KEYS and not isinstance(value, dict):
        yield {MAIN_KEYS[place]: value}, "likely"


def _of_number(value: float, bounds: Mapping[str, float]) -> Iterator[Candidate]:
    if isinstance(value, float) and value == int(value):
        yield int(value), "safe"
    if value in (0, 1):
        yield bool(value), "likely"
    if bounds and value < 0:
        yield -value, "likely"
    if bounds.get("le", bounds.get("lt", 2)) <= 1 < value <= 100:
        yield round(value / (100 if value >= 2 else 10), 6), "likely"
    for name in ("ge", "le"):
        if name in bounds:
            limit = bounds[name]
            yield (int(limit) if isinstance(value, int) else limit), "likely"
    if bounds.get("gt") == 0 and isinstance(value, int):
        yield 1, "likely"
    if isinstance(value, float) and value >= 1:
        yield int(value), "likely"


def _of_text(place: str, value: str, allowed: Sequence[str]) -> Iterator[Candidate]:
    if place == BASE_URL:
        yield from _schemes(value.strip())
        return
    yield from _words(value, allowed)
    text = value.strip().lower()
    if text in (*TRUE, *FALSE):
        yield text in TRUE, "safe"
    if re.fullmatch(r"-?\d{1,15}", text):
        yield int(text), "safe"
    elif NUMBER.fullmatch(text) and len(text) < 25:
        yield float(text), "safe"
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text):
        yield round(float(found[1]) / 100, 6), "likely"
    pieces = [piece.strip().strip("'\"") for piece in re.split(r"[,;]", value.strip("[] "))]
    if all(pieces):
        yield [_plain(piece) for piece in pieces], "likely"
        yield [{"method": piece} for piece in pieces], "likely"
    numbers = NUMBER.findall(text)
    if len(numbers) == 1:
        yield _plain(numbers[0]), "likely"
    if found := re.fullmatch(r"(\d{1,9})\s*(?:\.{2,3}|:|to|–|—|-)\s*(\d{1,9})", text):
        yield f"{found[1]}-{found[2]}", "likely"
    if place == "/name" or place.endswith("/name"):
        kept = re.sub(r"[^\w ,.:()+-]+", " ", value).strip()[:62]
        if kept and kept != value:
            yield kept, "likely"


def _schemes(value: str) -> Iterator[Candidate]:
    """The address with a scheme: an endpoint on this machine has no certificate, of others nobody knows."""
    bare_address = value.removeprefix("//")
    if LOCAL.fullmatch(bare_address):
        yield f"http://{bare_address}", "likely"
    elif "://" not in value:
        yield f"https://{bare_address}", "choose"
        yield f"http://{bare_address}", "choose"


def _words(value: str, allowed: Sequence[str]) -> Iterator[Candidate]:
    known = {bare(word): word for word in allowed}
    if bare(value) in known:
        yield known[bare(value)], "safe"
    first, plus, second = value.lower().partition("+")
    if plus and bare(f"{second}+{first}") in known:
        yield known[bare(f"{second}+{first}")], "likely"
    other = re.sub(r"[_\s]+", "-", value.strip().lower())
    yield from ((word, "likely") for word in WORDS.get(other, ()) if word in allowed)
    yield from ((known[near], "likely") for near in get_close_matches(bare(value), known, n=2, cutoff=0.6))


def _plain(piece: str) -> Any:
    if re.fullmatch(r"-?\d{1,15}", piece):
        return int(piece)
    return float(piece) if NUMBER.fullmatch(piece) and len(piece) < 25 else piece


def _of_list(value: list[Any]) -> Iterator[Candidate]:
    if len(value) == 1:
        yield value[0], "safe"
    if value and all(isinstance(item, list) for item in value):
        yield [part for item in value for part in item], "likely"
    if any(isinstance(item, str) for item in value):
        yield [_plain(item.strip()) if isinstance(item, str) else item for item in value], "safe"
        yield [{"method": item} if isinstance(item, str) else item for item in value], "likely"
    if any(isinstance(item, float) and item == int(item) for item in value):
        yield [int(item) if isinstance(item, float) and item == int(item) else item for item in value], "safe"
    if value and len({repr(item) for item in value}) < len(value):
        yield list({repr(item): item for item in value}.values()), "safe"
    if value and all(isinstance(item, dict) for item in value):
        yield {key: part for item in value for key, part in item.items()}, "likely"


def _of_table(place: str, value: dict[str, Any]) -> Iterator[Candidate]:
    if place == "/methods/arms" and "method" in value:
        yield [value], "safe"
    if value and all(key.isdigit() for key in value):
        yield [value[key] for key in sorted(value, key=int)], "safe"
    if len(value) == 1:
        (inner,) = value.values()
        yield inner, "likely"
    for key in ("value", "path", "name", "type", "id", "column"):
        if key in value and len(value) > 1:
            yield value[key], "choose"
