"""The home server of this run, and its `echo` contact: an ordinary endpoint that answers at once and sends back.

The server itself is app/home, which knows no media; the echo is app/calls on a SIP endpoint of its own, bound to the
server's registrar from inside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.calls.manager import CallManager
from app.calls.services import CallServices
from app.diagnosis.causes import explain_end
from app.engine.errors import EngineError
from app.engine.options import HomeOptions
from app.events import HomeChanged
from app.home.accounts import HomeUser
from app.home.config import HomeConfig
from app.home.errors import HomeError
from app.home.server import HomeServer
from app.ice.config import IceConfig
from app.media.certificate import Certificate
from app.settings import HostPort, MediaSettings, Settings
from app.sip.config import SipConfig
from app.sip.endpoint import SipEndpoint
from app.sip.errors import SipError

ECHO_USER = "echo"


class EngineHome:
    """Serves on this machine; EngineError with a sentence when its ports cannot be had."""

    def __init__(
        self, options: HomeOptions, settings: Settings, certificate: Certificate, clock: Callable[[], float]
    ) -> None:
        self._options = options
        self._settings = settings
        self._certificate = certificate
        self._clock = clock
        self._server: HomeServer | None = None
        self._echo: SipEndpoint | None = None
        self._echo_calls: CallManager | None = None

    async def open(self) -> None:
        options = self._options
        users = tuple(HomeUser.from_password(name, options.realm, password) for name, password in options.users)
        config = HomeConfig(
            listen=(options.listen,),
            sip_port=options.sip_port,
            turn_port=options.turn_port,
            turn_tls_port=options.turn_tls_port,
            users=users,
            realm=options.realm,
            tls_cert=str(options.tls_certificate) if options.tls_certificate else None,
            tls_key=str(options.tls_key) if options.tls_key else None,
            ca_file=self._settings.network.ca_file,
            allow_own_peers=options.allow_loopback_peers,
            digests=("MD5",) if options.md5_only else ("SHA-256", "MD5"),
        )
        self._server = HomeServer(config)
        try:
            await self._server.start()
            await self._open_echo()
        except (HomeError, SipError) as error:
            await self.close()
            raise EngineError(str(error)) from error

    async def _open_echo(self) -> None:
        assert self._server is not None
        host = "127.0.0.1" if self._options.listen in ("0.0.0.0", "::") else self._options.listen
        config = SipConfig(sip_port=0, bind=(host,), user=ECHO_USER, display_name="Echo test")
        self._echo = SipEndpoint(config, on_event=self._on_sip)
        await self._echo.start()
        network = self._settings.network
        services = CallServices(
            sip=self._echo,
            settings=Settings(media=MediaSettings(audio_from="silence", audio_to="null", video_to="null")),
            ice_config=IceConfig(interfaces=network.interfaces),
            certificate=self._certificate,
            clock=self._clock,
            explain=explain_end,
            echo=True,
        )
        self._echo_calls = CallManager(services, answer_at_once=True)
        self._server.bind_local(ECHO_USER, f"sip:{ECHO_USER}@{HostPort(host, self._echo.port)}")

    def _on_sip(self, event: object) -> None:
        if self._echo_calls is not None:
            self._echo_calls.on_sip(event)  # type: ignore[arg-type]

    @property
    def sip_address(self) -> HostPort:
        assert self._server is not None
        return self._server.sip_address

    def serving(self) -> HomeChanged:
        """Tell where this server is reached."""
        assert self._server is not None
        turns = self._server.turns_address
        return HomeChanged(
            True,
            str(self._server.sip_address),
            str(self._server.turn_address),
            turns_address=str(turns) if turns is not None else None,
        )

    @property
    def echo_uri(self) -> str:
        address = self.sip_address
        host = "127.0.0.1" if address.host in ("0.0.0.0", "::") else address.host
        return f"sip:{ECHO_USER}@{HostPort(host, address.port)}"

    async def close(self) -> None:
        if self._echo_calls is not None:
            await self._echo_calls.close()
        for part in (self._echo, self._server):
            if part is not None:
                await asyncio.shield(part.close())
