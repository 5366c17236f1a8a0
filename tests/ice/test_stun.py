"""The STUN codec: published test vectors, round trips, and every way in which a stranger's bytes can be wrong."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ice.stun import (
    Attribute,
    Message,
    MessageClass,
    Method,
    StunError,
    encode_channel_data,
    is_stun,
    long_term_key,
    parse_channel_data,
)

TID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"

# RFC 5769 section 2.1, 2.2 and 2.3.
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
# Section 2.4: long-term credentials, a user name that is not ASCII.
REQUEST_LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c3946535476793634734100140"
    "00b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def binding(**kwargs: bytes) -> Message:
    return Message(Method.BINDING, MessageClass.REQUEST, TID)


def test_reads_the_published_request() -> None:
    message = Message.parse(REQUEST)
    assert (message.method, message.message_class, message.transaction_id) == (1, MessageClass.REQUEST, TID)
    assert message.text(Attribute.USERNAME) == "evtj:h6vY"
    assert message.number(Attribute.PRIORITY) == 0x6E0001FF
    assert message.number(Attribute.ICE_CONTROLLED, 8) == 0x932FF9B151263B36
    assert message.has_fingerprint
    assert message.check_integrity(PASSWORD)
    assert not message.check_integrity(b"another")


@pytest.mark.parametrize(
    ("data", "address"),
    [(RESPONSE_V4, ("192.0.2.1", 32853)), (RESPONSE_V6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853))],
)
def test_reads_the_published_responses(data: bytes, address: tuple[str, int]) -> None:
    message = Message.parse(data)
    assert message.message_class is MessageClass.SUCCESS
    assert message.address(Attribute.XOR_MAPPED_ADDRESS) == address
    assert message.check_integrity(PASSWORD)


def test_reads_the_published_request_with_long_term_credentials() -> None:
    message = Message.parse(REQUEST_LONG_TERM)
    user, realm = message.text(Attribute.USERNAME), message.text(Attribute.REALM)
    assert (user, realm) == ("マトリックス", "example.org")
    assert message.text(Attribute.NONCE) == "f//499k954d6OL34oL9FSTvy64sA"
    assert message.check_integrity(long_term_key(user, realm, "TheMatrIX"))  # as SASLprep leaves the password


def test_long_term_key_is_md5_of_user_realm_password() -> None:
    assert long_term_key("user", "realm", "pass").hex() == "8493fbc53ba582fb4c044c456bdc40eb"  # RFC 5389 section 15.4


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("klass", list(MessageClass))
def test_round_trip_of_type_and_values(method: Method, klass: MessageClass) -> None:
    message = Message(method, klass, TID)
    message.add_text(Attribute.USERNAME, "ü:x").add_number(Attribute.LIFETIME, 600).add_channel_number(0x4001)
    message.add_address(Attribute.XOR_PEER_ADDRESS, ("10.1.2.3", 4)).add_address(Attribute.XOR_PEER_ADDRESS, ("::1", 5))
    message.add(Attribute.DATA, b"12345").add_error(438, "Stale Nonce").add_unknown((0x7777, 2))
    read = Message.parse(message.encode(b"key", fingerprint=True))
    assert (read.method, read.message_class) == (method, klass)
    assert read.text(Attribute.USERNAME) == "ü:x"
    assert read.number(Attribute.LIFETIME) == 600
    assert read.channel_number() == 0x4001
    assert read.addresses(Attribute.XOR_PEER_ADDRESS) == [("10.1.2.3", 4), ("::1", 5)]
    assert read.get(Attribute.DATA) == b"12345"
    assert read.error() == (438, "Stale Nonce")
    assert read.get(Attribute.UNKNOWN_ATTRIBUTES) == b"\x77\x77\x00\x02"
    assert read.check_integrity(b"key")


def test_answers_carry_method_and_transaction() -> None:
    request = Message(Method.REFRESH, MessageClass.REQUEST, TID)
    assert (request.success().method, request.success().message_class) == (Method.REFRESH, MessageClass.SUCCESS)
    assert request.failure(400, "Bad").error() == (400, "Bad")
    assert request.failure(400, "Bad").transaction_id == TID


def test_what_follows_integrity_is_ignored() -> None:
    data = binding().encode(b"key")
    smuggled = data[:2] + (len(data) - 20 + 4).to_bytes(2, "big") + data[4:] + b"\x00\x25\x00\x00"
    message = Message.parse(smuggled)
    assert message.check_integrity(b"key")
    assert not message.has(Attribute.USE_CANDIDATE)


def test_the_first_of_several_counts() -> None:
    data = binding().add_number(Attribute.PRIORITY, 1).add_number(Attribute.PRIORITY, 2).encode()
    assert Message.parse(data).number(Attribute.PRIORITY) == 1


def test_unknown_required_attributes_are_listed_once() -> None:
    data = binding().add(0x7001).add(0x7001).add(0x8777).add_number(Attribute.PRIORITY, 1).encode()
    assert Message.parse(data).unknown_required({Attribute.PRIORITY}) == (0x7001,)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-1],
        REQUEST + b"\0\0\0\0",
        b"\x80" + REQUEST[1:],
        REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:],
        REQUEST[:-1] + b"\x00",
        REQUEST[:3] + b"\x57" + REQUEST[4:],
        Message(1, MessageClass.REQUEST, TID).encode()[:2] + b"\0\x04" + REQUEST[4:20] + b"\0\x06\0\x09",
        Message(1, MessageClass.REQUEST, TID, [(0x8022, b"")] * 65).encode(),
        Message(1, MessageClass.REQUEST, TID).add(Attribute.MESSAGE_INTEGRITY, b"short").encode(),
        binding().encode(fingerprint=True)[:2] + b"\0\x0c" + binding().encode(fingerprint=True)[4:] + b"\x80\x22\0\0",
    ],
    ids=[
        *("empty", "short header", "cut", "longer", "leading bits", "cookie", "fingerprint", "odd length", "overrun"),
        *("many", "integrity size", "after fingerprint"),
    ],
)
def test_unsound_messages_are_refused(data: bytes) -> None:
    with pytest.raises(StunError):
        Message.parse(data)


def test_bad_values_are_refused() -> None:
    message = binding().add(Attribute.PRIORITY, b"123").add(Attribute.XOR_MAPPED_ADDRESS, b"\0\x01\0\0")
    message.add(Attribute.USERNAME, b"\xff").add(Attribute.ERROR_CODE, b"\0\0\x09\0").add(Attribute.REALM, b"a" * 764)
    message.add(Attribute.CHANNEL_NUMBER, b"")
    read = Message.parse(message.encode())
    for ask in (
        lambda: read.number(Attribute.PRIORITY),
        lambda: read.address(Attribute.XOR_MAPPED_ADDRESS),
        lambda: read.text(Attribute.USERNAME),
        lambda: read.text(Attribute.REALM),
        read.error,
        read.channel_number,
    ):
        with pytest.raises(StunError):
            ask()


def test_absent_values_are_none() -> None:
    read = Message.parse(binding().encode())
    assert read.number(Attribute.PRIORITY) is None
    assert read.address(Attribute.XOR_MAPPED_ADDRESS) is None
    assert read.text(Attribute.USERNAME) is None
    assert read.error() is None
    assert read.channel_number() is None
    assert not read.check_integrity(b"key")


def test_channel_data() -> None:
    assert parse_channel_data(encode_channel_data(0x4FFF, b"abc") + b"\0") == (0x4FFF, b"abc")
    for bad in (b"", b"\x40\0\0", b"\x50\0\0\0", b"\x40\x01\0\x05abcd"):
        with pytest.raises(StunError):
            parse_channel_data(bad)


def test_demultiplexing_by_the_first_byte() -> None:
    assert is_stun(REQUEST)
    for other in (b"", b"\x16\xfe\xfd" + bytes(30), b"\x80" + bytes(40), encode_channel_data(0x4000, REQUEST)):
        assert not is_stun(other)


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_random_attributes_never_do_more_than_raise(body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    data = b"\x00\x01" + len(body).to_bytes(2, "big") + REQUEST[4:20] + body
    try:
        message = Message.parse(data)
        message.error()
        message.text(Attribute.USERNAME)
        message.address(Attribute.XOR_MAPPED_ADDRESS)
    except StunError:
        return
    assert message.raw == data


def test_flipped_bits_never_pass_integrity() -> None:
    rng = random.Random(1)
    data = binding().add_number(Attribute.PRIORITY, 7).encode(b"key")
    for _ in range(200):
        at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
        try:
            changed = Message.parse(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
        except StunError:
            continue
        assert not changed.check_integrity(b"key")
