"""What is remembered of people's phones between calls."""

from __future__ import annotations

from app.calls.known_peers import MAX_PEERS, KnownPeers


def test_a_phone_is_known_by_user_host_and_port() -> None:
    peers = KnownPeers()
    peers.learn("sip:bob@Example.org;transport=tcp", True)
    assert peers.trickles("sip:bob@example.org")
    assert not peers.trickles("sip:eve@example.org")
    assert not peers.trickles("sip:bob@example.org:5070")
    peers.learn("sip:bob@example.org", False)
    assert not peers.trickles("sip:bob@example.org")


def test_what_is_new_is_given_once_to_be_kept() -> None:
    peers = KnownPeers(["bob@example.org"])
    peers.learn("sip:bob@example.org", True)
    peers.learn("sip:eve@example.org", False)
    assert peers.take_news() == {}
    peers.learn("sip:eve@example.org", True)
    peers.learn("sip:bob@example.org", False)
    assert peers.take_news() == {"eve@example.org": True, "bob@example.org": False}
    assert peers.take_news() == {}


def test_memory_is_bounded() -> None:
    peers = KnownPeers()
    for number in range(MAX_PEERS + 5):
        peers.learn(f"sip:{number}@example.org", True)
    assert not peers.trickles("sip:4@example.org")
    assert peers.trickles("sip:5@example.org")
    assert len(peers.take_news()) == MAX_PEERS


def test_an_address_that_is_none_is_remembered_as_it_stands() -> None:
    peers = KnownPeers()
    peers.learn("no address at all", True)
    assert peers.trickles("No address at all ")
