"""Capture files, read back by tcpdump."""

from __future__ import annotations

import subprocess
from pathlib import Path

from app.diagnosis.pcap import FILE_HEADER, record


def test_another_reader_understands_them(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    packets = [
        record(("192.0.2.1", 5060), ("192.0.2.2", 5070), b"OPTIONS sip:x SIP/2.0\r\n\r\n", 1_700_000_000.25),
        record(("2001:db8::1", 40_000), ("2001:db8::2", 40_002), bytes(100), 1_700_000_001.0),
    ]
    path.write_bytes(FILE_HEADER + b"".join(packets))
    read = subprocess.run(["tcpdump", "-nn", "-tt", "-r", str(path)], capture_output=True, text=True, check=True).stdout
    first, second = read.splitlines()[:2]
    assert "192.0.2.1.5060 > 192.0.2.2.5070" in first
    assert first.startswith("1700000000.25")
    assert "2001:db8::1.40000 > 2001:db8::2.40002: UDP, length 100" in second
