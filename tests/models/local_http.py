"""What the tests' own HTTP servers share: a free loopback port, a thread, a quiet log, and an end at the `with`."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LocalServer(ThreadingHTTPServer):
    """A server on a free port of 127.0.0.1 that answers from its own thread until the `with` block ends."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: type[BaseHTTPRequestHandler], path: str = ""):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}{path}"

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is no news here."""


class QuietHandler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Tests look at what the server was ``asked`` instead."""
