"""Calls between Parley and a current baresip, through Kamailio with coturn: full ICE and none, each way."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.heard import read_wav
from tests.interop import ours
from tests.interop.ours import OurPhone, assert_tone
from tests.interop.programs import Program
from tests.interop.servers import PASSWORDS, Proxy, Relay, coturn, kamailio
from tests.lab.parley import Outcome

OUR_HZ, THEIR_HZ = 440, 880

pytestmark = pytest.mark.timeout(120)
pytest.importorskip("baresip")


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Proxy, Relay, ExitStack]]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(kamailio(tmp_path / "kamailio")),
            stack.enter_context(coturn(tmp_path / "coturn")),
            stack,
        )


def talk(
    servers: tuple[Proxy, Relay, ExitStack],
    folder: Path,
    *parameters: str,
    they_call: bool,
    flags: tuple[str, ...],
    keys: str = "",
) -> Outcome:
    """One call of at least two seconds of sound each way, hung up by Parley; `keys` are those that baresip presses."""
    proxy, relay, stack = servers
    account = (*ours.account(proxy, relay), "--video-from", "none", *flags)
    wav = folder / "theirs" / "heard.wav"
    wav.parent.mkdir()
    phone: OurPhone | None = None
    if they_call:
        phone = stack.enter_context(ours.listen(folder / "parley", *account))
    theirs = stack.enter_context(
        Program(
            "newer-baresip",
            wav.parent,
            *("env", f"PYTHONPATH={Path(__file__).resolve().parents[2]}"),
            *(sys.executable, "-m", "tests.interop.newer_baresip", "call" if they_call else "listen"),
            *("bob", PASSWORDS["bob"], proxy.address, str(THEIR_HZ), str(wav), proxy.uri("ada"), *parameters),
        )
    )
    theirs.wait_for("^registered")
    if phone is None:
        phone = stack.enter_context(ours.call(folder / "parley", proxy.uri("bob"), *account))
    theirs.wait_for("^established")
    phone.wait_for_state("connected")
    phone.wait_for_media(packets=150)
    for key in keys:
        phone.wait_for("digit", digit=key)
    phone.stop()
    outcome = phone.finish()
    theirs.wait_for("^closed")
    assert theirs.wait_for_end(20) == 0
    assert outcome.code == 0
    if not keys:
        assert_tone(phone.heard(), THEIR_HZ)
        assert_tone(read_wav(wav), OUR_HZ)
    return outcome


@pytest.mark.parametrize("they_call", [False, True], ids=["we call", "they call"])
def test_full_ice_and_dtls(servers: tuple[Proxy, Relay, ExitStack], tmp_path: Path, they_call: bool) -> None:
    turn = (f'stunserver="turn:bob@{servers[1].address}"', "stunuser=bob", f"stunpass={PASSWORDS['bob']}")
    parameters = ("medianat=ice", "mediaenc=dtls_srtp", "rtcp_mux=yes", *turn)
    outcome = talk(servers, tmp_path, *parameters, they_call=they_call, flags=())
    assert outcome.report["ice"]["state"] == "completed"
    assert outcome.report["security"]["media"] == "dtls-srtp"
    assert any(pair["selected"] for pair in outcome.report["ice"]["pairs"])


@pytest.mark.parametrize("they_call", [False, True], ids=["we call", "they call"])
def test_no_ice_and_no_encryption(servers: tuple[Proxy, Relay, ExitStack], tmp_path: Path, they_call: bool) -> None:
    outcome = talk(servers, tmp_path, they_call=they_call, flags=("--encryption", "best"))
    assert outcome.report["ice"]["state"] == "disabled"
    assert outcome.report["security"]["media"] == "none"


@pytest.mark.parametrize("way", ["rtpevent", "info"])
def test_keys_of_the_telephone_go_both_ways(servers: tuple[Proxy, Relay, ExitStack], tmp_path: Path, way: str) -> None:
    flags = ("--digits", "5")
    outcome = talk(servers, tmp_path, f"keys={way}:49#", they_call=False, flags=flags, keys="49#")
    assert outcome.report["digits"] == "49#"
    assert any(line.startswith("INFO") for line in outcome.lines("in")) is (way == "info")
