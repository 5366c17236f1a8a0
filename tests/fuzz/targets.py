"""What is handed damaged input: one class for each parser and core, with the most that each may keep."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from app.calls.errors import DescriptionError
from app.calls.sdpfrag import Fragment
from app.ice.candidates import Candidate, ParseError
from app.ice.config import Timing
from app.ice.framing import StunFramer
from app.ice.stun import (
    Address,
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    long_term_key,
    parse_channel_data,
)
from app.ice.turn_client import MAX_CHANNELS, MAX_PERMISSIONS, TurnClient, TurnState
from app.ice.turn_requests import Credentials
from tests.ice import test_stun

PEER: Address = ("203.0.113.9", 4000)
KINDS = [int(each).to_bytes(2, "big") for each in Attribute]
_METHODS = (*Method, 0x00A, 0xFFF)


class Target(Protocol):
    """One thing under test. `run` gives an outcome that tells inputs apart; whatever else it raises is a defect."""

    stun: bool
    seeds: Sequence[bytes]
    tokens: Sequence[bytes]
    bounds: Mapping[str, int]

    def run(self, data: bytes) -> object: ...

    def sizes(self) -> dict[str, int]: ...


def messages() -> list[bytes]:
    """Sound messages of every method, class and attribute to begin from."""
    made = [test_stun.REQUEST, test_stun.RESPONSE_V4, test_stun.RESPONSE_V6]
    for method in _METHODS:
        for klass in MessageClass:
            message = Message(method, klass, bytes(range(12)))
            message.add_address(Attribute.XOR_PEER_ADDRESS, PEER).add(Attribute.DATA, b"data")
            message.add(Attribute.REQUESTED_TRANSPORT, b"\x11\0\0\0").add_number(Attribute.LIFETIME, 600)
            message.add_channel_number(0x4001).add(Attribute.EVEN_PORT, b"\x80")
            made.append(message.encode(b"key", fingerprint=True))
            small = Message(method, klass, bytes(range(12))).add_address(
                Attribute.XOR_MAPPED_ADDRESS, ("2001:db8::1", 1)
            )
            made.append(small.add_error(438, "Stale").add_text(Attribute.NONCE, "n").encode())
    return made


class StunTarget:
    """Reads each input in every way there is, and writes back what was sound."""

    stun = True
    tokens = KINDS
    bounds: Mapping[str, int] = {}

    def __init__(self, rng: random.Random) -> None:
        self.seeds = [*messages(), encode_channel_data(0x4001, b"data")]

    def run(self, data: bytes) -> object:
        with contextlib.suppress(StunError):
            parse_channel_data(data)
        try:
            message = Message.parse(data)
        except StunError as error:
            return str(error)[:12]
        message.check_integrity(b"key")
        said = [message.method, int(message.message_class)]
        for attribute, _ in message.attributes[:8]:
            try:
                message.addresses(attribute)
            except StunError:
                said.append(attribute)
            with contextlib.suppress(StunError):
                message.text(attribute)
        with contextlib.suppress(StunError):
            message.error()
        with contextlib.suppress(StunError):
            message.channel_number()
        bare = Message(message.method, message.message_class, message.transaction_id, message.attributes[:8])
        bare.attributes = [each for each in bare.attributes if each[0] not in (0x8028, 0x0008)]
        assert Message.parse(bare.encode()).attributes == bare.attributes
        return tuple(said)

    def sizes(self) -> dict[str, int]:
        return {}


class StreamTarget:
    """One connection after another whose bytes come in pieces of any size."""

    stun = False
    tokens = KINDS
    bounds: Mapping[str, int] = {"buffered": 65_555 + 4096}

    def __init__(self, rng: random.Random) -> None:
        self.seeds = [*messages(), encode_channel_data(0x4001, bytes(64)), encode_channel_data(0x7FFE, bytes(400))]
        self._rng = rng
        self._framer = StunFramer()
        self._fed = self._given = 0

    def run(self, data: bytes) -> object:
        cut = int(self._rng.random() * len(data))
        outcome: list[int] = []
        try:
            for piece in (data[:cut], data[cut:]):
                self._fed += len(piece)
                whole = self._framer.feed(piece)
                self._given += sum(len(each) for each in whole)
                outcome += [each[0] for each in whole[:4]]
        except StunError:
            self._framer, self._fed, self._given = StunFramer(), 0, 0
            return None
        return tuple(outcome)

    def sizes(self) -> dict[str, int]:
        return {"buffered": self._fed - self._given}


class TurnClientTarget:
    """A client whose server answers anything, signed or not, to whatever was asked; its application asks for more."""

    stun = True
    tokens = KINDS
    bounds: Mapping[str, int] = {
        "requests": MAX_PERMISSIONS + MAX_CHANNELS + 8,
        "permissions": MAX_PERMISSIONS,
        "channels": MAX_CHANNELS,
        "peers": 0x0FFF,  # a number is not given to another peer, RFC 8656 section 12
        "packets": 600,  # each request as often as it is sent at most, in a leap of minutes
    }

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._key = long_term_key("alice", "lab", "secret")
        self._now = 50.0
        self.seeds = [*messages(), encode_channel_data(0x4001, b"data"), *self._answers()]
        self._begin()

    def _answers(self) -> list[bytes]:
        granted = Message(Method.ALLOCATE, MessageClass.SUCCESS, bytes(12))
        granted.add_address(Attribute.XOR_RELAYED_ADDRESS, ("203.0.113.1", 50000))
        granted.add_address(Attribute.XOR_MAPPED_ADDRESS, ("203.0.113.7", 6000)).add_number(Attribute.LIFETIME, 600)
        made = [granted.encode()]
        for method in Method:
            made.append(Message(method, MessageClass.SUCCESS, bytes(12)).add_number(Attribute.LIFETIME, 600).encode())
            for code in (300, 400, 401, 403, 437, 438, 440, 441, 442, 443, 486, 500, 508):
                refused = Message(method, MessageClass.ERROR, bytes(12)).add_error(code, "No")
                refused.add_text(Attribute.REALM, "lab").add_text(Attribute.NONCE, "n1")
                made.append(refused.add_address(Attribute.ALTERNATE_SERVER, ("203.0.113.2", 3478)).encode())
        return made

    def _begin(self) -> None:
        stream = self._rng.random() < 0.3
        who = Credentials("alice", "secret")
        self._client = TurnClient("turn.test", who, Timing(), self._rng.getrandbits, over_stream=stream)
        self._client.allocate(self._now)
        self._asked: list[bytes] = []

    def run(self, data: bytes) -> object:
        rand, client = self._rng.random, self._client
        if client.state in (TurnState.FAILED, TurnState.CLOSED) or rand() < 0.001:
            self._begin()
            client = self._client
        self._asked += [packet for packet in client.packets if packet[0] < 4]
        client.packets.clear()
        del self._asked[:-8]
        if self._asked and rand() < 0.8 and len(data) >= 20:
            asked = self._asked[int(rand() * len(self._asked))]
            kind = asked[:2] if rand() < 0.8 else data[:2]
            if kind == asked[:2]:  # its success or its error
                kind = bytes((asked[0] | 1, asked[1] | (0x10 if rand() < 0.3 else 0)))
            data = kind + data[2:4] + asked[4:20] + data[20:]
            if rand() < 0.8:
                data = self._signed(data)
        heard = client.receive(data, self._now)
        if client.state is TurnState.READY:
            peer = (f"198.18.0.{int(rand() * 100)}", 4000)
            (client.permit if rand() < 0.5 else client.bind_channel)(peer, self._now)
            client.wrap(peer, b"data")
        self._now += rand() * (0.05 if rand() < 0.99 else 300)
        while (due := client.next_timeout()) is not None and due <= self._now:
            client.handle_timeout(due)
        client.permission_results.clear()
        return client.state, client.problem and client.problem[:40], heard is not None, data[:2]

    def _signed(self, data: bytes) -> bytes:
        try:
            message = Message.parse(data)
        except StunError:
            return data
        message.attributes = [each for each in message.attributes if each[0] not in (0x8028, 0x0008)]
        return message.encode(self._key)

    def sizes(self) -> dict[str, int]:
        client = self._client
        return {
            "requests": len(client._requests._open),
            "permissions": len(client._permissions),
            "channels": len(client._channels),
            "peers": len(client._peers),
            "packets": len(client.packets),
        }


class CandidateTarget:
    """Reads candidate lines, writes back those that were understood, and reads them again."""

    stun = False
    bounds: Mapping[str, int] = {}
    tokens = (
        *b"candidate: a= udp TCP tcp typ host srflx prflx relay raddr rport tcptype active passive so 9 0".split(),
        *b"65535 65536 2130706431 4294967295 :: ::1 fe80::1%eth0 192.0.2.1 0.0.0.0 a.local generation ufrag -1".split(),
        *(b" ", b"\t", b"\0", b"\xc3\xa9", b"\xff", b"\r\n"),
    )

    def __init__(self, rng: random.Random) -> None:
        self.seeds = [
            b"1 1 UDP 2130706431 192.0.2.1 5000 typ host",
            b"candidate:abc 2 udp 1694498815 203.0.113.7 6000 typ srflx raddr 192.168.1.2 rport 5000 generation 0",
            b"a=candidate:3 1 TCP 1019216383 2001:db8::1 9 typ host tcptype active",
            b"4 1 UDP 100 4f3a2b1c-0000-4000-8000-1234567890ab.local 5000 typ host network-cost 10 ufrag abcd",
        ]

    def run(self, data: bytes) -> object:
        try:
            candidate = Candidate.parse(data.decode("utf-8", "surrogateescape"))
        except ParseError as error:
            return str(error)[-40:]
        assert Candidate.parse(str(candidate)) == candidate
        return candidate.type, candidate.protocol in ("udp", "tcp"), candidate.tcptype, len(candidate.extensions)

    def sizes(self) -> dict[str, int]:
        return {}


class FragmentTarget:
    """Reads bodies of candidates told later (RFC 8840), writes back what was understood, and reads it again."""

    stun = False
    bounds: Mapping[str, int] = {}
    tokens = (
        *(
            b"a=mid:0\r\n",
            b"a=mid:1\r\n",
            b"m=audio 9 RTP/AVP 0\r\n",
            b"a=end-of-candidates\r\n",
            b"\r\n",
            b"\n",
            b"a=",
        ),
        *(b"a=ice-ufrag:abcd\r\n", b"a=ice-pwd:abcdefghijklmnopqrstuv\r\n", b"a=ice-options:trickle\r\n", b":"),
        b"a=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host\r\n",
    )

    def __init__(self, rng: random.Random) -> None:
        head = b"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
        media = b"m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host\r\n"
        self.seeds = [
            head + media,
            head + media + b"a=end-of-candidates\r\n" + media.replace(b"mid:0", b"mid:1"),
            media,
        ]

    def run(self, data: bytes) -> object:
        try:
            fragment = Fragment.parse(data)
        except DescriptionError as error:
            return str(error)[:30]
        assert Fragment.parse(bytes(fragment)) == fragment
        return tuple((len(stream.candidates), stream.ended) for stream in fragment.streams)

    def sizes(self) -> dict[str, int]:
        return {}
