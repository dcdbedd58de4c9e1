"""Imports without what they do not need: unused parts of libraries, and garbage collections.

botocore's client, session and models take most of the time in which a function starts. PynamoDB
imports them for its own client, which `shared.records.wire` replaces; urllib3 imports
``importlib.metadata`` to ask for the version of a package for HTTP/2 that is not installed.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import botocore.exceptions


class _Unused:
    """Replaces any base class, type or other name that a library takes from an omitted module."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take any arguments."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Replace modules by empty ones for the imports in this block.

    Parameters
    ----------
    *names : str
        Modules to leave out, each within a package. Modules already imported stay as they are.
    """
    left_out = [name for name in names if name not in sys.modules]
    for name in left_out:
        parent, _, own = name.rpartition(".")
        package: Any = __import__(parent, fromlist=["*"])
        module: Any = ModuleType(name)
        module.__path__ = [os.path.join(place, own) for place in package.__path__]
        module.__getattr__ = _unused
        sys.modules[name] = module
        setattr(package, own, module)
    try:
        yield
    finally:
        for name in left_out:
            parent, _, own = name.rpartition(".")
            del sys.modules[name]
            delattr(sys.modules[parent], own)


@contextmanager
def missing(name: str) -> Iterator[None]:
    """Let a module seem not to be installed for the imports in this block.

    For libraries that would take it only if it is there: msgspec asks typing_extensions for names
    that are in ``typing`` since Python 3.11.
    """
    is_loaded = name in sys.modules
    if not is_loaded:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not is_loaded:
            del sys.modules[name]


@contextmanager
def at_once() -> Iterator[None]:
    """Import the modules in this block without garbage collections; all that they made stays.

    Collections during imports find nothing: modules, classes and functions live as long as the
    process. Later ones do not look at them again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _unused(name: str) -> Any:
    """Return the replacement of a name; exceptions are real, since libraries catch them."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(botocore.exceptions, name, _Unused)
