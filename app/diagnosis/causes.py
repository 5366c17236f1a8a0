"""Why a call or a registration ended as it did: one sentence for a person, with what to do.

The only place where such sentences are made. Statuses: RFC 3261 section 21 and the extensions named at their rows.
What a peer or a server said is quoted, cut short; it never becomes the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from app.events import EndedBy, EndKind, RegistrationState

QUOTE_LIMIT = 120

# (what the transport's or the system's words contain, what happened, what to do). First match wins.
_CONNECTION_TROUBLES: tuple[tuple[str, str, str], ...] = (
    (
        r"certificate|verify failed|self.signed|hostname mismatch",
        "the TLS certificate of {server} could not be verified",
        "check the address, this computer's clock, or name the issuing authority's file in the settings (CA file)",
    ),
    (
        r"\btls\b|\bssl\b|handshake",
        "no secure connection to {server} could be made",
        "check that its port is the one for TLS",
    ),
    (
        r"name or service not known|no address|name resolution|nodename|getaddrinfo|\bdns\b|no such host|no records?",
        "the name of {server} is not known to the DNS",
        "check how the address is spelled and that this computer is online",
    ),
    (
        r"refused",
        "{server} refused the connection",
        "check the port, and that the server is running",
    ),
    (
        r"unreachable|no route|network is down|no network",
        "there is no way from this computer's network to {server}",
        "check the network connection",
    ),
    (
        r"timed? ?out|no answer|no response|no reply",
        "{server} did not answer",
        "check the address and the network connection, and whether a firewall lets SIP through",
    ),
    (
        r"too large|message too long",
        "a message was too large for the network to {server}",
        "choose TCP as transport in the account",
    ),
)

_KINDS: dict[EndKind, tuple[str, str]] = {
    EndKind.HUNG_UP: ("the call was ended", ""),
    EndKind.CANCELLED: ("the call was cancelled before it was answered", ""),
    EndKind.DECLINED: ("{name} declined the call", "try again later, or write"),
    EndKind.BUSY: ("{name} is in another call", "try again later"),
    EndKind.NO_ANSWER: ("{name} did not answer", "try again later"),
    EndKind.NOT_FOUND: ("nobody is known by the address of {name}", "check how it is spelled"),
    EndKind.UNAVAILABLE: (
        "{name} cannot be reached now",
        "they are not signed in, or their phone is off: try again later",
    ),
    EndKind.REFUSED: ("the call was refused", "try again later, or ask whoever runs the server"),
    EndKind.WRONG_PASSWORD: (
        "the server did not accept the user name and password",
        "correct them in the account dialog",
    ),
    EndKind.SERVER_UNREACHABLE: (
        "{server} cannot be reached",
        "check the address and the network connection",
    ),
    EndKind.CHECKS_FAILED: (
        "no network path to {name} was found, so nobody's phone rang",
        "set a TURN server in the settings on one side, or check whether a firewall blocks UDP",
    ),
    EndKind.SECURITY_FAILED: (
        "the encryption with {name} could not be set up safely, so the call was stopped",
        "call again, and if it happens again do not trust this network",
    ),
    EndKind.NOTHING_IN_COMMON: (
        "{name}'s phone and this one share no codec or no encryption",
        "allow more codecs, or the encryption \u201cbest\u201d, in the settings",
    ),
    EndKind.BAD_DESCRIPTION: (
        "the two phones did not understand each other's description of the call",
        "try another phone or version on one side, and keep the SIP messages for whoever mends it",
    ),
    EndKind.NETWORK_LOST: (
        "the connection to {name} was lost and did not come back",
        "check the network on both sides and call again",
    ),
    EndKind.ANSWERED_ELSEWHERE: ("the call was answered on another device", ""),
    EndKind.INTERNAL: (
        "something went wrong in Parley itself",
        "call again, and report the log if it happens again",
    ),
}

# What a status tells more exactly than the kind it was given.
_CALL_STATUSES: dict[int, tuple[str, str]] = {
    301: ("{name} has moved to another address", "ask for the new one"),
    302: ("{name} is at another address for now", "ask for it, or try again later"),
    402: ("the server wants this call to be paid for", "look at your account with the provider"),
    403: ("the server does not allow this call", "check the account's rights, or its password"),
    405: ("the far end takes no calls", "check the address"),
    408: ("{name} could not be reached in time", "try again later"),
    410: ("the address of {name} is no longer in use", "ask for a new one"),
    413: ("the far end found the call's description too large", "allow fewer codecs in the settings"),
    414: ("the address is too long for the server", "check it"),
    415: ("the far end does not understand this kind of call", "try a sip: address of a video phone"),
    416: ("the server does not know this kind of address", "use a sip: address"),
    420: ("the far end lacks something this call requires", "try with other settings for encryption or path"),
    421: ("the far end requires something this phone lacks", "report it with the SIP messages"),
    433: ("{name} takes no anonymous calls", "set a display name and an account"),
    481: ("{name}'s phone no longer knows this call", "it may have been started anew: call again"),
    482: ("the call went round in a circle between servers", "tell whoever runs the server"),
    483: ("the call passed through too many servers", "tell whoever runs the server"),
    484: ("the address of {name} is not complete", "add what is missing"),
    485: ("the address of {name} stands for several people", "use a fuller one"),
    491: ("both sides changed the call at the same moment", "try again"),
    500: ("the server had an error", "try again later"),
    501: ("the server cannot do this", "tell whoever runs it"),
    502: ("the server got nonsense from the next one", "try again later"),
    503: ("the server is overloaded or being worked on", "try again later"),
    504: ("the server waited in vain for the next one", "try again later"),
    505: ("the server speaks another version of SIP", "tell whoever runs it"),
    513: ("the call's first message was too large for the server", "allow fewer codecs in the settings"),
    580: ("the network could not promise what this call needs", "try again later"),
    607: ("{name} does not want this call", ""),
    608: ("a service that guards {name} against unwanted calls rejected this one", "ask them to allow you"),
}

# RFC 3261 section 10.3 and 21. What a registrar's answer means for the account.
_REGISTRATION_STATUSES: dict[int, tuple[str, str]] = {
    400: ("{server} did not understand the registration", "check the account's address and server"),
    401: ("{server} did not accept the password of {account}", "enter it again in the account dialog"),
    403: (
        "{server} does not allow {account} to register",
        "check user name and password, and that the account is active",
    ),
    404: ("{server} does not know {account}", "check how the address is spelled"),
    405: ("{server} takes no registrations", "check the server's address and port"),
    407: ("{server} did not accept the password of {account}", "enter it again in the account dialog"),
    408: ("{server} did not answer", "check its address and port, and the network connection"),
    410: ("the account {account} no longer exists on {server}", "ask whoever runs it"),
    416: ("{server} does not know this kind of address", "write it as sip:user@host"),
    420: ("{server} lacks something that the registration requires", "tell whoever runs it"),
    423: ("{server} wants longer registrations than it offered", "tell whoever runs it"),
    439: ("a server on the way to {server} cannot keep connections open", "choose another transport"),
    480: ("{server} is not ready", "Parley tries again by itself"),
    482: ("the registration went round in a circle", "check the server's address"),
    483: ("the registration passed through too many servers", "check the server's address"),
    500: ("{server} had an error", "Parley tries again by itself"),
    501: ("{server} takes no registrations", "check the server's address and port"),
    503: ("{server} is overloaded or being worked on", "Parley tries again by itself"),
    504: ("{server} waited in vain for another server", "Parley tries again by itself"),
    513: ("{server} found the registration too large", "choose TCP as transport in the account"),
}

_GENERIC_REFUSALS = (EndKind.REFUSED, EndKind.UNAVAILABLE, EndKind.NOT_FOUND, EndKind.NOTHING_IN_COMMON)
# How the sentences begin that gathering tells about this side; a peer's Reason never begins so.
_OWN_NETWORK = re.compile(
    r"(The|Nothing answers at the) (STUN |TURN )?server |The (proxy|address|file of authorities) "
    r"|This machine |No network "
)
# What the checks came to, as app/ice/failures.py puts it; the advice behind it is given by the kind.
_NO_WAY = re.compile(r"No way to the other side was found in \d+(?:\.\d+)? s: (.+?)\.(?: [A-Z]|$)")
_TELLING_STATUSES = frozenset({408, 410, 484})  # of the generic kinds, these say more than their kind


def explain_end(
    kind: EndKind,
    status: int | None = None,
    detail: str | None = None,
    *,
    by: EndedBy | None = None,
    name: str = "",
    server: str = "",
) -> str:
    """Say why a call ended and what to do.

    status: the SIP status, where one was received or sent. detail: what the part that failed said, or the text of the
    peer's Reason header (RFC 3326). name: who was called or who called; server: the server that was asked.
    """
    quoted = _quotable(detail)
    fill = _filler(name=name or "the other side", server=server or "the server", account="")
    if kind is EndKind.SERVER_UNREACHABLE:
        trouble = _trouble_in(detail)
        if trouble is not None:
            return _sentence(fill, *trouble)
        if status in _CALL_STATUSES and status != 408:
            return _sentence(fill, *_CALL_STATUSES[status], quoted)
    if kind is EndKind.CHECKS_FAILED and detail and _OWN_NETWORK.match(detail):
        return _sentence(fill, "no address was found at which this computer could be reached", "", quoted)
    if kind is EndKind.NETWORK_LOST and status == 481:
        return _sentence(fill, *_CALL_STATUSES[481])
    if kind is EndKind.NETWORK_LOST and detail and _OWN_NETWORK.match(detail):
        what = "this computer lost its network, and with it the connection to {name}"
        return _sentence(fill, what, "plug in a cable or join a wireless network, and call again")
    if kind is EndKind.HUNG_UP and by is not None:
        who = {EndedBy.LOCAL: "you hung up", EndedBy.REMOTE: "{name} hung up"}.get(by, _KINDS[kind][0])
        return _sentence(fill, who, "")
    if kind in (EndKind.CANCELLED, EndKind.DECLINED) and by is EndedBy.LOCAL:
        who = "you declined the call" if kind is EndKind.DECLINED else "you hung up before the call was answered"
        return _sentence(fill, who, "")
    if kind is EndKind.CANCELLED and by is EndedBy.REMOTE:
        return _sentence(fill, "{name} gave up before the call was answered", "")
    what, advice = _KINDS[kind]
    tried = _NO_WAY.match(detail) if kind is EndKind.CHECKS_FAILED and detail else None
    if tried is not None:
        return _sentence(fill, f"{what} ({_quotable(tried[1])})", advice)
    if status is not None and kind in _GENERIC_REFUSALS:
        if status in _CALL_STATUSES and (kind is EndKind.REFUSED or status in _TELLING_STATUSES):
            what, advice = _CALL_STATUSES[status]
        elif kind is EndKind.REFUSED:
            what = f"{what} with status {status}"
    return _sentence(fill, what, advice, quoted if _is_worth_quoting(kind) else "")


def explain_registration(
    state: RegistrationState,
    status: int | None = None,
    reason: str | None = None,
    *,
    account: str = "",
    server: str = "",
) -> str:
    """Say how the registration stands and, where it failed, why and what to do.

    reason: the registrar's phrase when there is a status, otherwise what failed in words.
    """
    fill = _filler(name="", server=server or "the server", account=account or "this account")
    if state is not RegistrationState.FAILED:
        return _sentence(
            fill,
            {
                RegistrationState.NONE: "no account is registered",
                RegistrationState.REGISTERING: "signing in to {server}",
                RegistrationState.REGISTERED: "signed in as {account}, and calls to it ring here",
                RegistrationState.UNREGISTERED: "signed out of {account}",
            }[state],
            "",
        )
    trouble = _trouble_in(reason)
    # A 408 or 503 without a server behind it is how a transport failure is told (RFC 3261 section 8.1.3.1).
    if trouble is not None and status in (None, 408, 503):
        return _sentence(fill, *trouble)
    quoted = _quotable(reason)
    if status is None:
        return _sentence(fill, "{server} cannot be reached", "check its address and the network connection", quoted)
    if status in _REGISTRATION_STATUSES:
        return _sentence(fill, *_REGISTRATION_STATUSES[status])
    what = f"{{server}} refused the registration of {{account}} with status {status}"
    return _sentence(fill, what, "check the account, or ask whoever runs the server", quoted)


def _is_worth_quoting(kind: EndKind) -> bool:
    """Where the part that failed, or the peer, knows more than the kind says."""
    return kind in (
        EndKind.REFUSED,
        EndKind.SECURITY_FAILED,
        EndKind.BAD_DESCRIPTION,
        EndKind.NOTHING_IN_COMMON,
        EndKind.SERVER_UNREACHABLE,
        EndKind.INTERNAL,
    )


def _trouble_in(detail: str | None) -> tuple[str, str] | None:
    """What connection trouble the words of a transport or of the system tell of."""
    if detail:
        for pattern, what, advice in _CONNECTION_TROUBLES:
            if re.search(pattern, detail, re.IGNORECASE):
                return what, advice
    return None


def _quotable(text: str | None) -> str:
    """One printable line of what somebody else said, cut short; it must not look like a sentence of ours."""
    if not text:
        return ""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split()).rstrip(".!; ")
    return clean if len(clean) <= QUOTE_LIMIT else clean[: QUOTE_LIMIT - 1].rstrip() + "…"


def _filler(**words: str) -> Callable[[str], str]:
    cut = {key: _quotable(word) for key, word in words.items()}

    def fill(text: str) -> str:
        return re.sub(r"\{(name|server|account)\}", lambda match: cut[match[1]], text)

    return fill


def _sentence(fill: Callable[[str], str], what: str, advice: str, quoted: str = "") -> str:
    said = f" (\u201c{quoted}\u201d)" if quoted else ""
    text = fill(what) + said + (f": {advice}" if advice else "")
    return f"{text[:1].upper()}{text[1:]}."
