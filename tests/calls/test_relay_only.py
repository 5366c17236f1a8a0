"""Relays only: everything that leaves is read, and nothing in it tells the other side where this machine is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.events import CandidateType
from app.ice.config import IceConfig, Timing
from app.settings import HostPort, IcePolicy, TrickleMode, TurnServer
from tests.calls.parties import LOOPBACK, connected, on_the_phone, party
from tests.ice.conftest import ALICE, free_port, running_coturn

RELAY_HOST = "127.0.0.2"  # the server lends addresses that are not this machine's own
TIMING = Timing(patience_s=5.0)


@pytest.mark.parametrize("trickle", [TrickleMode.OFF, TrickleMode.ALWAYS])
@pytest.mark.parametrize("hidden_calls", [True, False], ids=["caller", "callee"])
async def test_nothing_that_leaves_names_this_machine(tmp_path: Path, hidden_calls: bool, trickle: TrickleMode) -> None:
    port = free_port()
    lines = ("listening-ip=127.0.0.1", f"relay-ip={RELAY_HOST}", *ALICE)
    async with running_coturn(tmp_path, port, *lines):
        server = TurnServer(HostPort(LOOPBACK, port), "udp", "alice", "secret")
        sent_to: set[tuple[str, int]] = set()
        heard_from: set[tuple[str, int]] = set()

        def mine(outgoing: bool, local: tuple[str, int], remote: tuple[str, int], data: bytes) -> None:
            if outgoing:
                sent_to.add(remote)

        def theirs(outgoing: bool, local: tuple[str, int], remote: tuple[str, int], data: bytes) -> None:
            if not outgoing:
                heard_from.add(remote)

        config = IceConfig(
            interfaces=(LOOPBACK,), turn_servers=(server,), policy=IcePolicy.RELAY, timing=TIMING, tap=mine
        )
        ada = party("ada", ice=config, trickle=trickle)
        bob = party("bob", ice=replace(IceConfig(), interfaces=(LOOPBACK,), timing=TIMING, tap=theirs), trickle=trickle)
        async with on_the_phone(ada, bob):
            caller, callee = (ada, bob) if hidden_calls else (bob, ada)
            calls = await connected(caller, callee)
            async with asyncio.timeout(10):
                while not all(call.figures().milestones.first_audio for call in calls):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.05)
            bodies = [message.body for message in ada.messages if message.direction == "out" and message.body]
            figures = calls[0 if hidden_calls else 1].figures()

        assert sent_to == {(LOOPBACK, port)}
        assert {host for host, _ in heard_from} == {RELAY_HOST}
        assert bodies
        for line in "\r\n".join(bodies).split("\r\n"):
            # What the other side is told of its own address (RFC 8839 section 5.2) is no secret.
            assert LOOPBACK not in line or line.startswith("a=remote-candidates"), line
            if "a=candidate" in line:
                assert " typ relay raddr 0.0.0.0 rport 0" in line
        offered = next(body for body in bodies if "m=audio" in body)
        places = {line for line in offered.split("\r\n") if line.startswith("c=")}
        no_place = set() if trickle is TrickleMode.OFF else {"c=IN IP4 0.0.0.0"}  # before there is a relay
        assert places <= {f"c=IN IP4 {RELAY_HOST}"} | no_place
        assert figures.ice is not None
        local = {candidate.type for candidate in figures.ice.local}
        assert local <= {CandidateType.RELAY, CandidateType.PRFLX}
