"""Names for addresses, in both directions, for the sessions of one hub: ours as the peer sees them, the peer's as what
they stand for.

Not pure only by what it owns: mdns.py speaks on the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from app.ice.candidates import Candidate, IceDescription
from app.ice.hiding import Hiding, is_local_name
from app.ice.mdns import LocalNames
from app.ice.requests import RandomBits


class Naming:
    """`hides`: what the peer is told names no address of this machine. Speaks to nobody until it has to."""

    def __init__(self, hides: bool, random_bits: RandomBits, on_problem: Callable[[str], None]) -> None:
        self._hiding = Hiding(random_bits) if hides else None
        self._on_problem = on_problem
        self._names = LocalNames((), on_problem)

    def speak_on(self, addresses: Iterable[str]) -> None:
        """Set the addresses of the interfaces on which names are asked and answered for."""
        self._names = LocalNames(tuple(addresses), self._on_problem)

    def shown(self, candidate: Candidate) -> Candidate:
        """Give a candidate of ours as the peer may see it, and answer for its name from now on."""
        if self._hiding is None:
            return candidate
        shown = self._hiding.shown(candidate)
        self._names.answer(self._hiding.names)
        return shown

    def described(self, description: IceDescription) -> IceDescription:
        """Give a description of ours as the peer may see it."""
        if self._hiding is None:
            return description
        return replace(description, candidates=tuple(self.shown(one) for one in description.candidates))

    def look_up(self, candidates: Iterable[Candidate], found: Callable[[Candidate], None]) -> None:
        """Ask for the names among a peer's candidates; `found` gets each of these with an address in its place."""
        for candidate in candidates:
            if is_local_name(candidate.address):
                self._look_up(candidate, found)

    def _look_up(self, candidate: Candidate, found: Callable[[Candidate], None]) -> None:
        def told(addresses: list[str]) -> None:
            for address in addresses:
                found(replace(candidate, address=address))

        self._names.look_up(candidate.address, told)

    async def close(self) -> None:
        """Answer and ask no more; safe to call twice."""
        await self._names.close()
