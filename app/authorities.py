"""Whom a TLS client trusts: the authorities of the system, and those of a file in addition.

A leaf that any layer may import. A company's own authority must not cost anybody the public ones.
"""

from __future__ import annotations

import ssl


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """Make what checks servers' certificates; OSError when the PEM file `ca_file` cannot be used. Reads files."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context
