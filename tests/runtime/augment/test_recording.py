"""The file of a teacher's calls: whole lines count, torn ones do not, changed ones are noticed."""

from pathlib import Path

import pytest

from fewtune.runtime.augment.recording import Recorded, Recording, Replay
from fewtune.runtime.augment.teacher import Answer, Question, Trouble
from fewtune.runtime.augment.teachers import TeacherRef
from fewtune.specs.augmentation import Teacher as Asked
from fewtune.specs.diagnostic import RunError
from fewtune.specs.model import EMBEDDED


def question(number: int) -> Question:
    return Question(system="s", user=f"u{number}", max_tokens=5, temperature=0, seed=0)


def answer(number: int) -> Answer:
    return Answer(text=f"text {number}\nwith “quotes”", model="m", prompt_tokens=3, completion_tokens=number)


def filled(path: Path, count: int = 3) -> Recording:
    recording = Recording(path)
    for number in range(count):
        recording.add("m", question(number), answer(number))
    recording.close()
    return Recording(path)


def test_what_was_added_is_found_again(tmp_path: Path) -> None:
    recording = filled(tmp_path / "deep" / "calls.jsonl")
    assert [recording.find("m", question(number)) for number in range(3)] == [answer(number) for number in range(3)]
    assert recording.find("other", question(0)) is None
    assert recording.find("m", question(9)) is None


def test_the_fingerprint_follows_the_answers_not_their_order(tmp_path: Path) -> None:
    one, other = filled(tmp_path / "a"), Recording(tmp_path / "b")
    for number in (2, 0, 1):
        other.add("m", question(number), answer(number))
    assert one.fingerprint == other.fingerprint
    other.add("m", question(4), answer(4))
    assert one.fingerprint != other.fingerprint


def test_a_last_line_without_its_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    whole = filled(path)
    path.write_bytes(path.read_bytes()[:-1])
    recording = Recording(path)
    assert (recording.fingerprint, recording.note) == (whole.fingerprint, "")
    for number in (3, 4):
        recording.add("m", question(number), answer(number))
    assert Recording(path).fingerprint == filled(tmp_path / "five", 5).fingerprint


@pytest.mark.parametrize("cut", [2, 20, 60])
def test_a_torn_line_is_asked_again_and_written_over(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes()[:-cut])
    recording = Recording(path)
    assert len(recording.answers) == 2
    said = "the last line of calls.jsonl is cut and was left out: its question has no answer there"
    assert Replay(recording, "m").note == Recorded(Counting(), recording).note == said
    recording.add("m", question(2), answer(2))
    assert Recording(path).fingerprint == filled(tmp_path / "whole").fingerprint


@pytest.mark.parametrize(("old", "new"), [(b"text 1", b"text 7"), (b'"v":1', b'"v":2'), (b"{", b"[")])
def test_a_changed_line_is_noticed(old: bytes, new: bytes, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes().replace(old, new, 2 if old != b"text 1" else 1))
    with pytest.raises(RunError, match="E-recording"):
        Recording(path)


class Counting:
    model, structured, note = "m", True, ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, questions):  # type: ignore[no-untyped-def]
        self.asked += [one.user for one in questions]
        yield from ((place, answer(int(one.user[1:]))) for place, one in reversed(list(enumerate(questions))))


def test_only_what_was_never_asked_is_asked(tmp_path: Path) -> None:
    inner = Counting()
    teacher = Recorded(inner, filled(tmp_path / "calls.jsonl", 2))
    found = dict(teacher.ask([question(number) for number in (3, 1, 2, 0)]))
    assert inner.asked == ["u3", "u2"]
    assert [found[place] for place in range(4)] == [answer(number) for number in (3, 1, 2, 0)]
    assert dict(teacher.ask([question(3)])) == {0: answer(3)}
    assert inner.asked == ["u3", "u2"]


def test_a_replay_says_what_is_known_of_its_teacher(tmp_path: Path) -> None:
    inner = Counting()
    inner.note = "it writes badly"
    for number in (0, 1):  # by two commands
        list(Recorded(inner, Recording(tmp_path / "calls.jsonl")).ask([question(number)]))
    recording = Recording(tmp_path / "calls.jsonl")
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 3
    assert Replay(recording, "m").note == "it writes badly"
    assert Replay(recording, "other").note == ""
    assert recording.fingerprint == filled(tmp_path / "without", 2).fingerprint


def test_what_was_lost_is_added_up(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "calls.jsonl")
    for tokens in (10, 0, 30):
        recording.lose("m", question(0), Trouble(kind="cut", message="cut", wasted_tokens=tokens, cost=tokens / 4))
    again = Recording(tmp_path / "calls.jsonl")
    assert again.lost_on("m", question(1)) is None
    lost = again.lost_on("m", question(0))
    assert lost is not None
    assert (lost.wasted_tokens, lost.cost) == (40, 10.0)
    assert len((tmp_path / "calls.jsonl").read_text().splitlines()) == 2
    assert again.add("m", question(0), answer(0)).tokens == answer(0).tokens + 40


def test_a_replay_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    found = dict(Replay(filled(tmp_path / "calls.jsonl"), "m").ask([question(1), question(7)]))
    assert found[0] == answer(1)
    assert "calls.jsonl has no answer of m" in str(found[1])


@pytest.mark.parametrize(
    ("model", "base_url", "local"),
    [
        (EMBEDDED, None, True),
        (EMBEDDED, "http://localhost:8000/v1", False),
        ("qwen3:8b", "http://localhost:1/v1", False),
    ],
)
def test_an_endpoint_may_serve_a_model_of_any_name(model: str, base_url: str | None, local: bool) -> None:
    """The embedded model behind a server is asked there, and not on this machine."""
    assert TeacherRef(model=model, base_url=base_url).is_local is local
    assert Asked(model=model, base_url=base_url).is_embedded is local


def test_a_changed_last_line_without_its_end_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    filled(path)
    path.write_bytes(path.read_bytes()[:-1].replace(b"text 2", b"text 7"))
    with pytest.raises(RunError, match="line 3 is damaged"):
        Recording(path)


@pytest.mark.parametrize("line", ["[1]", "5", "{}", "[" * 100_000, '"text"'])
def test_a_line_of_something_else_is_damage(line: str, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    filled(path)
    path.write_text(f"{line}\n" + path.read_text())
    with pytest.raises(RunError, match="line 1 is damaged"):
        Recording(path)
