"""Sends as much through a TURN server as it passes on, both ways, and tells how many packets that were a second."""

from __future__ import annotations

import itertools
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.ice.framing import StunFramer
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, encode_channel_data, long_term_key
from tests.bench.turn_end import PASSWORD, USER

HERE = "127.0.0.1"
CHANNEL = 0x4001
PAYLOAD = bytes(172)  # an RTP packet of 20 ms of G.711
_WINDOW = 128  # packets under way: enough to keep a server busy, few enough for any socket buffer
_LIMIT_S = 5.0
_LOST_AFTER_S = 0.5
_MAX_LOST = 0.01


class LoadError(Exception):
    """The server refused, or lost what it must not lose."""


@dataclass(frozen=True, slots=True)
class Passed:
    packets: int
    lost: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.packets / self.seconds


class RelayLoad:
    """One client and one peer on this machine; the client has an allocation, and a channel unless it `indicates`."""

    def __init__(self, port: int, *, over_tcp: bool = False, indicates: bool = False) -> None:
        self._server = (HERE, port)
        self._over_tcp = over_tcp
        self._client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if over_tcp else socket.SOCK_DGRAM)
        self._client.connect(self._server)
        if over_tcp:
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._framer = StunFramer()
        self._peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._peer.bind((HERE, 0))
        for sock in (self._client, self._peer):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._ids = itertools.count(1)
        self._nonce = self._realm = ""
        self._relayed = self._prepare()
        self._framed = self._frame(indicates)

    def close(self) -> None:
        self._client.close()
        self._peer.close()

    def _prepare(self) -> Address:
        self._client.settimeout(_LIMIT_S)
        transport = (Attribute.REQUESTED_TRANSPORT, b"\x11\0\0\0")
        answer = self._ask(Message(Method.ALLOCATE, MessageClass.REQUEST, b"", [transport]))
        relayed = answer.address(Attribute.XOR_RELAYED_ADDRESS)
        if relayed is None:
            raise LoadError("no relayed address")
        return relayed

    def _frame(self, indicates: bool) -> bytes:
        peer = self._peer.getsockname()
        if indicates:
            permit = Message(Method.CREATE_PERMISSION, MessageClass.REQUEST, b"")
            self._ask(permit.add_address(Attribute.XOR_PEER_ADDRESS, peer))
            send = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
            return send.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, PAYLOAD).encode()
        bind = Message(Method.CHANNEL_BIND, MessageClass.REQUEST, b"").add_channel_number(CHANNEL)
        self._ask(bind.add_address(Attribute.XOR_PEER_ADDRESS, peer))
        return encode_channel_data(CHANNEL, PAYLOAD)

    def _ask(self, request: Message) -> Message:
        attributes = list(request.attributes)
        for _ in range(2):
            request.transaction_id = next(self._ids).to_bytes(12, "big")
            request.attributes = list(attributes)
            key = None
            if self._nonce:
                request.add_text(Attribute.USERNAME, USER).add_text(Attribute.REALM, self._realm)
                request.add_text(Attribute.NONCE, self._nonce)
                key = long_term_key(USER, self._realm, PASSWORD)
            self._client.send(request.encode(key))
            answer = Message.parse(self._messages()[0])
            error = answer.error() if answer.message_class is MessageClass.ERROR else None
            if error is None:
                return answer
            self._nonce, self._realm = answer.text(Attribute.NONCE) or "", answer.text(Attribute.REALM) or ""
        raise LoadError(f"refused with {error}")

    def _messages(self) -> list[bytes]:
        """Give what has come, at least one message."""
        while True:
            data = self._client.recv(65536)
            if not self._over_tcp:
                return [data]
            if messages := self._framer.feed(data):
                return messages

    def outward(self, packets: int) -> Passed:
        """Client to peer: as fast as the peer sees them arrive."""
        return self._run(packets, lambda: self._client.send(self._framed), self._peer, 1)

    def inward(self, packets: int) -> Passed:
        """Peer to client."""
        size = len(PAYLOAD) + (4 if len(self._framed) == len(PAYLOAD) + 4 else 36)
        return self._run(packets, lambda: self._peer.sendto(PAYLOAD, self._relayed), self._client, size)

    def _run(self, packets: int, send: Callable[[], object], arrives: socket.socket, size: int) -> Passed:
        is_stream = arrives is self._client and self._over_tcp
        arrives.setblocking(False)
        sent = received = pending = lost = 0
        begun = time.perf_counter()
        try:
            while received + lost < packets:
                while sent < packets and sent - received - lost < _WINDOW:
                    send()
                    sent += 1
                if not select.select([arrives], [], [], _LOST_AFTER_S)[0]:
                    lost = sent - received
                    if lost > packets * _MAX_LOST:
                        raise LoadError(f"{lost} of {sent} packets did not arrive")
                while received + lost < sent:
                    try:
                        data = arrives.recv(65536)
                    except BlockingIOError:
                        break
                    pending += len(data)
                    received = pending // size if is_stream else received + 1
        finally:
            arrives.settimeout(_LIMIT_S)
        return Passed(received, lost, time.perf_counter() - begun)
