"""Releases as people describe them, and as they leave it out: what descriptions are made of."""

from __future__ import annotations

import msgspec

from shared.model.release import (
    Creator,
    ReleasedFile,
    ReleasedSession,
    ReleaseManifest,
    ReleaseTerms,
)
from shared.releases.describe import ReleaseAddresses

PATHS = (
    "alf/_ibl_trials.table.pqt",
    "alf/#2024-08-01#/probe00/spikes.times.npy",
    "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap.cbin",
    "raw_video_data/_iblrig_leftCamera.raw.mp4",
)

TERMS = {
    "nothing said": ReleaseTerms(),
    "all said": ReleaseTerms(
        title="Mice that decide",
        description="Choices of mice that turn a wheel, with wheel and licks, trial by trial.",
        creators=(
            Creator("Garrett, Ada", "0000-0002-1825-0097", "Fimbria"),
            Creator("Consortium of the Fimbria", organisation=True, affiliation="Fimbria"),
            Creator('Öz & Söhne <x>; "q"', affiliation="Universität 漢字"),
        ),
        keywords=("decision", "mouse", "ONE", "decision"),
        papers=("10.1234/paper", "10.1038/s41592-022-01742-6", "10.1002/(SICI)1096<1::AID>3.0"),
    ),
    "names twice, another licence": ReleaseTerms(
        title="T",
        description="short",
        creators=(
            Creator("Same, Name"),
            Creator("Same, Name"),
            Creator("One, Ada", "0000-0002-1825-0097"),
            Creator("Two, Ada", "0000-0002-1825-0097"),
        ),
        licence="PDDL-1.0",
        publisher="Publisher & sons",
    ),
    "too long": ReleaseTerms(description="Every word of it. " * 1_000),
}

ADDRESSES = {
    "with page and DOI": ReleaseAddresses(
        "https://api.example.org/v1", "https://example.org/releases/paper-1.html", "10.1234/f.1"
    ),
    "of a server": ReleaseAddresses("https://api.example.org/v1"),
    "of a folder": ReleaseAddresses(),
}


def _id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def manifest(terms: ReleaseTerms) -> ReleaseManifest:
    """Return a release of two sessions in two labs."""
    sessions = tuple(
        ReleasedSession(_id(i), lab, f"M_{i}", "2024-07-01", i + 1, projects=("ibl_x",))
        for i, lab in enumerate(("fimbrialab", "lab-two"))
    )
    files = tuple(
        ReleasedFile(
            _id(100 + 10 * i + j),
            session.id,
            path,
            size=50 + j,
            sha256=f"{10 * i + j + 1:064x}",
            md5=f"{j:032x}",
            place=f"data/{session.folder}/{_id(100 + 10 * i + j)}.x",
            dataset_type="spikes.times" if j == 1 else "",
            code_version=("fornix 0.1.0", None, "ibllib 4.1.0", "fornix 0.1.0")[j],
        )
        for i, session in enumerate(sessions)
        for j, path in enumerate(PATHS)
    )
    return ReleaseManifest(
        "paper", 1, "paper", "2026-11-30T10:00:00+00:00", "ada", "c" * 64, terms, sessions, files
    )


def manifests() -> dict[str, ReleaseManifest]:
    """Return the releases by what is special about them."""
    found = {name: manifest(terms) for name, terms in TERMS.items()}
    whole = found["all said"]
    imported = tuple(msgspec.structs.replace(file, sha256=None) for file in whole.files)
    found["of imported files, by MD5"] = msgspec.structs.replace(whole, files=imported)
    found["empty"] = msgspec.structs.replace(whole, sessions=(), files=())
    return found
