"""Names of header fields: long forms, compact forms, and which of them hold lists (RFC 3261 sections 7.3 and 20)."""

from __future__ import annotations

METHODS = (
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "UPDATE",
    "INFO",
    "MESSAGE",
    "SUBSCRIBE",
    "NOTIFY",
    "REFER",
    "PUBLISH",
)

COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

_LISTS = (
    "Accept",
    "Accept-Contact",
    "Accept-Encoding",
    "Accept-Language",
    "Alert-Info",
    "Allow",
    "Allow-Events",
    "Call-Info",
    "Contact",
    "Content-Encoding",
    "Content-Language",
    "Diversion",
    "Error-Info",
    "History-Info",
    "In-Reply-To",
    "P-Asserted-Identity",
    "P-Associated-URI",
    "P-Preferred-Identity",
    "Path",
    "Proxy-Require",
    "Reason",
    "Record-Route",
    "Recv-Info",
    "Reject-Contact",
    "Request-Disposition",
    "Require",
    "Route",
    "Security-Client",
    "Security-Server",
    "Security-Verify",
    "Service-Route",
    "Supported",
    "Unsupported",
    "Via",
    "Warning",
)
_CHALLENGES = ("Proxy-Authenticate", "WWW-Authenticate")
# One value each, so that a second row makes the message ambiguous (RFC 4475 section 3.3.8).
_SINGLES = (
    "CSeq",
    "Call-ID",
    "Content-Length",
    "Content-Type",
    "Date",
    "Event",
    "Expires",
    "From",
    "Info-Package",
    "Max-Forwards",
    "Min-Expires",
    "RAck",
    "RSeq",
    "Refer-To",
    "Referred-By",
    "Replaces",
    "Retry-After",
    "Session-Expires",
    "Subject",
    "To",
)
_OTHERS = (
    "Authentication-Info",
    "Authorization",
    "Content-Disposition",
    "Identity",
    "Identity-Info",
    "MIME-Version",
    "Min-SE",
    "Organization",
    "Priority",
    "Proxy-Authorization",
    "Reply-To",
    "SIP-ETag",
    "SIP-If-Match",
    "Server",
    "Subscription-State",
    "Timestamp",
    "User-Agent",
)

LIST_KEYS = frozenset(name.lower() for name in _LISTS)
CHALLENGE_KEYS = frozenset(name.lower() for name in _CHALLENGES)
SINGLE_KEYS = frozenset(name.lower() for name in _SINGLES)

LONG_NAMES = {name.lower(): name for name in _LISTS + _CHALLENGES + _SINGLES + _OTHERS}

# Every spelling met often, so that most names are found by one look-up: "Via", "via", "v", "V".
_KEYS = (
    {key: key for key in LONG_NAMES}
    | {name: key for key, name in LONG_NAMES.items()}
    | COMPACT
    | {letter.upper(): key for letter, key in COMPACT.items()}
)


def key_of(name: str) -> str:
    """The lower-case long form by which a header field is found, whatever its spelling."""
    key = _KEYS.get(name)
    if key is None:
        lowered = name.lower()
        key = COMPACT.get(lowered, lowered)
    return key
