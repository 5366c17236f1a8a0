"""Restarts of the path inside a call, between two real endpoints on loopback while sound flows."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from app.calls.call import Call
from app.calls.errors import PartialRestart
from app.calls.restarts import NetworkChange
from app.events import CallState
from app.ice.config import IceConfig, Timing
from app.ice.session import IceSession
from app.settings import IcePolicy
from app.sip.message import Response
from tests.calls.parties import LOOPBACK, Party, connected, on_the_phone, party
from tests.heard import frequency_hz, read_wav

GONE = NetworkChange(frozenset({"192.0.2.1"}), gone=frozenset({LOOPBACK}))  # loopback itself stays where it is


def two(folder: Path, **ada: object) -> tuple[Party, Party]:
    """Ada hums at 440 Hz and Bob at 880; what each hears goes into a file."""
    return (
        party("ada", video=False, tone_hz=440, audio_to=str(folder / "ada.wav"), **ada),  # type: ignore[arg-type]
        party("bob", video=False, tone_hz=880, audio_to=str(folder / "bob.wav")),
    )


def pair_of(call: Call) -> object:
    assert call.leg is not None
    return call.leg.ice.selected("0")


def restarts_of(call: Call) -> int:
    ice = call.figures().ice
    assert ice is not None
    return ice.restarts


async def talk(*calls: tuple[Party, Call], packets: int = 40) -> None:
    """Let so many more packets of sound arrive at each side."""

    def heard(call: Call) -> int:
        sound = call.figures().audio
        return 0 if sound is None else sound.packets_received

    for one, call in calls:
        wanted = heard(call) + packets
        await one.until(lambda call=call, wanted=wanted: heard(call) >= wanted, "sound arrives")  # type: ignore[misc]


async def nothing_lost(*calls: tuple[Party, Call]) -> None:
    """Every packet that was sent has come, those of the move itself too: a busy machine may be late with some."""

    def lost(call: Call) -> int | None:
        sound = call.figures().audio
        return None if sound is None else sound.lost

    for one, call in calls:
        await one.until(lambda call=call: lost(call) == 0, "nothing is missing")  # type: ignore[misc]


def is_heard(path: Path, hz: float) -> bool:
    return abs(frequency_hz(read_wav(path)) - hz) < 3


@pytest.mark.parametrize("mover", ["ada", "bob"])
async def test_either_side_moves_and_nobody_hears_it(tmp_path: Path, mover: str) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        calls = outgoing, incoming = await connected(ada, bob, video=False)
        sides = ((ada, outgoing), (bob, incoming))
        await talk(*sides)
        before = pair_of(outgoing), pair_of(incoming)
        one = ada if mover == "ada" else bob
        one.manager.network_changed(GONE)
        for side, call in sides:
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]
        await talk(*sides)
        await nothing_lost(*sides)
        assert pair_of(outgoing) != before[0]
        assert pair_of(incoming) != before[1]
        assert [call.state for call in calls] == [CallState.CONNECTED] * 2
        assert all(call.figures().security.media == "dtls-srtp" for call in calls)
        offer = [m for m in one.messages if m.direction == "out" and m.line.startswith("INVITE")][
            -1 if mover == "ada" else 0
        ]
        assert "a=remote-candidates" not in offer.body or mover == "ada"
    assert is_heard(tmp_path / "ada.wav", 880)
    assert is_heard(tmp_path / "bob.wav", 440)


async def test_the_offer_of_a_restart_is_one_as_the_first(tmp_path: Path) -> None:
    """New credentials, every candidate, the same certificate, one version later (RFC 8839 section 4.4.1.1.1)."""
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        first = ada.message("out", "INVITE").body
        ada.manager.network_changed(GONE)
        await bob.until(lambda: restarts_of(incoming) == 1, "the path is a new one")
        again = ada.message("out", "INVITE", 1).body
        answer = [m for m in bob.messages if m.direction == "out" and m.line.startswith("SIP/2.0 200") and m.body][
            -1
        ].body

        def values(body: str, name: str) -> list[str]:
            return [line.partition(":")[2] for line in body.split("\r\n") if line.startswith(f"a={name}:")]

        for name in ("ice-ufrag", "ice-pwd"):
            assert not set(values(first, name)) & set(values(again, name))
        assert values(first, "fingerprint") == values(again, "fingerprint")
        assert values(again, "remote-candidates") == []
        assert values(again, "candidate")
        assert values(again, "setup") == ["actpass"]
        assert values(answer, "setup") == ["active"]
        version = [int(body.split("o=")[1].split()[2]) for body in (first, again)]
        assert version[1] == version[0] + 1
        assert "a=candidate" in answer
        ice = outgoing.figures().ice
        assert ice is not None
        assert ice.role == "controlling"
        await ada.until(lambda: incoming.figures().ice.role == "controlled", "the roles are settled")  # type: ignore[union-attr]


async def test_the_callee_controls_the_restart_it_asks_for(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        bob.manager.network_changed(GONE)
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]
        assert incoming.figures().ice.role == "controlling"  # type: ignore[union-attr]
        assert outgoing.figures().ice.role == "controlled"  # type: ignore[union-attr]


async def test_both_move_at_once(tmp_path: Path) -> None:
    """Glare: the offers cross, both are refused with 491, and one of them gets through soon after."""
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        sides = ((ada, outgoing), (bob, incoming))
        await talk(*sides)
        before = pair_of(outgoing)
        for one, _ in sides:
            one.manager.network_changed(GONE)
        for side, call in sides:
            await side.until(lambda call=call: restarts_of(call) >= 1, "the path is a new one")  # type: ignore[misc]
        await talk(*sides)
        await nothing_lost(*sides)
        assert pair_of(outgoing) != before
        assert outgoing.state is incoming.state is CallState.CONNECTED
    assert is_heard(tmp_path / "ada.wav", 880)
    assert is_heard(tmp_path / "bob.wav", 440)


async def test_again_and_again_from_both_sides(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        sides = ((ada, outgoing), (bob, incoming))
        for number, one in enumerate((ada, bob, bob, ada), start=1):
            one.manager.network_changed(GONE)
            for side, call in sides:
                await side.until(lambda call=call, n=number: restarts_of(call) == n, f"restart {number}")  # type: ignore[misc]
        await talk(*sides)


async def test_a_refused_restart_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        incoming.path.recovery.answer = lambda event: event.session.refuse_offer(488)  # type: ignore[method-assign]
        before = pair_of(outgoing)
        ada.manager.network_changed(GONE)
        await ada.until(lambda: any(line.startswith("SIP/2.0 488") for line in ada.lines("in")), "it is refused")
        await talk((ada, outgoing), (bob, incoming))
        await nothing_lost((ada, outgoing), (bob, incoming))
        assert pair_of(outgoing) == before
        assert restarts_of(outgoing) == restarts_of(incoming) == 0
        assert outgoing.leg is not None
        assert outgoing.leg.ice.next is None
        outgoing.set_held(True)  # the next change goes through as before
        await bob.until(lambda: incoming.info.held, "the pause is told")
    assert is_heard(tmp_path / "bob.wav", 440)


async def test_a_peer_that_keeps_its_credentials_keeps_the_old_path(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        incoming.negotiation.asks_restart = lambda *about: False  # type: ignore[method-assign]
        before = pair_of(outgoing)
        ada.manager.network_changed(GONE)
        await ada.until(lambda: len([line for line in ada.lines("out") if line.startswith("INVITE")]) == 2, "it asks")
        await ada.until(lambda: outgoing.leg is not None and outgoing.leg.ice.next is None, "it gives up")
        await talk((ada, outgoing), (bob, incoming))
        assert pair_of(outgoing) == before
        assert restarts_of(outgoing) == 0


async def test_holding_during_a_restart_is_told_all_the_same(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        ada.manager.network_changed(GONE)
        outgoing.set_held(True)
        await bob.until(lambda: incoming.info.held, "the pause is told")
        await bob.until(lambda: restarts_of(incoming) == 1, "the path is a new one")
        outgoing.set_held(False)
        await bob.until(lambda: not incoming.info.held, "it goes on")
        assert restarts_of(outgoing) == restarts_of(incoming) == 1


async def test_two_streams_and_their_pictures_move_together() -> None:
    async with on_the_phone(party("ada"), party("bob")) as (ada, bob):
        outgoing, incoming = await connected(ada, bob)
        ada.manager.network_changed(GONE)
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]

        def shown(call: Call) -> int:
            picture = call.figures().video
            return 0 if picture is None else picture.frames_decoded

        for side, call in ((ada, outgoing), (bob, incoming)):
            wanted = shown(call) + 10
            await side.until(lambda call=call, wanted=wanted: shown(call) >= wanted, "pictures arrive")  # type: ignore[misc]


async def test_a_peer_without_ice_is_told_the_new_place(tmp_path: Path) -> None:
    """A re-INVITE with another port in its m-line, and the sound goes on from there."""
    plain = IceConfig(interfaces=(LOOPBACK,), policy=IcePolicy.OFF)
    async with on_the_phone(*two(tmp_path, ice=plain)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        sides = ((ada, outgoing), (bob, incoming))
        await talk(*sides)
        before = outgoing.negotiation.m_and_c["0"]
        ada.manager.network_changed(GONE)
        await ada.until(lambda: restarts_of(outgoing) == 1, "it has moved")
        assert outgoing.negotiation.m_and_c["0"] != before
        await talk(*sides)
        await nothing_lost(*sides)
    assert is_heard(tmp_path / "ada.wav", 880)
    assert is_heard(tmp_path / "bob.wav", 440)


async def test_a_call_whose_path_stays_away_ends_when_patience_does(tmp_path: Path) -> None:
    quick = IceConfig(interfaces=(LOOPBACK,), timing=Timing(consent_interval_s=0.1))
    ada, bob = two(tmp_path, ice=quick)
    ada.settings = replace(ada.settings, reconnect_for_s=1.0)
    async with on_the_phone(ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        incoming.path.recovery.answer = lambda event: event.session.refuse_offer(488)  # type: ignore[method-assign]
        assert incoming.leg is not None
        await incoming.leg.ice.close()
        await ada.reaches(CallState.INTERRUPTED)
        end = (await ada.ends()).end
        assert end is not None
        assert end.kind.value == "network_lost"
        steps = {step.state: step.at for step in outgoing.info.steps}
        assert 0.9 < steps[CallState.ENDING] - steps[CallState.INTERRUPTED] < 2.0


@pytest.mark.parametrize("mover", ["ada", "bob"])
async def test_a_call_that_rings_moves_by_update(tmp_path: Path, mover: str) -> None:
    """No re-INVITE may be sent before the call is picked up (RFC 3311)."""
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing = ada.call(bob, video=False)
        incoming = await bob.reaches(CallState.RINGING)
        await ada.reaches(CallState.RINGING)
        one = ada if mover == "ada" else bob
        one.manager.network_changed(GONE)
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]
        assert any(line.startswith("UPDATE") for line in one.lines("out"))
        bob.manager.answer(incoming.call_id, video=False)
        await ada.reaches(CallState.CONNECTED)
        await bob.reaches(CallState.CONNECTED)
        await talk((ada, outgoing), (bob, incoming))


@pytest.mark.parametrize("mover", ["ada", "bob"])
async def test_a_search_goes_on_from_a_new_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mover: str) -> None:
    """What the first descriptions told leads nowhere any more; an UPDATE brings others, and then it rings."""
    patient = IceConfig(interfaces=(LOOPBACK,), timing=Timing(patience_s=30.0))
    ada, bob = two(tmp_path, ice=patient)
    bob.ice = patient
    async with on_the_phone(ada, bob):
        monkeypatch.setattr(IceSession, "start_checks", lambda session: None)
        outgoing = ada.call(bob, video=False)
        await ada.reaches(CallState.CONNECTING)
        incoming = await bob.reaches(CallState.CONNECTING)
        await bob.until(lambda: any(line.startswith("PRACK") for line in bob.lines("in")), "the 183 is there")
        monkeypatch.undo()
        one = ada if mover == "ada" else bob
        one.manager.network_changed(GONE)
        await bob.reaches(CallState.RINGING)
        bob.manager.answer(incoming.call_id, video=False)
        await ada.reaches(CallState.CONNECTED)
        await bob.reaches(CallState.CONNECTED)
        await talk((ada, outgoing), (bob, incoming))
        assert any(line.startswith("UPDATE") for line in one.lines("out"))


async def test_a_call_that_rings_at_a_phone_without_update_moves_when_it_is_answered(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing = ada.call(bob, video=False)
        incoming = await bob.reaches(CallState.RINGING)
        await ada.reaches(CallState.RINGING)
        assert outgoing.session is not None
        outgoing.session.peer_allows = lambda method: method != "UPDATE"  # type: ignore[method-assign]
        ada.manager.network_changed(GONE)
        await ada.until(lambda: outgoing.path.recovery.to_offer() is not None, "it is ready to move")
        bob.manager.answer(incoming.call_id, video=False)
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]
        assert not any(line.startswith("UPDATE") for line in ada.lines("out"))
        await talk((ada, outgoing), (bob, incoming))


async def test_a_restart_that_is_taken_back_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """A CANCEL comes while the answer is gathered for: nothing of the next generation may be spoken of afterwards."""
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        gather, may_go_on = incoming.path.recovery._gathered, asyncio.Event()

        async def slowly(*about: object, **how: object) -> object:
            coming = await gather(*about, **how)  # type: ignore[arg-type]
            await may_go_on.wait()
            return coming

        incoming.path.recovery._gathered = slowly  # type: ignore[method-assign, assignment]
        ada.manager.network_changed(GONE)
        await ada.until(lambda: ada.lines("in")[-1].startswith("SIP/2.0 100"), "its offer is taken")
        session = outgoing.session
        assert session is not None
        assert session.offers._ours is not None
        outgoing.path.recovery.begin_anew()
        with session.agent.turn():
            session.offers._withdraw(session.offers._ours, 408)
        await bob.until(lambda: any(line.startswith("SIP/2.0 487") for line in bob.lines("out")), "it is taken back")
        assert incoming.leg is not None
        assert incoming.leg.ice.next is not None
        may_go_on.set()
        await bob.until(lambda: incoming.leg.ice.next is None, "it is given up")  # type: ignore[union-attr]
        incoming.set_held(True)
        await ada.until(lambda: outgoing.info.held, "the pause is told")
        assert incoming.state is outgoing.state is CallState.CONNECTED
        assert restarts_of(outgoing) == restarts_of(incoming) == 0
        ufrag = next(line for line in bob.message("out", "SIP/2.0 183").body.split("\r\n") if "ice-ufrag" in line)
        assert ufrag in bob.message("out", "INVITE").body


async def test_a_restart_of_some_streams_is_met_by_one_of_all(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)

        def partial(*about: object) -> bool:
            raise PartialRestart("some alone", 488)

        incoming.negotiation.asks_restart = partial  # type: ignore[method-assign]
        ada.manager.network_changed(GONE)
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "the path is a new one")  # type: ignore[misc]
        assert any(line.startswith("SIP/2.0 488") for line in bob.lines("out"))
        assert any(line.startswith("INVITE") for line in bob.lines("out"))


async def test_a_peer_cannot_restart_without_end(tmp_path: Path) -> None:
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        recovery = incoming.path.recovery
        while recovery._restarts.may_peer_begin(asyncio.get_running_loop().time()):
            pass
        ada.manager.network_changed(GONE)
        await ada.until(lambda: any(line.startswith("SIP/2.0 500") for line in ada.lines("in")), "it has to wait")
        assert incoming.leg is not None
        assert incoming.leg.ice.next is None
        for side, call in ((ada, outgoing), (bob, incoming)):
            await side.until(lambda call=call: restarts_of(call) == 1, "it was served later")  # type: ignore[misc]


async def test_a_wish_for_an_offer_inside_the_call_restarts(tmp_path: Path) -> None:
    """Third-party call control asks so: the answer is an offer with new credentials (RFC 8839 section 7.5)."""
    async with on_the_phone(*two(tmp_path)) as (ada, bob):
        outgoing, incoming = await connected(ada, bob, video=False)
        session = outgoing.session
        assert session is not None
        dialog = session.dialog
        assert dialog is not None
        asked = _Asked()
        with session.agent.turn():
            session.send(dialog.build("INVITE"), dialog, asked)
        await ada.until(lambda: asked.body, "an offer comes")
        first, offer = bob.message("out", "SIP/2.0 183").body, asked.body.decode()

        def credentials(body: str) -> set[str]:
            return {line for line in body.split("\r\n") if line.startswith(("a=ice-ufrag", "a=ice-pwd"))}

        assert not credentials(first) & credentials(offer)
        assert "a=candidate" in offer
        await ada.until(lambda: incoming.leg is not None and incoming.leg.ice.next is not None, "it is prepared")


class _Asked:
    """Owner of an INVITE without an offer, whose answer is all that matters."""

    body = b""

    def on_response(self, errand: object, response: Response, source: object) -> None:
        self.body = response.body or self.body

    def on_failure(self, errand: object, cause: str, sentence: str) -> None:
        raise AssertionError(sentence)
