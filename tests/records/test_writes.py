"""What is committed is told to feed, audit and journal: nothing goes past the transaction."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import functions
import shared
from shared.records.table import Record
from shared.records.transactions import NOT_JOURNALED, ORDERED_BY, SECRET, UNCHANGING

ROOT = Path(__file__).resolve().parents[2]

PAST_TRANSACTIONS = {
    "functions/api/auth/throttle.py": "not journaled",
    "functions/api/auth/tokens.py": "not journaled",
    "functions/api/auth/signing.py": "not journaled",
    "functions/dispatch/sweep.py": "an end that was followed up; again is no change",
    "shared/records/transactions.py": "the transaction itself",
    "functions/journal/restore.py": "the mark of a restore, and the sign to read all anew",
    "shared/datasets/partition.py:stage": "seen, and journaled, with the transaction that follows",
    "shared/records/leaving.py": "a mark that no version counts and no journal has",
    "shared/uploads/lock.py": "not journaled",
    "shared/uploads/state.py": "what a validation notes in passing",
    "shared/work/board.py": "not journaled",
    "shared/webhooks/store.py": "not journaled",
    "shared/work/lease.py": "what a running task's worker notes in passing",
    "shared/records/staging.py": "nobody sees them; the transaction that shows them journals them",
    "shared/work/write.py:followed_up": "an end that was followed up; again is no change",
}
"""Places that write an item by itself, with the reason."""


def _writes_alone(call: ast.Call) -> bool:
    """Tell whether a call writes an item of its own."""
    if not isinstance(call.func, ast.Attribute):
        return False
    name, receiver = call.func.attr, call.func.value
    if isinstance(receiver, ast.Name) and receiver.id in (
        "writes",
        "self",
        "batch",
        "write",
        "plan",
    ):
        return False
    keywords = {each.arg for each in call.keywords}
    if name in ("batch_write", "update_item", "put_item", "delete_item"):
        return True
    if name == "update":
        return "actions" in keywords
    is_condition = not call.args or isinstance(call.args[0], (ast.Compare, ast.Call, ast.Name))
    return name in ("save", "delete") and is_condition and keywords <= {"condition"}


def _places() -> set[str]:
    """Return where items are written by themselves, as file:function."""
    found = set()
    for folder in ("shared", "functions"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text())
            if "shared.records" not in path.read_text():
                continue
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef):
                    for node in ast.walk(function):
                        if isinstance(node, ast.Call) and _writes_alone(node):
                            found.add(f"{path.relative_to(ROOT)}:{function.name}")
    return found


def test_items_are_written_in_transactions_but_where_there_is_a_reason() -> None:
    wrong = {
        place
        for place in _places()
        if place not in PAST_TRANSACTIONS and place.partition(":")[0] not in PAST_TRANSACTIONS
    }
    assert wrong <= OTHER_CALLS, wrong - OTHER_CALLS


OTHER_CALLS = {
    "functions/api/engine/references.py:delete_elsewhere",
    "functions/api/engine/handlers.py:_delete",  # a store's, which writes in a transaction
    "functions/ingest/finalise.py:_close",  # objects of the bucket
    "shared/catalog/versions.py:_without",  # an array without some of its rows
}
"""Calls of the same names that are no item's."""


def test_each_kind_of_item_is_journaled_or_has_a_reason_not_to_be() -> None:
    for package in (shared, functions):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if _has_items(module.name):
                importlib.import_module(module.name)

    def kinds(model: type[Record]) -> set[str]:
        own = set() if model is Record else {model.stored_kind()}
        return own.union(*(kinds(each) for each in model.__subclasses__()))

    known = {k for k in kinds(Record) if k not in ("Mouse", "Cage")}
    journaled = {"Audit", "Book", "Dataset", "Doc", "Due", "Password", "Pointer", "Session"}
    journaled |= {"HookKey", "Task", "Upload"}
    assert known == journaled | set(NOT_JOURNALED)
    assert {*ORDERED_BY, *SECRET, *UNCHANGING} <= journaled


def _has_items(module: str) -> bool:
    path = ROOT / (module.replace(".", "/") + ".py")
    return path.exists() and "discriminator=" in path.read_text()
