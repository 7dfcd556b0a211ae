"""The Lambda runtime API of one execution environment: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

One server on a free port of 127.0.0.1 for one process. The process asks for its next invocation and is kept waiting until there is one.
"""

import http.server
import queue
import threading
import time

VERSION = "/2018-06-01/runtime/"


class Invocation:
    """One invocation on its way through a process."""

    def __init__(self, request_id: str, arn: str, trace: str, payload: bytes, timeout: float):
        self.request_id, self.arn, self.trace, self.payload = request_id, arn, trace, payload
        self.deadline = time.time() + timeout
        self.ended = threading.Event()
        self.answer: bytes | None = None
        self.failed = False

    def end(self, answer: bytes, failed: bool) -> None:
        """The first answer counts."""
        if not self.ended.is_set():
            self.answer, self.failed = answer, failed
            self.ended.set()


class RuntimeApi:
    """The server, and what the process has told it."""

    def __init__(self):
        # Set when the process asks for its first invocation, or has failed to get so far.
        self.settled = threading.Event()
        self.init_error: bytes | None = None
        self._waiting: queue.Queue[Invocation | None] = queue.Queue()
        self._current: Invocation | None = None
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        """What `AWS_LAMBDA_RUNTIME_API` says."""
        return "127.0.0.1:%d" % self._server.server_address[1]

    def send(self, invocation: Invocation) -> None:
        """Hands the invocation to the process as soon as it asks."""
        self._waiting.put(invocation)

    def next(self) -> Invocation | None:
        """Waits for an invocation; none when the environment ends."""
        self.settled.set()
        invocation = self._waiting.get()
        self._current = invocation
        return invocation

    def answered(self, request_id: str, body: bytes, failed: bool) -> bool:
        """Takes an answer; false when nobody waits for it."""
        current = self._current
        if current is None or current.request_id != request_id or current.ended.is_set():
            return False
        current.end(body, failed)
        return True

    def failed_to_start(self, body: bytes) -> None:
        """The process says that it cannot begin."""
        self.init_error = body
        self.settled.set()

    def close(self) -> None:
        """Ends the server and every wait."""
        self._waiting.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer goes out in two small writes: with Nagle's algorithm the second would wait for the peer's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        if self.path != f"{VERSION}invocation/next":
            return self._answer(404, b"{}")
        invocation = self.server.api.next()
        if invocation is None:
            self.close_connection = True
            return None
        return self._answer(200, invocation.payload, {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            "Lambda-Runtime-Trace-Id": invocation.trace,
        })

    def do_POST(self) -> None:
        body = self._body()
        path = self.path.removeprefix(VERSION)
        if path == "init/error":
            self.server.api.failed_to_start(body)
            return self._answer(202, b'{"status":"OK"}')
        parts = path.split("/")
        if len(parts) == 3 and parts[0] == "invocation" and parts[2] in ("response", "error"):
            taken = self.server.api.answered(parts[1], body, parts[2] == "error")
            return self._answer(202 if taken else 400, b'{"status":"OK"}' if taken else b'{"errorType":"InvalidRequestID"}')
        return self._answer(404, b"{}")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args) -> None:
        """Requests of processes are no news."""
