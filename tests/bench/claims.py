"""What packing promises, on a processor and on one H100, as data: used by packing.py."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MEANING = {
    "plain": "trials a second, where the plain loop is 1",
    "compiled": "trials a second, where the compiled loop is 1",
    "process": "trials a second, where a process for each (60 steps) is 1",
    "one": "time of a step, where that of one slot is 1",
    "product": "useful FLOP a second, where a large product's are 1",
}


@dataclass(frozen=True)
class Claim:
    """One promise about one cell. Small is good where `accept` is below `falsify`."""

    shape: str
    rows: int
    tokens: int
    """Of each row."""
    slots: int
    against: str
    """A key of `MEANING`."""
    predicted: float
    accept: float
    """From here on it counts as kept ..."""
    falsify: float
    """... and from here on as broken."""

    @property
    def cell(self) -> tuple[int, int]:
        """(rows, tokens of each)."""
        return self.rows, self.tokens

    @property
    def words(self) -> str:
        """What is promised."""
        return f"{self.shape}, {self.rows} x {self.tokens} tokens, k = {self.slots}: {MEANING[self.against]}"

    def verdict(self, found: float | None) -> str:
        """accepted, falsified, or neither."""
        if found is None:
            return "not measured"
        sign = 1 if self.accept > self.falsify else -1
        if sign * found >= sign * self.accept:
            return "accepted"
        return "FALSIFIED" if sign * found < sign * self.falsify else "neither"


ON_CPU = (
    Claim("tiny", 1, 8, 8, "one", 1.0, 1.3, 1.31),
    Claim("tiny", 8, 8, 1, "plain", 1.0, 0.91, 0.90),
    Claim("135M", 8, 8, 1, "plain", 1.0, 0.91, 0.90),
)
ON_CUDA = (
    Claim("135M", 4, 32, 32, "plain", 32, 18, 10),
    Claim("135M", 4, 32, 32, "process", 130, 60, 30),
    Claim("135M", 4, 32, 8, "one", 1.0, 1.2, 1.5),
    Claim("135M", 4, 32, 1, "plain", 1.0, 0.9, 0.8),
    Claim("135M", 8, 64, 32, "plain", 32, 15, 8),
    Claim("135M", 8, 64, 64, "compiled", 5.6, 3, 1.5),
    Claim("135M", 8, 64, 64, "product", 0.33, 0.20, 0.10),
    Claim("360M", 4, 32, 1, "plain", 1.0, 0.9, 0.8),
    Claim("1.2B", 4, 32, 16, "plain", 16, 9, 5),
    Claim("1.2B", 4, 32, 1, "plain", 1.0, 0.9, 0.8),
    Claim("1.2B", 8, 64, 8, "plain", 5.2, 3.2, 2),
    Claim("1.2B", 8, 64, 32, "product", 0.59, 0.35, 0.20),
    Claim("7B", 4, 32, 8, "plain", 8, 4.5, 2.5),
    Claim("7B", 4, 32, 1, "plain", 1.0, 0.9, 0.8),
    Claim("7B", 16, 128, 2, "one", 2.0, 1.7, 1.4),
    Claim("7B", 16, 128, 1, "product", 0.63, 0.40, 0.25),
)


def claims_table(claims: Iterable[Claim], found: Mapping[Claim, float]) -> str:
    """The promises beside what was measured, as Markdown."""
    lines = [
        "| promise | predicted | accepted from | falsified from | measured | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for claim in claims:
        number = found.get(claim)
        shown = "" if number is None else f"{number:.2f}"
        lines.append(
            f"| {claim.words} | {claim.predicted:.3g} | {claim.accept:.3g} | {claim.falsify:.3g} | {shown} | "
            f"{claim.verdict(number)} |"
        )
    return "\n".join(lines)
