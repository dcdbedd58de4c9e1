"""Descriptions of a release for those who find, cite and archive it.

Written by hand, because the libraries that make them weigh hundreds of megabytes; tests hold them
against the published schemas: DataCite 4.5, RO-Crate 1.2, Croissant 1.0, schema.org.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
"""Licences that data have, by SPDX identifier: their name and their text's address."""

MEDIA_TYPES = {
    "npy": "application/x-npy",
    "pqt": "application/x-parquet",  # what mlcroissant reads tables by
    "json": "application/json",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "htsv": "text/tab-separated-values",
    "mp4": "video/mp4",
    "tif": "image/tiff",
    "zip": "application/zip",
    "yaml": "application/yaml",
}

SHORTEST = 50
"""Characters of a description that Google Dataset Search asks for at least."""

LISTED = 5_000
"""Files that RO-Crate and Croissant name one by one; above, the manifest stands for them."""


class ReleaseAddresses(msgspec.Struct, frozen=True):
    """Where a release is to be found; all but the API's address may be empty.

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
        """Return the address that stands for this version."""
        if self.doi:
            return f"https://doi.org/{self.doi}"
        return self.page or f"{self.api}/releases/{manifest.name}/{manifest.version}"

    def of_file(self, file: ReleasedFile) -> str:
        """Return the address that answers with a file's bytes."""
        return f"{self.api}/{quote(file.place)}"


def description(manifest: ReleaseManifest) -> str:
    """Return what the release is said to be; what is too short is completed by its numbers."""
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


def title(manifest: ReleaseManifest) -> str:
    """Return the release's title."""
    return manifest.terms.title or manifest.name


def creators(manifest: ReleaseManifest) -> tuple[Creator, ...]:
    """Return whom to cite; the laboratories where nobody is named."""
    labs = sorted({session.lab for session in manifest.sessions})
    return manifest.terms.creators or tuple(Creator(lab, organisation=True) for lab in labs)


def citation(manifest: ReleaseManifest, where: ReleaseAddresses) -> str:
    """Return how the release is cited (DataCite's recommended form)."""
    names = [one.name for one in creators(manifest)]
    shown = "; ".join(names[:8]) + ("; et al." if len(names) > 8 else "")
    year, version = manifest.created[:4], manifest.version
    publisher = manifest.terms.publisher
    return (
        f"{shown} ({year}): {title(manifest)}. Version {version}. {publisher}. Dataset. "
        f"{where.of_release(manifest)}"
    )


def licence_name(spdx: str) -> str:
    """Return a licence's name as people write it."""
    return LICENCES.get(spdx, (spdx, ""))[0]


def licence_url(spdx: str) -> str:
    """Return the address of a licence's text."""
    return LICENCES.get(spdx, ("", f"https://spdx.org/licenses/{quote(spdx)}.html"))[1]


def projects(manifest: ReleaseManifest) -> list[str]:
    """Return the projects of its sessions."""
    return sorted({name for session in manifest.sessions for name in session.projects})


def keywords(manifest: ReleaseManifest) -> list[str]:
    """Return the words it is found by."""
    return sorted({*manifest.terms.keywords, *projects(manifest), "neurophysiology", "ONE"})


