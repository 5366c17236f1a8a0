"""How much a stranger may ask for: token buckets per source, in a table that cannot grow without end.

Pure: the time is passed in. Used by the TURN core for answers to requests nobody has signed, and by the SIP
side for messages of any kind.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict


class TokenBucket:
    """Allows `rate_per_s` on average and `burst` at once; amounts may be messages or bytes."""

    __slots__ = ("_burst", "_rate", "_tokens", "_updated")

    def __init__(self, rate_per_s: float, burst: float, now: float) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._updated = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount` if it is there; a refused amount costs nothing."""
        elapsed = now - self._updated
        if elapsed > 0:
            self._tokens = min(self._burst, self._tokens + elapsed * self._rate)
            self._updated = now
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True


class SourceLimiter:
    """One bucket per source, and one for all sources together.

    A source is an IPv4 address or an IPv6 /64: whoever has one IPv6 address has a whole /64 of them. The table
    holds the `max_sources` most recently heard. A source that was pushed out starts with a full bucket again,
    which is why the common bucket exists: inventing sources buys nothing beyond it.
    """

    def __init__(
        self,
        rate_per_s: float,
        burst: float,
        *,
        total_rate_per_s: float,
        total_burst: float,
        max_sources: int = 4096,
    ) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._total_rate = total_rate_per_s
        self._total_burst = total_burst
        self._max_sources = max_sources
        self._sources: OrderedDict[bytes, TokenBucket] = OrderedDict()
        self._total: TokenBucket | None = None

    def __len__(self) -> int:
        return len(self._sources)

    def allow(self, host: str, now: float) -> bool:
        """Say whether one more message from `host` (an IP address) may be served now."""
        key = source_key(host)
        bucket = self._sources.get(key)
        if bucket is None:
            bucket = self._sources[key] = TokenBucket(self._rate, self._burst, now)
            if len(self._sources) > self._max_sources:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(key)
        if not bucket.take(now):
            return False
        if self._total is None:
            self._total = TokenBucket(self._total_rate, self._total_burst, now)
        return self._total.take(now)


def source_key(host: str) -> bytes:
    """Give what counts as one source: the IPv4 address, or the first 64 bits of the IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.encode("utf-8", "replace")[:64]
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return mapped.packed if mapped is not None else address.packed[:8]
    return address.packed
