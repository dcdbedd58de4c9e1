"""The incremental build: only what changed is computed, safely by several builders at once.

State lives beside the pages under ``_state/``: one object per subject with a fingerprint and the
key figures of each of its published sessions, one per month with the rows of the session list,
one with a row per subject. Everything else follows from these.

A session's page is announced in the subject's state before it is written and confirmed after, so
that whatever stops a builder, the next one knows every file that may be there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from shared.results import about, lists, pages, probe, session, subject, tables, training_time
from shared.results.html import Settings, safe_name
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
    derive,
    encode,
    load,
    pause,
    put,
    update,
)

log = logging.getLogger(__name__)

INDEX = "_state/index.json"
LAB_IMAGES = "_state/images.json"

SELDOM = timedelta(minutes=10)
"""The pictures of labs are drawn no more often when single sessions come in."""


@cache
def code_version() -> str:
    """Return a digest of the code that computes the site: pages change when it does."""
    digest = sha256()
    for folder in ("results", "science"):
        for path in sorted((Path(__file__).parents[1] / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def subject_state(nickname: str) -> str:
    """Return the key of a subject's state."""
    return f"_state/subjects/{safe_name(nickname)}.json"


def month_state(month: str) -> str:
    """Return the key of a month's rows of the session list."""
    return f"_state/months/{month}.json"


class Changes(NamedTuple):
    """Sessions whose pages were written, and removed."""

    written: int
    removed: int


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


