"""Quantities with their unit written out ("24 GB", "2 h"), kept in one canonical spelling.

Equal quantities compare equal and give the same plan, however they were spelt: ``"300 s"`` is ``"5 min"``. A quantity
is a whole number of its smallest unit, so nothing is lost in between.
"""

import re
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_SPELLING = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([A-Za-z]+)\s*")


class Quantity(str):
    """A positive number and a unit; ``amount`` is the number of the smallest unit."""

    units: ClassVar[dict[str, int]] = {}
    """Accepted unit -> its size in the smallest unit, the largest first."""
    spellings: ClassVar[dict[str, str]] = {}
    """Other spelling -> unit."""
    example: ClassVar[str] = ""
    amount: int

    __slots__ = ("amount",)

    def __new__(cls, text: str) -> Self:
        """Parse ``text``.

        Raises:
            PydanticCustomError: not a number followed by one of ``units``, not positive, too fine or too long.
        """
        match = _SPELLING.fullmatch(text)
        names = {name.lower(): name for name in cls.units} | cls.spellings
        if match is None or match[2].lower() not in names:
            raise cls._error("expected a number and a unit ({units}), for example {example}")
        exact = Decimal(match[1]) * cls.units[names[match[2].lower()]]
        if exact <= 0:
            raise cls._error("expected a quantity above zero")
        if exact != int(exact):
            raise cls._error("expected whole numbers of the smallest unit ({smallest})")
        spelt = cls._spell(int(exact))
        if _SPELLING.fullmatch(spelt) is None:
            raise cls._error("expected fewer digits")
        self = super().__new__(cls, spelt)
        self.amount = int(exact)
        return self

    @classmethod
    def _error(cls, message: str) -> PydanticCustomError:
        context = {"units": ", ".join(cls.units), "smallest": list(cls.units)[-1], "example": repr(cls.example)}
        return PydanticCustomError("quantity", message, context)

    @classmethod
    def _spell(cls, amount: int) -> str:
        """Write ``amount`` in the largest unit that gives a whole number."""
        name, size = next((name, size) for name, size in cls.units.items() if amount % size == 0)
        return f"{amount // size} {name}"

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise cls._error("expected text with a unit ({units}), for example {example}")
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from text, serialise as the canonical spelling."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A string of a number and a unit, whatever its case."""
        names = "|".join(_any_case(name) for name in (*cls.units, *cls.spellings))
        return {
            "type": "string",
            "pattern": rf"^(?=.*[1-9])\s*[0-9]{{1,12}}(\.[0-9]{{1,6}})?\s*({names})\s*$",
            "examples": [cls.example],
        }


def _any_case(name: str) -> str:
    return "".join(f"[{letter.upper()}{letter.lower()}]" for letter in name)


class Size(Quantity):
    """A number of bytes, decimal (GB) or binary (GiB)."""

    units: ClassVar[dict[str, int]] = {
        "TiB": 2**40, "TB": 10**12, "GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6, "kB": 1000, "B": 1,
    }  # fmt: skip
    example: ClassVar[str] = "24 GB"

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.amount


TIMES = {
    "day": "days", "d": "days", "hour": "h", "hours": "h", "minute": "min", "minutes": "min", "mins": "min", "m": "min",
    "second": "s", "seconds": "s", "sec": "s",
}  # fmt: skip
"""Usual spellings of units of time -> ours."""


class Duration(Quantity):
    """A span of time."""

    units: ClassVar[dict[str, int]] = {"days": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000, "ms": 1}
    spellings: ClassVar[dict[str, str]] = TIMES
    example: ClassVar[str] = "2 h"

    @property
    def seconds(self) -> float:
        """The span in seconds."""
        return self.amount / 1000


class DeviceTime(Duration):
    """Time on one accelerator: a GPU-hour is one device busy for one hour."""
