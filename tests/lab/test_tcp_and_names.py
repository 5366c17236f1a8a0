"""Whole calls between two machines without any server: where UDP is shut, and where nobody shows an address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.heard import read_wav, speech_score
from tests.lab.capture import Capture
from tests.lab.film import compare
from tests.lab.network import Lab, run
from tests.lab.parley import Outcome, Parley
from tests.lab.talk import likeness

SECONDS = 8.0


def shut_udp(lab: Lab) -> None:
    """Drop all UDP between the hosts, without a word to anybody."""
    chain = "chain forward {\ntype filter hook forward priority 0; policy accept;\nmeta l4proto udp drop\n}"
    run(*lab.hub.command("nft", "-f", "-"), given=f"table bridge shut {{\n{chain}\n}}\n")


def hold(lab: Lab, folder: Path, speech: Path, film: Path, *flags: str) -> tuple[Outcome, Outcome]:
    """Let a call b straight by its address, SIP over TCP; gives how it went for caller and callee."""

    def media(name: str) -> tuple[str, ...]:
        sound = ("--audio-from", str(speech), "--audio-to", str(folder / f"{name}.wav"))
        return (*sound, "--video-from", str(film), "--video-to", str(folder / f"{name}.mkv"), *flags)

    with Parley(lab["b"], folder / "b", ["listen", *media("b"), "--calls", "1", "--answer-after", "0.5"]) as callee:
        callee.wait_for("listening")
        target = f"sip:bob@{lab['b'].in_uri}:5060;transport=tcp"
        with Parley(lab["a"], folder / "a", ["call", target, *media("a"), "--for", str(SECONDS)]) as caller:
            return caller.finish(limit_s=SECONDS + 40), callee.finish()


def judge(folder: Path, speech: Path, film: Path) -> None:
    """Sound and picture of both sides are good."""
    said = read_wav(speech)
    for name in ("a", "b"):
        heard = read_wav(folder / f"{name}.wav")
        seen = compare(film, folder / f"{name}.mkv")
        score, alike = speech_score(said, heard), likeness(said, heard)
        print(f"{name}: PESQ {score:.2f}, alike {alike:.3f}, {seen.distinct} pictures, {min(seen.psnr_db):.1f} dB")
        assert score > 2.0
        assert alike > 0.8
        assert seen.in_order
        assert seen.distinct > 100


@pytest.mark.short
def test_a_call_goes_over_tcp_where_udp_is_shut(lab: Lab, tmp_path: Path, speech: Path, film: Path) -> None:
    shut_udp(lab)
    with Capture(lab["a"], tmp_path / "a.pcap") as capture:
        caller, callee = hold(lab, tmp_path, speech, film)
    assert (caller.code, callee.code) == (0, 0)
    for outcome in (caller, callee):
        local, remote = outcome.selected()
        print(local, remote)
        assert local["protocol"] == remote["protocol"] == "tcp"
        assert outcome.report["security"]["media"] == "dtls-srtp"
    between = [one for one in capture.packets() if {one.source, one.destination} == {lab["a"].v4, lab["b"].v4}]
    assert {one.kind for one in between if one.protocol == "udp"} <= {"stun"}, "checks that were dropped"
    connected = caller.report["milestones"]
    print(connected)
    judge(tmp_path, speech, film)


def test_a_call_goes_over_udp_where_it_is_open(lab: Lab, tmp_path: Path, speech: Path, film: Path) -> None:
    caller, callee = hold(lab, tmp_path, speech, film)
    for outcome in (caller, callee):
        assert {one["protocol"] for one in outcome.selected()} == {"udp"}


@pytest.mark.short
@pytest.mark.parametrize("families", [(True, False), (False, True)], ids=["IPv4", "IPv6"])
def test_a_call_by_names_shows_no_address(
    make_lab: type[Lab], tmp_path: Path, speech: Path, film: Path, families: tuple[bool, bool]
) -> None:
    lab = make_lab("a", "b", v4=families[0], v6=families[1])
    caller, callee = hold(lab, tmp_path, speech, film, "--hide-addresses")
    assert (caller.code, callee.code) == (0, 0)
    for name in ("a", "b"):
        own = lab[name].address
        described = _descriptions((tmp_path / name / "sip.txt").read_text())
        assert described
        for body in described:
            assert own not in body, body
            assert ".local " in body
    for outcome in (caller, callee):
        local, remote = outcome.selected()
        assert (local["type"], local["protocol"]) == ("host", "udp")
        assert remote["address"] in {lab["a"].address, lab["b"].address}
    judge(tmp_path, speech, film)


def _descriptions(trace: str) -> list[str]:
    """The session descriptions of a SIP trace."""
    return re.findall(r"^v=0\r?\n(?:[a-z]=.*\r?\n)+", trace, re.MULTILINE)
