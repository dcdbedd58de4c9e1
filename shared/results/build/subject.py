"""A subject's pages and those of its sessions, probes and units."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import NamedTuple

import msgspec
import pandas as pd

from shared.model.identity import nickname_of
from shared.results import addresses, tables
from shared.results.addresses import safe_name
from shared.results.build.entries import entry_of
from shared.results.build.films import bring_films
from shared.results.build.probes import ProbesBuilder
from shared.results.build.said import Said, kind_of
from shared.results.build.state import SubjectState, code_version, confirmed, subject_state
from shared.results.reading import gaps
from shared.results.render import SiteSettings, render
from shared.results.source import (
    SiteSession,
    Source,
    Subject,
    Unreadable,
    file_address,
    fingerprint,
    is_visible,
    public_datasets,
)
from shared.results.store import (
    ATTEMPTS,
    ChangedMeanwhile,
    SiteStore,
    encode,
    encode_as,
    load,
    pause,
    write_derived,
    write_if_changed,
)
from shared.results.views.page import Input, MadeFrom, Problem
from shared.results.views.session import (
    Behaviour,
    TrialArrays,
    behaviour_of,
    columns_of,
    session_view,
)
from shared.results.views.subject import (
    Published,
    SubjectView,
    subject_view,
)

log = logging.getLogger(__name__)

NOT_SHOWN = ("datasets", "public", "embargo_until", "timezone", "remarks")
"""Fields of a session that do not change its page, or enter its fingerprint separately."""


class Changes(NamedTuple):
    """The result of a build for a subject.

    Attributes
    ----------
    written, removed : int
        Sessions whose pages were written, and removed.
    problems : tuple of Problem
        Problems of the subject and its sessions.
    failed : bool
        Whether the subject as a whole could not be brought up to date.
    """

    written: int
    removed: int
    problems: tuple[Problem, ...] = ()
    failed: bool = False


class _Read(NamedTuple):
    """Trials read during a build, by session id: as tables and as arrays."""

    tables: dict[str, pd.DataFrame]
    arrays: dict[str, TrialArrays]


class SubjectBuilder:
    """Brings subjects up to date, one after the other.

    Parameters
    ----------
    source, store, settings, now
        As for :class:`shared.results.build.Site`.
    """

    def __init__(
        self, source: Source, store: SiteStore, settings: SiteSettings, now: Callable[[], datetime]
    ) -> None:
        self.source = source
        self.store = store
        self.settings = settings
        self.now = now
        self.probes = ProbesBuilder(source, store, settings)

    def refresh(self, nickname: str) -> Changes:
        """Bring a subject's page and those of its sessions up to date."""
        key = subject_state(nickname)
        read = _Read({}, {})
        touched: set[str] = set()
        announced_here: set[str] = set()
        removed: set[str] = set()
        for attempt in range(ATTEMPTS):
            state, etag = load(self.store, key, SubjectState)
            published = state.sessions if state else {}
            visible, problems = self._visible(nickname)
            prints = {eid: self._fingerprint(s) for eid, s in visible.items()}
            changed = [s for eid, s in visible.items() if _is_due(published.get(eid), prints[eid])]
            gone = (set(published) | announced_here) - set(visible)
            if not changed and not gone:
                break
            try:
                announced = published | {
                    s.id: msgspec.structs.replace(published.get(s.id, Published()), print="")
                    for s in changed
                }
                announced_here |= set(announced)
                if announced != published:
                    etag = self._write_state(key, nickname, announced, etag)
                removed |= gone
                written = self._write_sessions(changed, prints, read, published)
                touched |= {eid for eid, entry in written.items() if entry != published.get(eid)}
                self._delete_sessions(gone)
                sessions = {eid: written.get(eid) or published[eid] for eid in visible}
                self._write_state(key, nickname, sessions, etag)
            except ChangedMeanwhile:
                pause(attempt)
            else:
                break
        else:
            raise ChangedMeanwhile(f"the sessions of {nickname} kept changing")
        problems += self._write_subject(nickname, read)
        entries = confirmed(self.store, nickname)
        problems += [
            Problem(f"{nickname}/{entry.row.date}/{entry.row.number:03d}", said)
            for entry in entries.values()
            if entry.row
            for said in entry.problems
        ]
        return Changes(len(touched - removed), len(removed), tuple(problems))

    def _visible(self, nickname: str) -> tuple[dict[str, SiteSession], list[Problem]]:
        """Return the sessions that the public may see, and the problems of all sessions."""
        visible: dict[str, SiteSession] = {}
        problems: list[Problem] = []
        for session in self.source.sessions(nickname):
            refused = session.refused or _problem_of_day(session.date)
            remarks = [refused] if refused else session.remarks
            problems += [Problem(session.reference, said) for said in remarks]
            if not refused and is_visible(session, self.now()):
                visible[session.id] = session
        return visible, problems

    def _write_state(
        self, key: str, nickname: str, sessions: Mapping[str, Published], etag: str
    ) -> str:
        state = SubjectState(nickname, dict(sorted(sessions.items())))
        body = encode_as(state, SubjectState)
        return self.store.write(key, body, if_match=etag)

    def _fingerprint(self, one: SiteSession) -> str:
        inputs = [(d.id, d.path, d.hash) for d in sorted(public_datasets(one), key=lambda d: d.id)]
        field_values = {
            one_field.name: str(getattr(one, one_field.name))
            for one_field in fields(one)
            if one_field.name not in NOT_SHOWN
        }
        return fingerprint(inputs, field_values, code_version(), self.settings)

    def _write_sessions(
        self,
        sessions: list[SiteSession],
        prints: Mapping[str, str],
        read: _Read,
        known: Mapping[str, Published],
    ) -> dict[str, Published]:
        """Write the pages of sessions; return their entries in the subject's state.

        Parameters
        ----------
        sessions : list of SiteSession
        prints : mapping of str
            Fingerprints, by session id.
        read : _Read
            Collects the trials that are read.
        known : mapping of Published
            The entries so far.
        """
        # An entry without a day belongs to a builder that was stopped while it wrote the pages.
        had_probes = {
            eid for eid, session in known.items() if not session.day or session.day.probes
        }
        said = {session.id: Said() for session in sessions}
        for session in sessions:
            self._read_trials(session, read, said[session.id])
        seen = _behaviour(sessions, read, said)
        entries = {}
        for session in sessions:
            heard, shown = said[session.id], seen.get(session.id)
            made_from = _made_from(session, prints[session.id])
            probes = self.probes.write(
                session, read.arrays.get(session.id), made_from, heard, session.id in had_probes
            )
            film = bring_films(
                self.store, session, read.arrays.get(session.id), heard, self.settings.recordings
            )
            view = session_view(
                self.settings, session, shown, probes, made_from, heard.problems, film
            )
            self._put(addresses.session_data(session.id), encode(view.data))
            self._put(view.page.address, render(view, self.settings))
            if shown is None:
                self.store.delete([addresses.session_image(session.id)])
            entries[session.id] = entry_of(session, prints[session.id], shown, probes, heard)
        return entries

    def _put(self, key: str, body: bytes) -> None:
        write_if_changed(self.store, key, body)

    def _delete_sessions(self, eids: Iterable[str]) -> None:
        """Delete the pages of sessions, with those of their probes and units."""
        for eid in sorted(eids):
            names = addresses.session_files(eid)
            for prefix in (*addresses.probe_prefixes(eid), addresses.films_folder(eid)):
                names += self.store.names(prefix)
            self.store.delete(names)

    def _read_trials(self, one: SiteSession, read: _Read, said: Said) -> None:
        """Keep a session's trials, if it has any and they can be read."""
        if not one.trials:
            return
        with said.of(one, "The trials"):
            table = self.source.trials(one)
            if table is None or not len(table):
                raise Unreadable("they are empty")
            said.problems += gaps(table)
            if others := [trials_of_protocol.collection for trials_of_protocol in one.trials[1:]]:
                said.problems.append(
                    f"This session has several protocols; its page shows that in "
                    f"{one.trials[0].collection}. Others are in {', '.join(others)}."
                )
            read.tables[one.id] = table
            read.arrays[one.id] = columns_of(table)

    def _write_subject(self, nickname: str, read: _Read) -> list[Problem]:
        """Write the subject's page from its state, or remove it with its last session.

        Returns
        -------
        list of Problem
            Sessions whose trials had to be left out of the training status.
        """
        animal = self.source.subject(nickname)
        key = subject_state(nickname)
        marker = f"_state/pages/{safe_name(nickname)}"
        made = fingerprint(self.store.etag(key), animal, code_version(), self.settings)
        done = self.store.read(marker)
        if done and done[0] == made.encode():
            return []
        problems: list[Problem] = []

        def make(state: SubjectState | None) -> dict[str, bytes]:
            sessions = state.confirmed if state else {}
            if not sessions:
                return {}
            prints = {eid: entry.print for eid, entry in sessions.items()}
            self._complete(nickname, prints, read.tables)
            read_now = {eid: read.tables[eid] for eid in sessions if eid in read.tables}
            for eid, frame in read_now.items():
                if eid not in read.arrays:
                    read.arrays[eid] = columns_of(frame)
            arrays = {eid: read.arrays[eid] for eid in read_now}
            problems[:], view = self._view(animal, sessions, arrays)
            return {
                addresses.subject_data(nickname): encode(view.data),
                view.page.address: render(view, self.settings),
                addresses.subject_trials(nickname): tables.pack(read_now, sessions),
            }

        write_derived(self.store, key, SubjectState, make)
        if confirmed(self.store, nickname):
            self.store.write(marker, made.encode())
        else:
            self.store.delete([*addresses.subject_files(nickname), marker])
        return problems

    def _view(
        self,
        animal: Subject,
        sessions: Mapping[str, Published],
        arrays: Mapping[str, TrialArrays],
    ) -> tuple[list[Problem], SubjectView]:
        """Return the subject's page, without the trials of sessions whose data break it."""

        def view(kept: Mapping[str, TrialArrays]) -> SubjectView:
            return subject_view(self.settings, animal, sessions, kept, code_version())

        try:
            return [], view(arrays)
        except Exception:
            log.exception("the page of %s fails with the trials of some session", animal.nickname)
        problems, kept = [], {}
        for eid, columns in arrays.items():
            try:
                view({eid: columns})
            except Exception as error:
                row = sessions[eid].row
                name = nickname_of(animal.nickname)
                where = f"{name}/{row.date}/{row.number:03d}" if row else eid
                problems.append(Problem(where, f"Training status without it: {kind_of(error)}."))
            else:
                kept[eid] = columns
        return problems, view(kept)

    def _complete(
        self, nickname: str, prints: Mapping[str, str], trials: dict[str, pd.DataFrame]
    ) -> None:
        """Add the trials of published sessions that this build has not read.

        The subject's own table has those of unchanged sessions, marked with their fingerprints.
        The source is asked only for the others.
        """
        missing = set(prints) - set(trials)
        if missing and (packed := self.store.read(addresses.subject_trials(nickname))):
            for eid, (made_from, known) in tables.unpack(packed[0]).items():
                if eid in missing and made_from == prints[eid]:
                    missing.discard(eid)
                    if len(known):
                        trials[eid] = known
        if missing:
            for session in self._visible(nickname)[0].values():
                if session.id in missing:
                    single = _Read({}, {})
                    self._read_trials(session, single, Said())
                    trials |= single.tables


