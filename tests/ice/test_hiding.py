"""Names instead of addresses: what may be looked up, and what is shown."""

from __future__ import annotations

import random

import pytest

from app.events import CandidateType
from app.ice.candidates import Candidate
from app.ice.hiding import Hiding, as_default, is_local_name

HOST = Candidate("1", 1, "udp", 100, "192.0.2.7", 4000, CandidateType.HOST)
SEEN = Candidate("2", 1, "udp", 90, "198.51.100.1", 4001, CandidateType.SRFLX, "192.0.2.7", 4000)
SEEN6 = Candidate("3", 1, "udp", 80, "2001:db8::1", 4002, CandidateType.RELAY, "fd00::7", 4000)


@pytest.mark.parametrize(
    "name", ["8f0c9a7e-3c44-4d5f-8d3b-0a1b2c3d4e5f.local", "printer.local", "a.local", "Ada-2.LOCAL"]
)
def test_one_label_and_local_may_be_looked_up(name: str) -> None:
    assert is_local_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "example.org",
            "a.b.local",
            "local",
            ".local",
            "-a.local",
            "a-.local",
            "a.local.",
            "a_b.local",
            "a.local.evil.org",
        ),
        *("192.0.2.1", "x" * 64 + ".local", "a.locale", "a.local\n", ""),
    ],
)
def test_nothing_else_is(name: str) -> None:
    assert not is_local_name(name)


def test_candidates_are_shown_without_addresses_of_this_machine() -> None:
    hiding = Hiding(random.Random(1).getrandbits)
    shown = hiding.shown(HOST)
    assert is_local_name(shown.address)
    assert len(shown.address) == 36 + len(".local")
    assert (shown.port, shown.priority, shown.foundation) == (HOST.port, HOST.priority, HOST.foundation)
    assert hiding.shown(HOST) == shown
    assert hiding.names == {"192.0.2.7": shown.address}
    assert str(hiding.shown(SEEN)).endswith("198.51.100.1 4001 typ srflx raddr 0.0.0.0 rport 9")
    assert str(hiding.shown(SEEN6)).endswith("2001:db8::1 4002 typ relay raddr :: rport 9")


def test_each_session_has_names_of_its_own() -> None:
    names = {Hiding(random.Random(seed).getrandbits).name_of("192.0.2.7") for seed in range(20)}
    assert len(names) == 20


def test_a_name_is_no_default_address() -> None:
    hidden = Hiding(random.Random(1).getrandbits).shown(HOST)
    assert as_default(hidden).transport_address == ("0.0.0.0", 9)
    assert as_default(SEEN) == SEEN
