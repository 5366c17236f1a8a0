"""What a machine tells of its network."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.channels.presence import Connectivity
from app.engine.connectivity import Kind, read_connectivity
from app.ice.interfaces import LocalAddress

# As Linux writes it (Documentation/wireless-extensions: status, link, level, noise, then what was thrown away).
WIRELESS = """Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   49.  -61.  -256        0      0      0      0     12        0
 wlan1: 0000   49.   61.    0         0      0      0      0      0        0
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """Cards as /sys/class/net has them."""

    def card(name: str, uevent: str, *, kind: str = "1", device: bool = True, wireless: bool = False) -> None:
        folder = tmp_path / "net" / name
        folder.mkdir(parents=True)
        (folder / "uevent").write_text(f"{uevent}INTERFACE={name}\nIFINDEX=2\n")
        (folder / "type").write_text(f"{kind}\n")
        if device:
            (folder / "device").mkdir()
        if wireless:
            (folder / "wireless").mkdir()

    card("enp3s0", "")
    card("wlan0", "DEVTYPE=wlan\n")
    card("wlan1", "", wireless=True)
    card("wlan2", "DEVTYPE=wlan\n")
    card("wwan0", "DEVTYPE=wwan\n", kind="65534")
    card("br0", "DEVTYPE=bridge\n", device=False)
    card("veth7", "", device=False)
    (tmp_path / "wireless").write_text(WIRELESS)
    return tmp_path / "net"


@pytest.mark.parametrize(
    ("cards", "told"),
    [
        (["enp3s0"], Connectivity(Kind.WIRED)),
        (["wlan0"], Connectivity(Kind.WIRELESS, -61, 78)),
        (["wlan1"], Connectivity(Kind.WIRELESS)),  # a figure in the driver's own units says nothing
        (["wlan2"], Connectivity(Kind.WIRELESS)),  # nothing is told of how well it hears
        (["wwan0"], Connectivity(Kind.CELLULAR)),
        (["br0", "veth7"], None),  # over whatever they run
        (["wg0", "wlan0", "enp3s0"], Connectivity(Kind.WIRELESS, -61, 78)),  # a tunnel runs over one of the others
        (["gone0"], None),
        ([], None),
    ],
)
def test_the_network_is_told_where_the_system_tells_of_it(
    cards: list[str], told: Connectivity | None, nets: Path
) -> None:
    addresses = [LocalAddress(card, f"192.168.77.{number}") for number, card in enumerate(cards, 1)]
    assert read_connectivity(addresses, nets=nets, wireless=nets.parent / "wireless") == told


def test_of_several_cards_the_one_counts_that_leads_out(nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.connectivity._source", lambda family: "192.168.77.2")
    addresses = [LocalAddress("enp3s0", "192.168.77.1"), LocalAddress("wwan0", "192.168.77.2")]
    assert read_connectivity(addresses, nets=nets) == Connectivity(Kind.CELLULAR)


def test_figures_that_are_none_are_not_known(nets: Path) -> None:
    odd = nets.parent / "odd"
    addresses = [LocalAddress("wlan0", "192.168.77.1")]
    for text in ("wlan0: 0000", "wlan0: 0000 1. x.", "wlan0: 0000 1. inf", "wlan0:", ""):
        odd.write_text(text)
        assert read_connectivity(addresses, nets=nets, wireless=odd) == Connectivity(Kind.WIRELESS)
