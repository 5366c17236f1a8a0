"""Somebody on the network who means no good, or knows no better: bad SIP, bad descriptions, random datagrams."""

from __future__ import annotations

import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.network import Host

PAUSE_EVERY = 50  # datagrams
PAUSE_S = 0.01

# A description that any phone of today would take, to be spoilt in one place.
GOOD_SDP = (
    "v=0\r\n"
    "o=- 1 1 IN IP4 {address}\r\n"
    "s=-\r\n"
    "c=IN IP4 {address}\r\n"
    "t=0 0\r\n"
    "m=audio 40000 UDP/TLS/RTP/SAVPF 96\r\n"
    "a=rtpmap:96 opus/48000/2\r\n"
    "a=ice-ufrag:abcd\r\n"
    "a=ice-pwd:abcdefghijklmnopqrstuv\r\n"
    "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
    "a=setup:actpass\r\n"
    "a=rtcp-mux\r\n"
    "a=candidate:1 1 UDP 2130706431 {address} 40000 typ host\r\n"
)


def sdp(host: Host) -> str:
    return GOOD_SDP.format(address=host.address)


class Phone:
    """A phone of very little brain: one UDP socket, SIP by hand."""

    def __init__(self, host: Host, *, port: int = 0) -> None:
        self.host = host
        self.socket = host.open_socket(port=port)
        self.port: int = self.socket.getsockname()[1]

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def invite(self, server: Host, port: int, body: bytes, content_type: str = "application/sdp") -> tuple[int, str]:
        """Call with this body; give the final status and its phrase, or 180 and "ringing" when it rings."""
        call, branch, me = secrets.token_hex(8), f"z9hG4bK{secrets.token_hex(6)}", f"{self.host.in_uri}:{self.port}"
        common = (
            f"Via: SIP/2.0/UDP {me};branch={branch}\r\n"
            f"From: <sip:x@{me}>;tag={call[:6]}\r\n"
            f"Call-ID: {call}\r\nMax-Forwards: 70\r\nContact: <sip:x@{me}>\r\n"
        )
        uri = f"sip:bob@{server.in_uri}:{port}"
        head = f"INVITE {uri} SIP/2.0\r\n{common}To: <{uri}>\r\nCSeq: 1 INVITE\r\nContent-Type: {content_type}\r\n"
        self.socket.sendto(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body, (server.address, port))
        while True:
            response = self.socket.recv(65535).decode(errors="replace")
            status = int(response.split()[1])
            if status == 180:
                return 180, "ringing"
            if status >= 200:
                to = next(line for line in response.splitlines() if line.startswith("To:"))
                ack = f"ACK {uri} SIP/2.0\r\n{common}{to}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
                self.socket.sendto(ack.encode(), (server.address, port))
                return status, response.splitlines()[0].split(maxsplit=2)[2]


@contextmanager
def bad_callee(host: Host, status: str, body: bytes) -> Iterator[list[str]]:
    """Be a phone at port 5060 that answers an INVITE with this status and body; gives the methods it has seen."""
    seen: list[str] = []
    with Phone(host, port=5060) as phone:
        phone.socket.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    data, source = phone.socket.recvfrom(65535)
                except TimeoutError:
                    continue
                request = data.decode(errors="replace")
                if request.strip():
                    seen.append(request.split()[0])
                    for response in _responses(request, host, status, body):
                        phone.socket.sendto(response, source)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


def _responses(request: str, host: Host, status: str, body: bytes) -> Iterator[bytes]:
    head = request.partition("\r\n\r\n")[0].split("\r\n")
    copied = [line for line in head[1:] if line.lower().startswith(("via:", "from:", "call-id:", "cseq:"))]
    to = next(line for line in head if line.lower().startswith("to:"))
    common = "\r\n".join([*copied, to if ";tag=" in to else f"{to};tag=bad", f"Contact: <sip:x@{host.in_uri}>"])
    method = head[0].split()[0]
    if method == "INVITE":
        extra = f"\r\nContent-Type: application/sdp\r\nContent-Length: {len(body)}\r\n\r\n"
        yield f"SIP/2.0 {status}\r\n{common}{extra}".encode() + body
    elif method != "ACK":
        yield f"SIP/2.0 200 OK\r\n{common}\r\nContent-Length: 0\r\n\r\n".encode()
    if method == "CANCEL":
        gone = common.replace("CANCEL", "INVITE")
        yield f"SIP/2.0 487 Request Terminated\r\n{gone}\r\nContent-Length: 0\r\n\r\n".encode()


def noise(dice: random.Random) -> bytes:
    """Give a datagram of nonsense: most of it random, some of it beginning as STUN, DTLS, RTP, TURN or SIP does."""
    body = dice.randbytes(dice.choice((0, 1, 3, 19, 20, 40, 100, 500, 1200)))
    beginnings = (
        b"",
        b"\x00\x01" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + dice.randbytes(12),
        b"\x00\x03" + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + dice.randbytes(12),
        b"\x16\xfe\xfd",
        b"\x80" + dice.randbytes(1),
        b"\x40\x00" + dice.randbytes(2),
        b"INVITE sip:bob@home SIP/2.0\r\nVia: ",
        b"REGISTER sip:home SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n",
    )
    return dice.choice(beginnings) + body


def flood(source: Host, target: str, port: int, count: int = 10_000, seed: int = 1) -> int:
    """Send datagrams of noise to a port; gives how many, evenly enough that a receiver can take them all."""
    dice = random.Random(seed)
    with source.open_socket() as sender:
        for number in range(count):
            sender.sendto(noise(dice), (target, port))
            if number % PAUSE_EVERY == 0:
                time.sleep(PAUSE_S)
    return count


def flood_stream(source: Host, target: str, port: int, connections: int = 100, seed: int = 1) -> int:
    """Open TCP connections, one after the other, and send noise into each until it is cut off or all is said."""
    dice = random.Random(seed)
    for _ in range(connections):
        with source.open_socket(socket.SOCK_STREAM) as sender:
            sender.connect((target, port))
            try:
                for _ in range(100):
                    sender.sendall(noise(dice))
            except (ConnectionError, TimeoutError):
                continue  # cut off: as good an answer as any
    return connections
