"""Noise is told of, but never as often as it comes."""

from __future__ import annotations

import logging

import pytest

from app.noise import CUT, Noise

log = logging.getLogger("noise.test")


def test_ten_thousand_packets_are_five_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    noise = Noise(log, "SIP messages")
    for number in range(10_000):
        noise.add("192.0.2.1:5060", f"line {number}")
    assert noise.count == 10_000
    assert [record.getMessage().split()[0] for record in caplog.records] == ["1", "10", "100", "1000", "10000"]
    assert caplog.messages[-1] == "10000 SIP messages dropped so far, the last from 192.0.2.1:5060: line 9999"


def test_what_was_sent_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    Noise(log, "SIP messages").add("192.0.2.1", "bad\r\nERROR root: all is lost\x1b[2J" + "x" * 1000)
    (line,) = caplog.messages
    assert line.startswith("1 SIP messages dropped so far, the last from 192.0.2.1: bad  ERROR root")
    assert line.isprintable()
    assert len(line) < CUT + 80
