"""What this side wishes of each m-line of a call, now and as the person changes it."""

from __future__ import annotations

from dataclasses import replace

from app.calls.legs import StreamWish


class Wishes:
    """`all` are the streams this side offers or takes; `lines` says which m-line of the session each has."""

    def __init__(self, *, video: bool, send_video: bool) -> None:
        streams = [StreamWish("0", "audio")]
        if video:
            streams.append(StreamWish("1", "video", send=send_video))
        self.all = tuple(streams)
        self.lines: dict[int, StreamWish] = {}
        self.held = False

    def offer_all(self) -> None:
        """This side writes the first offer: its streams are the m-lines, in order."""
        self.lines = dict(enumerate(self.all))

    def take(self, lines: dict[int, StreamWish]) -> None:
        """The peer wrote the first offer, and these of its m-lines are taken."""
        self.lines = lines
        self.all = tuple(lines.values())

    def send_video(self) -> None:
        """From now on the own picture is wished for."""
        self.all = tuple(replace(wish, send=True) if wish.kind == "video" else wish for wish in self.all)
        by_name = {wish.name: wish for wish in self.all}
        self.lines = {index: by_name[wish.name] for index, wish in self.lines.items()}

    def now(self) -> dict[int, StreamWish]:
        """By m-line; a held call receives nothing (RFC 3264 section 8.4)."""
        if not self.held:
            return self.lines
        return {index: replace(wish, receive=False) for index, wish in self.lines.items()}
