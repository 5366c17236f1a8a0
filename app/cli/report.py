"""The report of a call, as docs/command-line.md promises it: plain JSON values, null for what is not known."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from app.engine.network_report import NetworkReport
from app.events import (
    CallFigures,
    CallInfo,
    CandidateInfo,
    IceMoment,
    IceSnapshot,
    QualityInfo,
    SecurityInfo,
    ServerInfo,
    SipTrace,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def call_report(info: CallInfo, figures: CallFigures | None, trace: tuple[SipTrace, ...]) -> dict[str, Any]:
    """Everything that is known of one call; times in seconds from the command's start, sizes in bytes."""
    end = info.end
    cause = end.sentence if end is not None else None
    return {
        "ended": None if end is None else {"by": end.by.value, "cause": cause, "status": end.status},
        "states": [{"state": step.state.value, "at": _seconds(step.at)} for step in info.steps],
        "remote": {"uri": info.remote_uri, "name": info.remote_name},
        "poorer": list(info.poorer_steps),
        "sip": [
            {
                "direction": entry.direction,
                "line": entry.line,
                "at": _seconds(entry.at),
                "bytes": entry.size_bytes,
                "transport": entry.transport,
            }
            for entry in trace
        ],
        "ice": _ice(figures.ice) if figures is not None and figures.ice is not None else None,
        "security": _security(figures.security) if figures is not None else None,
        "audio": _stats(figures.audio) if figures is not None else None,
        "video": _stats(figures.video) if figures is not None else None,
        "transport": _stats(figures.transport) if figures is not None else None,
        "quality": _quality(figures.quality) if figures is not None else None,
        "digits": figures.digits if figures is not None else "",
        "milestones": _milestones(figures) if figures is not None else None,
    }


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ice(ice: IceSnapshot) -> dict[str, Any]:
    return {
        "role": ice.role,
        "state": ice.state.value,
        "gathered_in": _seconds(ice.gathered_in_s),
        "connected_in": _seconds(ice.connected_in_s),
        "local": [_candidate(candidate) for candidate in ice.local],
        "remote": [_candidate(candidate) for candidate in ice.remote],
        "pairs": [
            {
                "local": pair.local,
                "remote": pair.remote,
                "state": pair.state.value,
                "nominated": pair.nominated,
                "selected": pair.selected,
                "priority": pair.priority,
                "rtt": None if pair.rtt_s is None else round(pair.rtt_s, 6),
                "sent": pair.sent_bytes,
                "received": pair.received_bytes,
                "checks": pair.checks_sent,
                "reason": pair.reason,
                "generation": pair.generation,
            }
            for pair in ice.pairs
        ],
        "restarts": ice.restarts,
        "problems": list(ice.problems),
        "generation": ice.generation,
        "servers": [_server(server) for server in ice.servers],
        "nat": ice.nat,
        "timeline": [_moment(moment) for moment in ice.timeline],
        "timeline_dropped": ice.timeline_dropped,
    }


_PASSES = {True: "open", False: "shut", None: "unknown"}


def network_report(network: NetworkReport) -> dict[str, Any]:
    """What `parley doctor` found out about the network."""
    nat = network.nat
    return {
        "udp": _PASSES[network.udp],
        "tcp": _PASSES[network.tcp],
        "ipv4": list(network.ipv4),
        "ipv6": list(network.ipv6),
        "nat": None
        if nat is None
        else {
            "kind": nat.kind,
            "mapping": nat.mapping,
            "filtering": nat.filtering,
            "mapped": nat.mapped,
            "sentence": nat.sentence,
        },
        "servers": [_server(server) for server in network.servers],
        "relay": network.relay,
        "reach": [{"peer": row.peer.value, "way": row.way.value, "reason": row.reason} for row in network.reach],
        "proxy": network.proxy,
        "mdns": network.mdns,
    }


def _server(server: ServerInfo) -> dict[str, Any]:
    return {
        "name": server.name,
        "kind": server.kind,
        "transport": server.transport,
        "state": server.state.value,
        "mapped": server.mapped,
        "relayed": server.relayed,
        "rtt": None if server.rtt_s is None else round(server.rtt_s, 6),
        "problem": server.problem,
    }


def _moment(moment: IceMoment) -> dict[str, Any]:
    return {
        "at": _seconds(moment.at),
        "kind": moment.kind.value,
        "text": moment.text,
        "flow": moment.flow,
        "local": moment.local,
        "remote": moment.remote,
        "rtt": None if moment.rtt_s is None else round(moment.rtt_s, 6),
        "generation": moment.generation,
    }


def _candidate(candidate: CandidateInfo) -> dict[str, Any]:
    return {
        "type": candidate.type.value,
        "address": candidate.address,
        "port": candidate.port,
        "protocol": candidate.protocol,
        "priority": candidate.priority,
        "foundation": candidate.foundation,
        "base": candidate.base,
        "server": candidate.server,
        "stream": candidate.stream,
        "component": candidate.component,
    }


def _security(security: SecurityInfo) -> dict[str, Any]:
    return {
        "media": security.media,
        "cipher": security.cipher,
        "signalling": security.signalling,
        "fingerprint_local": security.fingerprint_local,
        "fingerprint_remote": security.fingerprint_remote,
    }


def _stats(stats: DataclassInstance | None) -> dict[str, Any] | None:
    """Give figures under the names that they have in app/media_events.py, where each is explained."""
    if stats is None:
        return None
    return {field.name: _rounded(getattr(stats, field.name)) for field in fields(stats)}


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def _quality(quality: QualityInfo | None) -> dict[str, Any] | None:
    if quality is None:
        return None
    scores = {field.name: _rounded(getattr(quality, field.name)) for field in fields(quality)}
    del scores["limits"]
    scores["limited"] = [
        {
            "about": past.limit.about,
            "cause": past.limit.cause,
            "theirs": past.limit.is_theirs,
            "seconds": round(past.seconds, 1),
            "sentence": past.limit.sentence,
        }
        for past in quality.limited
    ]
    return scores


def _milestones(figures: CallFigures) -> dict[str, Any]:
    milestones = figures.milestones
    return {
        "invite_sent": _seconds(milestones.invite_sent),
        "ringing": _seconds(milestones.ringing),
        "answered": _seconds(milestones.answered),
        "first_audio": _seconds(milestones.first_audio),
        "first_video": _seconds(milestones.first_video),
    }
