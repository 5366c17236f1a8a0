"""By which kind of network this machine is connected, for the others of a mission to see.

Told is what Linux tells of a card: `/sys/class/net`, and `/proc/net/wireless` for how well it hears. Other systems tell
neither in a file, and a bridge or a tunnel may run over anything: then nothing is told. Blocks: it reads files.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path

from app.channels.presence import Connectivity
from app.ice.interfaces import LocalAddress

_NETS = Path("/sys/class/net")
_WIRELESS = Path("/proc/net/wireless")
_ETHERNET = "1"  # ARPHRD_ETHER
_AFAR = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # for documentation: nobody is there
_WEAKEST_DBM, _STRONGEST_DBM = (
    -100,
    -50,
)  # 0 and 100 percent, as wlanSignalQuality of WLAN_ASSOCIATION_ATTRIBUTES has it


class Kind(IntEnum):
    """`connectivity.type` of an announcement (docs/channels-links.md)."""

    WIRED = 1
    WIRELESS = 2
    CELLULAR = 3


def read_connectivity(
    addresses: Sequence[LocalAddress], *, nets: Path = _NETS, wireless: Path = _WIRELESS
) -> Connectivity | None:
    """How this machine is connected; None where the system does not tell.

    `addresses` are those in use, best first. Of several cards the one counts that leads out of this network.
    """
    outwards = {address for family in _AFAR if (address := _source(family))}
    cards = [one for one in addresses if not one.is_loopback and not one.is_tunnel]
    cards.sort(key=lambda one: one.address not in outwards)  # stable: the best ones stay first
    for card in dict.fromkeys(one.interface for one in cards):
        kind = _kind(nets / card)
        if kind is Kind.WIRELESS:
            strength_dbm = _strength_dbm(card, wireless)
            return Connectivity(kind, strength_dbm, _percent(strength_dbm))
        if kind is not None:
            return Connectivity(kind)
    return None


def connection_words(told: Connectivity | None) -> str:
    """Say in a word or two how somebody is connected, "" where that is not known."""
    if told is None or told.type not in tuple(Kind):
        return ""
    words = {Kind.WIRED: "wired", Kind.WIRELESS: "Wi-Fi", Kind.CELLULAR: "mobile network"}[Kind(told.type)]
    is_rated = told.type != Kind.WIRED and 0 < told.rating <= 100
    return f"{words} {told.rating} %" if is_rated else words


def _source(family: socket.AddressFamily) -> str:
    """The address that datagrams to elsewhere would leave from, "" where there is no way. Sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((_AFAR[family], 9))
            return str(asking.getsockname()[0])
    except OSError:
        return ""


def _kind(card: Path) -> Kind | None:
    events = _read(card / "uevent").splitlines()
    if "DEVTYPE=wwan" in events:
        return Kind.CELLULAR
    if "DEVTYPE=wlan" in events or (card / "wireless").exists() or (card / "phy80211").exists():
        return Kind.WIRELESS
    is_card = (card / "device").exists() and not any(line.startswith("DEVTYPE=") for line in events)
    return Kind.WIRED if is_card and _read(card / "type").strip() == _ETHERNET else None


def _strength_dbm(card: str, wireless: Path) -> int:
    """How loud the other station is heard; 0 where that is not known."""
    for line in _read(wireless).splitlines():
        name, colon, figures = line.partition(":")
        if colon and name.strip() == card:
            try:
                level = round(float(figures.split()[2]))
            except (IndexError, ValueError, OverflowError):
                return 0
            return level if -200 < level < 0 else 0  # other figures are in units of the driver's own
    return 0


def _percent(strength_dbm: int) -> int:
    if not strength_dbm:
        return 0
    return max(1, min(100, round(100 * (strength_dbm - _WEAKEST_DBM) / (_STRONGEST_DBM - _WEAKEST_DBM))))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
