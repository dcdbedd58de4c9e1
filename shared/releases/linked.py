"""A release as linked data: schema.org on its page, Croissant, RO-Crate.

They are written by hand, because the libraries for them take hundreds of megabytes. Tests check
them against schema.org's vocabulary, and `make descriptions` by the validators of each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from shared.model.release import Creator, ReleasedFile, ReleaseManifest
from shared.releases.describe import (
    MEDIA_TYPES,
    ReleaseAddresses,
    abstract,
    citation,
    creators,
    keywords,
    licence_name,
    licence_url,
    title,
)

LISTED = 5_000
"""Most files that RO-Crate and Croissant list; beyond, the manifest stands for them."""

CROISSANT = "http://mlcommons.org/croissant/1.0"
CRATE = "https://w3id.org/ro/crate/1.3"
"""Written versions; for RO-Crate, that of its own library (rocrate 0.16)."""

Node = dict[str, Any]


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
    "equivalentProperty": "cr:equivalentProperty",
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
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The JSON-LD context of Croissant 1.0 (its specification, appendix 1)."""


def croissant(manifest: ReleaseManifest, where: ReleaseAddresses) -> Node:
    """Return the release's Croissant 1.0 description, which is also schema.org's `Dataset`."""
    return {
        "@context": dict(CROISSANT_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CROISSANT,
        **_dataset(manifest, where),
        **_people(manifest),
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
            for path, file in _listed(manifest)
        ],
    }


