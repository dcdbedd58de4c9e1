"""Bodies of requests: JSON, forms and multipart forms, bounded before anything reads them.

Parsed values can be stored and written as JSON again: texts are encodable, numbers are finite and
of JSON's size, nesting is shallow.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from functions.api.errors import ApiError

MAX_BODY = 6_000_000
"""Bytes of a JSON body or form; a function's request holds little more (Lambda: 6 MB)."""

MAX_MULTIPART = 11_000_000
"""Bytes of a multipart form: an image of 10 MB with its fields."""

MAX_PARTS = 200
"""Parts of a multipart form."""

MAX_PART_HEADERS = 10_000
"""Bytes of the headers of a part."""

MAX_DEPTH = 40
"""Deepest nesting of lists and objects."""

MAX_INTEGER = 2**63
"""Bound of whole numbers; larger ones do not fit the index's columns."""

_LONG_NUMBER = rb"[0-9]{18}|[0-9][eE]\+?[0-9]{3}"


class File(msgspec.Struct, frozen=True):
    """A file sent as part of a form."""

    name: str
    content_type: str
    content: bytes


def read_json(raw: bytes) -> Any:
    """Return the JSON value of some bytes.

    Raises
    ------
    ValueError
        It is not JSON, or contains something that cannot be stored; the message says what.
    """
    text = raw.decode()  # strict: json would accept halves of surrogate pairs
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
            _check_depth(value)
        if re.search(_LONG_NUMBER, raw):
            _check_numbers(value)
        if "\\ud" in text or "\\uD" in text:
            _check_texts(value)
    except RecursionError:
        raise _too_deep() from None
    return value


def _too_deep() -> ValueError:
    return ValueError(f"Lists and objects are nested more than {MAX_DEPTH} deep.")


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for nested in level:
            if isinstance(nested, dict):
                below.extend(nested.values())
            elif isinstance(nested, list):
                below.extend(nested)
        level = [nested for nested in below if isinstance(nested, (dict, list))]
        if not level:
            return
    raise _too_deep()


def _check_numbers(value: Any) -> None:
    if isinstance(value, dict):
        for nested in value.values():
            _check_numbers(nested)
    elif isinstance(value, list):
        for nested in value:
            _check_numbers(nested)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("A number is too large.")
    elif isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        raise ValueError("A whole number is too large.")


def _check_texts(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("A text holds half of a surrogate pair.") from None


def written(body: Any) -> str:
    """Return an answer's body as JSON; numbers that JSON does not know become null.

    msgspec takes a fifth of the time of ``json``, which writes what msgspec does not: numbers of
    more than 64 bits and NumPy's.
    """
    try:
        return msgspec.json.encode(body).decode()
    except (TypeError, ValueError, OverflowError):
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def read_form(raw: bytes) -> dict[str, Any]:
    """Return the fields of a form."""
    try:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    except ValueError as error:
        raise ApiError(400, f"Form parse error - {error}") from None


def read_multipart(content_type: str, raw: bytes) -> tuple[dict[str, Any], dict[str, File]]:
    """Return the fields and the files of a multipart form.

    Raises
    ------
    ApiError
        400.
    """
    from email.message import EmailMessage  # images only
    from email.parser import BytesHeaderParser
    from email.policy import HTTP

    head = EmailMessage(policy=HTTP)
    head["Content-Type"] = " ".join(content_type.split())
    boundary = head.get_boundary()
    pieces = (b"\r\n" + raw).split(b"\r\n--" + boundary.encode()) if boundary else []
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ApiError(400, "Multipart form parse error.")
    if len(pieces) - 2 > MAX_PARTS:
        raise ApiError(400, f"A form has at most {MAX_PARTS} parts.")
    fields: dict[str, Any] = {}
    files: dict[str, File] = {}
    for piece in pieces[1:-1]:
        # Nested forms are not parsed: a form within a form would be read without end
        headers, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if len(headers) > MAX_PART_HEADERS:
            raise ApiError(400, "Multipart form parse error.")
        part = BytesHeaderParser(policy=HTTP).parsebytes(headers)
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            continue
        if file_name := part.get_filename():
            files[name] = File(file_name, part.get_content_type(), content)
        else:
            fields[name] = content.decode("utf-8", "replace")
    return fields, files
