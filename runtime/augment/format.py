"""Rules on the form of a text: what no seed looks like, and what a teacher leaves around its examples."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

RESIDUE: dict[str, re.Pattern[str]] = {
    "a code fence": re.compile(r"```"),
    "braces of JSON": re.compile(r'^\s*[\[{]|[\]}]\s*$|"\s*:\s*"'),
    "a placeholder": re.compile(r"\[[A-Za-z][\w ]*\]|<[A-Za-z][\w ]*>|\{[A-Za-z][\w ]*\}|\bX{3,}\b"),
    "a heading": re.compile(
        r"^\W*(text|label|example|category|answer|output|input|premise|hypothesis)\W*\d*\s*:", re.I
    ),
    "a number of a list": re.compile(r"^\s*(\d+[.)]|[-*•])\s+"),
    "talk of the teacher": re.compile(
        r"\bas an ai\b|\blanguage model\b|^(sure|certainly|of course)[,!]|\bhere (is|are) (a|an|the|some|\w+) (\w+ )?"
        r"(example|text|sentence)", re.I
    ),
    "markup": re.compile(r"</?[a-z]+[^>]*>|\*\*|^#+ "),
}  # fmt: skip
"""What it is -> how it is recognised. A form that a seed has, too, is none."""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffe\uffff]")
ENDS = ".!?…\"'”’)。！？"
USUAL = 0.95
"""A form that so many seeds have is expected of what is made from them."""
REPETITIVE, FROM_WORDS = 0.4, 12
"""A text of so many words that has fewer distinct ones than this share repeats itself."""
SHORTER, LONGER = 0.5, 2.0
"""Factors of the shortest and longest seed that bound what is made from them."""


@dataclass(frozen=True)
class Form:
    """What the seeds look like."""

    seeds: tuple[str, ...]

    @cached_property
    def _residue(self) -> dict[str, re.Pattern[str]]:
        return {name: found for name, found in RESIDUE.items() if not any(found.search(text) for text in self.seeds)}

    @cached_property
    def _ends(self) -> bool:
        """Whether the seeds are whole sentences."""
        ends = sum(text.rstrip()[-1:] in ENDS for text in self.seeds if text.strip())
        return ends >= USUAL * len(self.seeds)

    @cached_property
    def words(self) -> tuple[int, int]:
        """The fewest and the most words of an example."""
        counts = [len(text.split()) for text in self.seeds] or [1]
        return max(1, int(SHORTER * min(counts))), max(2, int(LONGER * max(counts)) + 1)

    def fault(self, text: str) -> str:
        """What is wrong with a text's form; empty: nothing."""
        if not text.strip():
            return "empty"
        if CONTROL.search(text):
            return "control characters"
        for name, found in self._residue.items():
            if found.search(text):
                return name
        if self._ends and text.rstrip()[-1] not in ENDS:
            return "no end of a sentence"
        words = text.lower().split()
        if len(words) >= FROM_WORDS and len(set(words)) < REPETITIVE * len(words):
            return "repeats itself"
        return ""

    def misfit(self, text: str) -> str:
        """How the length is out of bounds; empty: it is not."""
        low, high = self.words
        count = len(text.split())
        return "" if low <= count <= high else f"{count} words; seeds allow {low} to {high}"


def forms(seeds: Sequence[dict[str, str]]) -> dict[str, Form]:
    """Field -> what the seeds' texts look like."""
    names = seeds[0] if seeds else {}
    return {name: Form(tuple(seed[name] for seed in seeds)) for name in names}
