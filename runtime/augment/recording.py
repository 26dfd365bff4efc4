"""Every call of a teacher, in an append-only file of JSON lines: what was paid for is never asked for again.

A line holds the question's hash, the answer, its model, tokens and cost, and a checksum. Keys of accounts are in no
question, so in no line. The question itself is there only where that is asked for: it contains rows of the user's data.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fewtune.compiler.fingerprint import canonical, fingerprint
from fewtune.runtime.augment.teacher import Answer, Question, Teacher, Trouble
from fewtune.specs.diagnostic import Diagnostic, RunError
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
            RunError: E-recording where a line other than a torn last one is damaged.
        """
        self.path, self.keep_questions = path, keep_questions
        self._handle: int | None = None
        content = path.read_bytes() if path.exists() else b""
        self._sound = content.rfind(b"\n") + 1
        """Bytes up to the last whole line: what follows was torn by a crash."""
        self.answers: dict[str, Answer] = dict(_parsed(path, content[: self._sound]))

    @property
    def fingerprint(self) -> str:
        """Names the recorded answers, whatever their order."""
        return recorded_fingerprint(self.answers)

    def find(self, model: str, question: Question) -> Answer | None:
        """The answer that was given."""
        return self.answers.get(question.key(model))

    def add(self, model: str, question: Question, answer: Answer) -> None:
        """Write an answer down; on return it is on the disk."""
        key = question.key(model)
        line: dict[str, Any] = {"v": RECORDING_VERSION, "key": key, **answer.model_dump(mode="json")}
        if self.keep_questions:
            line["question"] = question.model_dump(mode="json")
        content = f"{canonical({**line, 'sum': _sum(line)})}\n".encode()
        durable.append(self._open(), self.path, content)
        self.answers[key] = answer

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
        return self._handle


class Recorded:
    """A teacher whose answers are written down, and that is asked only what it was never asked."""

    def __init__(self, teacher: Teacher, recording: Recording) -> None:
        self.teacher, self.recording = teacher, recording
        self.model, self.structured, self.note = teacher.model, teacher.structured, teacher.note
        self.asked = 0
        """Questions that the teacher itself was asked."""

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Recorded answers first; each new one is on the disk before it is used."""
        missing = []
        for place, question in enumerate(questions):
            known = self.recording.find(self.model, question)
            if known is None:
                missing.append(place)
            else:
                yield place, known
        self.asked += len(missing)
        for at, answer in self.teacher.ask([questions[place] for place in missing]) if missing else ():
            if isinstance(answer, Answer):
                self.recording.add(self.model, questions[missing[at]], answer)
            yield missing[at], answer


class Replay:
    """Answers from a recording, byte for byte, and refuses what is not in it."""

    def __init__(self, recording: Recording, model: str, *, structured: bool = True, note: str = "") -> None:
        self.recording, self.model, self.structured, self.note = recording, model, structured, note

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Each answer, in the order of the questions."""
        for place, question in enumerate(questions):
            known = self.recording.find(self.model, question)
            missing = f"{self.recording.path.name} has no answer of {self.model} to {question.key(self.model)[:12]}"
            yield place, known or Trouble(kind="not-recorded", message=missing)


def recorded_fingerprint(answers: Mapping[str, Answer]) -> str:
    """Names answers by their questions and texts."""
    return fingerprint("recording", {key: answer.model_dump(mode="json") for key, answer in answers.items()})


def _sum(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(line)).encode()).hexdigest()[:16]


def _parsed(path: Path, content: bytes) -> Iterator[tuple[str, Answer]]:
    for number, raw in enumerate(content.splitlines(), 1):
        try:
            line = json.loads(raw)
            right = line.pop("sum") == _sum(line) and line.pop("v") == RECORDING_VERSION
            key = line.pop("key")
            line.pop("question", None)
            answer = Answer.model_validate(line)
        except (ValueError, KeyError, AttributeError):
            right = False
        if not right:
            remedy = "restore the file from a copy, or remove the line: its question is then asked again"
            message = f"{path.name}: line {number} is damaged"
            raise RunError(Diagnostic(code="E-recording", message=message, remedy=remedy))
        yield key, answer
