"""What an H.264 profile-level-id promises: RFC 6184 section 8.1, levels of ITU-T H.264 table A-1. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from app.media.plan import CodecPlan

H264_NAME = "h264"
OWN_PARAMETERS = (("level-asymmetry-allowed", "1"), ("packetization-mode", "1"), ("profile-level-id", "42e01f"))

# Where none is said the RFC means Baseline at level 1 (176x144). Nobody who leaves it out means that.
_UNSAID = "42e01f"
_PROFILE_LEVEL_ID = re.compile(r"[0-9a-fA-F]{6}")
_BASELINE, _MAIN, _EXTENDED, _HIGH = 0x42, 0x4D, 0x58, 0x64
_SET0, _SET1, _SET3 = 0x80, 0x40, 0x10

# level_idc: macroblocks a second, macroblocks a picture, kbit/s
_LEVELS = {
    9: (1_485, 99, 128),  # 1b
    10: (1_485, 99, 64),
    11: (3_000, 396, 192),
    12: (6_000, 396, 384),
    13: (11_880, 396, 768),
    20: (11_880, 396, 2_000),
    21: (19_800, 792, 4_000),
    22: (20_250, 1_620, 4_000),
    30: (40_500, 1_620, 10_000),
    31: (108_000, 3_600, 14_000),
    32: (216_000, 5_120, 20_000),
    40: (245_760, 8_192, 20_000),
    41: (245_760, 8_192, 50_000),
    42: (522_240, 8_704, 50_000),
    50: (589_824, 22_080, 135_000),
    51: (983_040, 36_864, 240_000),
    52: (2_073_600, 36_864, 240_000),
}


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """The most that a decoder takes: macroblocks (16x16 pixels) a picture and a second, bits a second."""

    blocks: int
    blocks_per_s: int
    bps: int

    def allow(self, width: int, height: int, fps: float) -> bool:
        blocks = -(-width // 16) * -(-height // 16)
        return blocks <= self.blocks and blocks * fps <= self.blocks_per_s


@dataclass(frozen=True, slots=True)
class ProfileLevel:
    """The three bytes of a profile-level-id."""

    profile: int
    constraints: int
    level: int

    @classmethod
    def parse(cls, text: str | None) -> ProfileLevel | None:
        """Read six hexadecimal digits; None where it is something else."""
        text = _UNSAID if text is None else text.strip()
        return cls(*bytes.fromhex(text)) if _PROFILE_LEVEL_ID.fullmatch(text) else None

    def __str__(self) -> str:
        return bytes((self.profile, self.constraints, self.level)).hex()

    @property
    def rank(self) -> int | None:
        """How near it is to Constrained Baseline, which we send, 0 being the same; None where it cannot be used.

        A Constrained Baseline stream is also one of Baseline, Main and High (H.264 section A.2), and all are decoded.
        """
        if self.level_idc not in _LEVELS:
            return None
        constrained = (self.profile == _BASELINE and self.constraints & _SET1) or (
            self.profile in (_MAIN, _EXTENDED) and self.constraints & _SET0
        )
        if constrained:
            return 0
        return {_BASELINE: 1, _MAIN: 2, _HIGH: 3}.get(self.profile)

    @property
    def level_idc(self) -> int:
        is_1b = self.level == 11 and self.profile != _HIGH and self.constraints & _SET3
        return 9 if is_1b else self.level

    @property
    def limits(self) -> PictureLimits:
        rate, size, kbps = _LEVELS[self.level_idc]
        return PictureLimits(size, rate, kbps * 1_000)


def rank_of(codec: CodecPlan) -> tuple[int, int] | None:
    """Order a peer's H.264 formats, the best lowest; None for one that cannot be used."""
    level = ProfileLevel.parse(codec.parameter("profile-level-id"))
    mode = codec.parameter("packetization-mode") or "0"
    if level is None or level.rank is None or mode not in ("0", "1"):
        return None
    return level.rank, 1 - int(mode)


def own_parameters(theirs: CodecPlan) -> tuple[tuple[str, str], ...]:
    """What we say of our receiving in answer to a format of the peer's, RFC 6184 section 8.2.2.

    Profile and packetization mode are the peer's, since they hold for both directions; the level is our own where both
    may differ, else the lower one.
    """
    told = ProfileLevel.parse(theirs.parameter("profile-level-id"))
    own = ProfileLevel.parse(dict(OWN_PARAMETERS)["profile-level-id"])
    assert told is not None
    assert own is not None
    may_differ = theirs.parameter("level-asymmetry-allowed") == "1"
    level = own.level if may_differ or own.level_idc < told.level_idc else told.level
    constraints = told.constraints & ~_SET3 if level != told.level else told.constraints
    parameters = [("level-asymmetry-allowed", "1")] if may_differ else []
    parameters.append(("packetization-mode", theirs.parameter("packetization-mode") or "0"))
    parameters.append(("profile-level-id", str(replace(told, level=level, constraints=constraints))))
    return tuple(parameters)


def limits_of(codec: CodecPlan) -> PictureLimits | None:
    """Give the most that the peer takes of this format; None where it said nothing that can be understood."""
    level = ProfileLevel.parse(codec.parameter("profile-level-id"))
    if level is None or level.rank is None:
        return None
    limits = level.limits
    return PictureLimits(
        max(limits.blocks, number_of(codec, "max-fs")),
        max(limits.blocks_per_s, number_of(codec, "max-mbps")),
        max(limits.bps, number_of(codec, "max-br") * 1_000),
    )


def number_of(codec: CodecPlan, name: str) -> int:
    """Read a number out of a codec's parameters; 0 where there is none."""
    text = codec.parameter(name) or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 8 else 0
