"""Missions and what must not cost them: a locked keyring, another version, a link that cannot be made, a long name."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.engine import missions
from app.engine.errors import EngineError
from app.engine.kept import Kept
from app.engine.mission_store import KEY_NAME, MAGIC
from app.engine.options import EngineOptions
from app.events import Problem
from app.people.profile import Profile
from tests.engine.test_channels import channel, fresh_mission
from tests.engine.test_engine import engine


async def test_missions_whose_key_is_not_to_be_had_now_are_there_again_with_it(tmp_path: Path) -> None:
    profile = Profile(tmp_path)
    async with engine(tmp_path) as (parley, _):
        await parley.channels.open_mission(missions.pack(fresh_mission("Kept")))
    secrets = {path: path.read_bytes() for path in (profile.secrets_path, profile.secrets_key_path)}
    for path in secrets:
        path.unlink()
    async with engine(tmp_path) as (parley, watch):
        told = await watch.first(Problem, lambda event: "kept missions" in event.sentence)
        assert "unlock the system's keyring" in told.sentence
        info = await parley.channels.open_mission(missions.pack(fresh_mission("Meanwhile")))
        await parley.channels.set_volume(channel(info, "Alpha").id, 0.5)
    for path, data in secrets.items():
        path.write_bytes(data)
    async with engine(tmp_path) as (parley, _):
        assert [one.name for one in await parley.channels.list()] == ["Kept"]


async def test_a_kept_mission_of_another_version_is_told_and_kept_on(tmp_path: Path) -> None:
    profile = Profile(tmp_path)
    async with engine(tmp_path) as (parley, _):
        await parley.channels.open_mission(missions.pack(fresh_mission("Kept")))
    kept = Kept(EngineOptions(profile=tmp_path))
    await kept.find_password(KEY_NAME)
    cipher = AESGCM(bytes.fromhex(kept.password(KEY_NAME) or ""))

    def read() -> dict[str, object]:
        data = profile.channels_path.read_bytes()[len(MAGIC) :]
        return msgspec.json.decode(cipher.decrypt(data[:12], data[12:], MAGIC))  # type: ignore[no-any-return]

    stranger = {"text": "{}", "channels": {}}
    written = msgspec.json.encode({**read(), "missions": [stranger]})
    nonce = os.urandom(12)
    profile.channels_path.write_bytes(MAGIC + nonce + cipher.encrypt(nonce, written, MAGIC))
    async with engine(tmp_path) as (parley, watch):
        await watch.first(Problem, lambda event: "cannot be opened, and stays kept" in event.sentence)
        await parley.channels.open_mission(missions.pack(fresh_mission("Other")))
    assert stranger in read()["missions"]  # type: ignore[operator]


async def test_mission_control_that_cannot_be_joined_stops_no_channel(tmp_path: Path) -> None:
    mission = fresh_mission("Half")
    control = next(group for group in mission.groups if not group.tx_audio)
    wrong = replace(control, rx=replace(control.rx, address="10.0.0.1"))
    half = replace(mission, groups=tuple(wrong if one is control else one for one in mission.groups))
    async with engine(tmp_path) as (parley, _):
        info = await parley.channels.open_mission(missions.pack(half))
        assert "Mission control cannot be joined" in info.problem
        with pytest.raises(EngineError, match="Mission control cannot be joined"):
            await parley.channels.send_text(info.id, None, "Anybody?")
        assert channel(info, "Alpha").link.up


async def test_a_name_in_another_script_keeps_nobody_from_mission_control(tmp_path: Path) -> None:
    mission = fresh_mission("Snow")
    named = replace(mission, groups=tuple(replace(group, alias="雪" * 40) for group in mission.groups))
    async with engine(tmp_path) as (parley, _):
        info = await parley.channels.open_mission(missions.pack(named))
        assert info.problem == ""
        await parley.channels.send_text(info.id, None, "Anybody?")
