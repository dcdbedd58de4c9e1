"""The stack as AWS would get it, synthesized once per test session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.local.template import synthesize

MAIL = {"mail_from": "notices@example.org"}


@pytest.fixture(scope="session")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the synthesized stack; the synthesis itself fails on an unaccepted finding."""
    out = tmp_path_factory.mktemp("cdk.out")
    synthesize(
        {"labs": ["fimbrialab", "septumlab"], "alarm_email": "ops@example.org", **MAIL}, out
    )
    return out


@pytest.fixture(scope="session")
def stack(synthesized: Path) -> dict[str, Any]:
    """The stack's template."""
    loaded: dict[str, Any] = json.loads((synthesized / "fornix.template.json").read_text())
    return loaded
