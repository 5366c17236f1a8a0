"""An ICE agent under damaged datagrams: strangers, a peer that knows the password, and answers to its own checks."""

from __future__ import annotations

import random
from collections.abc import Mapping

from app.events import CandidateType
from app.ice.candidates import Candidate, IceDescription
from app.ice.checklist import MAX_EARLY_CHECKS
from app.ice.config import IceConfig, Timing
from app.ice.stun import Address, Attribute, Message, MessageClass, Method, StunError
from tests.fuzz.targets import KINDS, messages
from tests.ice.network import Network, Party

_SESSION = 1500  # inputs until the next call
_PEER = IceDescription(
    "peerpeer",
    "p" * 24,
    tuple(
        Candidate(str(at), 1, "udp", 2130706431 - at, f"198.51.100.{10 + at}", 5000, CandidateType.HOST)
        for at in range(3)
    ),
    end_of_candidates=True,
)


class AgentTarget:
    """One call after another, either role; the clock runs, now and then for a minute."""

    stun = True
    tokens = KINDS
    bounds: Mapping[str, int] = {
        "pairs": Timing().max_pairs,
        "checks": Timing().max_pairs * 2,
        "routes": Timing().max_pairs,
        "early": MAX_EARLY_CHECKS,
        "reasons": 40,
        "packets": 400,
        "events": 800,
    }

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.seeds = [*messages(), *self._checks(), b"\x80\x60" + bytes(20), b"\x16\xfe\xfd" + bytes(30)]
        self._begin()

    def _checks(self) -> list[bytes]:
        """Give sound checks and answers without their signature."""
        made = []
        for role in (Attribute.ICE_CONTROLLED, Attribute.ICE_CONTROLLING):
            for nominates in (False, True):
                check = Message(Method.BINDING, MessageClass.REQUEST, bytes(12))
                check.add_number(Attribute.PRIORITY, 1845494271).add_number(role, 7, 8)
                made.append((check.add(Attribute.USE_CANDIDATE) if nominates else check).encode())
        seen = Message(Method.BINDING, MessageClass.SUCCESS, bytes(12))
        made.append(seen.add_address(Attribute.XOR_MAPPED_ADDRESS, ("198.51.100.1", 4000)).encode())
        for code in (400, 401, 420, 487, 500):
            made.append(Message(Method.BINDING, MessageClass.ERROR, bytes(12)).add_error(code, "No").encode())
        return made

    def _begin(self) -> None:
        rng = self._rng
        self._network = Network()
        self._party = Party(
            self._network, self._network.internet, "198.51.100.1", IceConfig(), controlling=rng.random() < 0.5
        )
        self._party.gather()
        self._described = rng.random() < 0.9  # else checks come before the peer's description
        if self._described:
            self._party.set_remote(_PEER)
        self._party.start()
        self._local = self._party.local()
        self._asked: list[tuple[bytes, Address]] = []
        self._left = _SESSION
        self._packets = self._events = 0

    def run(self, data: bytes) -> object:
        rand = self._rng.random
        self._left -= 1
        if self._left < 0:
            self._party.close()
            self._begin()
        choice, at = rand(), int(rand() * 12)
        source: Address = (f"198.51.100.{10 + at}", 5000 if rand() < 0.8 else 5001)
        if choice < 0.45:
            data = self._signed(data, self._local.pwd, f"{self._local.ufrag}:{_PEER.ufrag}")
        elif choice < 0.75 and self._asked and len(data) >= 20:
            tid, source = self._asked[int(rand() * len(self._asked))]
            data = self._signed(data[:8] + tid + data[20:], _PEER.pwd, None)
        self._party.core.receive(1, data, source, self._network.now)
        self._party.flush()
        self._network.run(rand() * (0.02 if rand() < 0.998 else 60))
        self._note()
        agent = self._party.leg.agent
        return data[:2], tuple(type(event).__name__ for event in self._last[-3:]), agent.connected_at is not None

    def _note(self) -> None:
        """Take what was sent and told, as the owner of the sockets does."""
        sent, told = self._network.sent, self._party.events
        self._packets, self._events, self._last = len(sent), len(told), list(told[-3:])
        for _, to, packet in sent[-16:]:
            if packet[:2] == b"\x00\x01":
                self._asked.append((packet[8:20], to))
        del self._asked[:-8]
        sent.clear()
        told.clear()
        self._party.leg_events.clear()
        self._party.received.clear()

    def _signed(self, data: bytes, pwd: str, username: str | None) -> bytes:
        try:
            message = Message.parse(data)
        except StunError:
            return data
        message.attributes = [each for each in message.attributes if each[0] not in (0x8028, 0x0008)]
        if username is not None and self._rng.random() < 0.95:
            message.attributes = [each for each in message.attributes if each[0] != Attribute.USERNAME]
            message.add_text(Attribute.USERNAME, username)
        return message.encode(pwd.encode(), fingerprint=True)

    def sizes(self) -> dict[str, int]:
        agent = self._party.leg.agent
        return {
            "pairs": sum(len(one.pairs) for one in agent.lists.values()),
            "checks": len(agent._runner._checks),
            "routes": len(agent.state.routes),
            "early": max((len(one.early) for one in agent.lists.values()), default=0),
            "reasons": len(agent.state.counters) + len(self._party.core.counters),
            "packets": self._packets,
            "events": self._events,
        }
