"""What a rallypoint is made of, without a server: certificates, log lines, restarts, the configuration's text."""

from __future__ import annotations

import datetime

import pytest

from app.satellites.authority import RENEW_BEFORE, SERVER_LIFE, Authority, fingerprint
from app.satellites.errors import SatelliteError
from app.satellites.rallypoint_config import RallypointPlan, config_text
from app.satellites.restarts import MOST_IN_A_ROW, MOST_PAUSE_S, Restarts
from app.satellites.server_log import MOST_AT_ONCE, LogLine, ServerLog

NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)
NAMES = ("rally.example.org", "192.0.2.7", "2001:db8::7")


def test_a_node_keeps_its_certificate_until_it_has_other_names_or_is_old() -> None:
    authority = Authority.generate("Rallypoint test", NOW)
    kept = Authority.load(authority.pem.certificate, authority.pem.key)
    node = kept.issue_server(NAMES, NOW)
    assert kept.is_good(node.certificate, NAMES[::-1], NOW)
    assert kept.is_good(node.certificate, NAMES, NOW + SERVER_LIFE - RENEW_BEFORE - datetime.timedelta(days=1))
    assert not kept.is_good(node.certificate, NAMES, NOW + SERVER_LIFE - RENEW_BEFORE)
    assert not kept.is_good(node.certificate, NAMES[:2], NOW)
    assert not kept.is_good(b"nonsense", NAMES, NOW)
    other = Authority.generate("another", NOW)
    assert not other.is_good(node.certificate, NAMES, NOW)
    member = kept.issue_member(NOW)
    assert kept.has_signed(member.certificate)
    assert not other.has_signed(member.certificate)
    assert kept.cluster_secret == authority.cluster_secret
    assert len(fingerprint(node.certificate).split(":")) == 32
    assert b"PRIVATE" not in repr(node).encode()


def test_an_authority_that_cannot_be_used_is_one_sentence() -> None:
    one, other = Authority.generate("one", NOW).pem, Authority.generate("other", NOW).pem
    with pytest.raises(SatelliteError, match="does not fit its key"):
        Authority.load(one.certificate, other.key)
    with pytest.raises(SatelliteError, match="no PEM file"):
        Authority.load(b"nonsense", other.key)


def test_what_the_server_says_is_shown_without_secrets_and_bounded() -> None:
    log = ServerLog(("hush-hush", "hush-hush-hush"))
    line = log.clean(
        b"[77] 2026/11/22 11:00:00.000001 [ERR] user \x1b[31mhush-hush-hush\x07 is wrong, hush-hush too\r\n"
    )
    assert line == LogLine("error", "user  [31m***  is wrong, *** too")
    assert log.clean(b"nats-server: no such file").level == "error"
    assert len(log.clean(b"x" * 5_000).words) == 400
    shown = [one for _ in range(1_000) for one in log.show(line, 0.0)]
    assert len(shown) == MOST_AT_ONCE
    assert log.show(line, 1.0) == [LogLine("warning", "900 lines were left out"), line]


def test_who_dies_again_and_again_is_given_up() -> None:
    rule = Restarts()
    pauses = [rule.died(1.0) for _ in range(MOST_IN_A_ROW)]
    assert pauses[:3] == [0.2, 0.4, 0.8]
    assert pauses[-1] == MOST_PAUSE_S
    assert rule.died(1.0) is None
    assert rule.died(3_600.0) == 0.2


def test_no_value_ends_its_string_in_the_configuration() -> None:
    plan = RallypointPlan("n", "::", 7443, "/a b/c.pem", "/k", user="u", password='p"\n} $X \\ä', cluster_port=1)
    text = config_text(plan)
    assert r'password: "p\x22\x0a\x7d \x24X \x5c\xc3\xa4"' in text
    assert 'listen: "[::]:7443"' in text
    assert "p" not in repr(plan).split("user='u'")[1].split("websocket")[0]
