"""Which addresses become host candidates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "name",
    [
        *("docker0", "br-0123456789ab", "veth12ab", "virbr0", "cni0", "flannel.1", "cali0a1b2c3", "lxdbr0", "podman1"),
        *("vmnet8", "vboxnet0", "bridge100", "vEthernet (WSL (Hyper-V firewall))", "vEthernet (Default Switch)"),
    ],
)
def test_bridges_of_containers_and_virtual_machines_are_left_out(name: str) -> None:
    assert chosen(ETH, LocalAddress(name, "172.20.0.1")) == [ETH]


@pytest.mark.parametrize("name", ["br0", "br-lan", "bridge0", "vEthernet (External)", "cable0", "vlan7"])
def test_other_bridges_are_networks_like_any(name: str) -> None:
    other = LocalAddress(name, "10.2.3.4")
    assert chosen(ETH, other) == [ETH, other]


@pytest.mark.parametrize("name", ["tun0", "wg0", "ppp0", "utun4", "tailscale0", "ztabcdef", "tap1"])
def test_a_vpn_is_used_after_what_it_runs_over(name: str) -> None:
    vpn = LocalAddress(name, "100.64.3.4")
    assert chosen(vpn, ETH, WLAN) == [ETH, WLAN, vpn]
    assert chosen(vpn, LO) == [vpn]


def test_families_alternate_over_several_interfaces() -> None:
    wlan6 = LocalAddress("wlan0", "2001:db8::7")
    assert chosen(ETH, WLAN, ETH6, wlan6) == [ETH6, ETH, wlan6, WLAN]


def test_an_address_named_twice_by_the_system_counts_once() -> None:
    assert chosen(ETH, ETH, ETH6) == [ETH6, ETH]


def test_a_private_address_hides_the_one_with_the_cards_number() -> None:
    fixed = LocalAddress("eth0", "2001:db8:1::201:2ff:fe03:405")
    hidden = LocalAddress("eth0", "2001:db8:1::aaaa:bbbb:cccc:dddd", temporary=True)
    assert fixed.tells_hardware
    assert chosen(fixed, hidden) == [hidden]
    assert chosen(fixed) == [fixed]
    assert chosen(fixed, hidden, wanted=(fixed.address,)) == [fixed]


def test_a_deprecated_address_only_where_there_is_no_other() -> None:
    old = LocalAddress("eth0", "2001:db8:1::1", temporary=True, deprecated=True)
    stable = LocalAddress("eth0", "2001:db8:1::2")
    assert chosen(old, stable) == [stable]
    assert chosen(old, ETH) == [old, ETH]


def test_a_site_address_beside_a_global_one_is_a_way_of_its_own() -> None:
    site = LocalAddress("eth0", "fd12:3456::2")
    both = [LocalAddress("eth0", f"2001:db8:1::{at}", temporary=True) for at in (1, 2)]
    assert chosen(site, *both) == [both[0], site]
    assert chosen(site) == [site]  # behind NAT66 it is all there is


def test_a_self_assigned_address_only_where_there_is_no_other() -> None:
    alone = LocalAddress("eth0", "169.254.3.4")
    assert chosen(alone, ETH) == [ETH]
    assert chosen(alone) == [alone]
    assert chosen(alone, WLAN) == [alone, WLAN]


def test_what_the_system_tells_of_an_address_does_not_make_it_another() -> None:
    assert LocalAddress("eth0", "fd00::2", deprecated=True) == ETH6


@given(
    st.lists(
        st.builds(
            LocalAddress,
            st.sampled_from(["eth0", "wlan0", "tun0", "docker0", "lo"]),
            st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
            st.booleans(),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_the_choice_is_bounded_unique_and_never_empty_without_need(available: list[LocalAddress]) -> None:
    picked = chosen(*available)
    assert len(picked) == len(set(picked)) <= 8
    assert set(picked) <= set(available)
    usable = chosen(*(one for one in available if not one.is_loopback))
    assert bool(picked) or not usable
