"""Candidates told after the description: bodies of type application/trickle-ice-sdpfrag, RFC 8840 section 9.

Pure: bytes in, values out, and back. A fragment has the look of a session description without its head: the fragments
and the password of one ICE generation, then one pseudo m-line for each stream, which `a=mid` names. Unknown lines are
passed over; sizes are bounded. Whose stream a mid is, and whether the generation is still the one in use, is for the
reader of the value to decide (app/calls/trickle.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.calls.errors import DescriptionError
from app.ice.candidates import Candidate, IceDescription, ParseError

CONTENT_TYPE = "application/trickle-ice-sdpfrag"
MAX_BYTES = 32_768
MAX_LINES = 500
MAX_STREAMS = 16
MAX_CANDIDATES = 64  # of one stream, as in a whole description


@dataclass(frozen=True, slots=True)
class StreamFragment:
    """What is told of one stream: every candidate so far, and whether there will be more.

    `ufrag` and `pwd` are those of the m-section, or else of the session.
    """

    mid: str
    ufrag: str
    pwd: str = field(repr=False)
    candidates: tuple[Candidate, ...] = ()
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Fragment:
    """One body: its streams in the order of their pseudo m-lines."""

    streams: tuple[StreamFragment, ...]

    @classmethod
    def parse(cls, body: bytes) -> Fragment:
        """Read a body; DescriptionError says in one sentence what is wrong with it.

        A candidate that is not understood is ignored (RFC 8839 section 5.1), and so is a pseudo m-line without a mid.
        """
        if len(body) > MAX_BYTES:
            raise DescriptionError(f"a fragment of {len(body)} bytes is too long", 413)
        lines = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
        if len(lines) > MAX_LINES:
            raise DescriptionError("a fragment with too many lines", 413)
        sections: list[list[str]] = [[]]
        for line in lines:
            if line.startswith("m="):
                sections.append([])
            elif line.startswith("a="):
                sections[-1].append(line[2:].rstrip("\r"))
            elif line:
                raise DescriptionError(f"a fragment holds a= and m= lines, not {line[:60]!r}")
        if len(sections) > MAX_STREAMS + 1:
            raise DescriptionError("a fragment with too many m= lines", 413)
        head, *media = sections
        streams = [stream for section in media if (stream := _stream(head, section)) is not None]
        if len({stream.mid for stream in streams}) < len(streams):
            raise DescriptionError("a fragment names one mid twice")
        return cls(tuple(streams))

    def __str__(self) -> str:
        first = self.streams[0] if self.streams else None
        out: list[str] = []
        if first is not None:
            out += [f"a=ice-ufrag:{first.ufrag}", f"a=ice-pwd:{first.pwd}", "a=ice-options:trickle ice2"]
        for stream in self.streams:
            out += ["m=audio 9 RTP/AVP 0", f"a=mid:{stream.mid}"]  # the medium and the rest mean nothing here
            if first is not None and (stream.ufrag, stream.pwd) != (first.ufrag, first.pwd):
                out += [f"a=ice-ufrag:{stream.ufrag}", f"a=ice-pwd:{stream.pwd}"]
            out += [f"a=candidate:{candidate}" for candidate in stream.candidates]
            if stream.ended:
                out.append("a=end-of-candidates")
        return "\r\n".join(out) + "\r\n"

    def __bytes__(self) -> bytes:
        return str(self).encode("utf-8", "surrogateescape")


def _stream(head: list[str], section: list[str]) -> StreamFragment | None:
    mid = _value(section, "mid")
    if not mid:
        return None
    ufrag = _value(section, "ice-ufrag") or _value(head, "ice-ufrag")
    pwd = _value(section, "ice-pwd") or _value(head, "ice-pwd")
    if ufrag is None or pwd is None:
        raise DescriptionError("a fragment without ice-ufrag or ice-pwd")
    try:
        IceDescription(ufrag, pwd)
    except ParseError as error:
        raise DescriptionError(str(error)) from error
    candidates: list[Candidate] = []
    for line in section:
        name, _, value = line.partition(":")
        if name == "candidate" and len(candidates) < MAX_CANDIDATES:
            try:
                candidates.append(Candidate.parse(value))
            except ParseError:
                continue
    ended = "end-of-candidates" in section or "end-of-candidates" in head  # at the head: of all streams
    return StreamFragment(mid, ufrag, pwd, tuple(candidates), ended)


def _value(section: list[str], name: str) -> str | None:
    for line in section:
        key, colon, value = line.partition(":")
        if key == name and colon:
            return value.strip()
    return None
