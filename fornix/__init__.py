"""Data in the ONE convention, loaded alike from a folder, a zip, a release or a server.

Examples
--------
>>> import fornix
>>> release = fornix.open("https://api.example.org/v1/releases/2026_Paper")  # doctest: +SKIP
>>> trials = release.load(release.sessions[0].id, "trials")  # doctest: +SKIP
>>> trials.choice.mean()  # doctest: +SKIP
"""

from lab.loading.opened import LoadedObject, OpenedData, load
from lab.loading.opened import open_data as open
from lab.loading.sources import NoData

__all__ = ["LoadedObject", "NoData", "OpenedData", "load", "open"]
