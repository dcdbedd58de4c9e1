"""Where each page, its data and its picture lie on the site, relative to its root."""

from __future__ import annotations

import re
from urllib.parse import quote

from shared.model.prefixes import LAB_PAGES

OVERVIEW_DATA, OVERVIEW_IMAGE = "data/overview.json", "data/overview.png"

TRAINING_TIME = "training-time.html"

MY_LAB = "my-lab.html"
"""The page that shows members the pages of their own lab."""


def safe_name(name: str) -> str:
    """Return a name fit for a file name and an address, unchanged where it already is."""
    return re.sub(r"[^A-Za-z0-9_-]", lambda m: f"~{ord(m[0]):x}", name)


def session_page(session_id: str) -> str:
    """Return the address of a session's page."""
    return f"sessions/{safe_name(session_id)}.html"


def session_data(session_id: str) -> str:
    """Return the key of a session's data."""
    return f"data/sessions/{safe_name(session_id)}.json"


def session_image(session_id: str) -> str:
    """Return the key of a session's picture."""
    return f"data/sessions/{safe_name(session_id)}.png"


def session_files(session_id: str) -> list[str]:
    """Return the files of a session's page."""
    return [session_page(session_id), session_data(session_id), session_image(session_id)]


def probe_prefixes(session_id: str) -> list[str]:
    """Return the beginnings of the names of all files of a session's probes and units."""
    name = safe_name(session_id)
    folders = ("probes", "data/probes", "units", "data/units", "recordings")
    return [f"{folder}/{name}-" for folder in folders]


def probe_page(probe_id: str) -> str:
    """Return the address of a probe's page."""
    return f"probes/{safe_name(probe_id)}.html"


def probe_data(probe_id: str) -> str:
    """Return the key of a probe's data."""
    return f"data/probes/{safe_name(probe_id)}.json"


def drift_image(probe_id: str) -> str:
    """Return the key of a probe's drift map."""
    return f"data/probes/{safe_name(probe_id)}.drift.png"


def recordings_folder(probe_id: str) -> str:
    """Return the folder of the keys of a probe's raw recordings and of the data drawn on them."""
    return f"recordings/{safe_name(probe_id)}/"


def films_folder(session_id: str) -> str:
    """Return the folder of the keys of a session's films and of the data drawn beside them."""
    return f"films/{safe_name(session_id)}/"


def units_page(probe_id: str) -> str:
    """Return the address of the page of a probe's units; ``#CLUSTER`` chooses one."""
    return f"units/{safe_name(probe_id)}.html"


def units_folder(probe_id: str) -> str:
    """Return the folder of the keys of the data of a probe's units."""
    return f"data/units/{safe_name(probe_id)}/"


def subject_page(nickname: str) -> str:
    """Return the address of a subject's page."""
    return f"subjects/{safe_name(nickname)}.html"


def subject_data(nickname: str) -> str:
    """Return the key of a subject's data."""
    return f"data/subjects/{safe_name(nickname)}.json"


def subject_trials(nickname: str) -> str:
    """Return the key of the table of all trials of a subject."""
    return f"data/subjects/{safe_name(nickname)}.trials.pqt"


def subject_image(nickname: str) -> str:
    """Return the key of a subject's picture."""
    return f"data/subjects/{safe_name(nickname)}.png"


def subject_files(nickname: str) -> list[str]:
    """Return the files of a subject's page."""
    return [
        subject_page(nickname),
        subject_data(nickname),
        subject_trials(nickname),
        subject_image(nickname),
    ]


def lab_page(lab: str) -> str:
    """Return the address of a lab's page."""
    return f"labs/{safe_name(lab)}.html"


def lab_data(lab: str) -> str:
    """Return the key of a lab's data."""
    return f"data/labs/{safe_name(lab)}.json"


def lab_image(lab: str) -> str:
    """Return the key of a lab's picture."""
    return f"data/labs/{safe_name(lab)}.png"


def lab_files(lab: str) -> list[str]:
    """Return the files of a lab's page."""
    return [lab_page(lab), lab_data(lab), lab_image(lab)]


RELEASES = "releases.html"
"""The page that lists the releases."""


def release_page(name: str, version: int) -> str:
    """Return the address of the page of a version of a release."""
    return f"releases/{safe_name(name)}-{version}.html"


def release_files(name: str, version: int) -> list[str]:
    """Return the files of a version's page: the page, and its descriptions."""
    folder = f"data/releases/{safe_name(name)}/{version}"
    return [
        release_page(name, version),
        *(f"{folder}/{kind}" for kind in ("datacite.json", "ro-crate-metadata.json",
                                          "croissant.json")),
    ]  # fmt: skip


def month_list(month: str) -> str:
    """Return the key of a month's part of the session list."""
    return f"data/list/{month}.json"


def training_time_file(cohort: str, kind: str) -> str:
    """Return the key of a cohort's result (``json``) or figure (``png``, ``svg``)."""
    return f"data/training-time/{safe_name(cohort)}.{kind}"


def lab_pages(lab: str) -> str:
    """Return the folder in the data bucket of a lab's pages for its members."""
    return f"{LAB_PAGES}{safe_name(lab)}/"


def member_page(lab: str, page: str) -> str:
    """Return a page's address for members of its lab; the script splits it again."""
    return f"{MY_LAB}?at={quote(lab, safe='')}/{page}"
