"""Why ICE found no path, so far or for good, in sentences for a person: what happened, and what would help."""

from __future__ import annotations

from collections import Counter

from app.events import CandidateType, PairState
from app.ice.checklist import CheckList, Pair

MAX_CAUSES = 3
_PLURAL = {"does": "do", "is": "are", "waits": "wait"}
_NO_ANSWER = "no answer"
_HELP_RELAY = "A TURN server in the network settings helps where a firewall or router is in the way."
_HELP_FIREWALL = "A firewall between the two sides may block calls."


def no_address(problem: str | None) -> str:
    """Say why there is nothing to check from; `problem` is what gathering met, if anything."""
    return problem or "This machine has no network address to call from: check that it is connected to a network."


def so_far(checklist: CheckList, waited_s: float, *, gathered: bool) -> str:
    """Say why this flow has no path yet."""
    if checklist.remote is None:
        return "The other side has not said yet how it can be reached."
    if not checklist.locals and not gathered:
        return "No address of this machine is known yet: the servers are still being asked."
    if checklist.first_valid_at is not None:
        return "A way to the other side was found, and the two sides are agreeing on it."
    return f"No way to the other side was found in {waited_s:.0f} s: {_causes(checklist)}."


def no_path(checklist: CheckList, waited_s: float) -> str:
    """Say why no pair of this list became the selected one."""
    if checklist.first_valid_at is not None:
        return "A way to the other side was found, but the two sides could not agree on using it."
    if not checklist.remotes:
        return "The other side named no network address that can be used."
    has_relay = any(local.candidate.type is CandidateType.RELAY for local in checklist.locals)
    advice = _HELP_FIREWALL if has_relay else _HELP_RELAY
    return f"No way to the other side was found in {waited_s:g} s: {_causes(checklist)}. {advice}"


def _causes(checklist: CheckList) -> str:
    """Sum up what became of the pairs, the commonest cause first."""
    if not checklist.remotes:
        return "the other side named no network address that can be used"
    if not checklist.pairs:
        return _nothing_in_common(checklist)
    causes = Counter(_cause(pair) for pair in checklist.pairs if pair.via is None)
    of = len(checklist.pairs)
    parts = [f"{_times(count, of)} {_said_of(count, cause)}" for cause, count in causes.most_common(MAX_CAUSES)]
    return ", ".join(parts)


def _times(count: int, of: int) -> str:
    if of == 1:
        return "the only way"
    return f"{count} of {of} ways"


def _said_of(count: int, cause: str) -> str:
    """Put what is said of one way so that it fits several."""
    verb, _, rest = cause.partition(" ")
    return cause if count == 1 else f"{_PLURAL.get(verb, verb)} {rest}"


def _cause(pair: Pair) -> str:
    if pair.state is PairState.FAILED:
        if pair.reason == _NO_ANSWER:
            return "did not answer"
        return f"failed ({(pair.reason or 'no reason given').rstrip('.')})"
    if pair.awaits_permission:
        return "waits for the TURN server's permission"
    if pair.trouble is not None:
        return f"does not answer yet ({pair.trouble})"
    return "does not answer yet" if pair.checks_sent else "is still to be tried"


def _nothing_in_common(checklist: CheckList) -> str:
    """Say what keeps the candidates of both sides apart: families, or transports."""
    mine = {_kind(local.base_address[0], local.protocol) for local in checklist.locals}
    theirs = {_kind(remote.address, remote.protocol) for remote in checklist.remotes}
    if not mine:
        return "this machine has no network address"
    if mine & theirs:
        return "the two sides have no address in common from which one may reach the other"
    return (
        f"the two sides have no address in common (here {_list(mine)}, there {_list(theirs)}), "
        "so that only a TURN server with both could join them"
    )


def _kind(address: str, protocol: str) -> str:
    family = "IPv6" if ":" in address else "IPv4"
    return family if protocol == "udp" else f"{family} over TCP"


def _list(kinds: set[str]) -> str:
    return " and ".join(sorted(kinds))


def path_lost(waited_s: float) -> str:
    return f"The other side has not answered on the media path for {waited_s:g} s: the network was lost."
