"""Mumble: a client at each end without a screen, and a server at the far end's host.

The near client transmits all the time, so that no key or voice detection is part of what is compared; the far one waits
for its key. Everything else that makes delay is as the program comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import socket
import sqlite3
import ssl
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from cryptography.x509.oid import NameOID

from tests.bench.peers.base import LIMIT_S, Film, PairCall, Place

PORT = 64_738
SERVER = "murmurd"
_PROGRAMS = {"mumble": "mumble", SERVER: "mumble-server"}
_SERVER = """database={folder}/murmur.sqlite
host={address}
port={port}
uname=root
users=10
bandwidth=72000
logfile=
"""
_CLIENT = """[General]
lastupdate=99

[audio]
transmit={transmit}
denoise=false
noisesupress=0
echo=false
loudness=1000
attenuateothers=false
pushclick=false

[net]
autoconnect=false
certificate="@ByteArray({certificate})"

[tts]
enable=false

[ui]
askonquit=false
plugincheck=false
updatecheck=false
disablepubliclist=true
usage=false
"""
_ALWAYS, _BY_KEY = 0, 2  # of its setting `transmit`
_CERTIFICATES = "CREATE TABLE cert (id INTEGER PRIMARY KEY AUTOINCREMENT, hostname TEXT, port INTEGER, digest TEXT)"


def _certificate() -> str:
    """Make a client's own certificate, without which it asks for one, as its settings hold it."""
    key = rsa.generate_private_key(65_537, 2_048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bench")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(9)).sign(key, SHA256())
    kept = pkcs12.serialize_key_and_certificates(b"Bench", key, signed, None, NoEncryption())
    return "".join(f"\\x{byte:x}" for byte in kept)


class MumbleCall(PairCall):
    name: ClassVar[str] = "mumble"
    program: ClassVar[str | None] = "mumble"
    package: ClassVar[str | None] = "mumble"

    def __init__(self, near: Place, far: Place, film: Film | None = None) -> None:
        super().__init__(near, far, film)
        self._running: list[subprocess.Popen[str]] = []

    @classmethod
    def missing(cls) -> str | None:
        lacking = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
        return f"for mumble: apt-get install --no-install-recommends {' '.join(lacking)}" if lacking else None

    def start(self) -> None:
        self._serve()
        digest = self._digest()
        for place, user, transmit in ((self.far, "bob", _BY_KEY), (self.near, "ada", _ALWAYS)):
            self._join(place, user, digest, transmit)
        log = self.far.folder / "murmur.log"
        self._wait_for(log, lambda: len(re.findall("Authenticated", log.read_text(errors="replace"))) >= 2)

    def stop(self) -> None:
        for process in reversed(self._running):
            process.kill()
            process.wait(5)

    def hush(self) -> None:
        """Let nobody talk any more."""
        talker = self._running[2]
        talker.kill()
        talker.wait(5)

    @property
    def listener_pid(self) -> int:
        """The process of the client that hears."""
        return self._running[1].pid

    def _serve(self) -> None:
        folder = self.far.folder / "murmur"
        folder.mkdir()
        ini = folder / "murmur.ini"
        ini.write_text(_SERVER.format(folder=folder, address=self.far.host.address, port=PORT))
        with (self.far.folder / "murmur.log").open("w") as log:
            self._running.append(
                self.far.host.popen(SERVER, "-fg", "-ini", str(ini), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def _digest(self) -> str:
        """Wait for the server, and give what clients know its certificate by."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        found: list[str] = []

        def is_there() -> bool:
            with contextlib.suppress(OSError), self.far.host.open_socket(socket.SOCK_STREAM) as plain:
                plain.settimeout(2.0)
                plain.connect((self.far.host.address, PORT))
                with context.wrap_socket(plain) as secure:
                    found.append(hashlib.sha1(secure.getpeercert(True) or b"").hexdigest())
            return bool(found)

        self._wait_for(self.far.folder / "murmur.log", is_there)
        return found[0]

    def _join(self, place: Place, user: str, digest: str, transmit: int) -> None:
        home = place.folder / f"mumble-{user}"
        settings, data = home / ".config" / "Mumble", home / ".local" / "share" / "Mumble" / "Mumble"
        for folder in (settings, data):
            folder.mkdir(parents=True)
        (settings / "Mumble.conf").write_text(_CLIENT.format(certificate=_certificate(), transmit=transmit))
        with contextlib.closing(sqlite3.connect(data / ".mumble.sqlite")) as database, database:
            database.execute(_CERTIFICATES)
            known = (self.far.host.address, PORT, digest)
            database.execute("INSERT INTO cert (hostname, port, digest) VALUES (?, ?, ?)", known)
        environment = {**place.environment(), "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LANG": "C.UTF-8"}
        environment |= {"QT_QPA_PLATFORM": "offscreen"}
        url = f"mumble://{user}@{self.far.host.address}:{PORT}/?version=1.2.0"
        with (place.folder / f"mumble-{user}.log").open("w") as log:
            self._running.append(
                place.host.popen(
                    *("mumble", "-m", url), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
                )
            )

    def _wait_for(self, log: Path, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_so():
            for process in self._running:
                assert process.poll() is None, f"{process.args}: ended\n{log.read_text(errors='replace')[-2000:]}"
            assert time.monotonic() < deadline, f"mumble was not ready:\n{log.read_text(errors='replace')[-3000:]}"
            time.sleep(0.05)
