"""Whom a TLS client trusts: the authorities of the system, and those of a file in addition.

A leaf that any layer may import. A company's own authority must not cost anybody the public ones.
"""

from __future__ import annotations

import asyncio
import ssl


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """Make what checks servers' certificates; OSError when the PEM file `ca_file` cannot be used. Reads files."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class Authorities:
    """Whom one server or client trusts: read when first asked for, once and in a thread, as there are hundreds."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._reading = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """Give what checks servers' certificates; OSError as `client_context`, which is tried again the next time."""
        async with self._reading:
            if self._context is None:
                self._context = await asyncio.to_thread(client_context, self._ca_file)
            return self._context