def datacite(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return the release's DataCite record (kernel 4.5; valid for 4.6 too)."""
    suffixes = Counter(file.suffix for file in manifest.files)
    record: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "creators": [_datacite_person(one) for one in creators(manifest)],
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
        "formats": [MEDIA_TYPES.get(name, f".{name}") for name in sorted(suffixes)],
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
    shown: dict[str, Any] = {
        "name": one.name,
        "nameType": "Organizational" if one.organisation else "Personal",
    }
    if one.orcid:
        shown["nameIdentifiers"] = [
            {
                "nameIdentifier": f"https://orcid.org/{one.orcid}",
                "nameIdentifierScheme": "ORCID",
                "schemeUri": "https://orcid.org",
            }
        ]
    if one.affiliation:
        shown["affiliation"] = [{"name": one.affiliation}]
    return shown


def _person(one: Creator) -> dict[str, Any]:
    """Return somebody in the words of schema.org."""
    shown: dict[str, Any] = {
        "@type": "Organization" if one.organisation else "Person",
        "name": one.name,
    }
    if one.orcid:
        shown["@id"] = f"https://orcid.org/{one.orcid}"
    if one.affiliation:
        shown["affiliation"] = {"@type": "Organization", "name": one.affiliation}
    return shown


def _dataset(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return what schema.org, Croissant and RO-Crate say alike."""
    return {
        "name": title(manifest),
        "description": description(manifest),
        "url": where.of_release(manifest),
        "version": str(manifest.version),
        "license": licence_url(manifest.terms.licence),
        "datePublished": manifest.created[:10],
        "keywords": keywords(manifest),
        "creator": [_person(one) for one in creators(manifest)],
        "publisher": {"@type": "Organization", "name": manifest.terms.publisher},
    }


CROISSANT_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The names that Croissant 1.0 gives its words (its specification, appendix 1)."""


def croissant(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return the release's Croissant 1.0 description; it is schema.org's `Dataset` too."""
    return {
        "@context": dict(CROISSANT_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **_dataset(manifest, where),
        "citeAs": citation(manifest, where),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": file.id,
                "name": path,
                "contentUrl": where.of_file(file),
                "contentSize": f"{file.size} B",
                "encodingFormat": _media_type(file),
                **({"sha256": file.sha256} if file.sha256 else {"md5": file.md5 or ""}),
            }
            for path, file in _some(manifest)
        ],
    }


def page_json_ld(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return schema.org's `Dataset` for the release's page: the whole of it, in a few lines."""
    described: dict[str, Any] = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        **_dataset(manifest, where),
        "citation": citation(manifest, where),
        "isAccessibleForFree": True,
        "size": f"{manifest.size} B",
    }
    if where.doi:
        described["identifier"] = f"https://doi.org/{where.doi}"
    if where.api:
        address = f"{where.api}/releases/{manifest.name}/{manifest.version}/manifest.json"
        described["distribution"] = [
            {"@type": "DataDownload", "encodingFormat": "application/json", "contentUrl": address}
        ]
    return described


def ro_crate(manifest: ReleaseManifest, where: ReleaseAddresses) -> dict[str, Any]:
    """Return the release's ``ro-crate-metadata.json`` (RO-Crate 1.2); paths are the copy's."""
    files = list(_some(manifest))
    root = {
        "@id": "./",
        "@type": "Dataset",
        **_dataset(manifest, where),
        "license": {"@id": licence_url(manifest.terms.licence)},
        "creator": [{"@id": _crate_id(one)} for one in creators(manifest)],
        "publisher": {"@id": f"#publisher-{quote(manifest.terms.publisher)}"},
        "hasPart": [{"@id": quote(path)} for path, _ in files],
    }
    return {
        "@context": "https://w3id.org/ro/crate/1.2/context",
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"},
            },
            root,
            {
                "@id": licence_url(manifest.terms.licence),
                "@type": "CreativeWork",
                "name": licence_name(manifest.terms.licence),
            },
            {
                "@id": f"#publisher-{quote(manifest.terms.publisher)}",
                "@type": "Organization",
                "name": manifest.terms.publisher,
            },
            *({**_person(one), "@id": _crate_id(one)} for one in creators(manifest)),
            *(_crate_file(path, file) for path, file in files),
        ],
    }


def _crate_id(one: Creator) -> str:
    return f"https://orcid.org/{one.orcid}" if one.orcid else f"#creator-{quote(one.name)}"


def _crate_file(path: str, file: ReleasedFile) -> dict[str, Any]:
    shown = {
        "@id": quote(path),
        "@type": "File",
        "name": path.rpartition("/")[2],
        "contentSize": str(file.size),
        "encodingFormat": _media_type(file),
    }
    return {**shown, "sha256": file.sha256} if file.sha256 else shown


def _media_type(file: ReleasedFile) -> str:
    return MEDIA_TYPES.get(file.suffix, "application/octet-stream")


def _some(manifest: ReleaseManifest) -> Iterable[tuple[str, ReleasedFile]]:
    """Return the files that are named one by one."""
    return list(manifest.paths().items())[:LISTED]
