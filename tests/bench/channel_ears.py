"""Many listeners in one process: `python -m tests.bench.channel_ears nats|udp PORT COUNT [AUTHORITY.pem]`.

Each has a connection of its own: TLS 1.3 and the text protocol of a nats-server, or a UDP socket that has told a
reflector of itself. Prints "ready" once all listen; at a line on stdin prints one line of JSON: how many packets
came, the fewest of any listener, and delays in steps of 0.1 ms as {step: count}. A packet begins with its sender's
monotonic clock in nanoseconds.
"""

from __future__ import annotations

import collections
import json
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Iterator, Sequence

HERE = "127.0.0.1"
SUBJECT = "parley.stream.bench"
PACKET = 120  # bytes: 20 ms of Opus at 24 kb/s with its header and seal
JOIN = b"join"
_STEP_NS = 100_000
_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"tls_required":true,"lang":"bench","version":"1"}\r\n'


def connect(port: int, authority: str) -> ssl.SSLSocket:
    """Give a connection to a nats-server that has taken the login."""
    context = ssl.create_default_context(cafile=authority)
    plain = socket.create_connection((HERE, port), 20)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    greeting = b""
    while not greeting.endswith(b"\r\n"):
        greeting += plain.recv(4096)
    secure = context.wrap_socket(plain, server_hostname=HERE)
    secure.sendall(_CONNECT + b"PING\r\n")
    _until_pong(secure)
    return secure


def _until_pong(secure: ssl.SSLSocket) -> None:
    said = b""
    while not said.endswith(b"PONG\r\n"):
        piece = secure.recv(4096)
        if not piece or b"-ERR" in said:
            raise ConnectionError(said)
        said += piece
        if said.endswith(b"PING\r\n"):
            secure.sendall(b"PONG\r\n")


class Ears:
    """What all listeners of this process have heard."""

    def __init__(self, count: int) -> None:
        self.heard = [0] * count
        self.delays: collections.Counter[int] = collections.Counter()

    def packet(self, place: int, sent_ns: int, now_ns: int) -> None:
        self.heard[place] += 1
        self.delays[(now_ns - sent_ns) // _STEP_NS] += 1

    def report(self) -> str:
        return json.dumps({"came": sum(self.heard), "fewest": min(self.heard), "delays": dict(self.delays)})


def _spoken_to(sockets: Sequence[socket.socket], ears: Ears) -> Iterator[int]:
    """Give the places of those that have something to read, again and again, until the report is asked for."""
    poll = select.epoll()
    places = {one.fileno(): place for place, one in enumerate(sockets)}
    for number in (*places, sys.stdin.fileno()):
        poll.register(number, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        for number, _ in poll.poll():
            if number == sys.stdin.fileno():
                print(ears.report(), flush=True)
                return
            yield places[number]


def listen_nats(port: int, count: int, authority: str) -> None:
    ears = Ears(count)
    head = f"MSG {SUBJECT} 1 {PACKET}\r\n".encode()
    size = len(head) + PACKET + 2
    connections = []
    for _ in range(count):
        secure = connect(port, authority)
        secure.sendall(f"SUB {SUBJECT} 1\r\nPING\r\n".encode())
        _until_pong(secure)
        secure.setblocking(False)
        connections.append(secure)
    rests = [b""] * count
    for place in _spoken_to(connections, ears):
        secure, data = connections[place], rests[place]
        try:
            while True:
                piece = secure.recv(65_536)
                if not piece:
                    raise ConnectionError("a listener was thrown out")
                data += piece
        except ssl.SSLWantReadError:
            pass
        now_ns = time.monotonic_ns()
        at = 0
        while at < len(data):
            if data.startswith(b"PING\r\n", at):
                secure.send(b"PONG\r\n")
                at += 6
            elif len(data) - at >= size and data.startswith(head, at):
                ears.packet(place, struct.unpack_from("!Q", data, at + len(head))[0], now_ns)
                at += size
            else:
                break
        rests[place] = data[at:]


def listen_udp(port: int, count: int) -> None:
    ears = Ears(count)
    sockets = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect((HERE, port))
        one.settimeout(20)
        one.send(JOIN)
        one.recv(16)
        one.setblocking(False)
        sockets.append(one)
    for place in _spoken_to(sockets, ears):
        try:
            while True:
                data = sockets[place].recv(2048)
                ears.packet(place, struct.unpack_from("!Q", data)[0], time.monotonic_ns())
        except BlockingIOError:
            pass


if __name__ == "__main__":
    if sys.argv[1] == "nats":
        listen_nats(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        listen_udp(int(sys.argv[2]), int(sys.argv[3]))
