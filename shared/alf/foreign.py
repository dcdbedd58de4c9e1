"""Parsers of foreign files: they end on any content, and explain a refusal.

Nobody vouches for the content of such files. So the parsers limit size, depth and number of
values, and return only plain JSON values: dates and keys are text.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

YAML_BYTES = 262_144
"""Longest YAML file; parsing it takes a second. Descriptions have a few kilobytes."""

JSON_BYTES = 256 * 2**20
"""Longest JSON file, which is held in memory."""

LINE_BYTES = 16 * 2**20
"""Longest line of a text file with one value a line."""

VALUES = 100_000
"""Most values of a YAML file; values repeated by aliases count each time."""

DEPTH = 64
"""Deepest nesting of a YAML file's values."""

TOO_MUCH = "it takes more memory than there is for it"


class ContentRefused(ValueError):
    """The content of a file does not fit its format, or exceeds a limit."""


def read_json(content: bytes | str) -> Any:
    """Return the value of JSON text.

    Raises
    ------
    ContentRefused
        It is not JSON, too long, or nested too deep.
    """
    if len(content) > JSON_BYTES:
        raise ContentRefused(f"{len(content)} bytes of JSON are more than {JSON_BYTES}")
    try:
        return json.loads(content)
    except RecursionError:
        raise ContentRefused("it is nested too deep") from None
    except MemoryError:
        raise ContentRefused(TOO_MUCH) from None
    except ValueError as error:
        raise ContentRefused(str(error)) from None


def read_yaml(content: bytes) -> Any:
    """Return the value of a YAML file as a JSON value.

    Raises
    ------
    ContentRefused
        It is not YAML, too long, nested too deep, or has too many values after expanding aliases.
    """
    import yaml

    if len(content) > YAML_BYTES:
        raise ContentRefused(f"{len(content)} bytes of YAML are more than {YAML_BYTES}")
    try:
        value = yaml.safe_load(content)
    except RecursionError:
        raise ContentRefused("it is nested too deep") from None
    except MemoryError:
        raise ContentRefused(TOO_MUCH) from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise ContentRefused(" ".join(str(error).split()) or type(error).__name__) from None
    return _plain(value, DEPTH, [VALUES])


def _plain(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise ContentRefused(f"it has more than {VALUES} values")
    if depth < 0:
        raise ContentRefused("it is nested too deep")
    if isinstance(value, dict):
        return {_key(name): _plain(each, depth - 1, left) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each, depth - 1, left) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    return str(value)


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    return name.isoformat() if isinstance(name, dt.date) else str(name)
