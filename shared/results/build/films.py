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
    """Copy a session's films to the site; return the key of the data that shows them.

    Films that the session no longer has are removed. The page omits films that cannot be copied.

    Parameters
    ----------
    store : SiteStore
    session : SiteSession
    trials : dict of array, optional
    said : Said
        Collects what cannot be shown.
    wanted : bool
        Whether the site shows raw recordings and films.
    """
    shown, wanted_keys = None, set[str]()
    if wanted:
        with said.of(session, "The films"):
            new_films = films_of(session, trials)
            for key, path in new_films.copied.items() if new_films else ():
                store.copy(session.dataset(path).location, key)
            for key, body in new_films.written.items() if new_films else ():
                write_if_changed(store, key, body)
            shown = new_films
            wanted_keys = (
                new_films.copied.keys() | new_films.written.keys() if new_films else wanted_keys
            )
    existing = store.names(addresses.films_folder(session.id))
    store.delete(name for name in existing if name not in wanted_keys)
    return shown.about if shown else ""
