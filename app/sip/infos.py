"""The INFO requests of one session (RFC 6086), each when it cannot overtake another request of ours.

In a dialog a request whose number is lower than that of the last one is refused with 500 (RFC 3261 section 12.2.2).
Over UDP an INFO that is sent right behind a PRACK or a re-INVITE may come before it, and would make that one fail: so
it waits for their answers, and of those that wait in a dialog only the newest is sent.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from app.sip.dialogs import Dialog
from app.sip.errands import Errand
from app.sip.events import InfoAnswered
from app.sip.hops import Hop
from app.sip.info_packages import content_type_of, package_of
from app.sip.message import Request, Response
from app.sip.session_states import SessionState
from app.sip.transactions import TIMED_OUT

if TYPE_CHECKING:
    from app.sip.sessions import InviteSession

IN_DIALOG = (SessionState.CALLING, SessionState.INCOMING, SessionState.ACCEPTED, SessionState.CONFIRMED)


class Infos:
    """Owns the PRACKs of its session too, since an INFO must wait for them."""

    def __init__(self, session: InviteSession) -> None:
        self._session = session
        self._waiting: dict[str, tuple[Dialog, str, bytes]] = {}  # by the far end's tag
        self._under_way: Counter[str] = Counter()

    def send(self, dialog: Dialog, package: str, body: bytes) -> None:
        """Send this as soon as may be, instead of one that waits."""
        self._waiting[dialog.remote_tag] = dialog, package, body
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, if its turn has come."""
        if self._session.state not in IN_DIALOG:
            self._waiting.clear()
            return
        for tag, (dialog, package, body) in list(self._waiting.items()):
            if self._under_way[tag] or self._session.offers.is_under_way:
                continue
            del self._waiting[tag]
            request = dialog.build("INFO")
            request.headers.add("Info-Package", package)
            request.headers.add("Content-Type", content_type_of(package))
            request.headers.add("Content-Disposition", "Info-Package")
            request.body = body
            self.begin(request, dialog)

    def begin(self, request: Request, dialog: Dialog) -> None:
        """Send an INFO or a PRACK."""
        self._under_way[dialog.remote_tag] += 1
        self._session.send(request, dialog, self)

    # From the errands --------------------------------------------------------

    def on_response(self, errand: Errand, response: Response, source: Hop) -> None:
        if response.status >= 200:
            self._answered(errand, response.status)

    def on_failure(self, errand: Errand, cause: str, sentence: str) -> None:
        self._answered(errand, 408 if cause == TIMED_OUT else 503)

    def _answered(self, errand: Errand, status: int) -> None:
        tag, package = errand.request.to.tag or "", package_of(errand.request)
        self._under_way[tag] -= 1
        if package is not None:
            self._session.emit(InfoAnswered(self._session, package, status, tag))
        self.go_on()
