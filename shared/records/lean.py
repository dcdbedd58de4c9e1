"""Imports of libraries without parts of them that are never used here.

botocore's client, session and models take most of the time in which a function starts. PynamoDB
imports them for its own client, which `shared.records.wire` replaces; urllib3 imports
``importlib.metadata`` to ask for the version of a package for HTTP/2 that is not installed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import botocore.exceptions


class _Unused:
    """Stands for whatever a library takes from a module left out: base class, docstring, type."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take any arguments."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let what is imported meanwhile find empty modules; afterwards everybody gets the real ones.

    Parameters
    ----------
    *names : str
        Modules to leave out, each within a package; those imported already are left alone.
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


def _unused(name: str) -> Any:
    """Return what stands for a name of a module left out; errors are caught, so they are real."""
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(botocore.exceptions, name, _Unused)
