"""`--pcap`: everything this run sends and receives for its calls, as a capture file.

SIP is written with its secrets masked (a packet's length is then not the one on the wire), paths and media as they
went: encrypted where the call is.
"""

from __future__ import annotations

import time
from pathlib import Path

from app.diagnosis.pcap import FILE_HEADER, Place, record
from app.engine.file_writer import FileWriter
from app.settings import HostPort


class PacketCapture:
    """Writes packets from any thread of the engine; the disk is never waited for."""

    def __init__(self, path: Path) -> None:
        """Open the file anew; OSError when that cannot be done. Blocks: call it off the loop."""
        self._writer = FileWriter(path)
        self._writer.write(FILE_HEADER)

    def datagram(self, outgoing: bool, local: Place, remote: Place, data: bytes) -> None:
        source, destination = (local, remote) if outgoing else (remote, local)
        self._writer.write(record(source, destination, data, time.time()))

    def sip(self, direction: str, local: str, remote: str, data: bytes) -> None:
        """One message, masked already; places as "host:port"."""
        here, there = HostPort.parse(local), HostPort.parse(remote)
        self.datagram(direction == "out", (here.host, here.port), (there.host, there.port), data)

    def close(self) -> None:
        self._writer.close()
