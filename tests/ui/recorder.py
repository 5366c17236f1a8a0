"""What stands for the engine in tests of widgets: it has the engine's commands and writes down which were given.

What a click asks for is what such a test is about. Tests of whole calls use real engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from app.events import CallRule
from app.frames import FrameMailbox
from app.settings import Settings


class Recorder:
    """Commands as (name, arguments) in `given`; `answers` holds what a command gives back, raises or waits for."""

    def __init__(self) -> None:
        self.given: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Any] = {
            "settings.get": Settings(),
            "accounts.password_kept": False,
            "channels.figures": (),
        }
        self.mailboxes: dict[tuple[str, str], FrameMailbox] = {}
        self.calls = self._group(
            "calls", "place answer decline hang_up set_muted set_camera set_volume set_held send_digits sip_trace"
        )
        self.media = self._group("media", "share stop_sharing share_choices record stop_recording keep_still")
        self.expected = 0  # how often a call was said to be likely: an aside, not among what was given
        self.calls.expect = self._expect
        self.calls.set_view_size = self._view_size
        self.calls.remote_picture = lambda call_id: self.mailbox(call_id, "remote")
        self.calls.own_picture = lambda call_id: self.mailbox(call_id, "own")
        self.people = self._group("people", "add update remove clear_history mark_history_seen")
        self.accounts = self._group("accounts", "set_account remove_account password_kept")
        self.settings = self._group("settings", "get change")
        self.devices = self._group("devices", "list try_out stop_trial play_test_sound echo_test")
        self.devices.trial_picture = lambda: self.mailbox("", "trial")
        self.channels = self._group(
            "channels",
            "list open_mission close_mission mission join leave press release press_primary release_primary set_volume "
            "set_muted set_pan set_primary set_talk_mode set_call_rule call_rule roster send_text set_status set_place "
            "clear_place raise_emergency clear_emergency dismiss texts bursts play stop_playing clear_bursts figures",
        )
        self.answers.update({"channels.texts": (), "channels.bursts": (), "channels.call_rule": CallRule.PAUSE})
        self.diagnosis = self._group("diagnosis", "examine")

    async def _expect(self) -> None:
        self.expected += 1

    async def _view_size(self, call_id: str, width: int, height: int) -> None:
        """An aside as well: it comes a second after a window was last resized."""

    def mailbox(self, call_id: str, side: str) -> FrameMailbox:
        return self.mailboxes.setdefault((call_id, side), FrameMailbox())

    def names(self) -> list[str]:
        return [name for name, _ in self.given]

    def last(self, name: str) -> tuple[Any, ...]:
        """Give the arguments of the newest command of this name."""
        return next(arguments for given, arguments in reversed(self.given) if given == name)

    def _group(self, group: str, names: str) -> SimpleNamespace:
        return SimpleNamespace(**{name: self._command(f"{group}.{name}") for name in names.split()})

    def _command(self, name: str) -> Callable[..., Any]:
        async def command(*arguments: Any, **named: Any) -> Any:
            self.given.append((name, (*arguments, *named.values())))
            answer = self.answers.get(name)
            if isinstance(answer, asyncio.Future):
                answer = await answer
            if isinstance(answer, Exception):
                raise answer
            return answer

        return command