def page_json_ld(manifest: ReleaseManifest, where: ReleaseAddresses) -> Node:
    """Return schema.org's `Dataset` for the release's page, without single files."""
    described: Node = {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        **_dataset(manifest, where),
        **_people(manifest),
        "citation": list(_papers(manifest)) or citation(manifest, where),
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


def ro_crate(manifest: ReleaseManifest, where: ReleaseAddresses) -> Node:
    """Return the release's ``ro-crate-metadata.json``; paths are those of the copy.

    It is flat, as RO-Crate requires: every entity has an id, and others refer to it by its id.
    """
    files = _listed(manifest)
    licence = licence_url(manifest.terms.licence)
    people, organisations = _entities_of_people(manifest)
    made, software = _entities_of_code(files)
    papers = [
        {"@id": address, "@type": "ScholarlyArticle", "name": address.partition("doi.org/")[2]}
        for address in _papers(manifest)
    ]
    labs = [
        {"@id": f"#lab-{quote(lab)}", "@type": "Organization", "name": lab}
        for lab in sorted({session.lab for session in manifest.sessions})
    ]
    publisher = {
        "@id": "#publisher",
        "@type": "Organization",
        "name": manifest.terms.publisher,
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        **_dataset(manifest, where),
        "license": {"@id": licence},
        "creator": _ids(people),
        "author": _ids(people),
        "publisher": {"@id": publisher["@id"]},
        "contributor": _ids(labs),
        "citation": _ids(papers),
        "hasPart": [{"@id": quote(path)} for path, _ in files],
        "mentions": _ids(made),
    }
    identifiers = []
    if where.doi:
        address = f"https://doi.org/{where.doi}"
        root["identifier"] = {"@id": address}
        identifiers = [
            {
                "@id": address,
                "@type": "PropertyValue",
                "name": "DOI",
                "propertyID": "https://registry.identifiers.org/registry/doi",
                "value": f"doi:{where.doi}",
                "url": address,
            }
        ]
    return {
        "@context": f"{CRATE}/context",
        "@graph": [
            {
                "@id": "ro-crate-metadata.json",
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": {"@id": CRATE},
            },
            {name: value for name, value in root.items() if value != []},
            {
                "@id": licence,
                "@type": "CreativeWork",
                "name": licence_name(manifest.terms.licence),
                "description": f"Licence {manifest.terms.licence} of the files.",
            },
            publisher,
            *identifiers,
            *people,
            *organisations,
            *labs,
            *papers,
            *software,
            *made,
            *(_crate_file(path, file) for path, file in files),
        ],
    }


def _dataset(manifest: ReleaseManifest, where: ReleaseAddresses) -> Node:
    """Return the properties common to all three."""
    return {
        "name": title(manifest),
        "description": abstract(manifest),
        "url": where.of_release(manifest),
        "version": str(manifest.version),
        "license": licence_url(manifest.terms.licence),
        "datePublished": manifest.created[:10],
        "keywords": keywords(manifest),
    }


def _people(manifest: ReleaseManifest) -> Node:
    """Return creators and publisher, each described in place."""
    return {
        "creator": [_person(creator) for creator in creators(manifest)],
        "publisher": {"@type": "Organization", "name": manifest.terms.publisher},
    }


def _person(one: Creator) -> Node:
    """Return a creator in schema.org's terms."""
    person: Node = {"@type": "Organization" if one.organisation else "Person", "name": one.name}
    if one.orcid:
        person["@id"] = f"https://orcid.org/{one.orcid}"
    if one.affiliation and not one.organisation:  # schema.org: only people have one
        person["affiliation"] = {"@type": "Organization", "name": one.affiliation}
    return person


def _entities_of_people(manifest: ReleaseManifest) -> tuple[list[Node], list[Node]]:
    """Return the creators and their organisations, without duplicates."""
    people: dict[str, Node] = {}
    organisations: dict[str, Node] = {}
    for number, creator in enumerate(creators(manifest), 1):
        person = {"@id": f"#creator-{number}", **_person(creator)}
        if "affiliation" in person:
            place = organisations.setdefault(
                creator.affiliation,
                {"@id": f"#organisation-{len(organisations) + 1}", **person["affiliation"]},
            )
            person["affiliation"] = {"@id": place["@id"]}
        people.setdefault(person["@id"], person)
    return list(people.values()), list(organisations.values())


def _entities_of_code(files: list[tuple[str, ReleasedFile]]) -> tuple[list[Node], list[Node]]:
    """Return the origin of the files: an action for each version of the code, and the versions."""
    made: dict[str, list[str]] = {}
    for path, file in files:
        if file.code_version:
            made.setdefault(file.code_version, []).append(path)
    versions = sorted(made)
    software = [
        {
            "@id": f"#software-{number}",
            "@type": "CreativeWork",  # a SoftwareApplication would need an address
            "name": version,
            "version": version,
        }
        for number, version in enumerate(versions, 1)
    ]
    actions = [
        {
            "@id": f"#made-{number}",
            "@type": "CreateAction",
            "name": f"Made by {version}",
            "instrument": {"@id": f"#software-{number}"},
            "result": [{"@id": quote(path)} for path in made[version]],
        }
        for number, version in enumerate(versions, 1)
    ]
    return actions, software


def _papers(manifest: ReleaseManifest) -> list[str]:
    return [f"https://doi.org/{quote(doi, safe='/')}" for doi in manifest.terms.papers]


def _ids(entities: list[Node]) -> list[Node]:
    return [{"@id": entity["@id"]} for entity in entities]


def _crate_file(path: str, file: ReleasedFile) -> Node:
    session = path.partition("/Subjects/")[2].removesuffix(f"/{file.path}")
    entity = {
        "@id": quote(path),
        "@type": "File",
        "name": path.rpartition("/")[2],
        "description": f"{file.dataset_type or 'File'} of session {session}",
        "contentSize": str(file.size),
        "encodingFormat": _media_type(file),
    }
    return {**entity, "sha256": file.sha256} if file.sha256 else entity


def _media_type(file: ReleasedFile) -> str:
    return MEDIA_TYPES.get(file.suffix, "application/octet-stream")


def _listed(manifest: ReleaseManifest) -> list[tuple[str, ReleasedFile]]:
    """Return the files that are listed one by one."""
    return list(manifest.paths().items())[:LISTED]
