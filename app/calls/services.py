"""What every call of one endpoint shares: the endpoint itself, settings, identity, clock, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from app.calls.known_peers import KnownPeers
from app.events import EndedBy, EndKind
from app.ice.config import IceConfig
from app.media.certificate import Certificate
from app.settings import Settings
from app.sip.endpoint import SipEndpoint

if TYPE_CHECKING:
    from app.calls.call import Call


class TellProblem(Protocol):
    """Told of something that a person should know of a call; `about` as in app.events.Problem."""

    def __call__(self, call: Call, sentence: str, about: str) -> None: ...


class Explain(Protocol):
    """Puts the end of a call into one sentence for a person."""

    def __call__(
        self, kind: EndKind, status: int | None, detail: str | None, *, by: EndedBy | None, name: str
    ) -> str | None: ...


@dataclass(frozen=True, slots=True)
class CallServices:
    """Given to each call when it begins; later settings hold for later calls."""

    sip: SipEndpoint
    settings: Settings
    ice_config: IceConfig
    certificate: Certificate
    clock: Callable[[], float]  # seconds since the engine started
    explain: Explain
    on_change: Callable[[Call], None] = lambda call: None
    on_key: Callable[[Call, str], None] = lambda call, key: None  # the peer pressed a key of its telephone
    on_problem: TellProblem = lambda call, sentence, about: None
    peers: KnownPeers = field(default_factory=KnownPeers)
    echo: bool = False
