"""From a mission's channel to its link: where it goes, by which interface, how far, and what takes over."""

from __future__ import annotations

from typing import Any

import pytest

from app.channels.channel_plan import cluster_plan, make_link, multicast_plan, rallypoint_target
from app.channels.cluster import ClusterPlan, Strategy
from app.channels.errors import ChannelError
from app.channels.failing_over import FailoverLink
from app.channels.mission import Group, Mission
from app.channels.multicast import MulticastLink
from app.channels.multicast_sockets import Sending
from app.channels.rallypoint import RallypointLink
from tests.channels.missions import mission_json, speech

RALLYPOINT = {
    "host": {"address": "rp.example.org", "port": 7443},
    "certificate": "PEM",
    "certificateKey": "KEY",
    "caCertificates": ["CA"],
    "sni": "rp",
}


def made(**changes: Any) -> tuple[Group, Mission]:
    mission = Mission.parse(mission_json(speech(**changes)))
    return mission.groups[0], mission


def test_a_channel_goes_to_its_addresses_as_far_and_as_urgent_as_its_mission_says() -> None:
    group, _ = made(
        rx={"address": "239.1.2.3", "port": 5000},
        tx={"address": "239.1.2.4", "port": 5002},
        txOptions={"priority": 1, "ttl": 7},
        interfaceName="eth7",
    )
    plan = multicast_plan(group, "wlan0", loop=True)
    assert (plan.rx_address, plan.rx_port, plan.tx_address, plan.tx_port) == ("239.1.2.3", 5000, "239.1.2.4", 5002)
    assert plan.interface_name == "eth7"
    assert plan.sending == Sending(7, 1, True)


def test_what_the_mission_leaves_open_is_the_persons_and_the_systems() -> None:
    group, _ = made(txOptions={"priority": 3, "ttl": -1})
    assert multicast_plan(group, "wlan0").interface_name == "wlan0"
    assert multicast_plan(group).sending == Sending(1, 3, False)


def test_rallypoints_are_used_as_the_mission_says() -> None:
    cluster = {
        "rallypoints": [RALLYPOINT, {**RALLYPOINT, "verifyPeer": False}],
        "connectionStrategy": 1,
        "rolloverSecs": 3,
        "transactionTimeoutMs": 1500,
        "connectionTimeoutSecs": 0,
    }
    group, mission = made(rallypointCluster=cluster)
    found = mission.cluster_of(group)
    assert found is not None
    assert cluster_plan(found) == ClusterPlan(2, Strategy.FAIL_BACK, 3.0, 5.0, 1.5)
    target, unsafe = (rallypoint_target(one) for one in found.rallypoints)
    assert (target.host, target.port, target.sni) == ("rp.example.org", 7443, "rp")
    assert (target.certificate, target.certificate_key, target.ca_certificates) == ("PEM", "KEY", ("CA",))
    assert target.is_verified
    assert not unsafe.is_verified


def test_rallypoints_that_are_no_cluster_have_times_of_their_own() -> None:
    slow = {**RALLYPOINT, "transactionTimeoutMs": 30_000, "connectionTimeoutSecs": 7}
    for changes in ({"rallypoints": [RALLYPOINT, slow]}, {"rallypoints": [slow]}):
        group, mission = made(**changes)
        found = mission.cluster_of(group)
        assert found is not None
        plan = cluster_plan(found)
        assert (plan.connection_timeout_s, plan.transaction_timeout_s) == (7.0, 30.0)
    group, mission = made(rallypoints=[RALLYPOINT])
    assert cluster_plan(mission.cluster_of(group)) == ClusterPlan(1)  # type: ignore[arg-type]
    mission = Mission.parse(mission_json(speech(), rallypoint=slow))
    assert cluster_plan(mission.cluster_of(mission.groups[0])).connection_timeout_s == 7.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, MulticastLink),
        ({"rallypoints": [RALLYPOINT]}, RallypointLink),
        ({"rallypoints": [RALLYPOINT], "enableMulticastFailover": True}, FailoverLink),
    ],
)
async def test_each_channel_gets_the_link_that_it_needs(changes: dict[str, Any], kind: type) -> None:
    link = await make_link(*made(**changes), list)
    assert isinstance(link, kind)
    assert not link.state.is_up


async def test_a_channel_that_nothing_carries_is_refused_in_a_sentence() -> None:
    unicast = {"address": "192.0.2.7", "port": 5000}
    with pytest.raises(ChannelError, match=r"'192\.0\.2\.7' is no multicast address"):
        await make_link(*made(rx=unicast, tx=unicast), list)
    # through a rallypoint its addresses do not matter
    link = await make_link(*made(rx=unicast, tx=unicast, rallypoints=[RALLYPOINT]), list)
    assert isinstance(link, RallypointLink)
