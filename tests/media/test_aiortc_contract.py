"""The names of aiortc that app/media/aiortc_parts.py stands on are there and mean what they meant."""

from __future__ import annotations

from importlib.metadata import version

from OpenSSL import SSL

from app.media import aiortc_parts
from app.media.certificate import Certificate


def test_the_pinned_version_is_installed() -> None:
    assert version("aiortc").startswith("1.16.")


def test_a_certificate_of_ours_makes_a_context() -> None:
    context = Certificate.generate().dtls_context()
    assert context.get_verify_mode() & SSL.VERIFY_PEER


def test_the_srtp_profiles_have_names_lengths_and_keys() -> None:
    profiles = {profile.openssl_profile: profile for profile in aiortc_parts.SRTP_PROFILES}
    usual = profiles[b"SRTP_AES128_CM_SHA1_80"]
    assert (usual.key_length, usual.salt_length) == (16, 14)
    material = bytes(range(60))
    assert usual.get_key_and_salt(material, 0) == material[:16] + material[32:46]
    assert usual.get_key_and_salt(material, 1) == material[16:32] + material[46:60]
