"""Files made from the states of all subjects: lists, labs, overview, tables, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.results import addresses, sitemap, tables, training_time
from shared.results.build.state import (
    INDEX,
    MonthState,
    SubjectIndex,
    confirmed,
    index_of,
    month_state,
)
from shared.results.render import SiteSettings, render
from shared.results.source import Lab
from shared.results.store import (
    SiteStore,
    encode,
    load,
    update,
    write_derived,
    write_if_changed,
)
from shared.results.views import about, lists
from shared.results.views.lab import lab_view
from shared.results.views.overview import overview_view
from shared.results.views.page import DataView, View
from shared.results.views.rows import ListedSubject
from shared.results.views.subject import SubjectData


class ListBuilder:
    """Brings lists, labs and overview in line with the subjects' states.

    Parameters
    ----------
    store, settings
        As for :class:`shared.results.build.Site`.
    """

    def __init__(self, store: SiteStore, settings: SiteSettings) -> None:
        self.store = store
        self.settings = settings

    def refresh(self, subjects: Iterable[str], labs: Iterable[Lab]) -> None:
        """Bring the lists in line with the states of some subjects.

        Parameters
        ----------
        subjects : iterable of str
            Nicknames whose state may differ from what the lists say.
        labs : iterable of Lab
            Facts about labs.
        """
        names = sorted(set(subjects))
        self._refresh_months(names)

        def change(index: SubjectIndex | None) -> SubjectIndex:
            rows = dict(index.subjects) if index else {}
            for name in names:
                data, _ = load(self.store, addresses.subject_data(name), SubjectData)
                if data:
                    rows[name] = data.row
                else:
                    rows.pop(name, None)
            return SubjectIndex(dict(sorted(rows.items())))

        update(self.store, INDEX, SubjectIndex, change)
        labs_by_name = {lab.name: lab for lab in labs}
        write_derived(
            self.store,
            INDEX,
            SubjectIndex,
            lambda index: self._pages(index.subjects if index else {}, labs_by_name),
        )
        write_derived(
            self.store,
            INDEX,
            SubjectIndex,
            lambda index: self._sitemaps(index.subjects if index else {}),
        )
        write_derived(
            self.store,
            INDEX,
            SubjectIndex,
            lambda index: self._tables(index.subjects if index else {}),
        )
        version = self.store.etag(INDEX)
        texts: list[View] = [
            about.data_view(self.settings, version),
            about.about_view(),
            about.missing_view(),
        ]
        if self.settings.server:  # without a server nobody can sign in
            texts.append(about.my_lab_view())
        for view in texts:
            write_if_changed(self.store, view.page.address, render(view, self.settings))
        training_time.refresh(self.store, self.settings)
        listed_labs = {row.lab for row in index_of(self.store).subjects.values()}
        current = {key for lab in listed_labs for key in addresses.lab_files(lab)}
        for folder in ("data/labs/", "labs/"):
            existing = list(self.store.names(folder))
            self.store.delete(key for key in existing if key not in current)

    def _tables(self, subjects: Mapping[str, ListedSubject]) -> dict[str, bytes]:
        """Return one Parquet table of all sessions and one of all subjects, for reuse."""
        months = sorted({month for row in subjects.values() for month in row.months})
        states = (load(self.store, month_state(month), MonthState)[0] for month in months)
        rows = [row for state in states if state for row in state.rows.values()]
        return tables.catalogue(rows, list(subjects.values()))

    def _sitemaps(self, subjects: Mapping[str, ListedSubject]) -> dict[str, bytes]:
        """Return the site's pages for search engines, if the site's address is known."""
        if not self.settings.site_url:
            return {}
        months = sorted({month for subject in subjects.values() for month in subject.months})
        return sitemap.files(self.settings.site_url, list(subjects.values()), months)

    def _refresh_months(self, names: list[str]) -> None:
        listed = index_of(self.store).subjects
        months: dict[str, set[str]] = {}
        for name in names:
            before = set(listed[name].months) if name in listed else set()
            rows = (entry.row for entry in confirmed(self.store, name).values())
            for month in before | {row.date[:7] for row in rows if row}:
                months.setdefault(month, set()).add(name)
        for month, of in sorted(months.items()):
            self._write_month(month, of)

    def _write_month(self, month: str, subjects: set[str]) -> None:
        """Bring a month's rows in line with the states of some subjects, then its public part."""

        def change(state: MonthState | None) -> MonthState:
            before = state.rows if state else {}
            rows = {eid: row for eid, row in before.items() if row.subject not in subjects}
            for name in subjects:
                for eid, entry in confirmed(self.store, name).items():
                    if entry.row and entry.row.date.startswith(month):
                        rows[eid] = entry.row
            return MonthState(dict(sorted(rows.items())))

        def make(state: MonthState | None) -> dict[str, bytes]:
            rows = list(state.rows.values()) if state else []
            files = {addresses.month_list(month): encode(lists.month_columns(rows))}
            if self.settings.site_url:
                files |= sitemap.month_file(self.settings.site_url, month, rows)
            return files

        update(self.store, month_state(month), MonthState, change)
        write_derived(self.store, month_state(month), MonthState, make)

    def _pages(
        self, subjects: Mapping[str, ListedSubject], labs: Mapping[str, Lab]
    ) -> dict[str, bytes]:
        """Return the pages made from the rows of all subjects."""
        rows = list(subjects.values())
        by_lab: dict[str, list[ListedSubject]] = {}
        for row in sorted(rows, key=lambda row: row.lab):
            by_lab.setdefault(row.lab, []).append(row)
        views: list[DataView] = [
            overview_view(by_lab, labs),
            lists.sessions_view(rows),
            lists.subjects_view(rows),
            lists.probes_view(rows),
            lists.daily_view(rows),
            *(lab_view(labs.get(name, Lab(name)), of) for name, of in by_lab.items()),
        ]
        files = {view.page.attributes["src"]: encode(view.data) for view in views}
        pages: list[View] = [*views, lists.labs_view(by_lab, labs)]
        return files | {view.page.address: render(view, self.settings) for view in pages}
