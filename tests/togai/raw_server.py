"""A Togai of raw bytes, for stories that need a real socket: resets, stalls, drips and broken answers."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator

Script = Callable[[socket.socket], None]


def answer(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """A whole answer with a correct length, after which the connection ends."""
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def says(raw: bytes) -> Script:
    """Read the request, say these bytes, close."""

    def play(peer: socket.socket) -> None:
        peer.sendall(raw)

    return play


def resets(peer: socket.socket) -> None:
    """Drop the connection so that the client sees a reset."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def resets_midway(peer: socket.socket) -> None:
    """Reset while most of the request is unread; the first byte shows that the client is connected."""
    peer.recv(1)
    resets(peer)


def closes(peer: socket.socket) -> None:
    """Close without a word."""


def stalls(raw: bytes = b"") -> Script:
    """Say these bytes, then nothing until the client gives up."""

    def play(peer: socket.socket) -> None:
        peer.sendall(raw)
        while peer.recv(4096):
            pass

    return play


def drips(raw: bytes, drop: bytes) -> Script:
    """Say these bytes, then one more piece after the other until the client gives up."""

    def play(peer: socket.socket) -> None:
        peer.sendall(raw)
        while True:
            peer.sendall(drop)

    return play


def drips_slowly(raw: bytes, drop: bytes, pause: float) -> Script:
    """As `drips`, with a pause after each piece, so that no limit of size ends it."""

    def play(peer: socket.socket) -> None:
        peer.sendall(raw)
        while True:
            peer.sendall(drop)
            # Readable only when the client leaves.
            if select.select([peer], [], [], pause)[0]:
                return

    return play


class RawTogai:
    """One script per connection, the last one for all that follow; `requests` holds what arrived."""

    def __init__(self, *scripts: Script, read_first: bool = True) -> None:
        self._scripts = list(scripts)
        self._read_first = read_first
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "RawTogai":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # A blocked accept() wakes up only when the listening socket is shut down.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                threading.Thread(target=self._play, args=(peer, script), daemon=True).start()

    def _play(self, peer: socket.socket, script: Script) -> None:
        with contextlib.suppress(OSError), peer:
            if self._read_first:
                self.requests.append(_whole_request(peer))
            script(peer)


def _whole_request(peer: socket.socket) -> bytes:
    received = b"".join(_until_headers_end(peer))
    head, _, body = received.partition(b"\r\n\r\n")
    wanted = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            wanted = int(line.partition(b":")[2])
    while len(body) < wanted:
        piece = peer.recv(4096)
        if not piece:
            raise ConnectionError("The client left.")
        body += piece
    return head + b"\r\n\r\n" + body


def _until_headers_end(peer: socket.socket) -> Iterator[bytes]:
    seen = b""
    while b"\r\n\r\n" not in seen:
        piece = peer.recv(4096)
        if not piece:
            raise ConnectionError("The client left.")
        seen += piece
        yield piece
