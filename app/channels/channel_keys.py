"""A channel's key, made beside the loop: deriving one takes some 10 ms. Not pure: it uses a thread."""

from __future__ import annotations

import asyncio

from app.channels.sealing import derive_key


async def channel_key(crypto_password: str) -> bytes:
    """Give the key for a `cryptoPassword`; SealError when it cannot be one."""
    return await asyncio.to_thread(derive_key, crypto_password)
