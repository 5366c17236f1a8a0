"""What a command of the engine may raise."""

from __future__ import annotations


class EngineError(Exception):
    """A command that cannot be carried out; the text is one sentence for a person, with what to do."""
