"""The validators of descriptions; run by the environment of `make descriptions`.

    python validators.py < JSON

Standard input is a list of ``{kind, document, files}``; the answer is a list of lists of faults.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

CRATE_CONTEXTS = ("https://w3id.org/ro/crate/1.3/context", "https://w3id.org/ro/crate/1.2/context")

UNKNOWABLE = (
    "ROR identifier",
    "organization SHOULD have a URL",
    "ORCID identifier",
    "contactPoint",
    "organizational affiliation",
    "organizational `affiliation`",
    "SHOULD resolve to",
)
"""Recommendations of RO-Crate on what only the people described could say, or a registered DOI."""


def main() -> None:
    warnings.simplefilter("ignore")
    checks = {
        "datacite": datacite,
        "croissant": croissant,
        "ro-crate-1.3": lambda document, files: ro_crate(document, files, "1.3"),
        "ro-crate-1.2": lambda document, files: ro_crate(document, files, "1.2"),
        "json-ld": json_ld,
    }
    answer_from_packages()
    found = []
    for asked in json.load(sys.stdin):
        with contextlib.redirect_stdout(io.StringIO()):
            found.append(checks[asked["kind"]](asked["document"], asked["files"]))
    print("ANSWER " + json.dumps(found))


def answer_from_packages() -> None:
    """Let nothing be fetched: RO-Crate's context is in its library, all else is not found."""
    import requests
    import rocrate

    body = Path(rocrate.__file__).with_name("data").joinpath("ro-crate.jsonld").read_bytes()

    def send(self: Any, request: Any, **more: Any) -> requests.Response:
        import urllib3

        answer = requests.Response()
        known = request.url in CRATE_CONTEXTS
        answer.request, answer.url = request, request.url
        answer.status_code = 200 if known else 404
        answer._content = body if known else b""
        answer.headers["Content-Type"] = "application/ld+json"
        answer.raw = urllib3.HTTPResponse(io.BytesIO(answer._content), status=answer.status_code)
        return answer

    requests.adapters.HTTPAdapter.send = send


def datacite(document: Any, files: dict[str, int]) -> list[str]:
    """By DataCite's JSON schema 4.5, as its client has it; then as XML, which archives keep."""
    from datacite import schema45

    faults = [
        f"{one.json_path}: {one.message}" for one in schema45.validator.iter_errors(document)
    ]
    if not faults:
        schema45.tostring(document)
    return faults


def croissant(document: Any, files: dict[str, int]) -> list[str]:
    """By MLCommons' own library; what it warns of counts."""
    import mlcroissant

    told: list[str] = []

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Told(logging.WARNING)
    logging.getLogger("absl").addHandler(handler)
    try:
        issues = mlcroissant.Dataset(jsonld=document).metadata.ctx.issues
    except mlcroissant.ValidationError as error:
        return [str(error)]
    finally:
        logging.getLogger("absl").removeHandler(handler)
    return [*map(str, issues.errors), *map(str, issues.warnings), *told]


def ro_crate(document: Any, files: dict[str, int], version: str) -> list[str]:
    """By the RO-Crate validator, what it recommends too, as far as it can be known."""
    from rocrate_validator import models, services

    text = json.dumps(document).replace("ro/crate/1.3", f"ro/crate/{version}")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "ro-crate-metadata.json").write_text(text)
        for path, size in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(bytes(size))
        result = services.validate(
            services.ValidationSettings(
                rocrate_uri=folder,
                profile_identifier=f"ro-crate-{version}",
                requirement_severity=models.Severity.RECOMMENDED,
                no_cache=True,
            )
        )
    assert len(result.executed_checks) > 100, "the profile was not checked"
    return [
        f"{one.severity.name} {one.check.identifier}: {one.message}"
        for one in result.get_issues()
        if not any(words in one.message for words in UNKNOWABLE)
    ]


def json_ld(document: Any, files: dict[str, int]) -> list[str]:
    """By a JSON-LD processor: every word has a meaning, none is dropped."""
    import rocrate
    from pyld import jsonld

    data = Path(rocrate.__file__).with_name("data") / "ro-crate.jsonld"
    words = json.loads(data.read_text())["@context"]

    def load(address: str, options: Any) -> Any:
        # schema.org's own context is fetched at run time; RO-Crate's has its words
        assert address.startswith(("https://schema.org", *CRATE_CONTEXTS)), address
        return {"contextUrl": None, "documentUrl": address, "document": {"@context": words}}

    expanded = jsonld.expand(document, {"documentLoader": load, "base": "https://example.org/"})
    return [f"{one} is dropped" for one in sorted(told(document) - told(expanded))]


def told(value: Any) -> set[str]:
    """Return all texts that linked data tell, but ids, kinds and contexts."""
    if isinstance(value, list):
        return {text for one in value for text in told(one)}
    if isinstance(value, dict):
        kept = (one for key, one in value.items() if key not in ("@context", "@type", "@id"))
        return {text for one in kept for text in told(one)}
    return {value} if isinstance(value, str) else set()


if __name__ == "__main__":
    main()
