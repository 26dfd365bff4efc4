"""Every call of a teacher, in an append-only file of JSON lines: what was paid for is never asked for again.

A line holds the question's hash, the answer, its model, tokens and cost, and a checksum. Three more kinds of lines hold
what a reader must know of a teacher's texts, what was lost on a question before its answer came, and that it was
refused: a replay leaves it, too, and a command that asks the teacher asks it again. Keys of accounts
are in no question, so in no line. The question itself is there only where that is asked for: it contains rows of the
user's data.
"""

import hashlib
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fewtune.compiler.fingerprint import canonical, fingerprint
from fewtune.runtime.augment.teacher import Answer, Question, Teacher, Trouble
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.frozen import Frozen
from fewtune.store import durable

RECORDING_VERSION = 1


class Recording:
    """The calls of one file; may be read by many processes and written by one."""

    def __init__(self, path: Path, *, keep_questions: bool = False) -> None:
        """Read it, if it is there.

        Args:
            path: the file.
            keep_questions: whether the questions are written beside their hashes.

        Raises:
            RunError: E-recording where a line other than a cut last one is damaged.
        """
        self.path, self.keep_questions = path, keep_questions
        self._handle: int | None = None
        content = path.read_bytes() if path.exists() else b""
        self._sound = content.rfind(b"\n") + 1
        """Bytes up to the last whole line."""
        self._unended = _is_whole(content[self._sound :])
        """Whether the last line lacks its end of a line only, as some editors leave it."""
        self.note = ""
        """What of it was not read; empty: nothing."""
        if self._unended:
            self._sound = len(content)
        elif self._sound < len(content):
            self.note = f"the last line of {path.name} is cut and was left out: its question has no answer there"
        self.answers: dict[str, Answer] = {}
        """Hash of a question -> its answer."""
        self.lost: dict[str, Trouble] = {}
        """Hash of a question -> what all its tries that brought nothing have cost."""
        self.refused: dict[str, str] = {}
        """Hash of a question without an answer -> what was said instead."""
        self.notes: dict[str, str] = {}
        """Model -> what a reader of its texts must know."""
        for one in _parsed(path, content[: self._sound]):
            self._take(one)

    @property
    def fingerprint(self) -> str:
        """Names the recorded answers, whatever their order."""
        return recorded_fingerprint(self.answers, self.lost)

    def find(self, model: str, question: Question) -> Answer | None:
        """The answer that was given."""
        return self.answers.get(question.key(model))

    def lost_on(self, model: str, question: Question) -> Trouble | None:
        """What its tries that brought nothing have cost; None: nothing."""
        return self.lost.get(question.key(model))

    def add(self, model: str, question: Question, answer: Answer) -> Answer:
        """Write an answer down, with what was lost before it came; on return it is on the disk.

        Returns:
            The answer as it is recorded.
        """
        key = question.key(model)
        if key in self.lost:
            lost = self.lost[key]
            wasted = answer.wasted_tokens + lost.wasted_tokens
            answer = answer.model_copy(update={"wasted_tokens": wasted, "cost": answer.cost + lost.cost})
        asked = {"question": question.model_dump(mode="json")} if self.keep_questions else {}
        self._write(_Answered(key=key, answer=answer), asked)
        return answer

    def lose(self, model: str, question: Question, trouble: Trouble) -> None:
        """Write down that a question was refused, and what one without an answer has cost."""
        key = question.key(model)
        if trouble.wasted_tokens:
            self._write(_Lost(key=key, lost=trouble))
        if trouble.kind == "refused" and self.refused.get(key) != trouble.message:
            self._write(_Refused(key=key, refused=trouble.message))

    def say(self, model: str, note: str) -> None:
        """Write down what a reader of a model's texts must know; once."""
        if note != self.notes.get(model, ""):
            self._write(_Note(teacher=model, note=note))

    def _write(self, one: "_Line", more: Mapping[str, Any] = MappingProxyType({})) -> None:
        line = {"v": RECORDING_VERSION, **one.written(), **more}
        durable.append(self._open(), self.path, f"{canonical({**line, 'sum': _sum(line)})}\n".encode())
        self._take(one)

    def _take(self, one: "_Line") -> None:
        match one:
            case _Answered():
                self.answers[one.key] = one.answer
                self.refused.pop(one.key, None)
            case _Refused():
                self.refused[one.key] = one.refused
            case _Note():
                self.notes[one.teacher] = one.note
            case _Lost():
                before = self.lost.get(one.key, NOTHING)
                wasted, cost = before.wasted_tokens + one.lost.wasted_tokens, before.cost + one.lost.cost
                self.lost[one.key] = one.lost.model_copy(update={"wasted_tokens": wasted, "cost": cost})

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            durable.make_folder(self.path.parent)
            self._handle = durable.open_to_append(self.path)
            if os.fstat(self._handle).st_size > self._sound:
                durable.truncate(self._handle, self.path, self._sound)
            if self._unended:
                durable.append(self._handle, self.path, b"\n")
                self._unended = False
        return self._handle


