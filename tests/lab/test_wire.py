"""Calls over bad and unusual networks: loss and delay, IPv6 alone, a relay over IPv6, nothing but two phones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.heard import frequency_hz, level_dbfs, part, read_wav, speak, speech_score
from tests.lab import parley
from tests.lab.capture import Capture
from tests.lab.conftest import LabMaker
from tests.lab.network import Lab
from tests.lab.parley import Parley
from tests.lab.talk import Side, Talk, hold_talk, likeness
from tests.lab.test_call import ADA_SAYS, BOB_SAYS
from tests.lab.village import only_sentence
from tests.lab.wire import Wire


def sides(folder: Path, film: Path | str = "pattern") -> tuple[Side, Side]:
    return (
        Side("ada", "a", speak(folder / "ada.wav", ADA_SAYS), film),
        Side("bob", "b", speak(folder / "bob.wav", BOB_SAYS), film),
    )


def words_came_over(talk: Talk, one: Side, other: Side) -> dict[str, float]:
    """How alike what each side heard is to what the other said."""
    found = {}
    for speaker, hearer in ((one, other), (other, one)):
        said, heard = read_wav(speaker.speech), talk.heard(hearer.host)
        found[hearer.host] = likeness(said, heard)
        print(f"{hearer.host} heard: alike {found[hearer.host]:.3f}, PESQ {speech_score(said, heard):.2f}")
    return found


@pytest.mark.parametrize("blocked", [False, True], ids=["direct", "relayed"])
def test_five_percent_lost_and_fifty_milliseconds(
    make_lab: LabMaker, tmp_path: Path, film: Path, blocked: bool
) -> None:
    """Each way: signalling repeats itself, sound is concealed, pictures are asked for again."""
    lab = make_lab(wires={"a": Wire(delay_s=0.05, jitter_s=0.003, loss=0.05)})
    if blocked:
        lab.block("a", "b")
    one, other = sides(tmp_path, film)
    talk = hold_talk(lab, tmp_path, one, other, seconds=9.0)
    assert (talk.caller.code, talk.callee.code) == (0, 0)
    alike = words_came_over(talk, one, other)
    assert min(alike.values()) > 0.7
    for name, outcome in (("a", talk.caller), ("b", talk.callee)):
        audio, video = outcome.report["audio"], outcome.report["video"]
        share = audio["lost"] / (audio["lost"] + audio["packets_received"])
        seen = talk.seen(name, film)
        print(f"{name}: {share:.1%} of the sound lost, {audio['concealed_ms']:.0f} ms concealed, {audio['rtt_ms']} ms")
        print(
            f"{name}: {seen.distinct} of 240 pictures, {min(seen.psnr_db):.1f} dB at least, {video['freezes']} freezes"
        )
        assert 0.01 < share < 0.1
        assert 80 < audio["rtt_ms"] < 200
        assert seen.in_order
        assert seen.distinct > 100
        assert min(seen.psnr_db) > 20, "a picture with missing parts was shown"
    local, remote = talk.caller.selected()
    assert ("relay" in (local["type"], remote["type"])) == blocked


@pytest.mark.parametrize("blocked", [False, True], ids=["direct", "relayed"])
def test_a_network_of_ipv6_alone(make_lab: LabMaker, tmp_path: Path, blocked: bool) -> None:
    lab = make_lab(v4=False, v6=True)
    if blocked:
        lab.block("a", "b")
    one, other = sides(tmp_path)
    talk = hold_talk(lab, tmp_path, one, other, seconds=8.0)
    assert (talk.caller.code, talk.callee.code) == (0, 0)
    assert min(words_came_over(talk, one, other).values()) > 0.8
    local, remote = talk.caller.selected()
    print(local["type"], local["address"], remote["type"], remote["address"])
    assert ":" in local["address"]
    assert ":" in remote["address"]
    assert ("relay" in (local["type"], remote["type"])) == blocked


@pytest.mark.short
@pytest.mark.parametrize("v6", [False, True], ids=["ipv4", "ipv6"])
def test_two_phones_and_nothing_else(make_lab: LabMaker, tmp_path: Path, v6: bool) -> None:
    """No account, no server: a call by address, and not a packet to anybody but the other one."""
    lab = make_lab("a", "b", v4=not v6, v6=v6)
    a, b = lab["a"], lab["b"]
    sound = ("--video-from", "none", "--audio-from")
    with Capture(a, tmp_path / "a.pcap") as near, Capture(b, tmp_path / "b.pcap") as far:
        heard = tmp_path / "b.wav"
        with Parley(b, tmp_path / "b", ["listen", "--calls", "1", *sound, "tone:880", "--audio-to", str(heard)]) as bob:
            bob.wait_for("listening")
            back = tmp_path / "a.wav"
            told = ["call", f"sip:bob@{b.in_uri}", *sound, "tone:440", "--audio-to", str(back), "--for", "2"]
            with Parley(a, tmp_path / "a", told) as ada:
                assert ada.finish().code == 0
            assert bob.finish().code == 0
    for path, hz in ((heard, 440), (back, 880)):
        middle = part(read_wav(path), 0.7, 1.7)
        assert abs(frequency_hz(middle) - hz) < 3
        assert -12 < level_dbfs(middle) < -6
    for host, other, capture in ((a, b, near), (b, a, far)):
        sent = [packet for packet in capture.packets() if packet.source == host.address]
        assert {packet.destination for packet in sent if packet.protocol != "icmp6"} == {other.address}


def test_a_peer_that_vanishes_is_told_from_one_that_hangs_up(lab: Lab, tmp_path: Path) -> None:
    """Both see the path go silent, say so, and end the call themselves when their patience has."""
    a, b = lab["a"], lab["b"]
    quiet = ("--audio-from", "tone:440", "--audio-to", "null", "--video-from", "none", "--reconnect-for", "10")
    with Parley(b, tmp_path / "b", ["listen", "--calls", "1", *quiet]) as bob:
        bob.wait_for("listening")
        with Parley(a, tmp_path / "a", ["call", f"sip:bob@{b.in_uri}", *quiet]) as ada:
            bob.wait_for("call", state="connected")
            ada.wait_for("call", state="connected")
            lab.block("a", "b")
            for side in (ada, bob):
                side.wait_for("call", state="interrupted", limit_s=40)
            outcomes = ada.finish(limit_s=60), bob.finish(limit_s=60)
    for outcome in outcomes:
        assert outcome.code == 1
        assert "connection to" in only_sentence(outcome)
        assert outcome.report["ended"]["by"] == "failure"


def test_a_path_that_comes_back_goes_on(lab: Lab, tmp_path: Path) -> None:
    a, b = lab["a"], lab["b"]
    quiet = ("--audio-from", "tone:440", "--audio-to", "null", "--video-from", "none")
    with Parley(b, tmp_path / "b", ["listen", "--calls", "1", *quiet]) as bob:
        bob.wait_for("listening")
        with Parley(a, tmp_path / "a", ["call", f"sip:bob@{b.in_uri}", *quiet]) as ada:
            for side in (ada, bob):
                side.wait_for("call", state="connected")
            lab.block("a", "b")
            for side in (ada, bob):
                side.wait_for("call", state="interrupted", limit_s=40)
            lab.unblock()
            for side in (ada, bob):
                side.wait_until(lambda event, side=side: connected(side) > 1, limit_s=40, what="the path again")  # type: ignore[misc]
            ada.stop()
            outcomes = ada.finish(), bob.finish()
    assert [outcome.code for outcome in outcomes] == [0, 0]


def connected(side: Parley) -> int:
    return sum(event.get("state") == "connected" for event in side.events)


def test_a_call_to_echo_through_home(lab: Lab, tmp_path: Path) -> None:
    """Home's own contact sends back what it hears and sees."""
    with parley.home(lab["s"], tmp_path / "home"):
        heard = tmp_path / "a.wav"
        flags = ("--audio-from", "tone:440", "--audio-to", str(heard), "--for", "3")
        with parley.call(
            lab["a"], tmp_path / "a", "ada", lab["s"], f"sip:echo@{lab['s'].in_uri}", *flags, "--video-from", "pattern"
        ) as ada:
            outcome = ada.finish()
    assert outcome.code == 0
    assert abs(frequency_hz(part(read_wav(heard), 1.0, 2.5)) - 440) < 3
    assert outcome.report["video"]["frames_decoded"] > 30
