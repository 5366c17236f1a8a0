"""Which addresses become host candidates."""

from __future__ import annotations

from app.ice.interfaces import LocalAddress, choose_addresses, system_addresses

LO, LO6 = LocalAddress("lo", "127.0.0.1"), LocalAddress("lo", "::1")
ETH, ETH6 = LocalAddress("eth0", "192.0.2.2"), LocalAddress("eth0", "fd00::2")
LINK = LocalAddress("eth0", "fe80::1")
WLAN = LocalAddress("wlan0", "198.51.100.7")
DOCKER = LocalAddress("docker0", "172.17.0.1")


def chosen(*available: LocalAddress, wanted: tuple[str, ...] = ()) -> list[LocalAddress]:
    return choose_addresses(available, wanted)[0]


def test_all_that_are_up_without_loopback_link_local_and_containers() -> None:
    assert chosen(LO, LO6, ETH, LINK, ETH6, DOCKER, WLAN) == [ETH6, ETH, WLAN]


def test_loopback_when_nothing_else_is_up() -> None:
    assert chosen(LO, LO6) == [LO6, LO]


def test_a_container_bridge_when_it_is_all_there_is() -> None:
    assert chosen(LO, DOCKER) == [DOCKER]


def test_named_ones_only_by_name_or_address() -> None:
    assert chosen(LO, ETH, ETH6, WLAN, wanted=("wlan0",)) == [WLAN]
    assert chosen(LO, ETH, ETH6, WLAN, wanted=("127.0.0.1", "fd00::2")) == [LO, ETH6]
    assert chosen(LO, DOCKER, ETH, wanted=("docker0",)) == [DOCKER]


def test_a_wish_that_cannot_be_met_is_said() -> None:
    addresses, problems = choose_addresses([LO, ETH], ("eth0", "tun9"))
    assert addresses == [ETH]
    assert len(problems) == 1
    assert "tun9" in problems[0]


def test_many_temporary_addresses_are_cut() -> None:
    many = [LocalAddress("eth0", f"fd00::{at:x}") for at in range(1, 30)]
    assert chosen(*many, ETH) == [*many[:2], ETH]
    assert len(chosen(*(LocalAddress(f"eth{at}", f"192.0.2.{at}") for at in range(20)))) == 8


def test_this_machine_has_a_loopback_address() -> None:
    assert any(one.address == "127.0.0.1" for one in system_addresses())
