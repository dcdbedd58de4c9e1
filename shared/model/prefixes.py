"""Prefixes of the data bucket and their content; IAM permissions use them, too."""

from __future__ import annotations

INCOMING = "incoming/"
"""Uploads of clients; only events of this prefix reach ingest, which empties it."""

DATA = "data/"
"""The bytes of datasets."""

AGGREGATES = "aggregates/"
"""Folder, under `DATA`, of the tables over all sessions of a mouse (ONE's aggregates)."""

QUARANTINE = "quarantine/"
"""Refused files."""

MANIFESTS = "manifests/"
"""Outcomes of the uploads."""

INDEXES = "indexes/"
"""Indexes of large files."""

NOTES = "notes/"
"""Images of notes, and smaller pictures of them."""

SNAPSHOTS = "snapshots/"
"""The search index at rest."""

SNAPSHOT = f"{SNAPSHOTS}latest.json"
"""Names the newest snapshot."""

CACHE = "cache/"
"""The ONE client's cache tables, and other precomputed answers."""

PREDICTIONS = f"{CACHE}training-predictions.json"
"""Expected training times of mice."""

PAUSES = f"{CACHE}pauses.json"
"""When the tables and the snapshot may be built again."""

NIGHT = f"{CACHE}night.json"
"""Where the nightly build ran out of time."""

JOURNAL = "journal/"
"""Every write, for restoring."""

RELEASES = "releases/"
"""The manifests of releases."""

GATHERED = "gathered/"
"""Datasets of tags that take several requests to become releases; expire after a day."""

LAB_PAGES = "lab-pages/"
"""The pages of labs for their own people."""

FREED_TAG = ("fornix", "freed")
"""Tag of an object that may expire: a raw recording whose compressed copy is proved."""

KEPT = (DATA, MANIFESTS, JOURNAL, RELEASES)
"""Nobody deletes anything from these; under ``data/`` what has `FREED_TAG` expires."""

WRITTEN_ONCE = (DATA, MANIFESTS, RELEASES)
"""Nothing is ever overwritten in these."""
