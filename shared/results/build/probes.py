"""The pages of a session's probes and units, with the raw recordings behind them."""

from __future__ import annotations

from shared.alf.layout import SPIKE_ARRAYS
from shared.results import addresses
from shared.results.build.said import Said
from shared.results.render import SiteSettings, render
from shared.results.source import SiteSession, Sorting, Source, Unreadable
from shared.results.store import SiteStore, encode, write_if_changed
from shared.results.views.page import MadeFrom
from shared.results.views.probe import probe_id, probe_view
from shared.results.views.recording import Shown, recordings_of
from shared.results.views.rows import ListedProbe
from shared.results.views.session import TrialArrays
from shared.results.views.unit import unit_view, units_data
from shared.science.ephys.quality import units_quality


class ProbesBuilder:
    """Writes the pages of a session's probes.

    Parameters
    ----------
    source, store, settings
        As for :class:`shared.results.build.Site`.
    """

    def __init__(self, source: Source, store: SiteStore, settings: SiteSettings) -> None:
        self.source = source
        self.store = store
        self.settings = settings

    def write(
        self,
        session: SiteSession,
        trials: TrialArrays | None,
        made_from: MadeFrom,
        said: Said,
        had_probes: bool,
    ) -> list[ListedProbe]:
        """Write the pages of a session's probes and units; return the rows of the probe list.

        Parameters
        ----------
        session : SiteSession
        trials : dict of array, optional
        made_from : MadeFrom
        said : Said
            Collects what cannot be shown.
        had_probes : bool
            Whether pages of probes may exist that the session no longer has.
        """
        rows: list[ListedProbe] = []
        # Spikes can only be aligned to both.
        if trials is not None and not {"stimOn_times", "feedback_times"} <= trials.keys():
            trials = None
        written: dict[str, bytes] = {}
        copied: set[str] = set()
        for collection in session.sortings:
            with said.of(session, f"The spikes in {collection}"):
                sorting = self.source.sorting(session, collection)
                if sorting is None:
                    raise Unreadable(f"{collection} has no whole set of {', '.join(SPIKE_ARRAYS)}")
                raw = self._recordings(session, sorting, trials, said)
                row, files = self._probe(session, sorting, trials, made_from, raw)
                rows.append(row)
                written |= files
                copied |= raw.copied.keys() if raw else set()
        for key, body in written.items():
            write_if_changed(self.store, key, body)
        if session.sortings or had_probes:
            existing = [
                name
                for prefix in addresses.probe_prefixes(session.id)
                for name in self.store.names(prefix)
            ]
            current = written.keys() | copied
            self.store.delete(name for name in existing if name not in current)
        return rows

    def _recordings(
        self, session: SiteSession, sorting: Sorting, trials: TrialArrays | None, said: Said
    ) -> Shown | None:
        """Copy a probe's raw recordings to the site; other figures do not depend on them."""
        if not self.settings.recordings:
            return None
        name = probe_id(session, sorting.collection)
        with said.of(session, f"The raw recording of {sorting.collection}"):
            recordings = recordings_of(session, name, sorting, trials)
            for key, path in recordings.copied.items() if recordings else ():
                self.store.copy(session.dataset(path).location, key)
            return recordings
        return None

    def _probe(
        self,
        session: SiteSession,
        sorting: Sorting,
        trials: TrialArrays | None,
        made_from: MadeFrom,
        raw: Shown | None,
    ) -> tuple[ListedProbe, dict[str, bytes]]:
        """Return a probe's row of the probe list, and the keys of the files of its pages."""
        some = sorting.spikes["times"].size
        quality = units_quality(sorting.spikes, sorting.metrics) if some else {}
        recording = raw.about if raw else ""
        view, drift = probe_view(
            self.settings, session, sorting, trials, quality, made_from, recording
        )
        name = view.data.probe.id
        files = {
            addresses.probe_data(name): encode(view.data),
            view.page.address: render(view, self.settings),
        } | (raw.written if raw else {})
        if quality:
            files[addresses.drift_image(name)] = drift
            units = unit_view(session, view)
            files[units.page.address] = render(units, self.settings)
        for cluster, unit in units_data(sorting, trials, quality).items():
            files[f"{addresses.units_folder(name)}{cluster}.json"] = encode(unit)
        return view.row, files
