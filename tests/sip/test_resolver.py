"""Names that no DNS could know: an answer in words, whoever wrote them."""

from __future__ import annotations

import asyncio

import pytest

from app.settings import HostPort
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.events import TransportFailed
from app.sip.resolver import Resolver
from app.sip.uri import SipUri

LONG = "a" * 70


@pytest.mark.parametrize("host", [LONG, f"{LONG}:5070", f"{LONG}.example:5070"])
async def test_a_label_that_is_too_long_is_no_name(host: str):
    resolver = Resolver(lambda address: HostPort("127.0.0.1", 5060))
    hops, problem = await resolver.resolve(SipUri.parse(f"sip:bob@{host}"))
    assert hops == []
    assert "No server was found" in problem


async def test_a_call_to_such_a_name_ends_at_once():
    events: asyncio.Queue[object] = asyncio.Queue()
    endpoint = SipEndpoint(SipConfig(sip_port=0, bind=("127.0.0.1",)), on_event=events.put_nowait)
    await endpoint.start()
    try:
        endpoint.invite(f"sip:bob@{LONG}:5070", body=b"v=0")
        assert isinstance(await asyncio.wait_for(events.get(), 5), TransportFailed)
    finally:
        await endpoint.close()