def _behaviour(
    sessions: Iterable[SiteSession], read: _Read, said: Mapping[str, Said]
) -> dict[str, Behaviour]:
    """Return the behaviour of sessions by id; sessions that fail are removed from `read`."""
    ready = [
        (session, read.arrays[session.id]) for session in sessions if session.id in read.arrays
    ]
    try:
        return {
            session.id: behaviour
            for (session, _), behaviour in zip(ready, behaviour_of(ready), strict=True)
        }
    except Exception as error:
        log.info("one by one, as a session's trials fail: %s", error)
    seen = {}
    for session, trials in ready:
        with said[session.id].of(session, "The trials"):
            (seen[session.id],) = behaviour_of([(session, trials)])
        if session.id not in seen:
            del read.tables[session.id], read.arrays[session.id]
    return seen


def _is_due(entry: Published | None, print_: str) -> bool:
    """Tell whether a session's pages have to be written."""
    return entry is None or entry.failed or entry.print != print_


def _problem_of_day(day: str) -> str:
    """Return why a session's date is not possible, empty if it is."""
    try:
        date.fromisoformat(day)
    except ValueError:
        return f"{day} is no day of the calendar: the session is left out."
    return ""


def _made_from(one: SiteSession, print_: str) -> MadeFrom:
    inputs = [Input(d.id, d.path, d.hash, file_address(one, d)) for d in public_datasets(one)]
    return MadeFrom(inputs, code_version(), print_)
