"""The sandbox's process: a vendor-facing server, a control server, and the faults in between."""

import contextlib
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from datetime import timedelta
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from togai.sandbox import calls, catalogue, exact_json, loading, routes
from togai.sandbox.lifecycle import LifeCycle
from togai.sandbox.limits import Limits
from togai.sandbox.moments import from_micros, micros, write_moment
from togai.sandbox.refusals import Refusal
from togai.sandbox.state import State
from togai.sandbox.switches import Clock, Switches

LARGEST_BODY = 1 << 20
READS = {"GET", "HEAD"}


class Dropped(Exception):
    """The connection ends without an answer; ``how`` is what the socket does."""

    def __init__(self, how="close", raw=b"", stall_seconds=0):
        super().__init__(how)
        self.how = how
        self.raw = raw
        self.stall_seconds = stall_seconds


class Sandbox:
    """Everything both servers share: state, switches, clock, limits and the life cycle."""

    def __init__(self, *, state_path, token, load_path=None):
        # Read first: a load file that is wrong must stop the start before anything is stored.
        loaded = loading.read_file(load_path) if load_path else None
        self.state = State(state_path)
        with self.state.changes():
            self.clock = Clock(self.state.fact("clock_offset_seconds", 0))
            self._fill_if_empty(loaded)
        self._loaded = loaded
        self.switches = Switches()
        self.limits = Limits(token=token, clock=self.clock, switches=lambda: self.switches)
        self.life = LifeCycle(self.state, lambda: self.switches)

    def _fill_if_empty(self, loaded):
        if self.state.fact("filled"):
            return
        now = self.clock.now()
        loading.fill(self.state, catalogue.shipped(now) if loaded is None else loaded, now=now)
        self.state.remember("filled", True)

    def reset(self):
        """Forget everything that happened: the first catalogue, real time, all switches off."""
        with self.state.changes():
            self.state.clear()
            self.clock.offset_seconds = 0.0
            self._fill_if_empty(self._loaded)
            self.switches = Switches()
            self.limits.forget()

    def set_switches(self, changes):
        """Set the named switches and keep the others.

        :raises ValueError: (pydantic's) naming the switch that is wrong
        """
        with self.state.changes():
            self.switches = Switches.model_validate({**self.switches.model_dump(), **changes})

    def advance_clock(self, seconds):
        """Move the clock and do what became due."""
        with self.state.changes():
            self.clock.advance(seconds)
            self.state.remember("clock_offset_seconds", str(self.clock.offset_seconds))
            self.catch_up()

    def catch_up(self):
        """Bring the state to the present moment. Call inside ``state.changes()``."""
        now = self.clock.now()
        for late in self.state.take_late(micros(now)):
            request = routes.Request(late["method"], late["target"], late["body"].encode())
            with contextlib.suppress(Refusal), self.state.attempt():
                calls.answer(self.world(from_micros(late["due"])), request)
        self.life.catch_up(now)

    def world(self, now=None, *, ignore_keys=False):
        """What one call may touch."""
        return routes.World(
            state=self.state,
            switches=self.switches,
            life=self.life,
            now=now or self.clock.now(),
            ignore_keys=ignore_keys,
        )

    def answer(self, request, authorization):
        """(status, JSON body, headers) of one request; writes the ledger.

        :raises Dropped: when a switch wants the connection to end without an answer
        """
        time.sleep(self.switches.slow_ms / 1000)
        with self.state.changes():
            entry = {
                "method": request.method,
                "path": request.target,
                "token": self.limits.kind_of(authorization),
                "body": request.body.decode("utf-8", "replace")[:65536],
            }
            try:
                status, body, headers = self._decide(request, authorization, entry)
            except Dropped as dropped:
                outcome = dropped
                entry.update(status=None, dropped=dropped.how)
            except Refusal as refusal:
                outcome = (refusal.status, {"message": refusal.message}, refusal.headers)
                entry.update(status=refusal.status)
            else:
                outcome = (status, body, headers)
                entry.update(status=status)
            entry.setdefault("applied", False)
            self.state.write_down(entry, at=micros(self.clock.now()))
        if isinstance(outcome, Dropped):
            raise outcome
        return outcome

    def _decide(self, request, authorization, entry):
        """The faults around an answer, in the order in which they would strike."""
        switches = self.switches
        method, path = request.method, request.path
        if switches.take("refuse", method, path):
            raise Dropped()
        failing = switches.take("failing", method, path)
        if failing and not failing.applied:
            raise _failure(failing)
        self.limits.admit(authorization)
        self.catch_up()
        late = switches.take("late", method, path)
        if late:
            due = self.clock.now() + timedelta(seconds=late.seconds)
            kept = {
                "method": method,
                "target": request.target,
                "body": request.body.decode("utf-8", "replace"),
            }
            self.state.keep_for_later({**kept, "due": micros(due)}, due=micros(due))
            raise Dropped()
        garbled = switches.take("garbled", method, path)
        if garbled and not garbled.applied:
            raise _garbage(garbled)
        with self.state.attempt():
            status, body = calls.answer(self.world(), request)
        writes = method not in READS
        entry["applied"] = writes
        if writes and switches.take("duplicating", method, path):
            with contextlib.suppress(Refusal), self.state.attempt():
                calls.answer(self.world(ignore_keys=True), request)
                entry["twice"] = True
        if failing:
            raise _failure(failing)
        if garbled:
            raise _garbage(garbled)
        if switches.take("lossy", method, path):
            raise Dropped()
        return status, body, {}

    def ledger(self, after=0):
        """Every request that was read, oldest first."""
        with self.state.changes():
            return [
                {"number": number, "at": write_moment(from_micros(at)), **entry}
                for number, at, entry in self.state.ledger(after=after)
            ]


