"""A teacher behind a real server: what goes wrong is tried again, written down once, and never paid twice."""

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from chat_server import chat_server
from messages import LABELS, TASK, seeds, written
from tokenizers import Tokenizer

from fewtune.runtime.augment.endpoint import Endpoint, Pace
from fewtune.runtime.augment.generation import ask_all
from fewtune.runtime.augment.labelling import teacher_accuracy
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.recording import Recorded, Recording, Replay
from fewtune.runtime.augment.synthesis import Synthesis, Synthetic
from fewtune.runtime.augment.teacher import Answer, Prices, Question, Teacher, Trouble, guessed_tokens
from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.smollm2 import is_ready
from fewtune.specs.diagnostic import RunError

KEY = "sk-very-secret"
BRIEF = Brief(labels=LABELS, fields=("text",), task=TASK, seed=3)


def question(number: int = 0) -> Question:
    user = f"{number}: Write 2 new examples of the label 'praise'"
    return Question(
        system="You write.", user=user, form={"type": "object"}, max_tokens=50, temperature=0.5, seed=number
    )


def endpoint(url: str, **more: Any) -> Endpoint:
    return Endpoint("writer", url, **{"sleep": lambda seconds: None, **more})


def synthesise(teacher: Teacher, ledger: Ledger | None = None, target: int = 40) -> Synthetic:
    return Synthesis(BRIEF, target=target).run(seeds(), teacher, ledger or Ledger())


def test_end_to_end_over_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRITER_KEY", KEY)
    path = tmp_path / "calls.jsonl"
    with chat_server(written) as server:
        teacher = Recorded(endpoint(server.url, key_variable="WRITER_KEY"), Recording(path))
        made = synthesise(teacher)
        assert made.stopped == "target"
        assert len(made.kept) > 8
        assert server.answered == made.calls == len(path.read_text().splitlines())
        assert set(server.keys) == {f"Bearer {KEY}"}
        assert made.tokens == sum(answer.tokens for answer in teacher.recording.answers.values())
        schema = server.requests[0]["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["examples"]["items"] == {"type": "string"}
    assert KEY not in path.read_text()
    assert seeds()[0].fields["text"] not in path.read_text()  # a question holds the user's rows: only where asked for
    again = synthesise(Replay(Recording(path), "writer"))
    assert again == made


@pytest.mark.parametrize("broken_off", [KeyboardInterrupt, GeneratorExit])
def test_calls_under_way_are_kept_when_asking_is_broken_off(tmp_path: Path, broken_off: type[BaseException]) -> None:
    """Eight questions, four at a time; after the first answer nothing more is asked, and what was paid is recorded."""
    path = tmp_path / "calls.jsonl"
    with chat_server(written) as server:
        teacher = Recorded(endpoint(server.url, concurrency=4, per_minute=None), Recording(path))
        answers = teacher.ask([question(number) for number in range(8)])
        next(answers)
        if broken_off is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                answers.throw(KeyboardInterrupt())  # type: ignore[attr-defined]
        else:
            answers.close()  # type: ignore[attr-defined]
        assert 1 <= server.answered == len(path.read_text().splitlines())
        again = dict(Recorded(endpoint(server.url), Recording(path)).ask([question(number) for number in range(8)]))
        assert server.answered == len(again) == 8


def test_an_endpoint_that_does_not_stream_is_read_as_it_answers() -> None:
    with chat_server(written, ["no stream"]) as server:
        found = dict(endpoint(server.url).ask([question()]))
        streamed = dict(endpoint(server.url).ask([question()]))
    whole, usual = found[0], streamed[0]
    assert isinstance(whole, Answer)
    assert isinstance(usual, Answer)
    assert (whole.text, whole.prompt_tokens, whole.completion_tokens) == (usual.text, 7, 5)
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["server error", "rate limit", "cut", "no finish"])
def test_what_may_go_right_is_tried_again(fault: str) -> None:
    waits: list[float] = []
    said: list[str] = []
    with chat_server(written, [fault, fault]) as server:
        found = dict(endpoint(server.url, sleep=waits.append, say=said.append).ask([question()]))
    answer = found[0]
    assert isinstance(answer, Answer)
    assert [request["fault"] for request in server.requests] == [fault, fault, ""]
    assert len(waits) == len(said) == 2
    assert (waits == [3, 3]) is (fault == "rate limit")  # as long as the endpoint asks for
    assert (answer.wasted_tokens > 0) is (fault in ("cut", "no finish"))


