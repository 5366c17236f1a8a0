"""Other Parleys on the local network as contacts, and this one announced to them."""

from __future__ import annotations

from collections.abc import Callable

from app.events import Contact


class Neighbourhood:
    """Announces this Parley and follows who else is there."""

    def __init__(self, on_change: Callable[[tuple[Contact, ...]], None]) -> None:
        self._on_change = on_change
        self._neighbours = None

    async def open(self, name: str, uri: str, interfaces: tuple[str, ...]) -> None:
        return

    async def close(self) -> None:
        return
