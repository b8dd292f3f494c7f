"""The stand-in for Togai behind a real socket, so that other processes can call it; its ledger stays here."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from tests.togai.fake_togai import FakeTogai


class ServedTogai(FakeTogai):
    """A `FakeTogai` at `url`. Where its fate is no answer, the connection just ends."""

    def __enter__(self):
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"togai": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def _any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.close_connection = True
        if len(body) < length:
            # The caller died in the middle of its request.
            return
        try:
            with self.togai.lock:
                status, headers, text = self.togai.answer(self.command, self.path, body)
        except requests.RequestException:
            return
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:
            # The caller died before it could read the answer.
            return

    do_GET = do_POST = do_PATCH = _any

    def log_message(self, *args):
        """Nothing."""
