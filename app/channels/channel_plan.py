"""From a mission's channel to the link that carries it.

A channel with rallypoints goes by them, and by multicast while they are lost where the mission allows it; one without
goes by multicast. Making a link opens nothing. Impure: what speaks with rallypoints is loaded in a thread.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

from app.channels.cluster import ClusterPlan, Strategy
from app.channels.links import Link
from app.channels.mission import Group, Mission
from app.channels.mission_parts import Rallypoint, RallypointCluster
from app.channels.multicast import Interfaces, MulticastLink, MulticastPlan
from app.channels.multicast_sockets import Sending

if TYPE_CHECKING:
    from app.channels.nats_link import RallypointTarget

SYSTEM_TTL = 1  # of multicast, RFC 1112 section 6.1


def multicast_plan(group: Group, interface: str = "", *, loop: bool = False) -> MulticastPlan:
    """Tell where a channel is heard and spoken to; ChannelError where its addresses are none for multicast.

    `interface`: what the person chose, where the mission names none. `loop`: other programs of this machine hear it.
    """
    ttl = group.tx_options.ttl if group.tx_options.ttl >= 0 else SYSTEM_TTL
    return MulticastPlan(
        *(group.rx.address, group.rx.port, group.tx.address, group.tx.port),
        interface_name=group.interface_name or interface,
        sending=Sending(ttl, int(group.tx_options.priority), loop),
    )


def cluster_plan(cluster: RallypointCluster) -> ClusterPlan:
    """Tell how a channel's rallypoints are used; a time of 0 is the one that is usual."""
    usual = ClusterPlan(1)
    return ClusterPlan(
        len(cluster.rallypoints),
        Strategy(int(cluster.connection_strategy)),
        rollover_s=float(cluster.rollover_secs) or usual.rollover_s,
        connection_timeout_s=float(cluster.connection_timeout_secs) or usual.connection_timeout_s,
        transaction_timeout_s=cluster.transaction_timeout_ms / 1_000 or usual.transaction_timeout_s,
    )


def rallypoint_target(rallypoint: Rallypoint) -> RallypointTarget:
    """Tell where a rallypoint is and how to trust it and log in. Its module must be loaded: it takes some 0.1 s."""
    from app.channels.nats_link import RallypointTarget

    return RallypointTarget(
        rallypoint.host.address,
        rallypoint.host.port,
        certificate=rallypoint.certificate,
        certificate_key=rallypoint.certificate_key,
        ca_certificates=rallypoint.ca_certificates,
        verify_peer=rallypoint.verify_peer,
        allow_self_signed=rallypoint.allow_self_signed_certificate,
        sni=rallypoint.sni,
        token=rallypoint.token,
        user=rallypoint.user,
        password=rallypoint.password,
        websocket=rallypoint.websocket,
    )


async def make_link(
    group: Group, mission: Mission, interfaces: Interfaces, *, interface: str = "", loop: bool = False
) -> Link:
    """Make the link of a channel, not started; ChannelError says what of its addresses cannot be used.

    `interfaces` lists this machine's addresses, as for `MulticastLink`; `interface` and `loop` as for `multicast_plan`.
    """
    cluster = mission.cluster_of(group)
    if cluster is None:
        return MulticastLink(multicast_plan(group, interface, loop=loop), interfaces)
    await asyncio.to_thread(importlib.import_module, "app.channels.rallypoint")
    from app.channels.failing_over import FailoverLink
    from app.channels.nats_link import subject_of
    from app.channels.rallypoint import RallypointLink

    targets = [rallypoint_target(one) for one in cluster.rallypoints]
    by_rallypoint = RallypointLink(targets, subject_of(group.id), cluster_plan(cluster))
    if not group.enable_multicast_failover:
        return by_rallypoint
    plan = multicast_plan(group, interface, loop=loop)
    return FailoverLink(by_rallypoint, lambda: MulticastLink(plan, interfaces), float(group.multicast_failover_secs))