class Recorded:
    """A teacher whose answers are written down, and that is asked only what it was never asked."""

    def __init__(self, teacher: Teacher, recording: Recording) -> None:
        self.teacher, self.recording = teacher, recording
        self.model, self.structured, self.note = teacher.model, teacher.structured, _both(teacher.note, recording.note)
        self.asked = 0
        """Questions that the teacher itself was asked."""

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Recorded answers first; each new one is on the disk before it is used, or though asking was broken off."""
        missing = []
        for place, question in enumerate(questions):
            known = self.recording.find(self.model, question)
            if known is None:
                missing.append(place)
            else:
                yield place, known
        self.asked += len(missing)
        if not missing:
            return
        asked = self.teacher.ask([questions[place] for place in missing])
        try:
            for at, answer in asked:
                yield missing[at], self._written(questions[missing[at]], answer)
        except BaseException:
            if isinstance(asked, Generator):
                asked.close()
            for at, answer in getattr(self.teacher, "left", ()):
                self._written(questions[missing[at]], answer)
            raise

    def _written(self, question: Question, answer: Answer | Trouble) -> Answer | Trouble:
        """What came, once it is on the disk."""
        if isinstance(answer, Answer):
            self.recording.say(self.model, self.teacher.note)
            return self.recording.add(self.model, question, answer)
        self.recording.lose(self.model, question, answer)
        return answer


class Replay:
    """Answers from a recording, byte for byte, and refuses what is not in it."""

    def __init__(self, recording: Recording, model: str, *, structured: bool = True) -> None:
        self.recording, self.model, self.structured = recording, model, structured
        self.note = _both(recording.notes.get(model, ""), recording.note)

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Each answer, in the order of the questions."""
        for place, question in enumerate(questions):
            key, known = question.key(self.model), self.recording.find(self.model, question)
            if known is None and key in self.recording.refused:
                lost = self.recording.lost.get(key, NOTHING)
                said = {"kind": "refused", "message": self.recording.refused[key]}
                yield place, lost.model_copy(update=said)
                continue
            missing = f"{self.recording.path.name} has no answer of {self.model} to {question.key(self.model)[:12]}"
            yield place, known or Trouble(kind="not-recorded", message=missing)


def recorded_fingerprint(answers: Mapping[str, Answer], lost: Mapping[str, Trouble]) -> str:
    """Names answers by their questions and texts, and what was lost before, which ceilings count."""
    found: dict[str, Any] = {key: answer.model_dump(mode="json") for key, answer in answers.items()}
    if lost:
        found["lost"] = {key: [one.wasted_tokens, one.cost] for key, one in lost.items()}
    return fingerprint("recording", found)


class _Answered(Frozen):
    """A line with an answer."""

    key: str
    answer: Answer

    def written(self) -> dict[str, Any]:
        return {"key": self.key, **self.answer.model_dump(mode="json")}


class _Lost(Frozen):
    """A line with what a question has cost in vain."""

    key: str
    lost: Trouble

    def written(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class _Refused(Frozen):
    """A line with a question that was refused."""

    key: str
    refused: str

    def written(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class _Note(Frozen):
    """A line on a teacher."""

    teacher: str
    note: str

    def written(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


_Line = _Answered | _Lost | _Refused | _Note
NOTHING = Trouble(kind="cut", message="")


def _both(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _is_whole(line: bytes) -> bool:
    """Whether a line without an end is JSON all the same."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _sum(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(line)).encode()).hexdigest()[:16]


def _read(line: dict[str, Any]) -> _Line:
    """What a line says.

    Raises:
        ValueError, KeyError: nothing that is known.
    """
    if "teacher" in line:
        return _Note.model_validate(line)
    if "lost" in line:
        return _Lost.model_validate(line)
    if "refused" in line:
        return _Refused.model_validate(line)
    line.pop("question", None)
    return _Answered(key=line.pop("key"), answer=Answer.model_validate(line))


def _parsed(path: Path, content: bytes) -> Iterator[_Line]:
    for number, raw in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(raw)
            right = line.pop("sum") == _sum(line) and line.pop("v") == RECORDING_VERSION
            found = _read(line)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            right = False
        if not right:
            remedy = "restore the file from a copy, or remove the line: its question is then asked again"
            message = f"{path.name}: line {number} is damaged"
            raise RunError(Diagnostic(code="E-recording", message=message, remedy=remedy))
        yield found
