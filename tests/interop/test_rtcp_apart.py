"""Calls with a baresip that does not multiplex RTCP with RTP: reports and key frame requests go both ways anyway."""

from __future__ import annotations

import re

import pytest

from tests.interop import ours
from tests.interop.baresip import Baresip
from tests.interop.ours import OurPhone
from tests.interop.test_baresip import Setting, film, setting, talk

__all__ = ["film", "setting"]  # fixtures

pytestmark = pytest.mark.timeout(120)


def assert_reports(phone: OurPhone, theirs: Baresip) -> None:
    """Talk until each has heard the other's reports.

    baresip reports every five seconds, and on what we have reported only once that has come.
    """

    def hang_up_after_reports() -> None:
        theirs.wait_for("CALL_RTCP")
        phone.wait_until(lambda event: event["event"] == "figures" and event["rtt_ms"] is not None, limit_s=25.0)
        phone.stop()

    outcome = talk(phone, theirs, hang_up=hang_up_after_reports)
    assert outcome.report["audio"]["rtt_ms"] is not None
    assert "a=rtcp-mux" not in _last_of_baresip(phone)


@pytest.mark.parametrize("parley_calls", [True, False], ids=["parley calls", "baresip calls"])
@pytest.mark.parametrize(
    "encryption", ["dtls_srtp", "srtp-mand", pytest.param("", marks=pytest.mark.short)], ids=["DTLS", "SDES", "plain"]
)
def test_without_ice(setting: Setting, encryption: str, parley_calls: bool) -> None:
    theirs = setting.baresip(nat="", encryption=encryption, rtcp_mux=False)
    phone = setting.call() if parley_calls else setting.listen()
    if not parley_calls:
        theirs.dial(setting.proxy.uri("ada"))
    assert_reports(phone, theirs)


@pytest.mark.parametrize(
    "encryption", [pytest.param("dtls_srtp", marks=pytest.mark.short), "srtp-mand"], ids=["DTLS", "SDES"]
)
def test_with_ice_baresip_calls(setting: Setting, encryption: str) -> None:
    """Our default addresses are those that ICE takes, since baresip 1.0 sends RTCP to the default in any case."""
    theirs = setting.baresip(nat="ice", encryption=encryption, rtcp_mux=False)
    with ours.listen(setting.folder / "parley", *ours.account(setting.proxy)) as phone:
        assert isinstance(phone, OurPhone)
        theirs.dial(setting.proxy.uri("ada"))
        assert_reports(phone, theirs)


@pytest.mark.parametrize(
    "encryption", [pytest.param("dtls_srtp", marks=pytest.mark.short), "srtp-mand"], ids=["DTLS", "SDES"]
)
def test_with_ice_parley_calls(setting: Setting, encryption: str) -> None:
    theirs = setting.baresip(nat="ice", encryption=encryption, rtcp_mux=False)
    folder, account = setting.folder / "parley", ours.account(setting.proxy)
    with ours.call(folder, setting.proxy.uri("bob"), *account) as phone:
        assert isinstance(phone, OurPhone)
        assert_reports(phone, theirs)


def _last_of_baresip(phone: OurPhone) -> str:
    """The last session description that baresip sent."""
    found: list[str] = re.findall(r"^v=0\r?\n(?:[a-z]=.*\r?\n)+", phone.trace, re.MULTILINE)
    return next(body for body in reversed(found) if "a=tool:baresip" in body)
