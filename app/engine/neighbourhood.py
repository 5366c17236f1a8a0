"""Other Parleys on the local network as contacts, and this one announced to them."""

from __future__ import annotations

from collections.abc import Callable

from app.engine.errors import EngineError
from app.events import Contact, Presence
from app.home.errors import HomeError
from app.home.neighbours import Neighbour, Neighbours


class Neighbourhood:
    """Announces this Parley from `open` to `close` and gives the others as contacts whenever they change."""

    def __init__(self, on_change: Callable[[tuple[Contact, ...]], None]) -> None:
        self._on_change = on_change
        self._neighbours: Neighbours | None = None

    async def open(self, name: str, uri: str, interfaces: tuple[str, ...], version: str) -> None:
        """Begin; EngineError with a sentence when the network does not let us."""
        try:
            self._neighbours = Neighbours(name, uri, self._changed, interfaces=interfaces, version=version)
            await self._neighbours.start()
        except (HomeError, OSError) as error:
            raise EngineError(f"Others on this network cannot be looked for: {error}") from error

    async def close(self) -> None:
        if self._neighbours is not None:
            await self._neighbours.close()

    def _changed(self, found: tuple[Neighbour, ...]) -> None:
        self._on_change(tuple(_contact(neighbour) for neighbour in found))


def _contact(neighbour: Neighbour) -> Contact:
    return Contact(
        contact_id=f"network-{neighbour.instance}",
        name=neighbour.name,
        uri=neighbour.uri,
        source="network",
        presence=Presence.ONLINE,
        note="On this network",
    )
