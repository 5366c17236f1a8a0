"""Channels that are joined: who presses the key is heard by everybody who has the key, and by nobody else."""

from __future__ import annotations

from tests.channels.radios import linux_only, on_the_air
from tests.heard import frequency_hz, gaps_ms, level_dbfs, part, tone

pytestmark = linux_only


async def test_who_presses_the_key_is_heard_by_name_by_everybody_else() -> None:
    async with on_the_air() as air:
        anna, ben, cleo = [await air.radio(name) for name in ("Anna", "Ben", "Cleo")]
        said = tone(440, 1.0, 0.25)
        anna.session.press()
        await air.talk({anna: said})
        assert anna.session.snapshot().sending is not None
        assert ben.talkers == cleo.talkers == ["Anna"]
        assert anna.talkers == []
        await air.release(anna)
        await air.pause(0.7)
        assert anna.session.snapshot().sending is None
        for one in (ben, cleo):
            middle = part(one.heard, 0.2, 0.9)
            assert abs(frequency_hz(middle) - 440) < 2
            assert abs(level_dbfs(middle) - level_dbfs(said)) < 1.5
            assert gaps_ms(part(one.heard, 0.0, 1.1)) == []
            last = one.session.snapshot().last
            assert last is not None
            assert (last.alias, last.own) == ("Anna", False)
        assert level_dbfs(anna.heard) == float("-inf")
