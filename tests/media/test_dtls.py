"""Agreeing keys by DTLS, and refusing the wrong peer."""

from __future__ import annotations

import asyncio
import os

import pytest

from app.media.certificate import Certificate
from app.media.dtls import MTU, DtlsAssociation, choose_fingerprints
from app.media.errors import MediaError, SecurityError
from app.media.events import PeerClosed
from app.media.plan import SecurityPlan
from tests.media.wire import eventually, secure, two_ends


def association(role: str, own: Certificate, peer: Certificate, algorithm: str = "sha-256") -> DtlsAssociation:
    assert role in ("client", "server")
    return DtlsAssociation(own, SecurityPlan("dtls", role, (peer.fingerprint_of(algorithm),)))  # type: ignore[arg-type]


def exchange(client: DtlsAssociation, server: DtlsAssociation) -> int:
    """Carry datagrams until nobody has more; gives how many there were."""
    client.start()
    count = 0
    while moving := [(data, client) for data in server.outgoing()] + [(data, server) for data in client.outgoing()]:
        for data, receiver in moving:
            assert len(data) <= MTU
            count += 1
            receiver.receive(data)
    return count


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-384", "sha-512"])
def test_both_sides_get_the_same_keys(algorithm: str) -> None:
    a, b = Certificate.generate(), Certificate.generate()
    client, server = association("client", a, b, algorithm), association("server", b, a, algorithm)
    assert exchange(client, server) <= 6
    assert client.keys is not None
    assert server.keys is not None
    assert (client.keys.local, client.keys.remote) == (server.keys.remote, server.keys.local)
    assert client.keys.name == server.keys.name
    assert client.remote_fingerprint == b.fingerprint_of(algorithm)
    assert repr(client.keys.local) not in repr(client.keys)


def test_the_strongest_announced_hash_counts_and_any_value_under_it() -> None:
    a, b, other = (Certificate.generate() for _ in range(3))
    announced = (
        ("sha-1", "00:11"),
        other.fingerprint_of("sha-256"),
        other.fingerprint_of("sha-512"),
        ("SHA-512", b.fingerprint_of("sha-512")[1].lower()),
    )
    client = DtlsAssociation(a, SecurityPlan("dtls", "client", announced))
    exchange(client, association("server", b, a))
    assert client.keys is not None


def test_no_known_hash_is_refused_at_once() -> None:
    with pytest.raises(SecurityError, match="SHA-256"):
        choose_fingerprints((("sha-1", "AB:CD"), ("md5", "00")))
    with pytest.raises(MediaError):
        DtlsAssociation(Certificate.generate(), SecurityPlan("dtls"))


def test_another_certificate_than_the_announced_one_is_refused() -> None:
    a, b, other = (Certificate.generate() for _ in range(3))
    with pytest.raises(SecurityError, match="not the one it announced"):
        exchange(association("client", a, other), association("server", b, a))


def test_noise_does_not_end_a_handshake() -> None:
    a, b = Certificate.generate(), Certificate.generate()
    client, server = association("client", a, b), association("server", b, a)
    for size in (1, 5, 13, 14, 200):
        for first in (20, 21, 22, 23, 63):
            client.receive(bytes([first]) + os.urandom(size))
            server.receive(bytes([first]) + os.urandom(size))
    exchange(client, server)
    assert client.keys is not None


async def test_keys_over_a_lossy_path() -> None:
    async with two_ends() as (caller, callee):
        lost = iter([True, False, False, True])
        for end in (caller, callee):
            end.path.lose = lambda data: next(lost, False)
        await secure(caller, callee)
        info = caller.session.stats()[2]
        assert info.media == "dtls-srtp"
        assert info.cipher is not None
        assert info.fingerprint_remote == " ".join(callee.certificate.fingerprint)


async def test_an_eager_client_hello_is_kept_until_we_are_told_to_begin() -> None:
    async with two_ends() as (caller, callee):
        client = SecurityPlan("dtls", "client", (caller.certificate.fingerprint,))
        early = asyncio.ensure_future(callee.session.secure("0", client))
        await eventually(lambda: callee.path.sent)
        await asyncio.sleep(0.02)
        server = SecurityPlan("dtls", "server", (callee.certificate.fingerprint,))
        async with asyncio.timeout(0.5):  # sooner than the first retransmission
            await caller.session.secure("0", server)
            await early


async def test_a_wrong_fingerprint_is_a_sentence_and_no_media_flows() -> None:
    async with two_ends() as (caller, callee):
        wrong = Certificate.generate().fingerprint
        results = await asyncio.gather(
            caller.session.secure("0", SecurityPlan("dtls", "server", (wrong,)), timeout_s=3),
            callee.session.secure("0", SecurityPlan("dtls", "client", (caller.certificate.fingerprint,)), timeout_s=3),
            return_exceptions=True,
        )
        assert isinstance(results[0], SecurityError)
        assert "not the one it announced" in str(results[0])
        assert caller.session.stats()[2].media is None


async def test_silence_ends_in_a_sentence() -> None:
    async with two_ends() as (caller, callee):
        caller.path.lose = lambda data: True
        plan = SecurityPlan("dtls", "client", (callee.certificate.fingerprint,))
        with pytest.raises(SecurityError, match="did not answer"):
            await caller.session.secure("0", plan, timeout_s=0.1)


async def test_closing_ends_a_waiting_handshake_and_tells_the_peer_of_a_finished_one() -> None:
    async with two_ends() as (caller, callee):
        plan = SecurityPlan("dtls", "server", (callee.certificate.fingerprint,))
        waiting = asyncio.ensure_future(caller.session.secure("0", plan))
        await asyncio.sleep(0.01)
        await caller.session.close()
        with pytest.raises(SecurityError):
            await waiting
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        await caller.session.close()
        await eventually(lambda: PeerClosed("0") in callee.events)


async def test_the_same_plan_again_costs_nothing() -> None:
    async with two_ends() as (caller, callee):
        await secure(caller, callee)
        count = len(caller.path.sent)
        await secure(caller, callee)
        assert len(caller.path.sent) == count
