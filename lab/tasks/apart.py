"""Run a task with the Python of another environment (``lab.worker.environments``).

As a program, ``python -P apart.py PLACE ORDER RESULT PARENT``: PLACE is the folder where Fornix is
installed for the worker. Of that folder only Fornix can be imported here, so that all libraries
come from this environment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

CODE = ("lab", "shared")
"""Packages that tasks take from the worker."""


class FornixFinder(DistributionFinder):
    """Finds Fornix's own packages and metadata, and nothing else.

    Parameters
    ----------
    code
        Folder with the packages.
    place
        Folder with the ``.dist-info``; a different one if the packages are a checkout's.
    """

    def __init__(self, code: str, place: str) -> None:
        self._code, self._place = code, place

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the location of a Fornix package."""
        return PathFinder.find_spec(name, [self._code], target) if name in CODE else None

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """Yield Fornix if it or every distribution is requested."""
        requested = getattr(context, "name", None)
        if requested in (None, "fornix"):
            own = DistributionFinder.Context(name="fornix", path=[self._place])
            yield from MetadataPathFinder.find_distributions(own)


def main(place: str, *order: str) -> int:
    """Carry out an order as `lab.tasks.run.main`."""
    code = str(Path(__file__).resolve().parents[2])
    sys.meta_path.insert(0, FornixFinder(code, place))
    from lab.tasks import sandbox
    from lab.tasks.run import main as run_main

    sandbox.ALSO.append(place)

    return run_main(*order)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
