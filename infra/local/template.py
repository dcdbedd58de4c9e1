"""The local template, synthesized once and cached until its sources change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infra.settings import ROOT
from infra.sources import application, binary_types, challenged, routes

CACHE = ROOT / ".fornix" / "cache"
"""Shared by every state folder of a checkout."""


def template(
    labs: tuple[str, ...], progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Return the CloudFormation template for the embedded cloud.

    Parameters
    ----------
    labs
        Labs that get a queue and a role.
    progress
        Called when a synthesis is needed.

    Raises
    ------
    RuntimeError
        If the synthesis fails, with its output.
    """
    context = {"local": True, "labs": list(labs)}
    cached = CACHE / f"template-{_fingerprint(context)}.json"
    if not cached.exists():
        progress("synthesizing the stack (the first time, and when infra/ has changed)")
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as out:
            synthesize(context, Path(out))
            synthesized = Path(out) / f"{_context()['name']}.template.json"
            os.replace(synthesized, cached)
    loaded: dict[str, Any] = json.loads(cached.read_text())
    return loaded


def synthesize(context: dict[str, Any], outdir: Path) -> str:
    """Synthesize the stack.

    Parameters
    ----------
    context
        Added to ``cdk.json``'s.
    outdir
        Folder of the template and its assets.

    Returns
    -------
    str
        Output of the CDK.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    program = (
        "import json, sys; from infra.app import build; "
        "build(json.loads(sys.argv[1]), sys.argv[2]).synth()"
    )
    # The CDK's own validation takes longer than all the rest; ``make synth`` runs it.
    validated = not context.get("local")
    done = run_cdk(program, json.dumps(context), str(outdir), validated=validated)
    if done.returncode:
        raise RuntimeError(f"the CDK could not synthesize the stack:\n{done.stdout}")
    return done.stdout


def run_cdk(
    program: str, *arguments: str, validated: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program with the CDK in a process whose memory and node process end with it.

    Parameters
    ----------
    program
        Python code.
    *arguments
        Its ``sys.argv[1:]``.
    validated
        Whether the CDK validates what is synthesized.

    Returns
    -------
    subprocess.CompletedProcess
        Its code, and all that it printed as ``stdout``.
    """
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env=os.environ
        | {
            "CDK_VALIDATION": "true" if validated else "false",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _context() -> dict[str, Any]:
    """Return the context of ``cdk.json``."""
    context: dict[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return context


def _fingerprint(context: dict[str, Any]) -> str:
    """Return a hash of everything that the template depends on, without the functions' code."""
    app = application()
    digest = hashlib.sha256()
    for path in sorted((ROOT / "infra").glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    for path in (ROOT / "shared/records/table.py", ROOT / "cdk.json"):
        digest.update(path.read_bytes())
    parts = [context, routes(app), challenged(), binary_types(app)]
    parts += [version("aws-cdk-lib"), sys.version]
    digest.update(json.dumps(parts, sort_keys=True).encode())
    return digest.hexdigest()[:32]


if __name__ == "__main__":  # part of ``make setup``, so that the first start need not wait for it
    from infra.local.seed import LABS

    template(LABS, print)
