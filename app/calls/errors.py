"""What can go wrong in a call that is somebody's fault: the peer's description, or what was asked here."""

from __future__ import annotations


class DescriptionError(Exception):
    """A session description that cannot be understood or answered. `status` is the SIP status to refuse it with."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class CallError(Exception):
    """A command that cannot be carried out; the text is one sentence for a person."""
