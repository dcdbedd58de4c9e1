"""The embedded cloud's checks of signatures and permissions: for all keys, and each once.

ministack trusts any request that names a root key, parses a policy each time it is asked for, and
reads a request's body for each question about it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from infra.local.shortcuts import TABLE_TARGET

T = TypeVar("T")


def change(evaluator: Any, actions: Any) -> None:
    """Change how ministack checks requests.

    Parameters
    ----------
    evaluator
        ``ministack.core.iam_evaluator``.
    actions
        ``ministack.core.iam_actions``.
    """
    evaluator._is_root_key = _is_no_key
    evaluator.pin_request_caller = _unless_for_the_table(evaluator.pin_request_caller)
    evaluator.parse_policy_document = _parsing_once(evaluator.parse_policy_document)
    actions.json = reading_once(actions.json)
    actions.dynamodb_transaction_checks = _each_once(actions.dynamodb_transaction_checks)


def _is_no_key(access_key: str) -> bool:
    """Return whether an access key needs no signature: only an empty one, for public data."""
    return not access_key


def _parsing_once(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a parser of policies with a cache.

    The policies of a request are parsed several times, and again for each item of a transaction.
    """
    remembered = functools.lru_cache(maxsize=256)(parse)
    return lambda policy: remembered(policy) if isinstance(policy, str) else parse(policy)


def _unless_for_the_table(pin: Callable[..., None]) -> Callable[..., None]:
    """Return ministack's search for a request's caller, left out where nothing asks for it.

    Services with policies of their own ask; the table's server is no service of ministack.
    """

    def pin_unless(headers: dict[str, str], query: dict[str, Any] | None = None) -> None:
        if not headers.get("x-amz-target", "").startswith(TABLE_TARGET):
            pin(headers, query)

    return pin_unless


def reading_once(json: Any) -> Any:
    """Return a module ``json`` that reads the same bytes once in succession.

    The permission check of a request reads its body up to five times: what it is for, its tags,
    its table, the items of a transaction. An import's requests are of many kilobytes.
    """
    last: tuple[Any, Any] = (None, None)

    def loads(content: Any) -> Any:
        nonlocal last
        if last[0] is not content:
            try:
                last = content, msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, TypeError):
                return json.loads(content)  # whose errors are known there
        return last[1]

    reader = ModuleType("json")
    reader.__dict__.update(vars(json), loads=loads)
    return reader


def _each_once(checks: Callable[..., list[T]]) -> Callable[..., list[T]]:
    """Return the checks of a transaction's items, each action on each table once.

    All items are checked in the same context, so that equal checks have equal outcomes.
    """
    return lambda *arguments: list(dict.fromkeys(checks(*arguments)))
