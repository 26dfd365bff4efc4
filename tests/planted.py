"""A teacher's answers with planted faults: messages about hired bicycles, each one's fault known.

The clean messages, and those that were written for another label than the one they answer, are the project's own
(tests/fixtures/bicycles). Leaks are test rows in four forms; near-duplicates are clean messages and seeds with small
changes. `python tests/planted.py` writes the recording anew, which is needed where questions are worded differently.
"""

import csv
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fewtune.runtime.augment.analysis import analyse
from fewtune.runtime.augment.example import Seed
from fewtune.runtime.augment.generation import generate
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.recording import Recorded, Recording, Replay
from fewtune.runtime.augment.synthesis import Synthesis, Synthetic
from fewtune.runtime.augment.teacher import Answer, Question, guessed_tokens
from fewtune.runtime.augment.vectors import Encode

ROOT = Path(__file__).resolve().parent
FIXTURES = ROOT / "fixtures" / "bicycles"
RECORDING = FIXTURES / "calls.jsonl"
MODEL = "planted"
LABELS = ("account", "billing", "repair", "stations")
BRIEF = Brief(
    labels=LABELS,
    fields=("message",),
    task="What is a message to a town's bicycle hire about: a repair, a bill, the stations, or the member's account?",
    constraints=("the town has no name", "no names of members"),
    attributes={"tone": ("polite", "annoyed", "matter-of-fact")},
)
LEAKS = ("exact", "case and punctuation", "edited word", "clauses reordered")
EACH = 12
"""Leaks of each form."""
COPIES = {"edited word": 16, "added word": 14, "two added words": 10, "case and punctuation": 8}
"""Near-duplicates: change -> how many; a quarter of them are of seeds."""
BROKEN = (
    "Text: The lamp of my bicycle is dark.", "3. You charged me twice for one short ride.",
    "Label: stations. A rack at the mosque would be good.", "Dear [NAME], my password is not accepted.",
    '{"message": "The brake of the red one fails."}', "Here is an example of a message about billing.",
    "**Please** move the stand at the bakery.", "I cannot find the place where the app hides my",
    "As an AI I ride no bicycles.",
    "My bill my bill my bill my bill my bill my bill my bill.", "<p>The dock at the school is stuck.</p>", "",
    "Why is the", "Fee.", "Sure, the account is locked again since my last trip.", "```The saddle is loose.```",
)  # fmt: skip
"""Examples with a form that no message has."""
EDITS = ("bicycle", "station", "invoice", "profile", "evening", "corner", "member", "bridge", "really", "machine")
ADDED = ("really", "today", "again", "simply", "once more", "by the way")


class Planted(NamedTuple):
    """One example that the teacher writes."""

    text: str
    label: int
    fault: str
    """clean, format, label, leak, copy."""
    form: str = ""


def rows(path: Path) -> list[tuple[str, int]]:
    """(message, label) of a file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [(row["message"], LABELS.index(row["topic"])) for row in csv.DictReader(lines)]


def seeds() -> list[Seed]:
    return [Seed(fields={"message": text}, label=label) for text, label in rows(FIXTURES / "train.csv")]


def held() -> list[str]:
    return [text for text, _ in rows(FIXTURES / "test.csv")]


def changed(text: str, form: str, source: random.Random) -> str:
    """A text in another form."""
    words = text.split()
    long = [place for place, word in enumerate(words) if len(word.strip(",.?!")) >= 5]
    if form == "case and punctuation":
        return source.choice((text.upper(), text.lower())).replace(",", " -").replace("'", "’").rstrip(".?") + "!"
    if form == "edited word":
        place = source.choice(long)
        words[place] = (
            source.choice([word for word in EDITS if word not in text])
            + words[place][len(words[place].rstrip(",.?!")) :]
        )
    elif form == "clauses reordered":
        first, _, second = text.rstrip(".?").partition(", ")
        return f"{second[:1].upper()}{second[1:]}, {first[:1].lower()}{first[1:]}{text[-1]}"
    elif form != "exact":
        for _ in range(2 if form.startswith("two") else 1):
            words.insert(source.randrange(1, len(words)), source.choice(ADDED))
    return " ".join(words)


def planted() -> list[Planted]:
    """Everything that the teacher writes, in its order; copies come after what they copy."""
    source = random.Random(11)
    clean, test = rows(FIXTURES / "clean.csv"), rows(FIXTURES / "test.csv")
    source.shuffle(clean)
    first = [Planted(text, label, "clean") for text, label in clean]
    first += [Planted(text, label, "label") for text, label in rows(FIXTURES / "wrong.csv")]
    first += [Planted(text, place % 4, "format") for place, text in enumerate(BROKEN)]
    for form in LEAKS:
        able = [one for one in test if form != "clauses reordered" or ", " in one[0]]
        taken = source.sample(able, EACH)
        first += [Planted(changed(text, form, source), label, "leak", form) for text, label in taken]
    source.shuffle(first)
    last = []
    people = rows(FIXTURES / "train.csv")
    for form, count in COPIES.items():
        originals = [*source.sample(people, count // 4), *source.sample(clean, count - count // 4)]
        last += [Planted(changed(text, form, source), label, "copy", form) for text, label in originals]
    source.shuffle(last)
    return first + last


class PlantedTeacher:
    """Answers each question with the next planted examples of its label; two answers are no JSON."""

    model, structured, note = MODEL, True, ""

    def __init__(self) -> None:
        self.left = {label: [one.text for one in planted() if one.label == label] for label in range(len(LABELS))}
        self.calls = 0

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer]]:
        for place, question in enumerate(questions):
            label = next(at for at, name in enumerate(LABELS) if f"of the label '{name}'. No" in question.user)
            part, self.left[label] = self.left[label][: BRIEF.per_call], self.left[label][BRIEF.per_call :]
            text = json.dumps({"examples": part}, ensure_ascii=False)
            self.calls += 1
            if self.calls in (7, 23):
                self.left[label] = part + self.left[label]
                text = text[: len(text) // 2]
            read = guessed_tokens(question.system + question.user)
            yield (
                place,
                Answer(
                    text=text, model=MODEL, prompt_tokens=read, completion_tokens=guessed_tokens(text), counted=False
                ),
            )


def synthesis() -> Synthesis:
    """The settings of the recording."""
    counts = Counter(one.label for one in planted())
    plan = {LABELS[label]: float(count) for label, count in counts.items()}
    return Synthesis(BRIEF, target=counts.total(), label_plan=plan, evaluation={"test": held()})


def replayed(encode: Encode | None = None) -> Synthetic:
    """The recording, filtered; it was made without an encoder, which would have it ask other questions."""
    made, ledger = synthesis(), Ledger()
    analysis, teacher = analyse(seeds(), LABELS), Replay(Recording(RECORDING), MODEL)
    written = generate(BRIEF, made.plan(seeds()), seeds(), analysis, teacher, ledger)
    made.encode = encode
    return made.filtered(seeds(), analysis, written.candidates, teacher.note, written.stopped, ledger)


if __name__ == "__main__":
    RECORDING.unlink(missing_ok=True)
    recording = Recording(RECORDING)
    synthesis().run(seeds(), Recorded(PlantedTeacher(), recording), Ledger())
    recording.close()
