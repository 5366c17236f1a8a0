"""What user agents and proxies do to messages on the way in and out: Via handling, keys for matching, CANCEL and ACK.

RFC 3261 sections 8.1.3.3, 9.1, 17.1.1.3, 17.1.3, 17.2.3, 18.1, 18.2; RFC 3581. Pure functions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from app.settings import HostPort
from app.sip.errors import ParseError
from app.sip.headers import BRANCH_COOKIE, Via
from app.sip.hops import DEFAULT_PORTS, Hop
from app.sip.message import Headers, Request, Response

_TOKEN_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_token(rng: random.Random, length: int = 16) -> str:
    """Letters and digits for tags, branches and Call-IDs; 16 of them hold 82 bits."""
    return "".join(rng.choices(_TOKEN_ALPHABET, k=length))


def new_branch(rng: random.Random) -> str:
    return BRANCH_COOKIE + new_token(rng)


def push_via(request: Request, hop: Hop, branch: str) -> Request:
    """A copy of `request` with a Via of ours on top; it asks for rport (RFC 3581)."""
    local = hop.local or HostPort("0.0.0.0", DEFAULT_PORTS[hop.transport])
    via = Via(hop.transport.upper(), local.host, local.port, (("rport", None), ("branch", branch)))
    headers = request.headers.copy()
    headers.prepend("Via", str(via))
    return Request(request.method, request.uri, headers, request.body)


def learn_source(request: Request, source: Hop) -> None:
    """Write into the top Via where the request really came from (section 18.2.1, RFC 3581 section 4)."""
    via = request.top_via
    learned = via.with_source(source.remote.host, source.remote.port)
    if learned != via:
        request.headers.replace_first("Via", learned)


def reply_hop(request: Request, source: Hop) -> Hop:
    """Where the responses go (section 18.2.2): the connection it came on, or back to the address it came from.

    maddr is not followed: it would let a stranger choose whom we send to.
    """
    via = request.top_via
    default = DEFAULT_PORTS.get(source.transport, 5060)
    if source.transport == "udp":
        port = source.remote.port if via.wants_rport else via.port or default
        return Hop("udp", HostPort(source.remote.host, port), source.local)
    # Where the connection has closed meanwhile, the sent-by port is where the far end listens.
    return Hop(
        source.transport, HostPort(source.remote.host, via.port or default), source.local, connection=source.connection
    )


def option_tags(message: Request | Response, name: str) -> frozenset[str]:
    """The option tags of Supported or Require in lower case; an unreadable list says nothing."""
    try:
        return frozenset(tag.lower() for tag in message.headers.all(name))
    except ParseError:
        return frozenset()


def response_key(response: Response) -> tuple[str, ...]:
    """What a client transaction is found by (section 17.1.3)."""
    return (response.top_via.branch or "", response.cseq.method)


def same_sent_by(response: Response, request: Request) -> bool:
    """Whether the top Via of a response is the one this request was sent with."""
    theirs, ours = response.top_via, request.top_via
    return (theirs.host.lower(), theirs.port, theirs.transport) == (ours.host.lower(), ours.port, ours.transport)


def server_key(request: Request, *, method: str) -> tuple[str, ...]:
    """What a server transaction is found by (section 17.2.3); `method` INVITE for an ACK or a CANCEL's target.

    Without the magic cookie the far end speaks RFC 2543, and the fields that it repeats must do.
    """
    via = request.top_via
    branch = via.branch or ""
    sent_by = f"{via.host.lower()}:{via.port}"
    if branch.startswith(BRANCH_COOKIE) and len(branch) > len(BRANCH_COOKIE):
        return (branch, sent_by, method)
    return (
        "2543",
        sent_by,
        branch,
        str(request.uri),
        request.from_.tag or "",
        request.call_id,
        str(request.cseq.number),
        method,
    )


def merge_key(request: Request) -> tuple[str, ...]:
    """Equal for the same request that came over two paths (section 8.2.2.2)."""
    return (request.from_.tag or "", request.call_id, str(request.cseq.number), request.method)


def _hop_by_hop(request: Request, method: str, to: str) -> Headers:
    """The header fields that the CANCEL of a request, and the ACK of its refusal, take over from it."""
    headers = Headers()
    headers.add("Via", str(request.top_via))
    for route in request.headers.rows("Route"):
        headers.add("Route", route)
    headers.add("Max-Forwards", "70")
    headers.add("From", request.headers.get("From") or "")
    headers.add("To", to)
    headers.add("Call-ID", request.call_id)
    headers.add("CSeq", f"{request.cseq.number} {method}")
    return headers


def build_cancel(request: Request, extra: Iterable[tuple[str, str]] = ()) -> Request:
    """The CANCEL of an INVITE as it was sent, with its one Via (section 9.1)."""
    headers = _hop_by_hop(request, "CANCEL", request.headers.get("To") or "")
    for name, value in extra:
        headers.add(name, value)
    return Request("CANCEL", request.uri, headers)


def ack_for_refusal(request: Request, response: Response) -> Request:
    """The ACK that the INVITE client transaction itself sends for a 3xx–6xx (section 17.1.1.3)."""
    return Request("ACK", request.uri, _hop_by_hop(request, "ACK", response.headers.get("To") or ""))
