"""The stack as AWS would get it, plain and with every setting, synthesized once a session."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.local.template import run_cdk
from tests.infra.stack import Template

VAULT = "arn:aws:backup:eu-west-1:123456789012:backup-vault:elsewhere"

PLAIN: dict[str, Any] = {
    "labs": ["fimbrialab", "septumlab"],
    "alarm_email": "ops@example.org",
    "mail_from": "notices@example.org",
}

HARDENED: dict[str, Any] = {
    "waf": "true",
    "waf_rate": 500,
    "throttle_rate": 50,
    "throttle_burst": 80,
    "api_concurrency": 40,
    "keeper": "arn:aws:iam::123456789012:role/keeper",
    "lock_days": 90,
    "backup_vault": VAULT,
    "oidc_issuer": "https://idp.example.org",
    "oidc_audience": "client",
    "public_account": "openlab:international",
    "licence": "CC BY 4.0",
    "licence_url": "https://creativecommons.org/licenses/by/4.0/",
    "citation": "A, B (2024). Data.",
    "doi": "10.1234/abc",
    "batch_vcpus": 16,
}
"""Every setting of the stack's protection."""

PROGRAM = """
import json, sys
from aws_cdk import App, Stack, aws_sqs
from infra.app import build, check

plain, hardened, bare = json.loads(sys.argv[1])
for context, out in (plain, hardened):
    build(context, out).synth()
app = App(outdir=bare)
aws_sqs.Queue(Stack(app, "fornix"), "Bare")
check(app)
print("bare")
app.synth()
"""
"""One process for all: to load the CDK takes as long as two syntheses."""


class Syntheses(NamedTuple):
    """Folders of the synthesized stacks, and what was said of one with an unaccepted finding."""

    plain: Path
    hardened: Path
    code: int
    said_of_bare: str


@pytest.fixture(scope="session")
def syntheses(tmp_path_factory: pytest.TempPathFactory) -> Syntheses:
    """Return the syntheses; one with an unaccepted finding fails, and so would these."""
    out = tmp_path_factory.mktemp("cdk")
    plain, hardened = out / "plain", out / "hardened"
    asked = [(PLAIN, str(plain)), (HARDENED, str(hardened)), str(out / "bare")]
    done = run_cdk(PROGRAM, json.dumps(asked))
    said_of_both, began, said_of_bare = done.stdout.partition("bare\n")
    assert began, said_of_both
    return Syntheses(plain, hardened, done.returncode, said_of_bare)


@pytest.fixture(scope="session")
def synthesized(syntheses: Syntheses) -> Path:
    """Folder of the synthesized stack."""
    return syntheses.plain


@pytest.fixture(scope="session")
def stack(synthesized: Path) -> Template:
    """The stack's template."""
    loaded: Template = json.loads((synthesized / "fornix.template.json").read_text())
    return loaded


@pytest.fixture(scope="session")
def hardened(syntheses: Syntheses) -> Template:
    """The stack with every setting of its protection."""
    loaded: Template = json.loads((syntheses.hardened / "fornix.template.json").read_text())
    return loaded
