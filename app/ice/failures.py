"""Why ICE failed, in sentences for a person: what happened, and what would help."""

from __future__ import annotations

from app.events import CandidateType, PairState
from app.ice.checklist import CheckList


def no_address(problem: str | None) -> str:
    """Say why there is nothing to check from; `problem` is what gathering met, if anything."""
    return problem or "This machine has no network address to call from: check that it is connected to a network."


def no_path(checklist: CheckList, waited_s: float) -> str:
    """Say why no pair of this list became the selected one."""
    if not checklist.remotes:
        return "The other side named no network address that can be used."
    if checklist.first_valid_at is not None:
        return "A way to the other side was found, but the two sides could not agree on using it."
    tried = [pair for pair in checklist.pairs if pair.checks_sent]
    refused = [pair for pair in checklist.pairs if pair.state is PairState.FAILED and pair.reason != "no answer"]
    sentence = f"No way to the other side was found: none of the {len(tried)} ways tried answered in {waited_s:g} s"
    if refused and not tried:
        sentence = f"No way to the other side was found: {refused[0].reason}"
    if any(local.candidate.type is CandidateType.RELAY for local in checklist.locals):
        return f"{sentence}. A firewall between the two sides may block calls."
    return f"{sentence}. A TURN server in the network settings helps where a firewall or router is in the way."


def nomination_failed(pair: str, reason: str) -> str:
    return f"The way from {pair} was found and then lost again while it was being agreed on ({reason})."


def path_lost(waited_s: float) -> str:
    return f"The other side has not answered on the media path for {waited_s:g} s: the network was lost."
