"""Quantities with their unit written out ("24 GB", "2 h"), kept in one canonical spelling.

Equal quantities compare equal and give the same plan, however they were spelt: ``"300 s"`` is ``"5 min"``.
"""

import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_SPELLING = re.compile(r"\s*(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]+)\s*")


class Quantity(str):
    """A positive number and a unit; ``amount`` is the number in the base unit."""

    units: ClassVar[dict[str, float]] = {}
    """Accepted unit -> its size in the base unit, the largest first; the last one is the base unit."""
    spellings: ClassVar[dict[str, str]] = {}
    """Other spelling -> unit."""
    example: ClassVar[str] = ""
    amount: float

    __slots__ = ("amount",)

    def __new__(cls, text: str) -> Self:
        """Parse ``text``.

        Raises:
            PydanticCustomError: not a number followed by one of ``units``, or not positive.
        """
        match = _SPELLING.fullmatch(text)
        names = {name.lower(): name for name in cls.units} | cls.spellings
        if match is None or match[2].lower() not in names:
            raise PydanticCustomError(
                "quantity",
                "expected a number and a unit ({units}), for example {example}",
                {"units": ", ".join(cls.units), "example": repr(cls.example)},
            )
        amount = float(match[1]) * cls.units[names[match[2].lower()]]
        if amount <= 0:
            raise PydanticCustomError("quantity", "expected a quantity above zero", {"example": repr(cls.example)})
        self = super().__new__(cls, cls._spell(amount))
        self.amount = amount
        return self

    @classmethod
    def _spell(cls, amount: float) -> str:
        """Write ``amount`` in the largest unit that gives a short exact number of at least one."""
        for name, size in cls.units.items():
            number = amount / size
            if number >= 1 and round(number, 6) == number and len(f"{number:g}") <= 6:
                return f"{number:g} {name}"
        base, size = list(cls.units.items())[-1]
        return f"{amount / size:.12g} {base}"

    @classmethod
    def _validate(cls, value: Any) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError(
                "quantity",
                "expected text with a unit ({units}), for example {example}",
                {"units": ", ".join(cls.units), "example": repr(cls.example)},
            )
        return cls(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate from text, serialise as the canonical spelling."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A string of a number and a unit."""
        names = "|".join((*cls.units, *cls.spellings))
        return {
            "type": "string",
            "pattern": rf"^\s*\d+(\.\d+)?\s*({names})\s*$",
            "examples": [cls.example],
        }


class Size(Quantity):
    """A number of bytes, decimal (GB) or binary (GiB)."""

    units: ClassVar[dict[str, float]] = {
        "TB": 1e12, "GB": 1e9, "MB": 1e6, "TiB": 2.0**40, "GiB": 2.0**30, "MiB": 2.0**20, "kB": 1e3, "B": 1.0,
    }  # fmt: skip
    example: ClassVar[str] = "24 GB"

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return int(self.amount)


TIMES = {
    "day": "days", "d": "days", "hour": "h", "hours": "h", "minute": "min", "minutes": "min", "mins": "min",
    "second": "s", "seconds": "s", "sec": "s",
}  # fmt: skip
"""Usual spellings of units of time -> ours."""


class Duration(Quantity):
    """A span of time."""

    units: ClassVar[dict[str, float]] = {"days": 86400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3}
    spellings: ClassVar[dict[str, str]] = TIMES
    example: ClassVar[str] = "2 h"

    @property
    def seconds(self) -> float:
        """The span in seconds."""
        return self.amount


class DeviceTime(Quantity):
    """Time on one accelerator: a GPU-hour is one device busy for one hour."""

    units: ClassVar[dict[str, float]] = {"h": 3600.0, "min": 60.0, "s": 1.0}
    spellings: ClassVar[dict[str, str]] = TIMES
    example: ClassVar[str] = "2 h"

    @property
    def seconds(self) -> float:
        """Device-seconds."""
        return self.amount
