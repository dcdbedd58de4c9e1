"""Descriptions of a release: texts, citation, licence, and its DataCite record.

`shared.releases.linked` makes its linked data.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

import msgspec

from shared.model.release import Creator, ReleasedFile, ReleaseManifest

LICENCES = {
    "CC-BY-4.0": ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "CC0-1.0": ("CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "CC-BY-SA-4.0": ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    "CC-BY-NC-4.0": ("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
    "ODbL-1.0": ("ODbL 1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
}
"""Licences for data by SPDX identifier: name and address of the text."""

MEDIA_TYPES = {
    "npy": "application/x-npy",
    "pqt": "application/x-parquet",  # mlcroissant needs this type for tables
    "json": "application/json",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "htsv": "text/tab-separated-values",
    "mp4": "video/mp4",
    "tif": "image/tiff",
    "zip": "application/zip",
    "yaml": "application/yaml",
}

SHORTEST, LONGEST = 50, 5_000
"""Least and most characters of a description for Google Dataset Search."""


class ReleaseAddresses(msgspec.Struct, frozen=True):
    """The addresses of a release; all but the API's may be empty.

    Attributes
    ----------
    api : str
        Address of the API.
    page : str
        Address of the page of this version.
    doi : str
    """

    api: str = ""
    page: str = ""
    doi: str = ""

    def of_release(self, manifest: ReleaseManifest) -> str:
        """Return the address that identifies this version."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return self.page or f"{self.api}/releases/{manifest.name}/{manifest.version}"

    def of_file(self, file: ReleasedFile) -> str:
        """Return the address of a file's bytes."""
        return f"{self.api}/{quote(file.place)}"


def description(manifest: ReleaseManifest) -> str:
    """Return the release's description; numbers are added if it is too short."""
    said = manifest.terms.description.strip()
    if len(said) >= SHORTEST:
        return said
    labs = sorted({session.lab for session in manifest.sessions})
    subjects = {(session.lab, session.subject) for session in manifest.sessions}
    counted = (
        f"{len(manifest.files):,} files of {len(manifest.sessions):,} recording sessions with "
        f"{len(subjects):,} subjects in {', '.join(labs)}, in the ONE convention."
    )
    return f"{said} {counted}".strip()


def abstract(manifest: ReleaseManifest) -> str:
    """Return the description for search engines, cut if it is too long."""
    whole = description(manifest)
    return whole if len(whole) <= LONGEST else whole[: LONGEST - 1] + "…"


def title(manifest: ReleaseManifest) -> str:
    """Return the release's title."""
    return manifest.terms.title or manifest.name


def creators(manifest: ReleaseManifest) -> tuple[Creator, ...]:
    """Return the creators to cite; the laboratories if nobody is named."""
    labs = sorted({session.lab for session in manifest.sessions})
    return manifest.terms.creators or tuple(Creator(lab, organisation=True) for lab in labs)


def citation(manifest: ReleaseManifest, where: ReleaseAddresses) -> str:
    """Return the citation of the release (DataCite's recommended form)."""
    names = [creator.name for creator in creators(manifest)]
    authors = "; ".join(names[:8]) + ("; et al." if len(names) > 8 else "")
    year, version = manifest.created[:4], manifest.version
    publisher = manifest.terms.publisher
    return (
        f"{authors} ({year}): {title(manifest)}. Version {version}. {publisher}. Dataset. "
        f"{where.of_release(manifest)}"
    )


def licence_name(spdx: str) -> str:
    """Return a licence's name for people."""
    return LICENCES.get(spdx, (spdx, ""))[0]


def licence_url(spdx: str) -> str:
    """Return the address of a licence's text."""
    return LICENCES.get(spdx, ("", f"https://spdx.org/licenses/{quote(spdx)}.html"))[1]


def projects(manifest: ReleaseManifest) -> list[str]:
    """Return the projects of its sessions."""
    return sorted({name for session in manifest.sessions for name in session.projects})


def keywords(manifest: ReleaseManifest) -> list[str]:
    """Return its keywords."""
    return sorted({*manifest.terms.keywords, *projects(manifest), "neurophysiology", "ONE"})


def datacite(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return the release's DataCite record (kernel 4.5; valid for 4.6 too)."""
    suffixes = Counter(file.suffix for file in manifest.files)
    record: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "creators": [_datacite_person(creator) for creator in creators(manifest)],
        "titles": [{"title": title(manifest)}],
        "publisher": {"name": manifest.terms.publisher},
        "publicationYear": manifest.created[:4],
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Neurophysiology"},
        "version": str(manifest.version),
        "language": "en",
        "descriptions": [{"description": description(manifest), "descriptionType": "Abstract"}],
        "rightsList": [
            {
                "rights": licence_name(manifest.terms.licence),
                "rightsUri": licence_url(manifest.terms.licence),
                "rightsIdentifier": manifest.terms.licence,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "subjects": [{"subject": word} for word in keywords(manifest)],
        "dates": [{"date": manifest.created[:10], "dateType": "Created"}],
        "sizes": [f"{manifest.size} bytes", f"{len(manifest.files)} files"],
        "formats": sorted({MEDIA_TYPES.get(name, f".{name}") for name in suffixes}),
        "contributors": [
            {"name": lab, "nameType": "Organizational", "contributorType": "DataCollector"}
            for lab in sorted({session.lab for session in manifest.sessions})
        ],
        "relatedIdentifiers": [
            {
                "relatedIdentifier": doi,
                "relatedIdentifierType": "DOI",
                "relationType": "IsDescribedBy",
            }
            for doi in manifest.terms.papers
        ],
    }
    return {"doi": where.doi, **record} if where.doi else record


def _datacite_person(one: Creator) -> dict[str, Any]:
    person: dict[str, Any] = {
        "name": one.name,
        "nameType": "Organizational" if one.organisation else "Personal",
    }
    if one.orcid:
        person["nameIdentifiers"] = [
            {
                "nameIdentifier": f"https://orcid.org/{one.orcid}",
                "nameIdentifierScheme": "ORCID",
                "schemeUri": "https://orcid.org",
            }
        ]
    if one.affiliation:
        person["affiliation"] = [{"name": one.affiliation}]
    return person
