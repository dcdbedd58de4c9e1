"""botocore without its documentation: import this before botocore or PynamoDB.

botocore writes docstrings for every method of a client, for which it imports a converter of HTML;
urllib3 asks for the version of a package for HTTP/2 that is not installed, for which it imports
``importlib.metadata``. Neither is used here, and together they are a sixth of what both libraries
take at the start of a function.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import Any


class _Docstring(str):
    """Stands for a docstring that nobody reads."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> _Docstring:
        """Return an empty text, whatever it would be about."""
        return super().__new__(cls)


def _without_init(name: str) -> None:
    """Register a package whose own code runs only when somebody asks for a name of it."""
    parent, _, child = name.partition(".")
    found = importlib.util.find_spec(parent)
    places = (found.submodule_search_locations if found else None) or ()
    package = ModuleType(name)
    package.__path__ = [os.path.join(place, child) for place in places]

    def ask(wanted: str) -> Any:
        return _of_code(package, os.path.join(package.__path__[0], "__init__.py"), wanted)

    package.__getattr__ = ask  # type: ignore[method-assign]
    sys.modules.setdefault(name, package)


def _docstrings() -> ModuleType:
    """Return what stands for ``botocore.docs.docstring``; boto3 gets the rest of the real one."""
    module = ModuleType("botocore.docs.docstring")
    for name in ("ClientMethodDocstring", "PaginatorDocstring", "WaiterDocstring"):
        setattr(module, name, _Docstring)

    def ask(wanted: str) -> Any:
        places = sys.modules["botocore.docs"].__path__
        return _of_code(module, os.path.join(places[0], "docstring.py"), wanted)

    module.__getattr__ = ask  # type: ignore[method-assign]
    return module


def _of_code(module: ModuleType, path: str, wanted: str) -> Any:
    """Run the code that a module has in truth, what stands in for it kept; return a name of it."""
    if wanted.startswith("__") or "_ran" in vars(module):
        raise AttributeError(wanted)
    vars(module)["_ran"] = True
    kept = dict(vars(module))
    SourceFileLoader(module.__name__, path).exec_module(module)
    vars(module).update(kept)
    return getattr(module, wanted)


if "botocore.client" not in sys.modules:
    _without_init("urllib3.http2")
    _without_init("botocore.docs")
    sys.modules.setdefault("botocore.docs.docstring", _docstrings())
