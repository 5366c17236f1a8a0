"""One DTLS association that yields SRTP keys (RFC 5763, RFC 5764), without a socket.

OpenSSL keeps its own clock for retransmissions: ask `timeout_s` and call `handle_timeout` when it has passed. Bytes go
in by `receive`; `outgoing` gives the datagrams to send. DTLS 1.2 only: every phone has it, and its records can be
packed into datagrams from outside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from OpenSSL import SSL

from app.media.certificate import Certificate, fingerprint
from app.media.errors import MediaError, SecurityError
from app.media.plan import SecurityPlan
from app.media.srtp import SrtpKeys

logger = logging.getLogger(__name__)

MTU = 1_200
RECORD_HEADER_BYTES = 13
DTLS_1_2 = 0xFEFD
EXPORTER_LABEL = b"EXTRACTOR-dtls_srtp"  # RFC 5764 section 4.2
# RSA too: a gateway's certificate may be one.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!aPSK"
STRENGTH = ("sha-512", "sha-384", "sha-256")


class DtlsAssociation:
    """A handshake in one role, until `keys` is there, and the goodbye after it."""

    def __init__(self, certificate: Certificate, plan: SecurityPlan) -> None:
        if plan.dtls_role is None:
            raise MediaError("It was not agreed who begins the encryption handshake.")
        self._algorithm, self._accepted = choose_fingerprints(plan.fingerprints)
        self._role = plan.dtls_role
        context = certificate.dtls_context()
        context.set_cipher_list(CIPHERS)
        context.set_min_proto_version(DTLS_1_2)
        context.set_max_proto_version(DTLS_1_2)
        self._connection = SSL.Connection(context)
        self._connection.set_ciphertext_mtu(MTU)
        if self._role == "server":
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
        self.keys: SrtpKeys | None = None
        self.remote_fingerprint: tuple[str, str] | None = None
        self.closed_by_peer = False

    @property
    def has_last_word(self) -> bool:
        """Whether the last flight of the handshake is ours, so that nobody acknowledges it (RFC 6347 section 4.2.4)."""
        return self._role == "server"

    def start(self) -> None:
        """Make the first flight, when that is ours to send."""
        self._shake()

    def receive(self, data: bytes) -> None:
        """Take one datagram; SecurityError when the handshake cannot succeed any more."""
        self._connection.bio_write(data)
        if self.keys is None:
            self._shake()
            return
        try:
            self._connection.recv(2048)
        except SSL.ZeroReturnError:
            self.closed_by_peer = True
        except SSL.Error as error:
            logger.debug("after the handshake: %r", error)

    def timeout_s(self) -> float | None:
        """Seconds until `handle_timeout` is due; None when nothing waits."""
        return self._connection.DTLSv1_get_timeout()

    def handle_timeout(self) -> None:
        """Send the last flight again."""
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise SecurityError("The encryption handshake got no answer.") from error

    def close(self) -> None:
        """Make the close_notify."""
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            logger.debug("no goodbye possible: %r", error)

    def outgoing(self) -> list[bytes]:
        """Give the datagrams to send now: whole records, packed up to the MTU."""
        try:
            flight = self._connection.bio_read(65_536)
        except SSL.WantReadError:
            return []
        datagrams: list[bytes] = []
        for record in _records(flight):
            if datagrams and len(datagrams[-1]) + len(record) <= MTU:
                datagrams[-1] += record
            else:
                datagrams.append(record)
        return datagrams

    def _shake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise SecurityError("The encryption handshake failed: the other side could not agree.") from error
        self._check_fingerprint()
        self._export_keys()

    def _check_fingerprint(self) -> None:
        """RFC 8122 section 5: one of the fingerprints under the strongest hash must be the certificate's."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise SecurityError("The other side showed no certificate.")
        seen = fingerprint(certificate, self._algorithm)
        self.remote_fingerprint = (self._algorithm, seen)
        if seen not in self._accepted:
            raise SecurityError(
                "The other side's certificate is not the one it announced: somebody may be listening in. "
                "The call was not connected."
            )

    def _export_keys(self) -> None:
        from app.media.aiortc_parts import SRTP_PROFILES

        name = self._connection.get_selected_srtp_profile()
        profile = next((profile for profile in SRTP_PROFILES if profile.openssl_profile == name), None)
        if profile is None:
            raise SecurityError("No way to encrypt sound and picture is known to both sides.")
        material = self._connection.export_keying_material(
            EXPORTER_LABEL, 2 * (profile.key_length + profile.salt_length)
        )
        client, server = profile.get_key_and_salt(material, 0), profile.get_key_and_salt(material, 1)
        local, remote = (client, server) if self._role == "client" else (server, client)
        self.keys = SrtpKeys(name.decode(), profile.libsrtp_profile, local, remote)


def choose_fingerprints(announced: tuple[tuple[str, str], ...]) -> tuple[str, frozenset[str]]:
    """Pick the strongest hash we know among the announced fingerprints, with all values under it."""
    for algorithm in STRENGTH:
        values = frozenset(value.strip().upper() for name, value in announced if name.strip().lower() == algorithm)
        if values:
            return algorithm, values
    raise SecurityError("The other side announced no certificate fingerprint that is understood (SHA-256 is needed).")


def _records(flight: bytes) -> Iterator[bytes]:
    """Cut a flight into DTLS records (RFC 6347 section 4.1): 13 bytes of header, its last two the length."""
    position = 0
    while position < len(flight):
        end = position + RECORD_HEADER_BYTES + int.from_bytes(flight[position + 11 : position + 13])
        yield flight[position:end]
        position = end
