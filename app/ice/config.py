"""What an ICE session may use and how long it waits: plain data for the session and for the pure core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.settings import HostPort, IcePolicy, TurnServer


@dataclass(frozen=True, slots=True)
class Timing:
    """Every time and limit of the agent, seconds unless said otherwise; docs/ice.md explains the choices."""

    pacing_s: float = 0.02  # Ta: between two new checks; the larger of ours and the peer's counts (RFC 8445 14.2)
    rto_s: float = 0.5  # first retransmission of a check; doubles (RFC 8445 section 14.3)
    server_rto_s: float = 0.4  # the same toward a server while gathering: three sends fit its time
    retransmissions: int = 7  # Rc: how often one request is sent at most (RFC 8489 section 6.2.1)
    last_wait: float = 16.0  # Rm: after the last one, in units of the first RTO
    live_interval_s: float = 1.0  # the longest wait between two sends where the peer has been heard
    live_retransmissions: int = 16  # how often a request is sent there
    patience_s: float = 39.5  # the PAC timer: a stream does not fail before, however bad it looks (RFC 8863)
    notice_s: float = 8.0  # still no path: the person is told so, and why so far
    direct_wait_s: float = 0.3  # after the first valid pair: how long a better direct pair may still come
    answers_s: float = 0.05  # … but no longer than this after it was asked …
    answers_rtts: float = 3.0  # … and so many round trips of the valid one
    relay_wait_s: float = 0.6  # the same while the best valid pair is relayed and a direct one is still tried
    consent_interval_s: float = 5.0  # times 0.8 to 1.2 (RFC 7675 section 5.1)
    consent_timeout_s: float = 30.0
    quiet_s: float = 0.5  # data flowed and then nothing for so long, or for twice its longest recent gap: ask
    answer_wait_s: float = 0.2  # an answer is late after this, or after twice the round trip
    burst_s: float = 0.15  # between the checks that find out whether a path is dead
    burst_checks: int = 4  # that many must stay unanswered
    silent_s: float = 1.2  # without any sign of the peer: time to prepare a restart
    interrupted_s: float = 2.5  # the same: time to show it
    one_way_s: float = 4.0  # the peer is heard, but no check is answered for so long …
    one_way_checks: int = 10  # … and that many: our own datagrams do not arrive
    one_way_burst_s: float = 0.4
    probe_s: float = 0.5  # between checks on an interrupted path
    expired_probe_s: float = 1.0  # the same after consent has expired …
    expired_probing_s: float = 300.0  # … for so long
    keepalive_s: float = 15.0  # binding indications towards servers while nothing is selected (RFC 8445 section 11)
    linger_s: float = 3.0  # how long unused candidates live on after completion (RFC 8445 section 8.3)
    max_pairs: int = 100  # of all streams together (RFC 8445 section 6.1.2.5)
    max_remote_candidates: int = 32  # signalled, per stream
    max_learned_candidates: int = 16  # peer-reflexive, per stream


Tap = Callable[[bool, tuple[str, int], tuple[str, int], bytes], None]  # outgoing, local, remote, datagram


class Pool(Protocol):
    """Where a session may find what was gathered ahead of it: an IcePool of pool.py, which gives an Ahead or None."""

    def take(self, config: IceConfig, controlling: bool, flows: Sequence[str]) -> object | None: ...


@dataclass(frozen=True, slots=True)
class IceConfig:
    """What one session may use. No server is ever asked that does not stand here.

    `interfaces` are names or addresses; empty means all that are up, loopback only if nothing else is.
    `clock_zero` is what time.monotonic() said when the engine started: the snapshot's times count from there.
    `tap` is shown every datagram as it goes over the wire, for a packet capture.
    """

    stun_servers: tuple[HostPort, ...] = ()
    turn_servers: tuple[TurnServer, ...] = ()
    policy: IcePolicy = IcePolicy.ALL
    interfaces: tuple[str, ...] = ()
    server_timeout_s: float = 1.5  # what one silent server may cost while there are host candidates
    ca_file: str | None = None  # PEM file of authorities to trust for turns: servers
    proxy: str = field(default="", repr=False)  # URL for TURN over TCP and TLS; "" means as the environment says
    hide_addresses: bool = False  # host candidates name `<random>.local` instead of an address
    tcp: bool = True  # host candidates for TCP too (RFC 6544)
    timing: Timing = Timing()
    clock_zero: float = 0.0
    tap: Tap | None = None
    pool: Pool | None = field(default=None, compare=False, repr=False)  # what was gathered ahead is taken from it
