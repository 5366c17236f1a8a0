"""Keys in a=crypto lines."""

from __future__ import annotations

import pytest

from app.media.errors import MediaError
from app.media.sdes import SUITES, SdesKey

INLINE = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"  # RFC 4568 section 4.3


@pytest.mark.parametrize("suite", SUITES)
def test_a_key_survives_the_way_through_sdp(suite: str) -> None:
    key = SdesKey.generate(suite, tag=2)
    assert SdesKey.parse(key.to_sdp()) == key


def test_a_lifetime_is_accepted() -> None:
    assert SdesKey.parse(f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^20").key == b"YS___semctl () {\t220;}\n}\nunles"


def test_the_key_never_shows() -> None:
    key = SdesKey.generate()
    secret = key.to_sdp().split("inline:")[1]
    assert secret not in repr(key) + str(key)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1 AES_CM_128_HMAC_SHA1_80",
        f"x AES_CM_128_HMAC_SHA1_80 {INLINE}",
        f"1 F8_128_HMAC_SHA1_80 {INLINE}",
        "1 AES_CM_128_HMAC_SHA1_80 inline:short",
        "1 AES_CM_128_HMAC_SHA1_80 inline:????",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE}|2^20|1:4",  # an MKI
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE};{INLINE}",
        f"1 AES_CM_128_HMAC_SHA1_80 {INLINE} UNENCRYPTED_SRTP",
        "1 AES_CM_128_HMAC_SHA1_80 uri:http://example.org/key",
    ],
)
def test_what_we_could_not_follow_is_refused_without_showing_the_key(line: str) -> None:
    with pytest.raises(MediaError) as caught:
        SdesKey.parse(line)
    assert "WVNf" not in str(caught.value)