class Site:
    """A results site, built from a source into a store.

    Parameters
    ----------
    source : Source
        Where sessions come from; may yield private ones, they never pass :func:`is_visible`.
    store : Store
        Where the site is kept.
    settings : Settings
    now : callable
        The moment at which embargoes are judged.
    images : bool
        Whether to draw the pictures for sharing too.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        settings: Settings | None = None,
        now: Callable[[], datetime] = utc_now,
        images: bool = True,
    ) -> None:
        self.source = source
        self.store = store
        self.settings = settings or Settings()
        self.now = now
        self.images = images

    def refresh(
        self,
        subjects: Iterable[str] | None = None,
        progress: Callable[[str], None] = lambda nickname: None,
        workers: int = 1,
        pace: Callable[[Iterable[str]], Iterable[str]] = lambda names: names,
    ) -> int:
        """Bring the pages of all subjects, or of those given, up to date.

        Parameters
        ----------
        subjects : iterable of str, optional
            Without it also subjects that are published but no longer in the source.
        progress : callable
            Told each subject when done.
        workers : int
            Processes; more than one needs a source and a store that can be pickled.
        pace : callable
            Passes the subjects on and may stop early; the next refresh does the rest.

        Returns
        -------
        int
            Sessions whose pages were written or removed.
        """
        everything = subjects is None
        names = set(subjects if subjects is not None else self.source.subjects())
        if everything:
            names |= set(load(self.store, INDEX)[0].get("subjects", {}))
        done: dict[str, Changes] = {}
        with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
            run = pool.map if pool else map
            for nickname, changes in run(self._refresh_named, pace(sorted(names))):
                done[nickname] = changes
                progress(nickname)
            self.refresh_lists(done)
            # Pictures come last: nobody waits for them to read a page.
            if self.images:
                for _ in run(self.draw, pace(sorted(done))):
                    pass
                removed = any(changes.removed for changes in done.values())
                self.draw_labs(seldom=not everything and not removed)
        if everything or any(changes.removed for changes in done.values()):
            self._write_tables()
        return sum(changes.written + changes.removed for changes in done.values())

    def _refresh_named(self, nickname: str) -> tuple[str, Changes]:
        return nickname, self.refresh_subject(nickname)

    def refresh_subject(self, nickname: str) -> Changes:
        """Bring a subject's page and those of its sessions up to date."""
        key = subject_state(nickname)
        trials: dict[str, pd.DataFrame] = {}
        columns: dict[str, session.Columns] = {}
        touched: set[str] = set()
        removed: set[str] = set()
        for attempt in range(ATTEMPTS):
            state, etag = load(self.store, key)
            known: dict[str, Any] = state.get("sessions", {})
            visible = {
                s.id: s for s in self.source.sessions(nickname) if is_visible(s, self.now())
            }
            prints = {eid: self._fingerprint(s) for eid, s in visible.items()}
            changed = [
                s for eid, s in visible.items() if known.get(eid, {}).get("print") != prints[eid]
            ]
            gone = (set(known) | touched) - set(visible)
            if not changed and not gone:
                break
            try:
                announced = known | {s.id: known.get(s.id, {}) | {"print": ""} for s in changed}
                if announced != known:
                    etag = self._write_state(key, nickname, announced, etag)
                touched |= {s.id for s in changed}
                removed |= gone
                written = self._write_sessions(changed, prints, trials, columns)
                self._delete_sessions(gone)
                sessions = {eid: written.get(eid) or known[eid] for eid in visible}
                self._write_state(key, nickname, sessions, etag)
            except Conflict:
                pause(attempt)
            else:
                break
        else:
            raise Conflict(f"the sessions of {nickname} kept changing")
        self._write_subject(nickname, trials, columns)
        return Changes(len(touched - removed), len(removed))

    def draw(self, nickname: str) -> int:
        """Draw the pictures of a subject and its sessions that are missing or outdated.

        Returns
        -------
        int
            Pictures drawn.
        """
        from shared.results import images

        key = f"_state/images/{safe_name(nickname)}.json"
        drawn, _ = load(self.store, key)
        prints = {eid: entry["print"] for eid, entry in self._state(nickname).items()}
        todo = [eid for eid, made_from in prints.items() if drawn.get(eid) != made_from]
        if not todo and set(drawn) == set(prints):
            return 0
        for eid in todo:
            content, _ = load(self.store, pages.session_data(eid))
            if content.get("blocks"):
                put(self.store, pages.session_image(eid), images.session(content))
        content, _ = load(self.store, pages.subject_data(nickname))
        if content:
            put(self.store, pages.subject_image(nickname), images.subject(content))
        # What was withdrawn while it was drawn must not stay as a picture.
        kept = self._state(nickname)
        gone = [pages.session_image(eid) for eid in prints if eid not in kept]
        self.store.delete(gone if kept else [*gone, pages.subject_image(nickname)])
        if prints:
            self.store.write(key, encode({eid: p for eid, p in prints.items() if eid in kept}))
        else:
            self.store.delete([key])
        return len(todo)

    def draw_labs(self, *, seldom: bool = False) -> int:
        """Draw the pictures of labs and of all of them whose data changed.

        Parameters
        ----------
        seldom : bool
            Leave those that were drawn within :data:`SELDOM`: in a burst of new sessions they
            would change with each.

        Returns
        -------
        int
            Pictures drawn.
        """
        from shared.results import images

        shown = {row["lab"] for row in load(self.store, INDEX)[0].get("subjects", {}).values()}
        todo = {pages.OVERVIEW_DATA: (pages.OVERVIEW_IMAGE, images.overview)} if shown else {}
        todo |= {pages.lab_data(lab): (pages.lab_image(lab), images.lab) for lab in sorted(shown)}
        before, _ = load(self.store, LAB_IMAGES)
        now = datetime.now(UTC)
        at = datetime.fromisoformat(before.pop("at", "1970-01-01T00:00:00+00:00"))
        if seldom and now - at < SELDOM and before.keys() >= todo.keys():
            return 0
        drawn = {}
        for key, (image, draw) in todo.items():
            drawn[key] = f"{code_version()} {self.store.etag(key)}"
            if before.get(key) != drawn[key]:
                self._draw_lab(key, image, draw)
        if not shown:
            self.store.delete([pages.OVERVIEW_IMAGE])
        if drawn != before:
            put(self.store, LAB_IMAGES, encode(drawn | {"at": now.isoformat()}))
        return sum(before.get(key) != made_from for key, made_from in drawn.items())

    def _draw_lab(self, key: str, image: str, draw: Callable[[dict[str, Any]], bytes]) -> None:
        def make(content: dict[str, Any]) -> dict[str, bytes]:
            return {image: draw(content)} if content else {}

        derive(self.store, key, make)
        if self.store.read(key) is None:  # withdrawn while it was drawn
            self.store.delete([image])

    def refresh_lists(self, subjects: Iterable[str]) -> None:
        """Bring session list, subject list, labs and overview in line with the subjects' states.

        Parameters
        ----------
        subjects : iterable of str
            Nicknames whose state may differ from what the lists say.
        """
        names = sorted(set(subjects))
        index, _ = load(self.store, INDEX)
        listed = index.get("subjects", {})
        states = {name: self._state(name) for name in names}
        months: dict[str, set[str]] = {}
        for name in names:
            before = listed.get(name, {}).get("months", {})
            now = {entry["row"]["date"][:7] for entry in states[name].values()}
            for month in set(before) | now:
                months.setdefault(month, set()).add(name)
        for month, of in sorted(months.items()):
            self._write_month(month, of)

        def change(state: dict[str, Any]) -> dict[str, Any]:
            rows = dict(state.get("subjects", {}))
            for name in names:
                document, _ = load(self.store, pages.subject_data(name))
                if document:
                    rows[name] = document["row"]
                else:
                    rows.pop(name, None)
            return {"subjects": dict(sorted(rows.items()))}

        update(self.store, INDEX, change)
        labs = {lab.name: lab for lab in self.source.labs()}
        derive(
            self.store, INDEX, lambda state: pages.indexes(self.settings, state["subjects"], labs)
        )
        for key, body in about.texts(self.settings).items():
            put(self.store, key, body)
        training_time.refresh(self.store, self.settings)
        shown = {row["lab"] for row in load(self.store, INDEX)[0]["subjects"].values()}
        kept = {key for lab in shown for key in pages.of_lab(lab)}
        self.store.delete(key for key in list(self.store.names("data/labs/")) if key not in kept)
        self.store.delete(key for key in list(self.store.names("labs/")) if key not in kept)

    def _write_tables(self) -> None:
        """Write one Parquet table of all sessions and one of all subjects, for reuse."""
        subjects = load(self.store, INDEX)[0].get("subjects", {})
        months = sorted({month for row in subjects.values() for month in row["months"]})
        rows = [
            row
            for month in months
            for row in load(self.store, month_state(month))[0].get("rows", {}).values()
        ]
        for key, body in tables.catalogue(rows, list(subjects.values())).items():
            put(self.store, key, body)

    def _state(self, nickname: str) -> dict[str, Any]:
        """Return the confirmed sessions of a subject's state."""
        state, _ = load(self.store, subject_state(nickname))
        return {eid: e for eid, e in state.get("sessions", {}).items() if e.get("row")}

    def _write_state(self, key: str, nickname: str, sessions: Mapping[str, Any], etag: str) -> str:
        body = encode({"subject": nickname, "sessions": dict(sorted(sessions.items()))})
        return self.store.write(key, body, if_match=etag)

    def _fingerprint(self, one: Session) -> str:
        inputs = [(d.id, d.path, d.hash) for d in sorted(public_datasets(one), key=lambda d: d.id)]
        known = {
            name: str(value)
            for name, value in vars(one).items()
            if name not in ("datasets", "public", "embargo_until", "timezone")
        }
        return fingerprint(inputs, known, code_version(), vars(self.settings))

    def _write_sessions(
        self,
        sessions: list[Session],
        prints: Mapping[str, str],
        trials: dict[str, pd.DataFrame],
        columns: dict[str, session.Columns],
    ) -> dict[str, Any]:
        """Write the pages of sessions; return their entries in the subject's state."""
        ready = []
        for one in sessions:
            frame = self._trials(one)
            if frame is not None and len(frame):
                trials[one.id] = frame
                columns[one.id] = session.columns_of(frame)
                ready.append((one, columns[one.id]))
        contents = {
            one.id: content
            for (one, _), content in zip(ready, session.contents(ready), strict=True)
        }
        entries = {}
        for one in sessions:
            content = contents.get(one.id, {})
            made_from = self._made_from(one, prints[one.id])
            probes = self._write_probes(one, columns.get(one.id), made_from)
            files = pages.session(self.settings, one, content, probes, made_from)
            for key, body in files.items():
                put(self.store, key, body)
            entries[one.id] = {
                "print": prints[one.id],
                "row": lists.session_row(one, content),
                "day": subject.day(one, content, probes),
            }
        return entries

    def _write_probes(
        self, one: Session, trials: session.Columns | None, made_from: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Write the pages of a session's probes and units; return the rows of the probe list."""
        rows = []
        for collection in sortings(one):
            try:
                found = self.source.sorting(one, collection)
            except (OSError, ValueError, KeyError) as error:
                log.warning("spikes of %s in %s: %s", one.reference, collection, error)
                continue
            if found is None:
                continue
            content, units, drift = probe.contents(one, found, trials)
            pid = probe.probe_id(one, collection)
            files = pages.probe(
                self.settings, one, pid, collection, content, units, drift, made_from
            )
            for key, body in files.items():
                put(self.store, key, body)
            rows.append(pages.probe_row(one, pid, collection, content))
        return rows

    def _delete_sessions(self, eids: Iterable[str]) -> None:
        """Delete the pages of sessions, with those of their probes and units."""
        for eid in sorted(eids):
            names = pages.of_session(eid)
            for prefix in pages.of_probes(eid):
                names += self.store.names(prefix)
            self.store.delete(names)

    def _trials(self, one: Session) -> pd.DataFrame | None:
        dataset = one.find(TRIALS)
        if dataset is None:
            return None
        try:
            return self.source.trials(one)
        except (OSError, ValueError, KeyError) as error:
            log.warning("trials of %s can not be read: %s", one.reference, error)
            return None

    def _made_from(self, one: Session, fingerprint_: str) -> dict[str, Any]:
        return {
            "inputs": [{"id": d.id, "path": d.path, "hash": d.hash} for d in public_datasets(one)],
            "code": code_version(),
            "fingerprint": fingerprint_,
        }

    def _write_subject(
        self,
        nickname: str,
        trials: dict[str, pd.DataFrame],
        columns: dict[str, session.Columns],
    ) -> None:
        """Write the subject's page from its state, or remove it with its last session."""
        animal = self.source.subject(nickname)
        key = subject_state(nickname)
        marker = f"_state/pages/{safe_name(nickname)}"
        made = fingerprint(self.store.etag(key), vars(animal), code_version(), vars(self.settings))
        done = self.store.read(marker)
        if done and done[0] == made.encode():
            return

        def make(state: dict[str, Any]) -> dict[str, bytes]:
            sessions = {e: s for e, s in state.get("sessions", {}).items() if s.get("row")}
            if not sessions:
                return {}
            prints = {eid: entry["print"] for eid, entry in sessions.items()}
            self._complete(nickname, prints, trials)
            shown = {eid: trials[eid] for eid in sessions if eid in trials}
            for eid, frame in shown.items():
                if eid not in columns:
                    columns[eid] = session.columns_of(frame)
            content = subject.page(animal, sessions, {eid: columns[eid] for eid in shown})
            made_from = {"inputs": prints, "code": code_version()}
            return pages.subject(self.settings, animal, content, made_from) | {
                pages.subject_trials(nickname): tables.pack(shown, sessions, prints)
            }

        derive(self.store, key, make)
        if self._state(nickname):
            self.store.write(marker, made.encode())
        else:
            self.store.delete([*pages.of_subject(nickname), marker])

    def _complete(
        self, nickname: str, prints: Mapping[str, str], trials: dict[str, pd.DataFrame]
    ) -> None:
        """Add the trials of published sessions that were not read just now.

        Those of unchanged sessions are in the subject's own table, marked with what they were
        made from; the source is asked only for others.
        """
        missing = set(prints) - set(trials)
        if missing and (packed := self.store.read(pages.subject_trials(nickname))):
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

    def _write_month(self, month: str, subjects: set[str]) -> None:
        """Bring a month's rows in line with the states of some subjects, then its public part."""

        def change(state: dict[str, Any]) -> dict[str, Any]:
            rows = {e: r for e, r in state.get("rows", {}).items() if r["subject"] not in subjects}
            for name in subjects:
                for eid, entry in self._state(name).items():
                    if entry["row"]["date"].startswith(month):
                        rows[eid] = entry["row"]
            return {"rows": dict(sorted(rows.items()))}

        update(self.store, month_state(month), change)
        derive(self.store, month_state(month), lambda state: pages.month(month, state["rows"]))
