"""Everybody who can be called, as one list: kept contacts, neighbours on the network, and the built-in echo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.calls.known_peers import KnownPeers
from app.engine.presence import presence_of
from app.events import Contact, Direction, EndKind, HistoryChanged, HistoryEntry, PeopleChanged, Presence
from app.people.store import Store, StoreThread
from app.sip.endpoint import OptionsAnswer

ECHO_ID = "builtin-echo"
HISTORY_SHOWN = 500

Publish = Callable[[PeopleChanged | HistoryChanged], None]


class People:
    """The list and the history of this run; changes go to disk first and are published then."""

    def __init__(self, store: StoreThread, publish: Publish) -> None:
        self._store = store
        self._publish = publish
        self._kept: tuple[Contact, ...] = ()
        self._neighbours: tuple[Contact, ...] = ()
        self._echo: Contact | None = None
        self._presence: dict[str, Presence] = {}
        self.peers = KnownPeers()

    @property
    def contacts(self) -> tuple[Contact, ...]:
        """All of them, each with what is known of its presence; kept ones first."""
        kept_uris = {contact.uri for contact in self._kept}
        others = [contact for contact in self._neighbours if contact.uri not in kept_uris]
        seen = {contact.uri for contact in self._neighbours}
        kept = [replace(contact, presence=self._presence_of(contact, seen)) for contact in self._kept]
        return (*kept, *others, *([self._echo] if self._echo else []))

    def _presence_of(self, contact: Contact, seen: set[str]) -> Presence:
        return Presence.ONLINE if contact.uri in seen else self._presence.get(contact.uri, Presence.UNKNOWN)

    @property
    def watched(self) -> tuple[str, ...]:
        """The addresses whose presence is to be asked for."""
        return tuple(contact.uri for contact in self._kept if contact.uri.startswith(("sip:", "sips:")))

    async def load(self) -> None:
        self._kept = await self._store.run(Store.contacts)
        self.peers = KnownPeers(await self._store.run(Store.trickling))
        self._say()
        await self._say_history()

    async def add(self, name: str, uri: str, favourite: bool) -> Contact:
        contact = await self._store.run(Store.add_contact, name, uri, favourite)
        await self._reload()
        return contact

    async def update(self, contact: Contact) -> None:
        await self._store.run(Store.update_contact, contact)
        await self._reload()

    async def remove(self, contact_id: str) -> None:
        await self._store.run(Store.remove_contact, contact_id)
        await self._reload()

    def set_echo(self, uri: str | None) -> None:
        """Show or hide the echo contact."""
        note = "Hear and see yourself"
        self._echo = (
            None if uri is None else Contact(ECHO_ID, "Echo test", uri, "builtin", False, Presence.ONLINE, note)
        )
        self._say()

    def set_neighbours(self, neighbours: tuple[Contact, ...]) -> None:
        self._neighbours = neighbours
        self._say()

    def learn(self, uri: str, answer: OptionsAnswer) -> None:
        """Take what an answer to OPTIONS says of a person and of their phone."""
        if answer.trickles is not None:
            self.peers.learn(uri, answer.trickles)
        presence = presence_of(answer.status)
        if self._presence.get(uri) is not presence:
            self._presence[uri] = presence
            self._say()

    async def save_peers(self) -> None:
        """Keep what was learned of people's phones."""
        news = self.peers.take_news()
        if news:
            await self._store.run(Store.save_trickling, news)

    async def save_call(self, entry: HistoryEntry) -> None:
        await self._store.run(Store.save_call, entry)
        await self._say_history()

    async def clear_history(self) -> None:
        await self._store.run(Store.clear_history)
        await self._say_history()

    async def mark_history_seen(self) -> None:
        await self._store.run(Store.mark_history_seen)
        await self._say_history()

    async def _reload(self) -> None:
        self._kept = await self._store.run(Store.contacts)
        uris = {contact.uri for contact in self._kept}
        self._presence = {uri: presence for uri, presence in self._presence.items() if uri in uris}
        self._say()

    def _say(self) -> None:
        self._publish(PeopleChanged(self.contacts))

    async def _say_history(self) -> None:
        self._publish(HistoryChanged(await self._store.run(Store.history, HISTORY_SHOWN)))


MISSED = (EndKind.NO_ANSWER, EndKind.CANCELLED, EndKind.BUSY)


def is_missed(direction: Direction, outcome: EndKind) -> bool:
    """Whether nobody here has answered a call that came in."""
    return direction is Direction.INCOMING and outcome in MISSED
