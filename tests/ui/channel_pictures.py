"""Draw the channel panel in each of its states: python tests/ui/channel_pictures.py FOLDER [scene…]."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parents[2]))

from qasync import QEventLoop

from app.events import (
    BurstKept,
    CallRule,
    ChannelId,
    ChannelInfo,
    MissionsChanged,
    PlaybackChanged,
    RosterChanged,
    TalkMode,
)
from tests.ui import mission_scenes as scenes
from tests.ui.pictures import Stage
from ui.application import make_application
from ui.theme.manager import Theme
from ui.theme.tokens import DARK, LIGHT

SIZES = {"wide": (1280, 800), "narrow": (480, 900)}


def _now(stage: Stage) -> float:
    now = stage.context.book.engine_now()
    assert now is not None
    return now


def show(stage: Stage, *channels: object, name: str) -> None:
    stage.tell(MissionsChanged((scenes.harbour(*channels), scenes.stadium())))  # type: ignore[arg-type]
    stage.shoot(name)


def _come(stage: Stage) -> None:
    stage.tell(MissionsChanged((scenes.harbour(), scenes.stadium())), RosterChanged(scenes.HARBOUR, scenes.PEOPLE))
    for burst in scenes.bursts():
        stage.tell(BurstKept(burst))
    for text in scenes.texts():
        stage.tell(text)
    stage.window.rail.chosen.emit("channels")


def none(stage: Stage) -> None:
    stage.window.rail.chosen.emit("channels")
    stage.tell(MissionsChanged(()))
    stage.shoot("channels-none")
    stage.window.shell.slide_back()
    stage.shoot("channels-none-stage")


def idle(stage: Stage) -> None:
    _come(stage)
    stage.shoot("channels-idle")


def receiving(stage: Stage) -> None:
    _come(stage)
    heard = scenes.alpha(talkers=(scenes.talker("Harbour office", _now(stage) - 6.3),))
    show(stage, heard, scenes.boats(), scenes.shore(), name="channels-receiving")


def sending(stage: Stage) -> None:
    _come(stage)
    said = scenes.boats(sending=scenes.sending(_now(stage) - 3.4))
    heard = scenes.alpha(talkers=(scenes.talker("Harbour office", _now(stage) - 6.3),))
    show(stage, heard, said, scenes.shore(), name="channels-sending")


def limited(stage: Stage) -> None:
    _come(stage)
    limited = scenes.link_limited(_now(stage) + 10)
    down = replace(
        limited, up=False, limited=False, failover_at=None, words="Nothing carries this channel: no network."
    )
    alpha = scenes.alpha(link=replace(scenes.RALLYPOINT, limited=True, words="One rallypoint of three answers."))
    show(stage, alpha, scenes.boats(link=down), scenes.shore(link=limited), name="channels-limited")


def more(group: str, name: str, **changes: object) -> ChannelInfo:
    return scenes.channel(ChannelId(scenes.HARBOUR, group), name, **changes)


def others(stage: Stage) -> None:
    """What a card says besides."""
    _come(stage)
    at = _now(stage)
    late = "You have talked for a minute, which is the most here: listen, then press again."
    silent = "Its codec can be heard here, but not sent."
    two = (scenes.talker("Boat two", at - 70), scenes.talker("Front desk", at - 2))
    show(
        stage,
        scenes.alpha(notice=late),
        scenes.boats(why_mute=silent, muted=True),
        scenes.shore(joined=False),
        more("d", "Pilots", full_duplex=True, talkers=two),
        more("f", "Voice", talk_mode=TalkMode.VOICE, armed=True),
        more("g", "Ducked", held_back=CallRule.DUCK, pan=-0.6, volume=0.4),
        name="channels-others",
    )
    panel = stage.window.channels.panel
    panel.card(ChannelId(scenes.HARBOUR, "g")).tune.click()
    stage.shoot("channels-tuned")


def many(stage: Stage) -> None:
    """More channels than fit as cards: eight, and twenty."""
    _come(stage)
    at = _now(stage)
    names = ("Gate", "Medics", "Pilots", "Stage crew and backline", "Parking", "Security", "Kitchen", "Shuttle")
    limited = scenes.link_limited(at + 10)
    down = replace(limited, up=False, failover_at=None, words="Nothing carries this channel: no network.")
    others = [more(f"m{number:02}", f"{names[number % 8]} {number // 8 + 1}") for number in range(17)]
    changes: dict[int, dict[str, object]] = {
        1: {"talkers": (scenes.talker("Boat two", at - 70),)},
        2: {"encrypted": False, "muted": True},
        4: {"talkers": (scenes.talker("Front desk", at - 2, emergency=True),)},
        5: {"notice": "Somebody more urgent talks: wait until the channel is free."},
        7: {"joined": False},
        8: {"link": limited},
        9: {"link": down},
        10: {"why_mute": "Its codec can be heard here, but not sent."},
        12: {"full_duplex": True, "talk_mode": TalkMode.LATCH},
        13: {"held_back": CallRule.PAUSE},
        14: {"talk_mode": TalkMode.VOICE, "armed": True},
    }
    others = [replace(one, **changes.get(number, {})) for number, one in enumerate(others)]  # type: ignore[arg-type]
    three = (scenes.alpha(), scenes.boats(sending=scenes.sending(at - 3.4)), scenes.shore())
    show(stage, *three, *others[:5], name="channels-eight")
    show(stage, *three, *others, name="channels-twenty")
    stage.window.channels.panel.card(others[2].id).tune.click()
    stage.shoot("channels-twenty-tuned")


def below(stage: Stage) -> None:
    _come(stage)
    stage.tell(PlaybackChanged("b2"))
    scroll = stage.window.channels.panel.widget(1)
    stage.settle()
    bar = scroll.verticalScrollBar()  # type: ignore[union-attr]
    bar.setValue(bar.maximum())
    stage.shoot("channels-below")
    stage.window.rail.chosen.emit("channels")
    stage.shoot("channels-list")


def emergency(stage: Stage) -> None:
    _come(stage)
    calls = scenes.person("Boat two", "4.1 km west", emergency="man overboard off the north pier")
    gone = scenes.person("Pilot", "", gone=True, heard_wall=time.time() - 300)
    heard = scenes.alpha(talkers=(scenes.talker("Boat two", _now(stage) - 2, emergency=True),))
    stage.tell(RosterChanged(scenes.HARBOUR, (*scenes.PEOPLE[:2], calls, gone)))
    panel = stage.window.channels.panel
    panel.head.emergency.asked.emit()
    show(stage, heard, scenes.boats(), scenes.shore(), name="channels-emergency")
    stage.window.rail.chosen.emit("people")
    stage.shoot("channels-elsewhere")


SCENES: dict[str, Callable[[Stage], None]] = {
    scene.__name__: scene for scene in (none, idle, receiving, sending, limited, others, many, below, emergency)
}


def main() -> None:
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(SCENES)
    app = make_application()
    loop = QEventLoop(app, already_running=True)
    theme = Theme(app)
    for tokens in (LIGHT, DARK):
        theme.force(tokens)
        for width, size in SIZES.items():
            place = folder / tokens.name / width
            place.mkdir(parents=True, exist_ok=True)
            for name in wanted:
                stage = Stage(app, theme, place, size)
                SCENES[name](stage)
                stage.close(loop)
    asyncio.events._set_running_loop(None)
    del loop


if __name__ == "__main__":
    main()