def test_what_stays_down_ends_and_goes_on_later(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "calls.jsonl")
    with chat_server(written) as server:
        whole = synthesise(Recorded(endpoint(server.url, concurrency=1), Recording(tmp_path / "whole.jsonl")))
        cost = server.answered
    with chat_server(written, [""] * 5 + ["server error"] * 4 * 3) as server:
        with pytest.raises(RunError, match="E-teacher"):
            synthesise(Recorded(endpoint(server.url, tries=4, concurrency=1), recording))
        paid = server.answered
        assert 0 < paid < cost
        made = synthesise(Recorded(endpoint(server.url, concurrency=1), Recording(tmp_path / "calls.jsonl")))
        assert server.answered == cost  # nothing was paid twice
    assert made == whole


def test_what_was_lost_counts_against_the_ceilings_for_good(tmp_path: Path) -> None:
    path, prices = tmp_path / "calls.jsonl", Prices(prompt=3, completion=15)

    def ledger_of(recording: Recording) -> Ledger:
        return Ledger(prices=prices, lost=lambda asked: recording.lost_on("writer", asked))

    recording = Recording(path)
    with chat_server(written, ["cut"] * 3) as server:
        ledger = ledger_of(recording)
        with pytest.raises(RunError, match="E-teacher"):
            ask_all(Recorded(endpoint(server.url, tries=3, prices=prices), recording), [question()], ledger)
    lost = ledger.tokens
    assert lost > 3 * guessed_tokens(question().user)
    assert (ledger.calls, ledger.cost) == (0, pytest.approx(lost * 15e-6))
    recording = Recording(path)
    most = question().most_tokens
    assert ledger_of(recording).affordable([question()]) == (1, None)
    tight = Ledger(most_tokens=most + lost - 1, lost=lambda asked: recording.lost_on("writer", asked))
    assert tight.affordable([question()]) == (0, "tokens")
    with chat_server(written) as server:
        later = ledger_of(recording)
        (answer,) = ask_all(Recorded(endpoint(server.url, prices=prices), recording), [question()], later)
    assert answer.wasted_tokens == lost
    assert later.tokens == answer.prompt_tokens + answer.completion_tokens + lost
    replayed = ledger_of(Recording(path))
    assert ask_all(Replay(Recording(path), "writer"), [question()], replayed) == [answer]
    assert (replayed.tokens, replayed.cost) == (later.tokens, later.cost)


def test_a_wrong_key_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRITER_KEY", KEY)
    with chat_server(written, ["unauthorised"]) as server:
        trouble = dict(endpoint(server.url, key_variable="WRITER_KEY").ask([question()]))[0]
        assert isinstance(trouble, Trouble)
        assert trouble.kind == "denied"
        assert len(server.requests) == 1
    assert "401" in trouble.message
    assert KEY not in trouble.message
    monkeypatch.delenv("WRITER_KEY")
    with pytest.raises(RunError, match="WRITER_KEY is not set"):
        endpoint(server.url, key_variable="WRITER_KEY")


def test_a_question_that_is_refused_is_left_and_the_next_one_asked(tmp_path: Path) -> None:
    path, refused = tmp_path / "calls.jsonl", set[str]()

    def filters(text: str) -> bool:
        if crc32(text.encode()) % 4 == 0:
            refused.add(text)
        return text in refused

    with chat_server(written, filters=filters) as server:
        made = synthesise(Recorded(endpoint(server.url), Recording(path)))
        answered = server.answered
        again = synthesise(Recorded(endpoint(server.url), Recording(path)))
        assert server.answered == answered  # what was refused is asked again, what was answered is not
    assert made.stopped == "target"
    assert len(refused) > 1
    assert f"{len(refused)} questions were refused (writer: status 400: " in made.note
    assert "content filter" in made.note
    assert len(Recording(path).refused) == len(refused)
    replayed = synthesise(Replay(Recording(path), "writer"))
    assert replayed == made == again
    with chat_server(written) as server:  # the filter is gone
        made = synthesise(Recorded(endpoint(server.url), Recording(path)))
    assert "refused" not in made.note
    assert Recording(path).refused == {}
    assert synthesise(Replay(Recording(path), "writer")) == made


