"""A home server, somebody who listens, and calls one after the other: what most tests of trouble begin with."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from tests.lab import parley
from tests.lab.network import Lab
from tests.lab.parley import Outcome, Parley

QUIET = ("--audio-from", "tone:440", "--audio-to", "null", "--video-from", "none")
SILENT = "192.0.2.9"  # routed into the hub, where nobody answers


class Village:
    """Home at s, bob listening at b, and calls from a, one after the other."""

    def __init__(self, lab: Lab, folder: Path, home: Parley, bob: Parley) -> None:
        self.lab, self.folder, self.home, self.bob = lab, folder, home, bob
        self.target = f"sip:bob@{lab['s'].in_uri}"
        self._folders = (folder / str(number) for number in itertools.count())

    def start(self, command: str, *flags: str, user: str = "ada", password: str | None = None) -> Parley:
        """Run a command as a user, without TURN; flags come last."""
        account, environment = parley.member(user, self.lab["s"], turn=False, password=password)
        return Parley(self.lab["a"], next(self._folders), [command, *account, *QUIET, *flags], environment)

    def call(self, target: str | None = None, *flags: str, user: str = "ada", password: str | None = None) -> Outcome:
        """Call, talk for a moment, hang up."""
        calls = self.start("call", target or self.target, "--for", "0.5", *flags, user=user, password=password)
        with calls:
            return calls.finish(limit_s=90)

    def works(self) -> None:
        """The next call is one as any."""
        outcome = self.call()
        assert outcome.code == 0
        assert outcome.sentences == []
        assert outcome.report["audio"]["packets_received"] > 0


def only_sentence(outcome: Outcome) -> str:
    """The one line on stderr; it is the cause in the report too, it is a sentence, and it is no trace of a program."""
    assert outcome.code == 1
    (line,) = outcome.sentences
    sentence = line.removeprefix("parley: ")
    print(sentence)
    assert outcome.report["ended"]["cause"] == sentence
    assert is_for_people(sentence)
    return sentence


def is_for_people(sentence: str) -> bool:
    """Say whether this is a sentence, and no trace of a program."""
    traces = any(word in sentence for word in ("Error", "Errno", "None", "Exception", "{", "0x"))
    well_put = re.search(r"\b[2-9]\d* of \d+ ways (does|is|waits)\b", sentence) is None
    return sentence[0].isupper() and sentence.endswith(".") and well_put and not traces
