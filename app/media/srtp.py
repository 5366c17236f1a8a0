"""Encrypting and decrypting RTP and RTCP (RFC 3711) with libsrtp, or not at all."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Protocol

import pylibsrtp

from app.media.errors import MediaError, PacketError
from app.media.sdes import SdesKey

REPLAY_WINDOW = 1024  # packets: a retransmission may come late

_SDES_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
}


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """Master keys with salt for both directions, never shown."""

    name: str
    profile: int
    local: bytes = field(repr=False)
    remote: bytes = field(repr=False)
    remote_profile: int | None = None  # where the two directions differ (SDES)


class Protection(Protocol):
    """What stands between packets and the wire. PacketError when a packet is not authentic, repeated or too long."""

    cipher: str | None

    def protect(self, packet: bytes) -> bytes: ...
    def protect_rtcp(self, packet: bytes) -> bytes: ...
    def unprotect(self, packet: bytes) -> bytes: ...
    def unprotect_rtcp(self, packet: bytes) -> bytes: ...
    def forget(self, ssrc: int) -> None: ...


class Srtp:
    """SRTP in both directions; loop thread only."""

    def __init__(self, keys: SrtpKeys) -> None:
        self.cipher: str | None = keys.name
        remote_profile = keys.profile if keys.remote_profile is None else keys.remote_profile
        self._outbound = _session(keys.local, keys.profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        self._inbound = _session(keys.remote, remote_profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)

    @classmethod
    def from_sdes(cls, local: SdesKey, remote: SdesKey) -> Srtp:
        """Use the two keys of an RFC 4568 exchange."""
        profiles = _SDES_PROFILES[local.suite], _SDES_PROFILES[remote.suite]
        return cls(SrtpKeys(local.suite, profiles[0], local.key, remote.key, profiles[1]))

    def rekey(self, local: SdesKey | None, remote: SdesKey | None) -> None:
        """Use other keys in a direction; None leaves that one as it is, with its rollover counter."""
        if local is not None:
            self._outbound = _session(local.key, _SDES_PROFILES[local.suite], pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
            self.cipher = local.suite
        if remote is not None:
            self._inbound = _session(remote.key, _SDES_PROFILES[remote.suite], pylibsrtp.Policy.SSRC_ANY_INBOUND)

    def protect(self, packet: bytes) -> bytes:
        try:
            return bytes(self._outbound.protect(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise PacketError(f"An RTP packet could not be encrypted: {error}") from error

    def protect_rtcp(self, packet: bytes) -> bytes:
        try:
            return bytes(self._outbound.protect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise PacketError(f"An RTCP packet could not be encrypted: {error}") from error

    def unprotect(self, packet: bytes) -> bytes:
        try:
            return bytes(self._inbound.unprotect(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise PacketError(f"An RTP packet is not authentic: {error}") from error

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        try:
            return bytes(self._inbound.unprotect_rtcp(packet))
        except (pylibsrtp.Error, ValueError) as error:
            raise PacketError(f"An RTCP packet is not authentic: {error}") from error

    def forget(self, ssrc: int) -> None:
        """Drop what is kept of a source of the peer."""
        with contextlib.suppress(pylibsrtp.Error):  # it sent RTCP only, or nothing
            self._inbound.remove_stream(ssrc)


class Plain:
    """No protection, for a peer that has none."""

    cipher: str | None = None

    def protect(self, packet: bytes) -> bytes:
        return packet

    protect_rtcp = unprotect = unprotect_rtcp = protect

    def forget(self, ssrc: int) -> None:
        """Nothing is kept."""


def _session(key: bytes, profile: int, direction: int) -> pylibsrtp.Session:
    try:
        policy = pylibsrtp.Policy(key=key, ssrc_type=direction, srtp_profile=profile)
        policy.window_size = REPLAY_WINDOW
        policy.allow_repeat_tx = True  # a retransmission without RTX is the same packet again
        return pylibsrtp.Session(policy)
    except (pylibsrtp.Error, ValueError) as error:
        raise MediaError("The encryption keys cannot be used.") from error