def test_many_refusals_in_a_row_end_it_with_what_there_is(tmp_path: Path) -> None:
    with chat_server(written, filters=lambda text: "new examples of the label 'praise'" in text) as server:
        made = synthesise(Recorded(endpoint(server.url), Recording(tmp_path / "calls.jsonl")))
    assert made.stopped == "refusals"
    assert {LABELS[one.candidate.label] for one in made.kept} == set(LABELS) - {"praise"}
    assert "questions were refused, the last 9 of them in a row, which ended it (writer: status 400" in made.note
    assert synthesise(Replay(Recording(tmp_path / "calls.jsonl"), "writer")) == made


@pytest.mark.parametrize("target", [4, 40])
def test_a_teacher_that_refuses_everything_is_an_error(target: int, tmp_path: Path) -> None:
    with (
        chat_server(written, filters=lambda text: True) as server,
        pytest.raises(RunError, match=r"nothing was answered, \d+ questions in a row were refused; the last: writer: "),
    ):
        synthesise(Recorded(endpoint(server.url), Recording(tmp_path / "calls.jsonl")), target=target)


def test_labels_that_are_refused_are_not_known(tmp_path: Path) -> None:
    first = seeds()[0].fields["text"]
    with chat_server(lambda request: "nothing", filters=lambda text: first in text) as server:
        teacher = Recorded(endpoint(server.url), Recording(tmp_path / "calls.jsonl"))
        ledger = Ledger()
        assert teacher_accuracy(BRIEF, seeds()[:4], teacher, ledger) == (0.0, 4)
    assert (ledger.refused, ledger.calls) == (1, 3)
    with chat_server(lambda request: "nothing", filters=lambda text: True) as server:
        teacher = Recorded(endpoint(server.url), Recording(tmp_path / "others.jsonl"))
        with pytest.raises(RunError, match="4 questions in a row"):
            teacher_accuracy(BRIEF, seeds()[:4], teacher, Ledger())


def test_an_endpoint_without_schemas_is_asked_plainly() -> None:
    said: list[str] = []
    with chat_server(written, ["no schema"]) as server:
        teacher = endpoint(server.url, say=said.append, concurrency=1)
        found = dict(teacher.ask([question(0), question(1)]))
        assert all(isinstance(answer, Answer) for answer in found.values())
        assert ["response_format" in request for request in server.requests] == [True, False, False]
    assert "no JSON Schema" in said[0]


@pytest.mark.parametrize(
    ("refuses", "sent"),
    [
        (("max_tokens",), {"max_completion_tokens", "temperature", "seed", "response_format"}),
        (("temperature",), {"max_tokens", "seed", "response_format"}),
        (("max_tokens", "temperature"), {"max_completion_tokens", "seed", "response_format"}),
        (("response_format", "temperature"), {"max_tokens", "seed"}),
    ],
)
def test_what_an_endpoint_refuses_by_name_is_not_sent_again(refuses: tuple[str, ...], sent: set[str]) -> None:
    said: list[str] = []
    optional = {"max_tokens", "max_completion_tokens", "temperature", "seed", "response_format"}
    with chat_server(written, refuses=refuses) as server:
        teacher = endpoint(server.url, say=said.append, concurrency=1)
        found = dict(teacher.ask([question(0), question(1)]))
        assert all(isinstance(answer, Answer) for answer in found.values())
        assert [optional & request.keys() for request in server.requests[-2:]] == [sent, sent]
        assert len(server.requests) == 2 + len(refuses)
    assert len(said) == len(refuses)
    assert any("max_completion_tokens" in line for line in said) is ("max_tokens" in refuses)


def test_a_request_without_a_ceiling_does_not_go_out() -> None:
    with chat_server(written, refuses=("max_tokens", "max_completion_tokens")) as server:
        trouble = dict(endpoint(server.url).ask([question()]))[0]
        assert isinstance(trouble, Trouble)
        assert trouble.kind == "refused"
        assert all(request.keys() & {"max_tokens", "max_completion_tokens"} for request in server.requests)


