"""A subject's pages and those of its sessions, probes and units."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
import pandas as pd

from shared.results import addresses, tables
from shared.results.addresses import safe_name
from shared.results.build.state import SubjectState, code_version, confirmed, subject_state
from shared.results.render import SiteSettings, render
from shared.results.source import (
    TRIALS,
    Session,
    Source,
    fingerprint,
    is_visible,
    public_datasets,
    sortings,
)
from shared.results.store import (
    ATTEMPTS,
    Conflict,
    Store,
    encode,
    load,
    pause,
    write_derived,
    write_if_changed,
)
from shared.results.views.page import Input, MadeFrom
from shared.results.views.probe import probe_view
from shared.results.views.rows import ListedProbe
from shared.results.views.session import (
    TrialArrays,
    behaviour_of,
    columns_of,
    session_row,
    session_view,
)
from shared.results.views.subject import Published, session_of_subject, subject_view
from shared.results.views.unit import unit_view, units_data
from shared.science.ephys.quality import units_quality

log = logging.getLogger(__name__)


class Changes(NamedTuple):
    """Sessions whose pages were written, and removed."""

    written: int
    removed: int


class _Read(NamedTuple):
    """Trials read during a build, by session id: as tables and as arrays."""

    tables: dict[str, pd.DataFrame]
    arrays: dict[str, TrialArrays]


class SubjectBuilder:
    """Brings one subject after the other up to date.

    Parameters
    ----------
    source, store, settings, now
        As for :class:`shared.results.build.Site`.
    """

    def __init__(
        self, source: Source, store: Store, settings: SiteSettings, now: Callable[[], datetime]
    ) -> None:
        self.source = source
        self.store = store
        self.settings = settings
        self.now = now

    def refresh(self, nickname: str) -> Changes:
        """Bring a subject's page and those of its sessions up to date."""
        key = subject_state(nickname)
        read = _Read({}, {})
        touched: set[str] = set()
        removed: set[str] = set()
        for attempt in range(ATTEMPTS):
            state, etag = load(self.store, key, SubjectState)
            known = state.sessions if state else {}
            visible = {
                s.id: s for s in self.source.sessions(nickname) if is_visible(s, self.now())
            }
            prints = {eid: self._fingerprint(s) for eid, s in visible.items()}
            changed = [
                s for eid, s in visible.items() if known.get(eid, Published()).print != prints[eid]
            ]
            gone = (set(known) | touched) - set(visible)
            if not changed and not gone:
                break
            try:
                announced = known | {
                    s.id: msgspec.structs.replace(known.get(s.id, Published()), print="")
                    for s in changed
                }
                if announced != known:
                    etag = self._write_state(key, nickname, announced, etag)
                touched |= {s.id for s in changed}
                removed |= gone
                written = self._write_sessions(changed, prints, read)
                self._delete_sessions(gone)
                sessions = {eid: written.get(eid) or known[eid] for eid in visible}
                self._write_state(key, nickname, sessions, etag)
            except Conflict:
                pause(attempt)
            else:
                break
        else:
            raise Conflict(f"the sessions of {nickname} kept changing")
        self._write_subject(nickname, read)
        return Changes(len(touched - removed), len(removed))

    def _write_state(
        self, key: str, nickname: str, sessions: Mapping[str, Published], etag: str
    ) -> str:
        body = encode(SubjectState(nickname, dict(sorted(sessions.items()))))
        return self.store.write(key, body, if_match=etag)

    def _fingerprint(self, one: Session) -> str:
        inputs = [(d.id, d.path, d.hash) for d in sorted(public_datasets(one), key=lambda d: d.id)]
        known = {
            name: str(value)
            for name, value in vars(one).items()
            if name not in ("datasets", "public", "embargo_until", "timezone")
        }
        return fingerprint(inputs, known, code_version(), self.settings)

    def _write_sessions(
        self, sessions: list[Session], prints: Mapping[str, str], read: _Read
    ) -> dict[str, Published]:
        """Write the pages of sessions; return their entries in the subject's state."""
        ready = []
        for one in sessions:
            frame = self._trials(one)
            if frame is not None and len(frame):
                read.tables[one.id] = frame
                read.arrays[one.id] = columns_of(frame)
                ready.append((one, read.arrays[one.id]))
        seen = {one.id: shown for (one, _), shown in zip(ready, behaviour_of(ready), strict=True)}
        entries = {}
        for one in sessions:
            shown = seen.get(one.id)
            made_from = _made_from(one, prints[one.id])
            probes = self._write_probes(one, read.arrays.get(one.id), made_from)
            view = session_view(self.settings, one, shown, probes, made_from)
            self._put(addresses.session_data(one.id), encode(view.data))
            self._put(view.page.address, render(view, self.settings))
            entries[one.id] = Published(
                prints[one.id],
                session_row(one, shown),
                session_of_subject(one, shown, probes),
            )
        return entries

    def _write_probes(
        self, one: Session, trials: TrialArrays | None, made_from: MadeFrom
    ) -> list[ListedProbe]:
        """Write the pages of a session's probes and units; return the rows of the probe list."""
        rows = []
        # Without both there is nothing to align spikes to.
        if trials is not None and not {"stimOn_times", "feedback_times"} <= trials.keys():
            trials = None
        for collection in sortings(one):
            try:
                sorting = self.source.sorting(one, collection)
            except (OSError, ValueError, KeyError) as error:
                log.warning("spikes of %s in %s: %s", one.reference, collection, error)
                continue
            if sorting is None:
                continue
            quality = units_quality(sorting.spikes)
            view, drift = probe_view(self.settings, one, sorting, trials, quality, made_from)
            name = view.data.probe.id
            self._put(addresses.probe_data(name), encode(view.data))
            self._put(addresses.drift_image(name), drift)
            self._put(view.page.address, render(view, self.settings))
            units = unit_view(one, view)
            self._put(units.page.address, render(units, self.settings))
            for cluster, unit in units_data(sorting, trials, quality).items():
                self._put(f"{addresses.units_folder(name)}{cluster}.json", encode(unit))
            rows.append(view.row)
        return rows

    def _put(self, key: str, body: bytes) -> None:
        write_if_changed(self.store, key, body)

    def _delete_sessions(self, eids: Iterable[str]) -> None:
        """Delete the pages of sessions, with those of their probes and units."""
        for eid in sorted(eids):
            names = addresses.session_files(eid)
            for prefix in addresses.probe_prefixes(eid):
                names += self.store.names(prefix)
            self.store.delete(names)

    def _trials(self, one: Session) -> pd.DataFrame | None:
        if one.find(TRIALS) is None:
            return None
        try:
            return self.source.trials(one)
        except (OSError, ValueError, KeyError) as error:
            log.warning("trials of %s can not be read: %s", one.reference, error)
            return None

    def _write_subject(self, nickname: str, read: _Read) -> None:
        """Write the subject's page from its state, or remove it with its last session."""
        animal = self.source.subject(nickname)
        key = subject_state(nickname)
        marker = f"_state/pages/{safe_name(nickname)}"
        made = fingerprint(self.store.etag(key), animal, code_version(), self.settings)
        done = self.store.read(marker)
        if done and done[0] == made.encode():
            return

        def make(state: SubjectState | None) -> dict[str, bytes]:
            sessions = state.confirmed if state else {}
            if not sessions:
                return {}
            prints = {eid: entry.print for eid, entry in sessions.items()}
            self._complete(nickname, prints, read.tables)
            shown = {eid: read.tables[eid] for eid in sessions if eid in read.tables}
            for eid, frame in shown.items():
                if eid not in read.arrays:
                    read.arrays[eid] = columns_of(frame)
            arrays = {eid: read.arrays[eid] for eid in shown}
            view = subject_view(self.settings, animal, sessions, arrays, code_version())
            return {
                addresses.subject_data(nickname): encode(view.data),
                view.page.address: render(view, self.settings),
                addresses.subject_trials(nickname): tables.pack(shown, sessions),
            }

        write_derived(self.store, key, SubjectState, make)
        if confirmed(self.store, nickname):
            self.store.write(marker, made.encode())
        else:
            self.store.delete([*addresses.subject_files(nickname), marker])

    def _complete(
        self, nickname: str, prints: Mapping[str, str], trials: dict[str, pd.DataFrame]
    ) -> None:
        """Add the trials of published sessions that were not read just now.

        Those of unchanged sessions are in the subject's own table, marked with what they were
        made from; the source is asked only for others.
        """
        missing = set(prints) - set(trials)
        if missing and (packed := self.store.read(addresses.subject_trials(nickname))):
            for eid, (made_from, known) in tables.unpack(packed[0]).items():
                if eid in missing and made_from == prints[eid]:
                    missing.discard(eid)
                    if len(known):
                        trials[eid] = known
        if missing:
            for one in self.source.sessions(nickname):
                if one.id in missing and is_visible(one, self.now()):
                    frame = self._trials(one)
                    if frame is not None and len(frame):
                        trials[one.id] = frame


def _made_from(one: Session, print_: str) -> MadeFrom:
    inputs = [Input(d.id, d.path, d.hash) for d in public_datasets(one)]
    return MadeFrom(inputs, code_version(), print_)
