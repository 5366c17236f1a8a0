"""The TURN server's core under damaged input: clients over every transport, peers, and leaps in time."""

from __future__ import annotations

import hmac
import random
from collections.abc import Mapping

from app.home.turn_allocations import FiveTuple
from app.home.turn_core import TurnServer
from app.home.turn_io import CloseRelay, OpenRelay, SendToClient, TurnLimits
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, encode_channel_data, long_term_key
from tests.fuzz.targets import KINDS, PEER, messages


class TurnServerTarget:
    """Signed and unsigned messages from clients over every transport, datagrams at their relays, time in leaps."""

    stun = True
    tokens = KINDS
    _LIMITS = TurnLimits(allocations_per_user=12, allocations=20)
    bounds: Mapping[str, int] = {
        "allocations": 20,
        "relays": 20,
        "permissions": 64,
        "channels": 64,
        "pending": 20,
        "reservations": 20,
        "sources": 4096 + 1,
        "outputs": 8,
    }
    _USERS = ("ada", "bob")
    _REALM = "home.test"

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._keys = {name: long_term_key(name, self._REALM, f"{name}-secret") for name in self._USERS}
        self._server = TurnServer(
            self._REALM,
            self._keys.get,
            secret=b"s" * 32,
            limits=self._LIMITS,
            families=(4, 6),
            allow_own_peers=True,
            dont_fragment=True,
        )
        self._now = 1000.0
        self._relays: dict[int, Address] = {}
        self._port = 50000
        self._outputs = 0
        self._signatures: dict[tuple[FiveTuple, str], bytes] = {}
        self._paths = [
            FiveTuple((host, port), ("198.51.100.1", 3478), transport)
            for host in ("203.0.113.5", "2001:db8::5")
            for port in range(6000, 6004)
            for transport in ("udp", "tcp", "tls")
        ]
        self.seeds = [*messages(), encode_channel_data(0x4001, b"data"), *self._requests()]

    def _requests(self) -> list[bytes]:
        """Give what a client sends, without its signature."""
        udp = (int(Attribute.REQUESTED_TRANSPORT), b"\x11\0\0\0")
        wishes = [
            [udp],
            [udp, (int(Attribute.ADDITIONAL_ADDRESS_FAMILY), b"\x02\0\0\0")],
            [udp, (int(Attribute.EVEN_PORT), b"\x80")],
            [udp, (int(Attribute.REQUESTED_ADDRESS_FAMILY), b"\x02\0\0\0"), (int(Attribute.DONT_FRAGMENT), b"")],
        ]
        made = [Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12), wish).encode() for wish in wishes]
        for lifetime in (0, 600, 3600):
            made.append(
                Message(Method.REFRESH, MessageClass.REQUEST, bytes(12))
                .add_number(Attribute.LIFETIME, lifetime)
                .encode()
            )
        for number in range(100):
            permit = Message(Method.CREATE_PERMISSION, MessageClass.REQUEST, bytes(12))
            for host in (f"198.18.0.{number}", f"198.18.1.{number}") if number % 4 else (f"2001:db8:1::{number}",):
                permit.add_address(Attribute.XOR_PEER_ADDRESS, (host, 4000))
            bind = Message(Method.CHANNEL_BIND, MessageClass.REQUEST, bytes(12)).add_channel_number(0x4000 + number)
            bind.add_address(Attribute.XOR_PEER_ADDRESS, (f"198.18.2.{number}", 4000))
            made += [permit.encode(), bind.encode(), encode_channel_data(0x4000 + number, b"data")]
        return made

    def run(self, data: bytes) -> object:
        rand = self._rng.random
        self._now += rand() * 0.02 if rand() < 0.999 else rand() * 700
        timeout = self._server.next_timeout()
        if timeout is not None and timeout <= self._now:
            self._server.handle_timeout(self._now)
            self._drain()
        path = self._paths[int(rand() * len(self._paths))]
        choice = rand()
        if choice < 0.1:
            relay_id = int(rand() * (len(self._relays) + 2))
            known = list(self._relays)
            relay_id = known[relay_id] if relay_id < len(known) else relay_id
            peer = PEER if rand() < 0.5 else (f"198.18.0.{int(rand() * 256)}", 1 + int(rand() * 65535))
            self._server.receive_from_peer(relay_id, data, peer, self._now)
        elif choice < 0.11 and path.is_stream:
            self._server.path_closed(path)
        else:
            signed = choice < 0.6 and len(data) >= 20
            self._server.receive(self._sign(data, path) if signed else data, path, self._now)
        return self._drain()

    def _sign(self, data: bytes, path: FiveTuple) -> bytes:
        name = self._USERS[path.client[1] % 2]
        attributes = self._signatures.get((path, name))
        if attributes is None:  # learn the nonce as a client does
            self._server.receive(Message(Method.ALLOCATE, MessageClass.REQUEST, bytes(12)).encode(), path, self._now)
            self._drain()
            attributes = self._signatures.get((path, name), b"")
        body = data[20:] + attributes
        head = data[:2] + (len(body) + 24 & 0xFFFF).to_bytes(2, "big") + data[4:20] + body
        return head + b"\0\x08\0\x14" + hmac.digest(self._keys[name], head, "sha1")

    def _drain(self) -> object:
        outcome: list[object] = []
        outputs = self._server.take_outputs()
        self._outputs = len(outputs)
        while outputs:
            for output in outputs:
                outcome.append(self._carry_out(output))
            outputs = self._server.take_outputs()
        return tuple(outcome[:4])

    def _carry_out(self, output: object) -> object:
        if isinstance(output, OpenRelay):
            for relay_id in (output.reserve_id, output.relay_id):
                if relay_id is None:
                    continue
                if self._rng.random() < 0.05:
                    self._server.relay_failed(relay_id, self._now)
                    continue
                self._port = 50000 + (self._port + 1) % 10000
                self._relays[relay_id] = ("2001:db8::1" if output.ipv6 else "198.51.100.1", self._port)
                self._server.relay_opened(relay_id, self._relays[relay_id], self._now)
            return output.ipv6, output.even_port
        if isinstance(output, CloseRelay):
            del self._relays[output.relay_id]
            return "close"
        if isinstance(output, SendToClient) and output.data[0] < 0x40:
            said = Message.parse(output.data)
            error = said.error() if said.message_class is MessageClass.ERROR else None
            if error is not None and error[0] in (401, 438):
                self._note_nonce(output.path, said)
            return said.method, int(said.message_class), error
        return type(output).__name__

    def _note_nonce(self, path: FiveTuple, challenge: Message) -> None:
        name = self._USERS[path.client[1] % 2]
        answer = Message(0, MessageClass.REQUEST, bytes(12)).add_text(Attribute.USERNAME, name)
        answer.add_text(Attribute.REALM, self._REALM).add_text(Attribute.NONCE, challenge.text(Attribute.NONCE) or "")
        self._signatures[path, name] = answer.encode()[20:]

    def sizes(self) -> dict[str, int]:
        books, server = self._server._books, self._server
        assert books.sockets <= len(self._relays)
        held = list(books.by_path.values())
        return {
            "allocations": len(books),
            "relays": books.sockets,
            "permissions": max((len(each.permissions) for each in held), default=0),
            "channels": max((max(len(each.channels), len(each.numbers)) for each in held), default=0),
            "pending": len(server._pending),
            "reservations": len(books._reservations),
            "sources": max(len(server._unsigned), len(server._unsigned_streams)),
            "outputs": self._outputs,
        }
