"""Home's cores against messages that are almost right: nothing raises, and nothing is kept."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.ice.stun import Attribute, MessageClass
from app.sip.errors import ParseError
from app.sip.message import parse_message
from tests.home.sip_driver import REALM, Phone, World
from tests.home.turn_driver import PEER, UDP, Client, Core

TORTURE = sorted((Path(__file__).parent.parent / "sip" / "torture").glob("*.dat"))


def hand_in(world: World, phone: Phone, data: bytes) -> None:
    """Do with a datagram what the sockets do with it."""
    try:
        message = parse_message(data)
    except ParseError as error:
        world.core.receive_bad(error, phone.hop, world.now)
    else:
        world.core.receive(message, phone.hop, world.now)
    world.drain()


@pytest.mark.parametrize("path", TORTURE, ids=lambda path: path.stem)
def test_torture_messages_leave_the_server_serving(path: Path) -> None:
    world = World()
    eve = Phone(world, "eve", "192.0.2.66")
    hand_in(world, eve, path.read_bytes())
    world.advance(400)
    assert world.core.transactions == 0
    eve.inbox.clear()
    assert eve.ask(eve.request("OPTIONS", f"sip:{REALM}")).status == 200


@given(st.integers(0, 2**32))
def test_mutated_dialogs_never_raise_and_end(seed: int) -> None:
    rng = random.Random(seed)
    world = World()
    bob, eve = Phone(world, "bob", "203.0.113.6"), Phone(world, "eve", "192.0.2.66")
    bob.register()
    for _ in range(12):
        speaker = rng.choice((bob, eve))
        method = rng.choice(("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "UPDATE"))
        message = speaker.request(method, rng.choice((f"sip:bob@{REALM}", f"sip:{REALM}", "sip:x@192.0.2.9")))
        seen = [each for each in (*bob.inbox, *eve.inbox) if rng.random() < 0.3]
        data = bytearray(bytes(rng.choice((message, *seen))))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        hand_in(world, speaker, bytes(data))
        world.advance(rng.random())
    world.advance(1000)
    assert world.core.transactions == 0


@given(st.integers(0, 2**32))
@example(75)  # reserves the port beside its own
def test_signed_turn_requests_with_any_attributes_never_raise(seed: int) -> None:
    rng = random.Random(seed)
    core = Core(families=(4, 6))
    ada = Client(core)
    ada.learn_nonce()
    kinds = [int(each) for each in Attribute if each not in (Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT)]
    for _ in range(20):
        attributes = [UDP] if rng.random() < 0.5 else []
        attributes += [
            (rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 4, 8, 20)))) for _ in range(rng.randrange(4))
        ]
        request = ada.request(rng.choice((1, 3, 4, 6, 7, 8, 9, 0x0A, 0xFFF)), *attributes)
        if rng.random() < 0.5:
            request.add_address(Attribute.XOR_PEER_ADDRESS, PEER)
        if rng.random() < 0.2:
            request.message_class = rng.choice(list(MessageClass))
        ada.raw(ada.sign(request))
        core.from_peer(rng.randrange(3), rng.randbytes(20))
        core.advance(rng.random() * 100)
    core.advance(8000)
    assert core.server.allocations == 0
    bound = [number for each in core.opened for number in (each.relay_id, each.reserve_id) if number is not None]
    assert sorted(core.closed) == sorted(bound)
