"""A whole call between two machines and a home server on a third: what was said, shown, signalled and sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.heard import read_wav, speak, speech_score
from tests.lab.capture import Packet, kind_of
from tests.lab.network import Lab
from tests.lab.parley import Fields, Outcome
from tests.lab.talk import Side, Talk, hold_talk, likeness

pytestmark = pytest.mark.short

ADA_SAYS = "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore, every morning at nine."
BOB_SAYS = "A rainbow is a division of white light into many beautiful colours, which take the shape of a long arch."
KERNEL = frozenset({"1"})  # ICMP: what the kernel answers to a packet that came for a closed port


@dataclass(frozen=True)
class Case:
    """One call, direct or with the direct way blocked."""

    lab: Lab
    talk: Talk
    film: Path
    said: dict[str, Path]
    blocked: bool


@pytest.fixture(scope="module", params=["direct", "blocked"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, film: Path) -> Iterator[Case]:
    """Two calls serve all tests of this module."""
    folder = tmp_path_factory.mktemp(request.param)
    said = {"a": speak(folder / "ada.wav", ADA_SAYS), "b": speak(folder / "bob.wav", BOB_SAYS)}
    with Lab() as lab:
        blocked = request.param == "blocked"
        if blocked:
            lab.block("a", "b")
        sides = Side("ada", "a", said["a"], film), Side("bob", "b", said["b"], film)
        talk = hold_talk(lab, folder, *sides, seconds=9.0, rings_s=1.0, watched="abs")
        yield Case(lab, talk, film, said, blocked)


def at_of(outcome: Outcome, begin: str, *, direction: str, after: float = 0.0) -> float:
    """When a SIP message with this first line was sent or received."""
    return next(
        float(entry["at"])
        for entry in outcome.report["sip"]
        if entry["direction"] == direction and entry["line"].startswith(begin) and entry["at"] >= after
    )


def place_said(trace: str, begin: str) -> tuple[str, int]:
    """Where the first message that begins so says, outside ICE, that its sender takes sound."""
    body = trace.partition(begin)[2]
    return re.findall(r"c=IN IP4 (\S+)", body)[0], int(re.findall(r"m=audio (\d+)", body)[0])


def without_info(outcome: Outcome) -> list[str]:
    """The ladder but for INFO and the answers to it."""
    lines: list[str] = []
    unanswered: list[str] = []  # the directions of INFOs
    for word, direction in zip(short_lines(outcome), (m["direction"] for m in outcome.report["sip"]), strict=True):
        asked = {"in": "out", "out": "in"}[direction]
        if word == "INFO":
            unanswered.append(direction)
        elif word == "200" and asked in unanswered:
            unanswered.remove(asked)
        else:
            lines.append(word)
    return lines


def short_lines(outcome: Outcome) -> list[str]:
    """The ladder as methods and statuses."""
    return [line.removeprefix("SIP/2.0 ").split()[0] for line in outcome.lines()]


def test_both_commands_do_as_asked(case: Case) -> None:
    assert (case.talk.caller.code, case.talk.callee.code, case.talk.home.code) == (0, 0, 0)
    assert case.talk.caller.sentences == case.talk.callee.sentences == case.talk.home.sentences == []
    assert case.talk.caller.report["ended"]["by"] == "local"
    assert case.talk.callee.report["ended"]["by"] == "remote"


@pytest.mark.parametrize(("speaker", "hearer"), [("a", "b"), ("b", "a")])
def test_the_far_end_hears_the_same_words(case: Case, speaker: str, hearer: str) -> None:
    said, heard = read_wav(case.said[speaker]), case.talk.heard(hearer)
    score, alike = speech_score(said, heard), likeness(said, heard)
    other = read_wav(case.said[hearer])
    print(f"{speaker} to {hearer}: PESQ {score:.2f} (other words: {speech_score(other, heard):.2f}), alike {alike:.3f}")
    assert score > 2.0
    assert alike > 0.8
    assert likeness(other, heard) < 0.4


@pytest.mark.parametrize("seer", ["a", "b"])
def test_the_far_end_sees_the_same_pictures(case: Case, seer: str) -> None:
    seen = case.talk.seen(seer, case.film)
    mean = sum(seen.psnr_db) / len(seen.psnr_db)
    print(f"{seer} saw {seen.distinct} of 240 pictures, {mean:.1f} dB on average, {min(seen.psnr_db):.1f} at least")
    assert seen.in_order
    assert seen.unreadable == 0
    assert seen.distinct > 140, "less than 60 % of 240 pictures arrived"
    assert mean > 28
    assert min(seen.psnr_db) > 24


def test_the_caller_signals_step_by_step(case: Case) -> None:
    """R2, R4, R6, R7, R8, R9 to R11: what m/c did not say of the path is told in a re-INVITE.

    The callee's answer left before its relay was known; where that is needed it came by INFO (RFC 8840).
    """
    lines = without_info(case.talk.caller)
    told = [entry["at"] for entry in case.talk.callee.report["sip"] if entry["line"].startswith("INFO sip:")]
    decided = [entry["at"] for entry in case.talk.callee.report["ice"]["timeline"] if entry["kind"] == "completed"]
    assert told or not case.blocked
    assert all(at < decided[0] for at in told), "once the path is decided nothing more is told"
    first = ["INVITE", "407", "ACK", "INVITE", "183", "PRACK", "200", "180", "200", "ACK"]
    assert [line for line in lines if line != "100"][: len(first)] == first
    assert lines[-2:] == ["BYE", "200"]
    assert lines.count("183") == 1, "a confirmed 183 must not come again"
    local, remote = case.talk.caller.selected()
    trace = (case.talk.folder / "call" / "sip.txt").read_text()
    said = [place_said(trace, begin) for begin in ("INVITE sip:", "SIP/2.0 183")]
    differs = [(end["address"], end["port"]) for end in (local, remote)] != said
    aligned = [line for line in lines if line != "100"][len(first) : -2]
    assert aligned == (["INVITE", "200", "ACK"] if differs else [])


def test_the_183_is_sent_reliably(case: Case) -> None:
    trace = (case.talk.folder / "listen" / "sip.txt").read_text()
    progress = next(message for message in trace.split("SIP/2.0 ") if message.startswith("183"))
    assert "100rel" in next(line for line in progress.splitlines() if line.startswith("Require"))
    assert "RSeq:" in progress
    assert "a=candidate:" in progress


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_the_phone_rings_only_when_the_path_is_there(case: Case, side: str) -> None:
    """R6, on each side's own clock."""
    outcome: Outcome = getattr(case.talk, side)
    ice = outcome.report["ice"]
    completed_at = outcome.state_at("connecting") + ice["connected_in"]
    rang_at = at_of(outcome, "SIP/2.0 180", direction="in" if side == "caller" else "out")
    print(f"{side}: ICE completed at {completed_at:.3f}, 180 at {rang_at:.3f}")
    assert ice["state"] == "completed"
    assert completed_at <= rang_at
    assert outcome.state_at("ringing") >= completed_at


