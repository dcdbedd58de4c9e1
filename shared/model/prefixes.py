"""What lies below which prefix of the data bucket; permissions are given by these, too."""

from __future__ import annotations

INCOMING = "incoming/"
"""Put here by clients; only its events reach ingest, and it is emptied."""

DATA = "data/"
"""The bytes of datasets."""

QUARANTINE = "quarantine/"
"""Refused files."""

MANIFESTS = "manifests/"
"""What came of each upload."""

INDEXES = "indexes/"
"""What lies where in large files."""

NOTES = "notes/"
"""Images of notes, and smaller pictures of them."""

SNAPSHOTS = "snapshots/"
"""The search index at rest."""

SNAPSHOT = f"{SNAPSHOTS}latest.json"
"""Which snapshot is the newest."""

CACHE = "cache/"
"""The ONE client's cache tables, and other answers made in advance."""

PREDICTIONS = f"{CACHE}training-predictions.json"
"""How long mice are expected to train."""

JOURNAL = "journal/"
"""Every write, for restoring."""

RELEASES = "releases/"
"""The manifests of releases."""

GATHERED = "gathered/"
"""What was read of tags that take several requests to become releases; forgotten after a day."""

LAB_PAGES = "lab-pages/"
"""The pages of labs for their own people."""

KEPT = (DATA, MANIFESTS, JOURNAL, RELEASES)
"""Nothing is ever deleted from these."""

WRITTEN_ONCE = (DATA, MANIFESTS, RELEASES)
"""Nothing is ever overwritten in these."""
