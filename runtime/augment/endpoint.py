"""A teacher behind any OpenAI-compatible endpoint: vLLM, Ollama, llama.cpp, vendors.

Answers are streamed, so that a connection that breaks is told from a text that ended. What went wrong on the way and
may go right the next time (server errors, rate limits, cut streams) is tried again after a growing pause; what cannot
is not: a question that is refused, and all questions of who has a wrong key or asks for an unknown model. A parameter
that an endpoint refuses by name is left out from then on, or called as newer models call it.
"""

import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

from fewtune.runtime.augment.teacher import FREE, Answer, Prices, Question, Trouble, TroubleKind, guessed_tokens
from fewtune.specs.diagnostic import Diagnostic, RunError

TRIES = 5
"""Of one question."""
PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds before the second try, doubled each time, and the longest one."""
DENIED = (401, 402, 403, 404)
"""Status of an answer that every question would have: a wrong key, an empty account, an unknown model."""
TIMEOUT = 120.0
"""Seconds without a sign of life after which a stream counts as cut."""
INSTEAD = {"max_tokens": "max_completion_tokens", "temperature": "", "seed": "", "stream_options": ""}
"""Parameters that some models refuse -> what they are called there; empty: they are left out."""
Say = Callable[[str], None]
Request = dict[str, Any]


@dataclass
class Pace:
    """At most so many requests a minute, evenly spread; 0: as many as there are."""

    per_minute: float
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Until the next request may go."""
        if not self.per_minute:
            return
        with self._lock:
            now = self.clock()
            pause, self._next = max(0.0, self._next - now), max(now, self._next) + 60 / self.per_minute
        if pause:
            self.sleep(pause)


class _CutError(Exception):
    """A stream that ended before the text did."""

    def __init__(self, received: str) -> None:
        super().__init__("the stream was cut")
        self.received = received


