"""What a profile keeps of settings and passwords, and what this run makes of it.

The keyring is imported when a password is needed: a command that only calls somebody does not wait for it.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from app.engine.options import EngineOptions
from app.people.profile import Profile
from app.people.settings_file import load_settings, save_settings
from app.settings import Account, Settings, TrickleMode, TurnServer

if TYPE_CHECKING:
    from app.people.secrets import Secrets


class Kept:
    """`saved` are the settings as they stand in the file, `settings` those of this run, with its flags over them."""

    def __init__(self, options: EngineOptions) -> None:
        self.profile = Profile(options.profile)
        self.saved = Settings()
        self.settings = Settings()
        self._adjust = options.adjust
        self._alone = options.alone
        self._passwords = dict(options.passwords)
        self._opened: Secrets | None = None

    @property
    def account(self) -> Account | None:
        return self.settings.accounts[0] if self.settings.accounts else None

    @property
    def own_name(self) -> str:
        """How others see this person."""
        account = self.account
        if account is None:
            return self.settings.display_name or _login_name()
        user = account.address.partition(":")[2].partition("@")[0]
        return account.display_name or self.settings.display_name or user

    @property
    def user_name(self) -> str:
        """The user part of this person's direct address: letters and digits only."""
        name = self.settings.display_name or _login_name()
        return "".join(c for c in name.lower() if c.isascii() and (c.isalnum() or c in "-._")) or "parley"

    def read(self) -> list[str]:
        """Read settings and the passwords they need; gives what went wrong, one sentence each. Blocks."""
        if self._alone:
            self.profile.acquire()
        else:
            self.profile.create()
        self.saved, problem = load_settings(self.profile.settings_path)
        self.settings = self._adjust(self.saved)
        wanted = [self.account.address] if self.account is not None else []
        turn = self.settings.network.turn_servers
        wanted += [turn_secret_name(server) for server in turn if not (server.password or server.secret)]
        for name in wanted:
            if name not in self._passwords and (password := self._secrets.get(name)) is not None:
                self._passwords[name] = password
        sentences = [problem.sentence] if problem else []
        if self._opened is not None and self._opened.problem:
            sentences.append(self._opened.problem)
        return sentences

    async def save(self, settings: Settings) -> None:
        """Keep other settings; PeopleError leaves everything as it was."""
        await asyncio.to_thread(save_settings, self.profile.settings_path, settings)
        self.saved = settings
        self.settings = self._adjust(settings)

    # Passwords ------------------------------------------------------------------------------------------------

    def password(self, name: str) -> str | None:
        """The password of an account's address, or of a TURN server by `turn_secret_name`; None when none is known."""
        return self._passwords.get(name)

    async def save_password(self, name: str, password: str) -> None:
        await asyncio.to_thread(lambda: self._secrets.set(name, password))
        self._passwords[name] = password

    async def save_turn_passwords(self, servers: Iterable[TurnServer]) -> None:
        """Keep the password, or the shared secret, of each server that came with one."""
        for server in servers:
            given = server.secret if server.time_limited else server.password
            if given:
                await self.save_password(turn_secret_name(server), given)

    async def find_password(self, name: str) -> None:
        """Look for a password that was kept earlier."""
        if name not in self._passwords:
            password = await asyncio.to_thread(lambda: self._secrets.get(name))
            if password is not None:
                self._passwords[name] = password

    async def forget_password(self, name: str) -> None:
        await asyncio.to_thread(lambda: self._secrets.delete(name))
        self._passwords.pop(name, None)

    @property
    def _secrets(self) -> Secrets:
        """The keyring, or the file that stands for it. Opening and every use of it block."""
        if self._opened is None:
            from app.people.secrets import Secrets

            self._opened = Secrets(self.profile)
        return self._opened


def turn_secret_name(server: TurnServer) -> str:
    """Under which name a TURN password is kept."""
    return f"turn {server.username}@{server.server}"


def endpoint_facts(settings: Settings) -> tuple[object, ...]:
    """What the SIP endpoint is built from: a change here needs a new one."""
    network = settings.network
    trickles = network.trickle is not TrickleMode.OFF
    return (
        network.sip_port,
        network.interfaces,
        network.ca_file,
        network.find_neighbours,
        trickles,
        settings.display_name,
    )


def with_endpoint_facts_of(settings: Settings, other: Settings) -> Settings:
    """The same settings for an endpoint as `other` has it."""
    network = replace(
        settings.network,
        sip_port=other.network.sip_port,
        interfaces=other.network.interfaces,
        ca_file=other.network.ca_file,
        find_neighbours=other.network.find_neighbours,
        trickle=other.network.trickle,
    )
    return replace(settings, network=network, display_name=other.display_name)


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "Parley"
