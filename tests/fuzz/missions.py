"""Damaged missions: as JSON, as what is in a file, and as the file's own text."""

from __future__ import annotations

import copy
import json
import random
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime

from app.channels import base91, strict_json
from app.channels.errors import MissionError
from app.channels.mission import Mission
from app.channels.mission_file import MAGIC, VERSION, is_encrypted, pack, unpack
from app.channels.mission_notices import notices
from app.channels.mission_parts import Address
from app.channels.new_mission import ChannelWish, MissionWishes, new_mission

_PASSPHRASE = "correct horse"
_FEW_ROUNDS = 1_000
_PATH_NUMBERS = re.compile(r"\d+")
_VALUES = (
    *(None, True, 0, -1, 1, 2, 7, 21, 65_535, 65_536, 2**31, 10**40, 0.5, "", " ", "x" * 65, "a\nb", "é", "ff15::1"),
    *("234.42.42.1", "300.1.1.1", "a b", "0" * 64, "2026-02-07T18:44:43Z", [], {}, [{}], [[]], ["x"], {"host": {}}),
)


class MissionTarget:
    """Reads each input in one of its forms; what is read must come back the same from what Parley writes of it."""

    stun = False
    tokens = (
        *(b'"groups":[', b'"rx":{', b'"address":', b'"port":', b'"type":2', b'"idOverride":true', b'"id":', b'"":'),
        *(b'"cryptoPassword":"', b'"txAudio":{', b'"encoder":', b'"rallypoints":[', b'"rallypointCluster":{', b"null"),
        *(b"true", b"1e999", b"-1", b"99999999999999999999", b'"\\ud800"', b"[[[[[[[[", b"]", b"}", b",", b'"', b"\\"),
        *(b"/??", b"https://a/??", b"&*3$e1@E001", b"\xef\xbb\xbf", b"\xff\xfe", b"NaN", b"\0", b"\xc3\xa9"),
    )
    bounds: Mapping[str, int] = {"bytes": strict_json.MOST_BYTES}

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._largest = 0
        channels = (ChannelWish("Alpha"), ChannelWish("Bravo", Address("ff15::7", 5000)))
        full = MissionWishes("Relief", channels, rallypoints=(Address("rp.example.org", 7443),), failover_after_s=5)
        bare = MissionWishes("R", channels[:1], control=None, encrypted=False)
        created = datetime(2026, 11, 22, tzinfo=UTC)
        made = [new_mission(wishes, created, random_bytes=rng.randbytes) for wishes in (full, bare)]
        self._sound = [str(mission) for mission in made]
        self.seeds = [text.encode() for text in self._sound]
        self.seeds += [pack(mission).encode() for mission in made]
        self.seeds += [pack(made[1], deflection_url="https://example.org").encode()]
        self.seeds += [pack(made[1], _PASSPHRASE, rounds=_FEW_ROUNDS, random_bytes=rng.randbytes).encode()]

    def run(self, data: bytes) -> object:
        choice = self._rng.random()
        if choice > 0.6:
            data = self._with_another_value()
        elif choice < 0.3 and data.startswith(b"{"):  # damage that gzip's checksum would hide
            data = base91.encode(zlib.compress((MAGIC + VERSION).encode() + data, 1, 31)).encode()
        elif choice < 0.35:  # what others made of it
            data = base91.encode(base91.decode(data.decode("latin-1"))).encode()
        try:
            mission = unpack(data, self._passphrase(data))
        except MissionError as error:
            return error.path and _PATH_NUMBERS.sub("", error.path), _PATH_NUMBERS.sub("", error.why)[:30]
        text = str(mission)
        self._largest = max(self._largest, len(text.encode()))
        assert Mission.parse(text) == mission
        notices(mission)
        if choice > 0.98:
            assert unpack(pack(mission)) == mission
        return len(mission.groups), len(mission.extra), tuple(group.type for group in mission.groups[:4])

    def _with_another_value(self) -> bytes:
        """A sound mission with one or two of its values taken away or exchanged, at any depth."""
        mission = json.loads(self._rng.choice(self._sound))
        for _ in range(1 + int(self._rng.random() * 2)):
            within = mission
            while True:
                keys = list(within) if isinstance(within, dict) else range(len(within))
                if not keys:
                    break
                key = self._rng.choice(keys)
                if self._rng.random() < 0.8 and isinstance(within[key], dict | list):
                    within = within[key]
                    continue
                if self._rng.random() < 0.2:
                    del within[key]
                else:
                    within[key] = copy.deepcopy(self._rng.choice(_VALUES))
                break
        return json.dumps(mission).encode()

    def _passphrase(self, data: bytes) -> str | None:
        """Now and then: rounds that damage has raised take their time."""
        if self._rng.random() > 0.02:
            return None
        try:
            return _PASSPHRASE if is_encrypted(data) else None
        except MissionError:
            return None

    def sizes(self) -> dict[str, int]:
        return {"bytes": self._largest}