def test_malformed_answers_are_kept_as_rejected(tmp_path: Path) -> None:
    with chat_server(written, ["", "no json", "", "no json"]) as server:
        made = synthesise(Recorded(endpoint(server.url, concurrency=1), Recording(tmp_path / "calls.jsonl")))
        bad = [one for one in made.rejected if one.reason == "format"]
        assert len(bad) == 2
        assert {one.candidate.fields["text"] for one in bad} == {"Sure! Here you are"[:8]}  # two of its four parts
        assert made.stopped == "target"  # asked again for what was not readable
        assert server.answered + 2 == made.calls


@pytest.mark.parametrize(
    ("ledger", "stopped"),
    [(Ledger(most_tokens=4000), "tokens"), (Ledger(most_cost=0.02, prices=Prices(prompt=3, completion=15)), "money")],
)
def test_ceilings_hold_before_a_question_goes_out(ledger: Ledger, stopped: str, tmp_path: Path) -> None:
    with chat_server(written) as server:
        teacher = endpoint(server.url, prices=ledger.prices)
        made = synthesise(Recorded(teacher, Recording(tmp_path / "calls.jsonl")), ledger, target=600)
        assert made.stopped == stopped
        assert 0 < server.answered < 120
    assert ledger.tokens <= (ledger.most_tokens or 10**9)
    assert ledger.cost <= (ledger.most_cost or 0)
    assert (ledger.cost > 0) is (stopped == "money")
    limits = Ledger(ledger.most_tokens, ledger.most_cost, ledger.prices)
    again = Synthesis(BRIEF, target=600).run(seeds(), Replay(Recording(tmp_path / "calls.jsonl"), "writer"), limits)
    assert again == made


def test_connections_change_nothing() -> None:
    made = set()
    for concurrency in (1, 6):
        with chat_server(written) as server:
            made.add(synthesise(endpoint(server.url, concurrency=concurrency)).fingerprint)
            assert 1 <= server.most_at_once <= concurrency
    assert len(made) == 1


def test_tokens_are_guessed_where_nobody_counts() -> None:
    with chat_server(written, usage=False) as server:
        answer = dict(endpoint(server.url).ask([question()]))[0]
    assert isinstance(answer, Answer)
    assert not answer.counted
    assert answer.completion_tokens == guessed_tokens(answer.text)


@pytest.mark.model
@pytest.mark.skipif(not is_ready(), reason="the embedded model is not in the cache: make pull")
@pytest.mark.parametrize(
    "text",
    [
        "The courier left our parcel behind the red garage, and it rained all night.",
        "PLEASE SEND MY PARCEL BACK NOW, invoice 2024-11-30 no. 8817263544, 12.50",
        "Llanfairpwllgwyngyll xqzvk zzyzx rhythmically",
        "Die Kündigungsfrist beträgt außerordentlich lange Übergangszeiträume.",
        "快递员把我们的包裹放在红色车库后面，整夜都在下雨。",
        "荷物がまだ届いていません。",
        "택배 기사가 소포를 두고 갔습니다.",
        "डाकिया ने पार्सल गैरेज के पीछे छोड़ दिया।",
        "พนักงานส่งของวางพัสดุไว้หลังโรงรถ",
        "👩‍👩‍👧‍👦🚲🔥",
        '{"examples": ["a b", "c"]}',
    ],
)
def test_a_guess_holds_in_every_script(text: str) -> None:
    tokenizer = Tokenizer.from_file(str(embedded_folder() / "tokenizer.json"))
    assert len(tokenizer.encode(text, add_special_tokens=False).ids) <= guessed_tokens(text)


def test_requests_are_spread_over_the_minute() -> None:
    now, waits = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(per_minute=30, sleep=sleep, clock=lambda: now[0])
    for _ in range(3):
        pace.wait()
    assert waits == [2, 4]  # seconds from now, of requests that come at the same time
    now[0] = 60.0
    pace.wait()
    assert waits == [2, 4]


def test_json_in_a_recording_is_what_was_said(tmp_path: Path) -> None:
    with chat_server(written) as server:
        teacher = Recorded(endpoint(server.url), Recording(tmp_path / "calls.jsonl", keep_questions=True))
        answer = dict(teacher.ask([question()]))[0]
    line = json.loads((tmp_path / "calls.jsonl").read_text())
    assert isinstance(answer, Answer)
    assert line["text"] == answer.text
    assert line["question"]["user"] == question().user
