"""The engine on its own loop: builds every part of a run, and carries out the commands of the facade.

The home server, the neighbours, the keyring, devices and codecs are imported when a run needs them: a command that only
calls somebody has its INVITE on the wire before their modules would be read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from app import VERSION
from app.calls.call import Call
from app.calls.restarts import NetworkChange
from app.calls.services import CallServices
from app.diagnosis.causes import explain_end, explain_registration
from app.engine.calls import EngineCalls, monotonic_from
from app.engine.capture import PacketCapture
from app.engine.channels import EngineChannels
from app.engine.devices import EngineDevices
from app.engine.errors import EngineError
from app.engine.examination import examine_devices, examine_names, examine_registration
from app.engine.file_writer import FileWriter
from app.engine.kept import Kept, endpoint_facts, with_endpoint_facts_of
from app.engine.media_commands import CallMedia
from app.engine.network_report import Examination
from app.engine.network_watch import watch_network, why_unusable
from app.engine.options import EngineOptions, HomeMode
from app.engine.path_settings import ice_config
from app.engine.people import People
from app.engine.presence import watch_presence
from app.engine.targets import find_target
from app.engine.trace import TraceLog
from app.events import (
    CallFigures,
    Contact,
    EngineStarted,
    Event,
    HomeChanged,
    Problem,
    RegistrationChanged,
    RegistrationState,
    SettingsChanged,
    SipSeen,
    SipTrace,
)
from app.frames import FrameMailbox
from app.ice.candidates import normal_address
from app.ice.config import IceConfig
from app.media.certificate import Certificate
from app.media.loading import loaded
from app.owned_tasks import OwnedTasks
from app.people.store import StoreThread
from app.settings import Account, Settings, TrickleMode
from app.sip import events as sip_events
from app.sip.config import SipConfig, extensions
from app.sip.endpoint import SipEndpoint
from app.sip.errors import SipError
from app.sip.uri import SipUri

if TYPE_CHECKING:
    from app.engine.home import EngineHome
    from app.engine.neighbourhood import Neighbourhood

log = logging.getLogger(__name__)

REGISTRATION_WAIT_S = 10.0
LOAD_AFTER_S = 0.1  # codecs, once what was asked for at the start is under way


class EngineCore:
    """See the module. Used on the engine's loop only, except `pictures`."""

    def __init__(self, options: EngineOptions, publish: Callable[[Event], None]) -> None:
        self._options = options
        self._zero = options.clock_zero if options.clock_zero is not None else time.monotonic()
        self._clock = monotonic_from(self._zero)
        self._kept = Kept(options)
        self.channels = EngineChannels(self._kept, publish, self._clock, keeps=options.keep_missions)
        self._publish = publish = self.channels.overhear
        self._store = StoreThread(self._kept.profile.database_path)
        self._people = People(self._store, publish)
        self._sip: SipEndpoint | None = None
        self._calls: EngineCalls | None = None
        self.media = CallMedia(lambda: self._running_calls().manager, publish)
        self._home: EngineHome | None = None
        self._neighbourhood: Neighbourhood | None = None
        self._capture: PacketCapture | None = None
        self.devices = EngineDevices(publish)
        self._trace = TraceLog(self._zero, self._saw_message)
        self._registration = RegistrationChanged("", RegistrationState.NONE)
        self._registration_settled = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._open_done: asyncio.Event = asyncio.Event()
        self._open_error: str | None = None
        self._restarting = asyncio.Lock()
        self._restart_due: Settings | None = None  # put off until no call is left; these were in use until then
        self._of_endpoint = OwnedTasks("endpoint")  # what asks through the SIP endpoint, and ends with it
        self._tasks = OwnedTasks("engine", lambda failure: publish(Problem("engine", f"Something failed: {failure}")))

    # Opening and closing --------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Read the profile, open the sockets, and publish what there is."""
        self._opening = asyncio.current_task()
        try:
            await self._open()
        except asyncio.CancelledError:
            self._open_error = "Parley was closed before it was ready."
            raise
        except Exception as error:
            self._open_error = str(error)
            raise
        finally:
            self._opening = None
            self._open_done.set()

    async def wait_open(self) -> None:
        await self._open_done.wait()
        if self._open_error is not None:
            raise EngineError(self._open_error)

    async def _open(self) -> None:
        problems = await asyncio.to_thread(self._kept.read)
        await asyncio.to_thread(self._open_files)
        problem = await self._store.open()
        self._certificate = Certificate.generate()
        await self._people.load()
        await self._start_sip()
        self._publish(EngineStarted(self._clock(), str(self._kept.profile.root)))
        for sentence in (*problems, *([problem] if problem else [])):
            self._publish(Problem("disk", sentence))
        serves = self._options.home is HomeMode.SERVE
        if serves or (self._options.home is HomeMode.AUTO and self.account is None):
            await self._start_home()
        self._tasks.start(watch_network(self._network_changed), "watch the network")
        self._tasks.start(self.channels.open(), "open missions")
        if self._options.ring:
            self.devices.watch()
        if self._options.take_calls and not serves:
            self._tasks.start(self._load_media(), "load codecs")

    def _network_changed(self, change: NetworkChange) -> None:
        """Be found at the new address at once, not at the next refresh, and take the calls along."""
        unusable = why_unusable(change, self._bind_addresses())
        if unusable is not None:
            self._publish(Problem("network", unusable))
        if self._sip is not None and (change.new or change.gone or change.woke):
            log.info("this machine's network has changed: %s", change)
            self._sip.network_changed(change.gone)
        if self._calls is not None:
            self._calls.network_changed(change)
        self.channels.network_changed()

    def _open_files(self) -> None:
        """Open what this run writes down of the wire. Blocks."""
        try:
            trace_path, pcap_path = self._options.sip_trace_file, self._options.pcap_file
            self._capture = PacketCapture(pcap_path) if pcap_path is not None else None
            self.channels.capture = self._capture
            trace_file = FileWriter(trace_path) if trace_path is not None else None
        except OSError as error:
            raise EngineError(f"What goes over the wire cannot be written: {error}.") from error
        self._trace = TraceLog(self._zero, self._saw_message, trace_file, self._capture)

    async def close(self) -> None:
        """End calls first, so that nobody at the other end is left hanging, then everything else."""
        if self._opening is not None:
            self._opening.cancel()
            await self._open_done.wait()
        await self._tasks.close()
        await self.channels.close()
        await self._stop_sip()
        await self.devices.close()
        if self._home is not None:
            await self._home.close()
        await self._store.close()
        await asyncio.to_thread(self._trace.close)
        self._kept.profile.release()

    async def _start_sip(self) -> None:
        settings = self._kept.settings
        account = self.account
        serves = self._options.home is HomeMode.SERVE
        sip_port = settings.network.sip_port
        if serves or (sip_port is None and not self._options.take_calls):
            sip_port = 0  # 5060 is left to who serves and to who can be called, on this machine too
        config = SipConfig(
            sip_port=sip_port,
            # The own endpoint of a home server for others serves nobody and stays inside.
            bind=("127.0.0.1",) if serves else self._bind_addresses(),
            user=self._kept.user_name,
            display_name=self._kept.own_name,
            account=account,
            password=(lambda: self._kept.password(account.address)) if account else None,
            ca_file=settings.network.ca_file,
            supported=extensions(trickle=settings.network.trickle is not TrickleMode.OFF),
        )
        try:
            self._sip = SipEndpoint(config, on_event=self._on_sip, on_trace=self._trace.add)
            await self._sip.start()
        except SipError as error:
            raise EngineError(str(error)) from error
        services = CallServices(
            sip=self._sip,
            settings=settings,
            ice_config=self._ice_config(),
            certificate=self._certificate,
            clock=self._clock,
            explain=explain_end,
            peers=self._people.peers,
        )
        self._calls = EngineCalls(
            services,
            self._people,
            self._publish,
            ring=self._options.ring,
            on_connected=lambda: self.devices.watch_for(self._kept.settings.media),
            on_idle=self._restart_if_due,
        )
        self._calls.start()
        self._registration_settled.clear()
        if account is not None and account.register:
            self._sip.register()
        else:
            state = RegistrationState.NONE
            self._registration = RegistrationChanged("", state, own_uri=self._sip.own_uri())
            self._publish(self._registration)
        if self._options.neighbours and settings.network.find_neighbours:
            self._of_endpoint.start(self._announce(self._sip), "find neighbours")
        if self._options.watch_presence:
            people = self._people
            self._of_endpoint.start(watch_presence(self._sip, lambda: people.watched, people.learn), "presence")

    async def _stop_sip(self) -> None:
        await self._of_endpoint.close()
        if self._neighbourhood is not None:
            await self._neighbourhood.close()
            self._neighbourhood = None
        if self._calls is not None:
            await self._calls.close()
        if self._sip is not None:
            await self._sip.close()

    def _bind_addresses(self) -> tuple[str, ...]:
        """The addresses among the named interfaces; names of interfaces restrict ICE only."""
        return tuple(name for name in self._kept.settings.network.interfaces if normal_address(name) is not None)

    def _ice_config(self) -> IceConfig:
        return ice_config(
            self._kept.settings.network,
            self._kept.password,
            patience_s=self._options.ice_patience_s,
            clock_zero=self._zero,
            tap=self._capture.datagram if self._capture is not None else None,
        )

    async def _start_home(self) -> None:
        if self._home is not None:
            return
        from app.engine.home import EngineHome

        self._home = EngineHome(self._options.home_options, self._kept.settings, self._certificate, self._clock)
        try:
            await self._home.open()
        except EngineError as error:
            self._home = None
            self._publish(HomeChanged(False, sentence=str(error)))
            if self._options.home is HomeMode.SERVE:
                raise
            return
        self._people.set_echo(self._home.echo_uri)
        self._publish(self._home.serving())

    async def _announce(self, sip: SipEndpoint) -> None:
        from app.engine.neighbourhood import Neighbourhood

        self._neighbourhood = Neighbourhood(self._people.set_neighbours)
        try:
            uri = SipUri.parse(sip.own_uri())
            here = str(replace(uri, port=sip.port))  # an announcement names its port, even 5060
            await self._neighbourhood.open(self._kept.own_name, here, self._kept.settings.network.interfaces, VERSION)
        except EngineError as error:
            self._publish(Problem("network", str(error)))

    async def _load_media(self) -> None:
        """Have everything there when the first call comes in: nobody waits for it at the other end then."""
        await asyncio.sleep(LOAD_AFTER_S)
        await loaded()

    # What SIP says --------------------------------------------------------------------------------------------

    def _on_sip(self, event: sip_events.SipEvent) -> None:
        if isinstance(event, sip_events.RegistrationChanged):
            self._registered(event)
            if self._calls is not None:
                self._calls.on_sip(event)
        elif isinstance(event, sip_events.IncomingInvite) and not self._options.take_calls:
            event.session.reject(480)
        elif self._calls is not None:
            self._calls.on_sip(event)

    def _registered(self, event: sip_events.RegistrationChanged) -> None:
        account = self.account
        self._registration = RegistrationChanged(
            account=account.address if account else "",
            state=event.state,
            status=event.status,
            sentence=explain_registration(
                event.state, event.status, event.reason, account=account.address if account else ""
            ),
            transport=event.transport,
            expires_s=event.expires_s,
            own_uri=account.address if account else None,
        )
        self._publish(self._registration)
        if event.state in (RegistrationState.REGISTERED, RegistrationState.FAILED):
            self._registration_settled.set()

    def _saw_message(self, trace: SipTrace) -> None:
        # The session that a message opens exists only after this turn of the loop.
        asyncio.get_running_loop().call_soon(self._publish_message, trace)

    def _publish_message(self, trace: SipTrace) -> None:
        call_id = self._calls.call_of(trace.call_id_header) if self._calls is not None else None
        self._publish(SipSeen(replace(trace, call_id=call_id)))

    # Commands: calls ------------------------------------------------------------------------------------------

    @property
    def account(self) -> Account | None:
        return self._kept.account

    def _running_calls(self) -> EngineCalls:
        if self._calls is None:
            raise EngineError("Parley is not ready yet; try again in a moment.")
        return self._calls

    async def place(self, target: str, *, video: bool) -> str:
        calls = self._running_calls()
        if self._home is None and self._options.home is HomeMode.ON_DEMAND and target.strip().casefold() == "echo":
            await self._start_home()
        names = self._people.contacts
        found = find_target(
            "Echo test" if self._home and target.strip().casefold() == "echo" else target, names, self.account
        )
        return calls.manager.place(found.uri, found.name, video=video).call_id

    async def expect_call(self, *, video: bool) -> None:
        self._running_calls().expect_call(video=video)

    async def answer(self, call_id: str, *, video: bool) -> None:
        self._running_calls().manager.answer(call_id, video=video)

    async def decline(self, call_id: str) -> None:
        self._running_calls().manager.get(call_id).decline()

    async def hang_up(self, call_id: str) -> None:
        self._running_calls().manager.get(call_id).hang_up()

    async def change_call(self, call_id: str, change: Callable[[Call], None]) -> None:
        change(self._running_calls().manager.get(call_id))

    async def figures(self, call_id: str) -> CallFigures | None:
        return self._running_calls().figures(call_id)

    async def sip_trace(self, call_id: str | None) -> tuple[SipTrace, ...]:
        return self._trace.of_call(None if call_id is None else self._running_calls().sip_ids(call_id))

    def pictures(self, call_id: str) -> tuple[FrameMailbox, FrameMailbox]:
        return self._calls.pictures(call_id) if self._calls is not None else (FrameMailbox(), FrameMailbox())

    # Commands: people, account, settings, devices ---------------------------------------------------------------

    async def add_contact(self, name: str, uri: str, favourite: bool) -> Contact:
        return await self._people.add(name, self._checked_address(uri), favourite)

    async def update_contact(self, contact: Contact) -> None:
        await self._people.update(replace(contact, uri=self._checked_address(contact.uri)))

    def _checked_address(self, text: str) -> str:
        return find_target(text, (), self.account).uri

    async def remove_contact(self, contact_id: str) -> None:
        await self._people.remove(contact_id)

    async def clear_history(self) -> None:
        await self._people.clear_history()

    async def mark_history_seen(self) -> None:
        await self._people.mark_history_seen()

    async def set_account(self, account: Account, password: str) -> RegistrationChanged:
        self._refuse_during_call()
        try:
            find_target(account.address, (), None)
        except EngineError as error:
            raise EngineError(f"The address cannot be used: {error}") from error
        if password:
            await self._kept.save_password(account.address, password)
        else:
            await self._kept.find_password(account.address)
        await self._keep_and_restart(replace(self._kept.saved, accounts=(account,)))
        if not account.register:
            return self._registration
        try:
            await asyncio.wait_for(self._registration_settled.wait(), REGISTRATION_WAIT_S)
        except TimeoutError:
            sentence = explain_registration(RegistrationState.FAILED, 408, None, account=account.address)
            return RegistrationChanged(account.address, RegistrationState.FAILED, 408, sentence)
        return self._registration

    async def remove_account(self) -> None:
        self._refuse_during_call()
        account = self.account
        if account is None:
            return
        await self._kept.forget_password(account.address)
        await self._keep_and_restart(replace(self._kept.saved, accounts=()))
        if self._options.home is HomeMode.AUTO:
            await self._start_home()

    async def password_kept(self) -> bool:
        account = self.account
        return account is not None and self._kept.password(account.address) is not None

    async def get_settings(self) -> Settings:
        """What is kept, without the flags of this run: whoever changes it and hands it back keeps no flag for good."""
        return self._kept.saved

    async def change_settings(self, settings: Settings) -> None:
        calls = self._running_calls()
        await self._kept.save_turn_passwords(settings.network.turn_servers)
        changes_endpoint = endpoint_facts(settings) != endpoint_facts(self._kept.saved)
        if changes_endpoint and not calls.manager.calls:
            await self._keep_and_restart(settings)
            return
        self._restart_due = self._restart_due or (self._kept.saved if changes_endpoint else None)
        await self._keep(settings)
        calls.update(self._kept.settings, self._ice_config())

    async def _keep(self, settings: Settings) -> None:
        await self._kept.save(settings)
        self._publish(SettingsChanged())

    async def _keep_and_restart(self, settings: Settings) -> None:
        """Keep settings that need another endpoint; where there cannot be one, everything stays as it was."""
        async with self._restarting:
            before = with_endpoint_facts_of(settings, self._restart_due) if self._restart_due else self._kept.saved
            self._restart_due = None
            await self._keep(settings)
            try:
                await self._restart_sip()
            except EngineError:
                await self._keep(before)
                await self._restart_sip()
                raise

    def _restart_if_due(self) -> None:
        """No call is left: what was put off for it happens now."""
        if self._restart_due and not self._restarting.locked():
            self._tasks.start(self._restart_late(), "other settings")

    async def _restart_late(self) -> None:
        try:
            await self._keep_and_restart(self._kept.saved)
        except EngineError as error:
            self._publish(Problem("network", str(error)))

    async def examine(self) -> Examination:
        """Everything `parley doctor` checks, except the call to itself."""
        from app.engine.network_examination import examine_network

        findings = examine_devices(*await self.devices.read())
        findings += await examine_names(self._kept.settings, self.account)
        found, network = await examine_network(self._ice_config())
        findings += found
        if self.account is not None and self.account.register:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._registration_settled.wait(), REGISTRATION_WAIT_S)
        findings.append(examine_registration(self.account, self._registration))
        return Examination(tuple(findings), network)

    def _refuse_during_call(self) -> None:
        if self._running_calls().manager.calls:
            raise EngineError("Hang up first: the account cannot be changed during a call.")

    async def _restart_sip(self) -> None:
        await self._stop_sip()
        await self._start_sip()
        if self.account is not None and self._home is not None and self._options.home is HomeMode.AUTO:
            await self._home.close()
            self._home = None
            self._people.set_echo(None)
            self._publish(HomeChanged(False))
