"""A real OpenAI-compatible server on the loopback: streamed chat completions, with the faults that a test plans."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
Write = Callable[[Request], str]
"""A request -> the text of the answer."""
Filters = Callable[[str], bool]
"""A question -> whether it is refused."""
FAULTS = ("server error", "rate limit", "cut", "no json", "no schema", "unauthorised", "no finish")


class ChatServer:
    """Answers with `write`; the faults of `plan` come first, one a request."""

    def __init__(
        self, write: Write, plan: list[str] | None = None, *, usage: bool = True, refuses: tuple[str, ...] = (),
        filters: Filters = lambda text: False,
    ) -> None:  # fmt: skip
        self.refuses, self.filters = refuses, filters
        """Parameters that make a request bad, and which texts do."""
        self.write, self.plan, self.usage = write, list(plan or []), usage
        self.requests: list[Request] = []
        """Every request that came, with its fault or "" as "fault"."""
        self.keys: list[str] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                outer._serve(self)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def answered(self) -> int:
        """Requests that were answered in full: what a vendor would have been paid for."""
        return sum(not request["fault"] for request in self.requests)

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            fault = self.plan.pop(0) if self.plan else ""
            refused = next((name for name in self.refuses if name in request), "")
            fault = f"refused {refused}" if refused and not fault else fault
            if not fault and self.filters(request["messages"][-1]["content"]):
                fault = "filtered"
            if fault == "no schema" and "response_format" not in request:
                fault = ""
            self.requests.append({**request, "fault": fault})
            self.keys.append(handler.headers.get("authorization", ""))
        try:
            self._answer(handler, request, fault)
        finally:
            with self._lock:
                self._now -= 1

    def _answer(self, handler: BaseHTTPRequestHandler, request: Request, fault: str) -> None:
        key = handler.headers.get("authorization", "")
        refusals = {
            "server error": (503, "the model is being loaded"),
            "rate limit": (429, "slow down"),
            "no schema": (400, "response_format is not supported"),
            "filtered": (400, "the content filter was triggered"),
            "unauthorised": (401, f"wrong key: {key}"),
        }
        name = fault.removeprefix("refused ")
        if name != fault:  # vendors name the parameter twice, others in words only
            refusals[fault] = (400, f"Unsupported parameter: '{name}' is not supported with this model.")
        if fault in refusals:
            status, message = refusals[fault]
            said = {"message": message, **({"param": name} if name == "max_tokens" else {})}
            body = json.dumps({"error": said}).encode()
            handler.send_response(status)
            handler.send_header("content-type", "application/json")
            if fault == "rate limit":
                handler.send_header("retry-after", "3")
        elif fault == "no stream":
            choice = {"index": 0, "message": {"content": self.write(request)}, "finish_reason": "stop"}
            counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
            body = json.dumps({"model": request["model"], "choices": [choice], "usage": counts}).encode()
            handler.send_response(200)
            handler.send_header("content-type", "application/json")
        else:
            text = "Sure! Here you are" if fault == "no json" else self.write(request)
            body = "".join(self._events(request, text, fault)).encode()
            handler.send_response(200)
            handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", str(len(body) + (1000 if fault == "cut" else 0)))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        if fault == "cut":
            handler.close_connection = True
            handler.connection.close()

    def _events(self, request: Request, text: str, fault: str) -> Iterator[str]:
        def event(**more: Any) -> str:
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": request["model"], **more}
            return f"data: {json.dumps(chunk)}\n\n"

        size = max(1, len(text) // 4)
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        for part in parts[: 2 if fault else None]:
            yield event(choices=[{"index": 0, "delta": {"content": part}, "finish_reason": None}])
        if fault in ("cut", "no finish"):
            return
        yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if self.usage:
            read = sum(len(message["content"].split()) for message in request["messages"])
            counts = {"prompt_tokens": read, "completion_tokens": len(text.split())}
            yield event(choices=[], usage={**counts, "total_tokens": sum(counts.values())})
        yield "data: [DONE]\n\n"


@contextmanager
def chat_server(
    write: Write, plan: list[str] | None = None, *, usage: bool = True, refuses: tuple[str, ...] = (),
    filters: Filters = lambda text: False,
) -> Iterator[ChatServer]:  # fmt: skip
    """A running server."""
    server = ChatServer(write, plan, usage=usage, refuses=refuses, filters=filters)
    try:
        yield server
    finally:
        server.close()
