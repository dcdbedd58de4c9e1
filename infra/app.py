"""Entry point of the CDK: ``python -m infra.app`` writes the template to ``cdk.out``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aws_cdk import App, DefaultStackSynthesizer, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.acknowledged import acknowledge
from infra.settings import ROOT, Deployment
from infra.stack import FornixStack


def build(context: dict[str, Any] | None = None, outdir: str | Path | None = None) -> App:
    """Return the CDK app with its one stack.

    Parameters
    ----------
    context
        Added to the context of ``cdk.json``, which it overrides.
    outdir
        Output folder of ``synth``; by default the folder of the CDK's tool, or ``cdk.out``.
    """
    defaults = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = App(
        # The command line's -c arguments reach App by the environment and override these.
        context=defaults | (context or {}),
        outdir=str(outdir or os.environ.get("CDK_OUTDIR") or ROOT / "cdk.out"),
        analytics_reporting=False,
        tree_metadata=False,
    )
    settings = Deployment.from_context(app.node)
    stack = FornixStack(
        app,
        settings,
        synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=not settings.local),
    )
    if not settings.local:
        check(app)
        acknowledge(stack)
    return app


def check(app: App) -> None:
    """Make a finding of cdk-nag without an accepted reason fail the synthesis."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))


if __name__ == "__main__":
    build().synth()