def test_the_report_says_which_way_the_call_went(case: Case) -> None:
    for outcome in (case.talk.caller, case.talk.callee):
        local, remote = outcome.selected()
        types = {local["type"], remote["type"]}
        print(f"{local['type']} {local['address']}:{local['port']} to {remote['type']} {remote['address']}")
        if case.blocked:
            assert "relay" in types
        else:
            assert types == {"host"}
    assert case.talk.caller.report["security"]["media"] == "dtls-srtp"


@pytest.mark.parametrize(("name", "other"), [("a", "b"), ("b", "a")])
def test_sound_and_picture_went_that_way(case: Case, name: str, other: str) -> None:
    via = case.lab["s" if case.blocked else other].address
    assert {packet.destination for packet in media_of(case.lab[name].address, case.talk.packets[name])} == {via}


def media_of(host: str, packets: list[Packet]) -> list[Packet]:
    """The packets with sound or picture, or their reports, that a host sent, relayed ones too."""
    return [
        packet
        for packet in packets
        if packet.source == host and packet.protocol == "udp" and kind_of(packet.carried()) in ("rtp", "rtcp")
    ]


def accepted_at(packets: list[Packet]) -> float:
    """When the 200 to the first INVITE was on the wire at this host."""
    return next(p.at for p in packets if p.payload.startswith(b"SIP/2.0 200") and b" INVITE\r\n" in p.payload)


@pytest.mark.parametrize("name", ["a", "b"])
def test_no_sound_or_picture_leaves_before_the_200(case: Case, name: str) -> None:
    packets = case.talk.packets[name]
    host = case.lab[name].address
    pick_up = accepted_at(packets)
    media = media_of(host, packets)
    early = [packet for packet in packets if packet.source == host and packet.at < pick_up]
    kinds = sorted({kind_of(packet.carried()) for packet in early if packet.protocol == "udp"})
    print(f"{name}: {len(early)} packets before the 200, over UDP {kinds}; {len(media)} media packets after it")
    print(f"{name}: first media {media[0].at - pick_up:+.3f} s from the 200")
    assert media[0].at >= pick_up
    assert len(media) > 400
    assert "dtls" in kinds, "the keys must be there before the call is taken"
    assert any(packet.at < pick_up - 0.8 for packet in early), "it did not ring long enough to tell"


@pytest.mark.parametrize("name", ["a", "b"])
def test_no_packet_goes_to_an_address_that_was_not_configured(case: Case, name: str) -> None:
    outcome = case.talk.caller if name == "a" else case.talk.callee
    server, own = case.lab["s"].address, case.lab[name].address
    candidates: list[Fields] = outcome.report["ice"]["remote"]
    known = {(one["address"], one["port"]) for one in candidates} | {(server, 5060), (server, 3478)}
    sent = [packet for packet in case.talk.packets[name] if packet.source == own]
    reached = {(p.protocol, p.destination, p.destination_port) for p in sent}
    print(f"{name} sent {len(sent)} packets to {sorted(reached)}")
    assert {(host, port) for protocol, host, port in reached if protocol == "udp"} <= known
    over_tcp = {(host, port) for protocol, host, port in reached if protocol == "tcp" and host != server}
    assert over_tcp <= known
    assert {protocol for protocol, _, _ in reached} <= {"udp", "tcp"} | KERNEL
    assert {host for protocol, host, _ in reached if protocol in KERNEL} <= {host for host, _ in known}


def test_home_talks_to_nobody_but_its_users(case: Case) -> None:
    own = case.lab["s"].address
    reached = {packet.destination for packet in case.talk.packets["s"] if packet.source == own}
    assert reached == {case.lab["a"].address, case.lab["b"].address}