def _failure(failing):
    headers = {}
    if failing.retry_after is not None:
        headers["Retry-After"] = failing.retry_after
    if failing.location is not None:
        headers["Location"] = failing.location
    return Refusal(failing.status, failing.message, headers)


def _garbage(garbled):
    return Dropped(garbled.then, garbled.raw.encode("latin-1", "replace"), garbled.stall_seconds)


class Handler(BaseHTTPRequestHandler):
    """Reads one request at a time off a kept-alive connection and answers in JSON."""

    protocol_version = "HTTP/1.1"
    timeout = 120
    # One write, one packet: head and body leave together.
    wbufsize = -1
    disable_nagle_algorithm = True

    def version_string(self):
        """The Server header."""
        return "togai-sandbox"

    def date_time_string(self, timestamp=None):
        """The Date header follows the sandbox's clock, as a real server's follows its own."""
        return formatdate(timestamp or self.server.sandbox.clock.now().timestamp(), usegmt=True)

    def log_message(self, *_):
        """The ledger is the log."""

    def read_body(self):
        """The request's body, or None after an answer was already given."""
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self.send_json(411, {"message": "Send a Content-Length."})
            return None
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit()) or int(length) > LARGEST_BODY:
            self.close_connection = True
            self.send_json(413 if length.isdigit() else 400, {"message": "The body is too large."})
            return None
        return self.rfile.read(int(length))

    def send_json(self, status, body, headers=None):
        """Write a JSON answer with its length."""
        self.send_bytes(status, exact_json.dumps(body).encode(), "application/json", headers)

    def send_bytes(self, status, payload, content_type, headers=None):
        """Write an answer with its length; a status without a body gets none."""
        bodiless = status in {204, 304}
        self.send_response(status, HTTPStatus(status).phrase if status in _KNOWN else "Unknown")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if not bodiless:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(payload)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def drop(self, dropped=None):
        """End the connection without a proper answer, as the fault wants it."""
        self.close_connection = True
        dropped = dropped or Dropped()
        with contextlib.suppress(OSError):
            if dropped.raw:
                self.wfile.write(dropped.raw)
                self.wfile.flush()
            if dropped.how == "stall":
                self.server.wait_or_stop(dropped.stall_seconds)
            if dropped.how == "reset":
                # Linger 0 turns the close into a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


_KNOWN = {status.value for status in HTTPStatus}


class ApiHandler(Handler):
    """Togai's side: everything goes through :meth:`Sandbox.answer`."""

    def answer(self):
        """Answer one request of any method."""
        sandbox = self.server.sandbox
        if sandbox.switches.down:
            self.drop()
            return
        body = self.read_body()
        if body is None:
            return
        try:
            status, answered, headers = sandbox.answer(
                routes.Request(self.command, self.path, body), self.headers.get("Authorization")
            )
        except Dropped as dropped:
            self.drop(dropped)
        except Exception:
            traceback.print_exc()
            self.send_json(500, {"message": "The sandbox itself failed; its terminal shows where."})
        else:
            self.send_json(status, answered, headers)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = answer


class Server(ThreadingHTTPServer):
    """One listening socket on 127.0.0.1."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port, handler, sandbox):
        super().__init__(("127.0.0.1", port), handler)
        self.sandbox = sandbox
        self._stopping = threading.Event()

    @property
    def url(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_bind(self):
        """Bind without the reverse name look-up of the base class, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def wait_or_stop(self, seconds):
        """Sleep in a request without holding up the end of the process."""
        self._stopping.wait(seconds)

    def stop(self):
        """Stop accepting and wake what sleeps."""
        self._stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A caller that hangs up is no error; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            traceback.print_exc()


class ApiServer(Server):
    """Togai's side; with the switch ``down`` it closes every connection as it is accepted."""

    def verify_request(self, request, client_address):
        """Refuse the connection while the sandbox plays dead."""
        return not self.sandbox.switches.down


def run(*, port, control_port, state_path, token, load_path=None, say=print):
    """Serve until SIGTERM or SIGINT.

    :raises loading.BadCatalogue: when the load file is wrong
    :raises OSError: when a port is taken
    """
    from togai.sandbox.control import ControlHandler

    sandbox = Sandbox(state_path=state_path, token=token, load_path=load_path)
    api = ApiServer(port, ApiHandler, sandbox)
    control = Server(control_port, ControlHandler, sandbox)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    for server in (api, control):
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    say(f"togai sandbox ready at {api.url} (control {control.url})")
    stopped.wait()
    for server in (api, control):
        server.stop()
    sandbox.state.close()
