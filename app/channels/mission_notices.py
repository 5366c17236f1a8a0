"""What is worth a word in a mission that can be used all the same."""

from __future__ import annotations

from collections.abc import Iterator

from app.channels.encoders import check_sending
from app.channels.errors import ChannelError
from app.channels.mission import GOOD_NAME, Group, GroupType, Mission
from app.channels.mission_fields import camel
from app.channels.mission_parts import PresenceFormat, RallypointCluster, TxAudio, TxOptions


def notices(mission: Mission) -> tuple[str, ...]:
    """One sentence for each thing that its author may not have meant."""
    return (*_of_mission(mission), *(sentence for group in mission.groups for sentence in _of_group(mission, group)))


_UNUSED_AUDIO = (
    "block_count",
    "start_tx_notifications",
    "reset_rtp_on_tx",
    "enable_smoothing",
    "smoothed_hang_time_ms",
    "dtx",
)


def _unused(group: Group) -> Iterator[str]:
    """Name the fields that somebody has set and that change nothing here."""
    if group.tx_audio is not None:
        usual = TxAudio()
        for name in _UNUSED_AUDIO:
            if getattr(group.tx_audio, name) != getattr(usual, name):
                yield f"txAudio.{camel(name)}"
    if group.presence is not None and group.presence.reduce_immediacy:
        yield "presence.reduceImmediacy"


def _unused_of(cluster: RallypointCluster | None) -> Iterator[str]:
    servers = () if cluster is None else cluster.rallypoints
    if any(one.disable_message_signing for one in servers):
        yield "disableMessageSigning of a rallypoint"
    if any(one.tcp_tx_options != TxOptions(ttl=-1) for one in servers):
        yield "tcpTxOptions of a rallypoint"


def _of_mission(mission: Mission) -> Iterator[str]:
    if len(mission.name) > GOOD_NAME:
        yield f"The mission's name has more than {GOOD_NAME} characters and may be cut short where it is shown."
    kinds = {group.type for group in mission.groups}
    if GroupType.AUDIO not in kinds:
        yield "The mission has no channel to talk on."
    if GroupType.MISSION_CONTROL not in kinds:
        yield "The mission has no mission control channel: nobody sees who is there, and alerts reach nobody."
    receivers: dict[tuple[str, int], str] = {}
    for group in mission.groups:
        other = receivers.setdefault((group.rx.address, group.rx.port), group.name)
        if other != group.name:
            yield f"{other} and {group.name} receive at the same address, {group.rx}: each hears the other's packets."


def _of_group(mission: Mission, group: Group) -> Iterator[str]:
    name, cluster = group.name, mission.cluster_of(group)
    if len(name) > GOOD_NAME:
        yield f"The name {name} has more than {GOOD_NAME} characters and may be cut short where it is shown."
    if not group.is_encrypted:
        yield f"{name} is clear: whoever is on its way can listen and talk."
    if cluster is None and not group.tx.is_multicast:
        yield f"{name} has no rallypoint, and {group.tx.address} is no multicast address: one machine at most hears it."
    for server in cluster.rallypoints if cluster is not None else ():
        if not server.verify_peer or server.allow_self_signed_certificate:
            yield f"{name} trusts the rallypoint {server.host} without a certificate that can be verified."
    if group.type is GroupType.RAW:
        yield f"{name} carries other programs' datagrams (type 3), which Parley does not show."
    if group.type is GroupType.AUDIO and group.tx_audio is not None:
        try:
            check_sending(group.tx_audio.encoder, group.tx_audio.framing_ms)
        except ChannelError as error:
            yield f"{name}: {error}"
    unused = [*_unused(group), *_unused_of(cluster)]
    if unused:
        yield f"{name} sets what Parley does not use: {', '.join(unused)}."
    if group.presence is not None and group.presence.format is PresenceFormat.CURSOR_ON_TARGET:
        yield f"{name} wants presence as Cursor on Target; Parley says and reads descriptors in JSON."
    if group.tx_audio is not None and group.tx_audio.no_hdr_ext:
        yield f"{name} sends no header extension: nobody sees who talks, and an emergency is not marked."
