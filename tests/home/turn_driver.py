"""A TURN client for tests that speaks to the core directly, on a virtual clock."""

from __future__ import annotations

from app.home.accounts import HomeUser, Users
from app.home.turn_allocations import FiveTuple
from app.home.turn_core import TurnServer
from app.home.turn_io import CloseRelay, OpenRelay, Output, SendToClient, SendToPeer, TurnLimits
from app.ice.stun import Address, Attribute, Message, MessageClass, Method

REALM = "home.test"
SERVER: Address = ("198.51.100.1", 3478)
PEER: Address = ("203.0.113.9", 4000)


class Core:
    """The server under test with a clock, ports that are always free, and a record of what it asked for."""

    def __init__(self, *, limits: TurnLimits | None = None, families: tuple[int, ...] = (4,), **options: bool) -> None:
        self.users = Users(HomeUser.from_password(name, REALM, f"{name}-secret") for name in ("ada", "bob"))
        self.server = TurnServer(
            REALM, self.users.turn_key, secret=b"s" * 32, limits=limits, families=families, **options
        )
        self.server.set_own_addresses([SERVER[0]])
        self.now = 1000.0
        self.relays: dict[int, Address] = {}
        self.closed: list[int] = []
        self.opened: list[OpenRelay] = []
        self.to_peers: list[SendToPeer] = []
        self.to_clients: dict[Address, list[bytes]] = {}
        self.ports_left = True
        self._next_port = 50000

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        while (timeout := self.server.next_timeout()) is not None and timeout <= until:
            self.now = max(self.now, timeout)
            self.server.handle_timeout(self.now)
            self.drain()
        self.now = until

    def receive(self, data: bytes, path: FiveTuple) -> None:
        self.server.receive(data, path, self.now)
        self.drain()

    def from_peer(self, relay_id: int, data: bytes, peer: Address = PEER) -> None:
        self.server.receive_from_peer(relay_id, data, peer, self.now)
        self.drain()

    def drain(self) -> None:
        while outputs := self.server.take_outputs():
            for output in outputs:
                self._carry_out(output)

    def _carry_out(self, output: Output) -> None:
        match output:
            case SendToClient(path, data):
                self.to_clients.setdefault(path.client, []).append(data)
            case SendToPeer():
                self.to_peers.append(output)
            case OpenRelay(relay_id, path, ipv6, _even, reserve_id):
                self.opened.append(output)
                for each in (reserve_id, relay_id):
                    if each is None:
                        continue
                    if not self.ports_left:
                        self.server.relay_failed(each, self.now)
                        continue
                    self._next_port += 1
                    self.relays[each] = ("2001:db8::1" if ipv6 else path.server[0], self._next_port)
                    self.server.relay_opened(each, self.relays[each], self.now)
            case CloseRelay(relay_id):
                self.closed.append(relay_id)


class Client:
    """One client address. `ask` signs a request like a user does, once a nonce is known."""

    def __init__(
        self,
        core: Core,
        name: str = "ada",
        address: Address = ("203.0.113.5", 6000),
        password: str | None = None,
        *,
        transport: str = "udp",
    ) -> None:
        self.core = core
        self.name = name
        self.path = FiveTuple(address, SERVER, transport)
        user = HomeUser.from_password(name, REALM, password or f"{name}-secret")
        self.key = bytes.fromhex(user.ha1_md5)
        self.nonce: str | None = None
        self._transactions = 0

    def request(self, method: int, *attributes: tuple[int, bytes]) -> Message:
        self._transactions += 1
        number = hash((self.path, self._transactions)) % 2**90
        return Message(method, MessageClass.REQUEST, number.to_bytes(12, "big"), list(attributes))

    def sign(self, message: Message, *, nonce: str | None = None) -> bytes:
        message.add_text(Attribute.USERNAME, self.name).add_text(Attribute.REALM, REALM)
        message.add_text(Attribute.NONCE, nonce or self.nonce or "")
        return message.encode(self.key, fingerprint=True)

    def raw(self, data: bytes) -> list[bytes]:
        """Send one datagram, give what came back."""
        self.core.to_clients.pop(self.path.client, None)
        self.core.receive(data, self.path)
        return self.core.to_clients.pop(self.path.client, [])

    def answer(self, data: bytes) -> Message:
        answers = self.raw(data)
        assert len(answers) == 1
        return Message.parse(answers[0])

    def learn_nonce(self) -> Message:
        challenge = self.answer(self.request(Method.ALLOCATE).encode())
        self.nonce = challenge.text(Attribute.NONCE)
        return challenge

    def ask(self, method: int, *attributes: tuple[int, bytes]) -> Message:
        if self.nonce is None:
            self.learn_nonce()
        return self.answer(self.sign(self.request(method, *attributes)))

    def allocate(self, *attributes: tuple[int, bytes]) -> Message:
        return self.ask(Method.ALLOCATE, UDP, *attributes)

    def permit(self, *peers: Address) -> Message:
        if self.nonce is None:
            self.learn_nonce()
        request = self.request(Method.CREATE_PERMISSION)
        for peer in peers:
            request.add_address(Attribute.XOR_PEER_ADDRESS, peer)
        return self.answer(self.sign(request))

    def bind(self, number: int, peer: Address = PEER) -> Message:
        request = self.request(Method.CHANNEL_BIND).add_channel_number(number)
        return self.answer(self.sign(request.add_address(Attribute.XOR_PEER_ADDRESS, peer)))

    def send(self, data: bytes, peer: Address = PEER, *, dont_fragment: bool = False) -> list[bytes]:
        indication = Message(Method.SEND, MessageClass.INDICATION, bytes(12))
        indication.add_address(Attribute.XOR_PEER_ADDRESS, peer).add(Attribute.DATA, data)
        if dont_fragment:
            indication.add(Attribute.DONT_FRAGMENT)
        return self.raw(indication.encode())

    @property
    def relay_id(self) -> int:
        return self.core.opened[-1].relay_id


UDP = (int(Attribute.REQUESTED_TRANSPORT), bytes((17, 0, 0, 0)))


def lifetime(seconds: int) -> tuple[int, bytes]:
    return int(Attribute.LIFETIME), seconds.to_bytes(4, "big")


def code(message: Message) -> int | None:
    """Give the error code of a response, None for a success."""
    error = message.error()
    return error[0] if error is not None else None
