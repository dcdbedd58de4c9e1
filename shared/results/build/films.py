"""The films of a session's cameras, brought to the site."""

from __future__ import annotations

from shared.results import addresses
from shared.results.build.said import Said
from shared.results.source import SiteSession
from shared.results.store import SiteStore, write_if_changed
from shared.results.views.film import films_of
from shared.results.views.session import TrialArrays


def bring_films(
    store: SiteStore, session: SiteSession, trials: TrialArrays | None, said: Said, wanted: bool
) -> str:
    """Copy a session's films to the site; return the key of what they are shown by.

    Films that it has no more are removed. The page does without them if they cannot be brought.

    Parameters
    ----------
    store : SiteStore
    session : SiteSession
    trials : dict of array, optional
    said : Said
        Gets what cannot be shown.
    wanted : bool
        Whether the site shows what was recorded.
    """
    shown, kept = None, set[str]()
    if wanted:
        with said.of(session, "The films"):
            found = films_of(session, trials)
            for key, path in found.copied.items() if found else ():
                store.copy(session.dataset(path).location, key)
            for key, body in found.written.items() if found else ():
                write_if_changed(store, key, body)
            shown = found
            kept = found.copied.keys() | found.written.keys() if found else kept
    there = store.names(addresses.films_folder(session.id))
    store.delete(name for name in there if name not in kept)
    return shown.about if shown else ""
