"""Sources of a deployment: the functions' code and the API's routes; the CDK is not imported."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path
from typing import Any

from infra.settings import ROOT

FOLDERS = ("functions", "shared", "site/results/templates")
"""Folders that make up the functions' code."""

BINARY_UPLOADS = ("multipart/form-data",)
"""Content types of requests that reach the function as bytes, beside the application's own."""


def code_files() -> list[Path]:
    """Return the files of the functions' code, sorted."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )


def code_hash(*more: object) -> str:
    """Return a hash of the functions' code, the lock file and further values."""
    digest = hashlib.sha256(repr(more).encode())
    for path in [*code_files(), ROOT / "requirements.lock"]:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def application() -> Any:
    """Import the Chalice application without any effects."""
    os.environ["AWS_CHALICE_CLI_MODE"] = "true"
    return importlib.import_module("functions.api.app").app


def routes(app: Any) -> dict[str, list[str]]:
    """Return the application's paths with their methods, sorted."""
    return {path: sorted(methods) for path, methods in sorted(app.routes.items())}


def challenged() -> tuple[str, ...]:
    """Return the paths of files for which API Gateway asks whether they need an account."""
    application()
    paths: tuple[str, ...] = importlib.import_module("functions.api.app").CHALLENGED
    return paths


def binary_types(app: Any) -> list[str]:
    """Return the media types that pass through the API as bytes."""
    return sorted({*app.api.binary_types, *BINARY_UPLOADS})
