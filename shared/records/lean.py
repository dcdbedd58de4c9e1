"""botocore without its documentation: import this before botocore or PynamoDB.

botocore writes docstrings for every method of a client, for which it imports a converter of HTML;
urllib3 asks for the version of a package for HTTP/2 that is not installed, for which it imports
``importlib.metadata``. Neither is used here, and together they are a sixth of what both libraries
take at the start of a function.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import Any

PACKAGES = ("botocore.docs", "urllib3.http2")
"""Packages whose own code does not run; their modules are imported as ever."""

DOCSTRINGS = "botocore.docs.docstring"
CLASSES = ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring")
"""The module that botocore's clients want docstrings from, and what they want."""


class _Docstring(str):
    """Stands for a docstring that nobody reads."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Docstring:
        """Return an empty text, whatever it would be about."""
        return super().__new__(cls)


class _StandIn(Loader):
    """Loads a module with almost nothing in it; whoever asks for more (boto3) gets the real one.

    Parameters
    ----------
    place : str
        File of the real module.
    names : sequence of str
        Classes of docstrings that it has.
    """

    def __init__(self, place: str, names: Sequence[str] = ()) -> None:
        self.place = place
        self.names = names

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Put in the classes, and the way to the real module."""
        for name in self.names:
            setattr(module, name, _Docstring)
        real: list[ModuleType] = []

        def look_up(name: str) -> Any:
            beside = os.path.join(os.path.dirname(self.place), f"{name}.py")
            if name.startswith("__") or (
                self.place.endswith("__init__.py") and os.path.exists(beside)
            ):
                raise AttributeError(name)  # a module of the package: it is imported by itself
            if not real:
                loader = SourceFileLoader(f"{module.__name__}_in_full", self.place)
                real.append(ModuleType(loader.name))
                loader.exec_module(real[0])
            return getattr(real[0], name)

        module.__getattr__ = look_up  # type: ignore[method-assign]


class _Lean(MetaPathFinder):
    """Finds empty modules in place of what is not needed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how to load one of the modules above; None for all others."""
        if name not in PACKAGES and name != DOCSTRINGS:
            return None
        own = name.rpartition(".")[2]
        places = [os.path.join(place, own) for place in path or ()]
        if name == DOCSTRINGS:
            return ModuleSpec(name, _StandIn(f"{places[0]}.py", CLASSES))
        loader = _StandIn(os.path.join(places[0], "__init__.py"))
        spec = ModuleSpec(name, loader, is_package=True)
        spec.submodule_search_locations = places
        return spec


if not any(isinstance(each, _Lean) for each in sys.meta_path):
    sys.meta_path.insert(0, _Lean())
