"""JSON from strangers: bounded in size and depth, each name once, and nothing that cannot be written again."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TypeAlias, cast

from app.channels.errors import MissionError, cut

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MOST_BYTES = 1 << 20
MOST_DEPTH = 16
_HALF = "The mission has half of a character (a lone surrogate) in a text"
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def read_object(text: str) -> dict[str, Json]:
    """Read one JSON object; MissionError says in which way it is none, or not one that Parley takes."""
    _check_size(text)
    _check_depth(text)
    try:
        value = json.loads(
            text, object_pairs_hook=_each_name_once, parse_constant=_no_constant, parse_float=_finite_number
        )
    except json.JSONDecodeError as error:
        raise MissionError(
            f"The mission is no JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ValueError:  # more digits than Python turns into a number
        raise MissionError("The mission has a number that is too long") from None
    if not isinstance(value, dict):
        raise MissionError("The mission is no JSON object in braces")
    if "\\ud" in text.lower():  # such an escape may stand alone; a pair of them is a character
        _check_text(value)
    return cast("dict[str, Json]", value)


def write(value: Json) -> str:
    """Write JSON without a space too many; MissionError for what no JSON can hold, such as an object within itself."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError, TypeError) as error:
        raise MissionError(f"The mission cannot be written as JSON ({cut(str(error))})") from None


def _check_size(text: str) -> None:
    try:
        size = len(text) if len(text) > MOST_BYTES else len(text.encode())
    except UnicodeEncodeError:
        raise MissionError(_HALF) from None
    if size > MOST_BYTES:
        raise MissionError(f"The mission is larger than {MOST_BYTES:,} bytes")


def _check_depth(text: str) -> None:
    """Before reading, since a reader takes stack for each level."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise MissionError(f"The mission is nested deeper than {MOST_DEPTH} levels")
        elif mark in "]}":
            depth -= 1


def _each_name_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise MissionError(f"The mission has the field {cut(twice)} twice in one object")
    return made


def _no_constant(text: str) -> Json:
    raise MissionError(f"The mission is no JSON: {text} is no number")


def _finite_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MissionError(f"The mission has a number that is too large: {cut(text)}")
    return number


def _check_text(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise MissionError(_HALF) from None
