"""What can go wrong in a call that is somebody's fault: the peer's description, or what was asked here."""

from __future__ import annotations


class DescriptionError(Exception):
    """A session description that cannot be understood or answered. `status` is the SIP status to refuse it with."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class PartialRestart(DescriptionError):
    """An offer restarts ICE for some streams alone; the same wish can be met by restarting all of them."""


class CallError(Exception):
    """A command that cannot be carried out; the text is one sentence for a person."""
