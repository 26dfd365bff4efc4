"""What a text is made of: its words, and where a script has no spaces between words, its characters.

Such a character is a part of a word: two make a word in Chinese and Japanese, three letters in Thai, Lao, Khmer and
Burmese (vowel signs and tones aside). So lengths are counted in sixths of a word, whatever the script.
"""

import re
from collections.abc import Sequence

HAN = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
THAI = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
UNIT = re.compile(f"[{HAN}{THAI}]|[^ {HAN}{THAI}]+")
SPACELESS = {re.compile(f"[{HAN}]"): 3, re.compile(f"[{THAI}]"): 2}
"""Characters of scripts without spaces -> sixths of a word."""
WORD = 6
"""Sixths of a word."""


def units(normal: str) -> list[str]:
    """The words of a normalised text, or its characters.

    >>> units("the 東京 tower")
    ['the', '東', '京', 'tower']
    """
    return normal.split() if normal.isascii() else UNIT.findall(normal)


def sixths(parts: Sequence[str]) -> list[int]:
    """How long each unit is, in sixths of a word.

    >>> sixths(["the", "東", "京", "tower"])
    [6, 3, 3, 6]
    """
    return [WORD if part.isascii() else _sixths(part) for part in parts]


def _sixths(part: str) -> int:
    return next((share for script, share in SPACELESS.items() if script.match(part)), WORD)
