"""A small certificate authority of one's own, for a rallypoint whose owner has no certificates. Pure: PEM bytes.

It signs the nodes of one cluster, and one certificate that all members of a mission show where clients must show one.
The secret of the cluster follows from its key, so that nodes that have the same authority need no other secret.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from app.satellites.errors import SatelliteError

AUTHORITY_LIFE = datetime.timedelta(days=3650)
SERVER_LIFE = datetime.timedelta(days=397)  # the most that systems of phones accept of a server
RENEW_BEFORE = datetime.timedelta(days=60)
_AGE = datetime.timedelta(days=1)  # clocks of two machines differ
_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)


class Authority:
    """Signs certificates with an ECDSA P-256 key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def generate(cls, name: str, now: datetime.datetime) -> Authority:
        """Make a new one. `name` is shown to whoever looks at the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _begin(subject, subject, key.public_key(), now, now + AUTHORITY_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(key, builder.add_extension(key_usage(signs=True), critical=True).sign(key, hashes.SHA256()))

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Authority:
        """Read one that was kept; SatelliteError when it cannot be used."""
        try:
            read = x509.load_pem_x509_certificate(certificate)
            private = serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError) as error:
            raise SatelliteError("The authority's certificate or its key is no PEM file.") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != read.public_key():
            raise SatelliteError("The authority's certificate does not fit its key.")
        return cls(private, read)

    @property
    def pem(self) -> Signed:
        """The authority itself; its key must stay with its owner."""
        return Signed(self._certificate.public_bytes(serialization.Encoding.PEM), _private(self._key))

    @property
    def cluster_secret(self) -> str:
        """What its nodes know of each other, and nobody else: 64 hexadecimal digits."""
        derive = HKDF(hashes.SHA256(), 32, salt=None, info=b"parley rallypoint cluster")
        secret = self._key.private_numbers().private_value.to_bytes(32, "big")
        return derive.derive(secret).hex()

    def issue_server(self, names: Sequence[str], now: datetime.datetime) -> Signed:
        """Sign a new key for a node that is reached by these names and numeric addresses."""
        others = x509.SubjectAlternativeName([_general(name) for name in names])
        return self._issue(names[0], now, now + SERVER_LIFE, _BOTH, others)

    def issue_member(self, now: datetime.datetime) -> Signed:
        """Sign a new key for those who may come in; it lasts as long as the authority."""
        end = self._certificate.not_valid_after_utc
        return self._issue("member", now, end, (ExtendedKeyUsageOID.CLIENT_AUTH,), None)

    def has_signed(self, certificate: bytes) -> bool:
        """Tell whether it is a certificate of ours."""
        try:
            x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(self._certificate)
        except Exception:  # whatever is wrong with it, it is none of ours
            return False
        return True

    def is_good(self, certificate: bytes, names: Sequence[str], now: datetime.datetime) -> bool:
        """Tell whether a node's certificate is ours, for exactly these names, and good for some time yet."""
        if not self.has_signed(certificate):
            return False
        read = x509.load_pem_x509_certificate(certificate)
        others = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        is_fresh = read.not_valid_before_utc <= now < read.not_valid_after_utc - RENEW_BEFORE
        return is_fresh and set(others) == {_general(name) for name in names}

    def _issue(
        self,
        name: str,
        now: datetime.datetime,
        end: datetime.datetime,
        purposes: Sequence[x509.ObjectIdentifier],
        others: x509.SubjectAlternativeName | None,
    ) -> Signed:
        key = ec.generate_private_key(ec.SECP256R1())
        end = min(end, self._certificate.not_valid_after_utc)
        builder = (
            _begin(_name(name), self._certificate.subject, key.public_key(), now, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if others is not None:
            builder = builder.add_extension(others, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Signed(signed.public_bytes(serialization.Encoding.PEM), _private(key))


def fingerprint(certificate: bytes) -> str:
    """Give the SHA-256 of the first certificate in a PEM text, as "AB:CD:…"; SatelliteError when there is none."""
    try:
        return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex(":").upper()
    except ValueError as error:
        raise SatelliteError("A certificate is no PEM file.") from error


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number())
    builder = builder.not_valid_before(now - _AGE).not_valid_after(end)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def key_usage(signs: bool) -> x509.KeyUsage:
    """Say what a certificate's key is for: to sign other certificates, or to show who one is."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