@dataclass
class Endpoint:
    """One model of one endpoint."""

    model: str
    base_url: str | None = None
    """None: the vendor's own, as the client knows it."""
    key_variable: str | None = None
    """Name of the environment variable that holds the key; None: the endpoint needs none."""
    concurrency: int = 4
    """Requests at the same time."""
    per_minute: float = 0.0
    """Requests a minute at most; 0: no limit."""
    prices: Prices = FREE
    tries: int = TRIES
    timeout: float = TIMEOUT
    sleep: Callable[[float], None] = time.sleep
    say: Say = lambda text: None
    structured: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        """Make the client.

        Raises:
            RunError: E-training-missing without the client library, E-teacher without the key.
        """
        try:
            import openai
        except ImportError as error:
            remedy = "pip install 'fewtune[teacher]'"
            raise RunError(Diagnostic(code="E-training-missing", message=str(error), remedy=remedy)) from error
        self._openai = openai
        self._key = os.environ.get(self.key_variable, "") if self.key_variable else "none"
        if not self._key:
            message = f"the environment variable {self.key_variable} is not set"
            remedy = "set it to the endpoint's key, or leave key_variable out where none is needed"
            raise RunError(Diagnostic(code="E-teacher", message=message, remedy=remedy))
        self._client = openai.OpenAI(base_url=self.base_url, api_key=self._key, max_retries=0, timeout=self.timeout)
        self._pace = Pace(self.per_minute, sleep=self.sleep)
        self.left: tuple[tuple[int, Answer | Trouble], ...] = ()
        """(place of a question, what came) of calls that were under way when asking was broken off."""
        self._plain = False
        """Whether the endpoint has refused JSON Schemas."""
        self._refused: frozenset[str] = frozenset()
        """Parameters that it has refused."""

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Ask them at the same time, as many as allowed; each answer as soon as it is whole.

        Broken off, it asks nothing more, waits for the calls that are under way and leaves their answers in `left`.
        """
        self.left, told = (), set[Future[Answer | Trouble]]()
        with ThreadPoolExecutor(max_workers=max(1, min(self.concurrency, len(questions)))) as pool:
            places = {pool.submit(self._tried, question): place for place, question in enumerate(questions)}
            try:
                for future in as_completed(places):
                    told.add(future)
                    yield places[future], future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                paid = (future for future in places if future not in told and not future.cancelled())
                self.left = tuple((places[future], future.result()) for future in paid)
                raise

    def _tried(self, question: Question) -> Answer | Trouble:
        """The answer, at the latest at the last try."""
        wasted, trouble = 0, Trouble(kind="server", message="")
        for attempt in range(1, self.tries + 1):
            self._pace.wait()
            try:
                answer = self._once(question)
            except Exception as error:
                cost, trouble, wait = self._judged(error, question, attempt)
                wasted += cost
                if trouble.kind in ("refused", "denied") or attempt == self.tries:
                    return trouble.model_copy(update={"wasted_tokens": wasted, "cost": self._lost(wasted)})
                self.say(f"{trouble.message}; try {attempt + 1} of {self.tries} in {wait:.1f} s")
                self.sleep(wait)
            else:
                return answer.model_copy(update={"wasted_tokens": wasted, "cost": answer.cost + self._lost(wasted)})
        return trouble

    def _lost(self, tokens: int) -> float:
        """Money for what was cut: known as a sum only, so at the dearer price."""
        return max(self.prices.cost(0, tokens), self.prices.cost(tokens, 0))

    def _judged(self, error: Exception, question: Question, attempt: int) -> tuple[int, Trouble, float]:
        """(tokens that are lost, what went wrong, seconds to wait)."""
        wait = min(LONGEST_PAUSE, PAUSE * 2 ** (attempt - 1) * (0.75 + random.random() / 2))
        api = self._openai
        if isinstance(error, _CutError):
            lost = guessed_tokens(question.system + question.user) + guessed_tokens(error.received)
            return lost, self._trouble("cut", "the stream was cut", attempt), wait
        if isinstance(error, api.RateLimitError):
            return 0, self._trouble("rate-limit", "too many requests", attempt), _asked_wait(error) or wait
        if isinstance(error, api.APIStatusError) and error.status_code < 500 and error.status_code not in (408, 409):
            kind: TroubleKind = "denied" if error.status_code in DENIED else "refused"
            return 0, self._trouble(kind, f"status {error.status_code}: {error.message}", attempt), wait
        if isinstance(error, api.APIError):
            return 0, self._trouble("server", str(error), attempt), _asked_wait(error) or wait
        if isinstance(error, (OSError, ValueError)):  # a stream that carries no JSON
            return 0, self._trouble("server", f"{type(error).__name__}: {error}", attempt), wait
        raise error

    def _trouble(self, kind: TroubleKind, message: str, attempt: int) -> Trouble:
        text = message.replace(self._key, "***") if self.key_variable else message
        return Trouble(kind=kind, message=f"{self.model}: {text}"[:500], tries=attempt)

    def _once(self, question: Question) -> Answer:
        refused, form = self._refused, None if self._plain else question.form
        while True:
            try:
                answer = self._streamed(question, self._request(question, form, refused))
            except self._openai.BadRequestError as error:
                name = _named(error, INSTEAD.keys() - refused)
                if name:
                    refused |= {name}
                elif form is not None:
                    form = None
                else:
                    raise
            else:
                self._learn(refused, plain=form is None and question.form is not None)
                return answer

    def _learn(self, refused: frozenset[str], *, plain: bool) -> None:
        """Remember what an endpoint does not take, now that it has answered without."""
        for name in sorted(refused - self._refused):
            instead = INSTEAD[name] and f": {INSTEAD[name]} is sent instead"
            self.say(f"{self.model}: the endpoint does not take {name}{instead}")
        if plain and not self._plain:
            self.say(f"{self.model}: the endpoint takes no JSON Schema; plain answers are parsed")
        self._refused, self._plain = self._refused | refused, self._plain or plain

    def _streamed(self, question: Question, request: Request) -> Answer:
        stream = self._client.chat.completions.create(**request)
        text, ended, usage, name = "", None, None, self.model
        if "json" in stream.response.headers.get("content-type", ""):
            return self._whole(question, stream.response.read())
        try:
            for chunk in stream:
                name = chunk.model or name
                usage = chunk.usage or usage
                for choice in chunk.choices[:1]:
                    text += choice.delta.content or ""
                    ended = choice.finish_reason or ended
        except Exception as error:
            if isinstance(error, self._openai.APIStatusError):
                raise
            raise _CutError(text) from error
        if ended is None:
            raise _CutError(text)
        return self._answer(question, text, "length" if ended == "length" else "stop", usage, name)

    def _whole(self, question: Question, body: bytes) -> Answer:
        """The answer of an endpoint that does not stream."""
        try:
            found = json.loads(body)
            choice, usage = found["choices"][0], found.get("usage")
            text, ended = choice["message"]["content"] or "", choice.get("finish_reason")
            counted = SimpleNamespace(**usage) if usage else None
            name = str(found.get("model") or self.model)
            return self._answer(question, text, "length" if ended == "length" else "stop", counted, name)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise _CutError("") from error

    def _request(self, question: Question, form: dict[str, Any] | None, refused: frozenset[str]) -> Request:
        request: Request = {
            "model": self.model, "temperature": question.temperature, "max_tokens": question.max_tokens,
            "seed": question.seed % 2**31, "stream": True, "stream_options": {"include_usage": True},
            "messages": [
                {"role": "system", "content": question.system}, {"role": "user", "content": question.user},
            ],
        }  # fmt: skip
        if form is not None:
            named = {"name": "answer", "schema": form, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": named}
        for name in refused:
            value = request.pop(name)
            if INSTEAD[name]:
                request[INSTEAD[name]] = value
        return request

    def _answer(self, question: Question, text: str, ended: Literal["stop", "length"], usage: Any, name: str) -> Answer:
        counted = usage is not None
        asked = usage.prompt_tokens if counted else guessed_tokens(question.system + question.user)
        said = usage.completion_tokens if counted else guessed_tokens(text)
        cost = self.prices.cost(asked, said)
        return Answer(
            text=text, model=name, prompt_tokens=asked, completion_tokens=said, cost=cost, counted=counted, ended=ended
        )


def _named(error: Any, names: Collection[str]) -> str:
    """The parameter that a refusal names, the first one in its words; empty: none of these."""
    if error.param in names:
        return str(error.param)
    said = re.findall(r"\w+", str(error.message))
    return next((word for word in said if word in names), "")


def _asked_wait(error: Any) -> float | None:
    """Seconds that the endpoint asks for."""
    response = getattr(error, "response", None)
    try:
        asked = float(response.headers["retry-after"]) if response is not None else None
        return min(LONGEST_PAUSE, asked) if asked is not None and asked > 0 else None
    except (KeyError, ValueError):
        return None
