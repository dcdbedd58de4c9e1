"""The functions' code: the folders ``functions/`` and ``shared/``, for AWS with wheels.

Nothing here needs docker: wheels for Lambda's platform are fetched by pip. The analysis function's
image is built by the deploying tool from ``infra/analysis.Dockerfile``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsii
from aws_cdk import (
    AssetHashType,
    BundlingOptions,
    CfnParameter,
    DockerImage,
    IgnoreMode,
    ILocalBundling,
)
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_lambda as lambda_

from infra.settings import ROOT, RUNTIME, Deployment
from infra.sources import FOLDERS, code_hash

ZIP_REQUIREMENTS = (
    "pynamodb",
    "botocore",
    "aws-lambda-powertools",
    "msgspec",
    "numpy",
    "pillow",
    "pyarrow",
    "pyjwt",
    "cryptography",
    "google-re2",
    "pyyaml",
    "zstandard",
    "zxcvbn",
)
"""Run-time requirements of the zip functions; versions come from ``requirements.lock``."""

WITHOUT_DEPENDENCIES = ("chalice",)
"""Chalice needs two files at run time; the rest of its package is for its command line."""

PYTHON_VERSION = RUNTIME.removeprefix("python")


def code(settings: Deployment, local_parameters: dict[str, CfnParameter]) -> lambda_.Code:
    """Return the code of the zip functions.

    In the embedded cloud the archive's key is a parameter, so that the template does not change
    with the code.
    """
    if settings.local:
        return lambda_.Code.from_cfn_parameters(
            bucket_name_param=local_parameters["CodeBucket"],
            object_key_param=local_parameters["CodeKey"],
        )
    return lambda_.Code.from_asset(
        str(ROOT / "functions"),
        asset_hash=code_hash(settings.bundle, ZIP_REQUIREMENTS, WITHOUT_DEPENDENCIES),
        asset_hash_type=AssetHashType.CUSTOM,
        bundling=BundlingOptions(
            image=DockerImage.from_registry("none"),  # never used: bundling is local
            local=_LocalBundling(settings.bundle),
        ),
    )


def image(platform: ecr_assets.Platform, handler: str) -> lambda_.DockerImageCode:
    """Return the analysis image, built from the checkout when it is deployed."""
    return lambda_.DockerImageCode.from_image_asset(
        str(ROOT),
        file="infra/analysis.Dockerfile",
        platform=platform,
        cmd=[handler],
        build_args={"PYTHON_VERSION": PYTHON_VERSION},
        exclude=[
            "**",
            *(f"!{folder}/**" for folder in FOLDERS),
            "!requirements.lock",
            "!infra/analysis.Dockerfile",
        ],
        ignore_mode=IgnoreMode.DOCKER,
        extra_hash=code_hash(RUNTIME),
    )


@jsii.implements(ILocalBundling)
class _LocalBundling:
    """Copies the folders and, when deploying for real, installs wheels for Lambda's platform."""

    def __init__(self, wheels: bool) -> None:
        self.wheels = wheels

    def try_bundle(self, output_dir: str, *_: Any, **__: Any) -> bool:
        """Fill the asset's folder; always return True."""
        out = Path(output_dir)
        for folder in FOLDERS:
            shutil.copytree(
                ROOT / folder, out / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
        if self.wheels:
            install_wheels(out)
        return True


def install_wheels(target: Path) -> None:
    """Install the zip functions' requirements for Lambda on arm64 into a folder.

    Raises
    ------
    subprocess.CalledProcessError
        If a package has no wheel for the platform or the index cannot be reached.
    """
    pip = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--platform", "manylinux2014_aarch64", "--platform", "manylinux_2_28_aarch64",
        "--python-version", PYTHON_VERSION, "--implementation", "cp", "--only-binary=:all:",
        "--target", str(target),
    ]  # fmt: skip
    pins = _locked_versions()
    subprocess.run([*pip, *(f"{p}=={pins[p]}" for p in ZIP_REQUIREMENTS)], check=True)
    subprocess.run(
        [*pip, "--no-deps", *(f"{p}=={pins[p]}" for p in WITHOUT_DEPENDENCIES)], check=True
    )
    _prune(target)


def _locked_versions() -> dict[str, str]:
    """Return package → version of the lock file."""
    pins = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            name, _, version = line.rstrip(" \\").partition("==")
            pins[name.split("[")[0].strip()] = version.split(";")[0].strip()
    return pins


def _prune(target: Path) -> None:
    """Remove files that Lambda never reads: other services' models, tests, headers."""
    services = {"s3", "sqs", "sts", "dynamodb"}
    for model in (target / "botocore" / "data").iterdir():
        if model.is_dir() and model.name not in services:
            shutil.rmtree(model)
    for folder in ("bin", "chalice/cli", "chalice/deploy", "pyarrow/include", "pyarrow/tests"):
        shutil.rmtree(target / folder, ignore_errors=True)
    # Arrow's servers and its own S3 client, which are imported only if they exist.
    for part in ("flight", "s3"):
        for library in target.glob(f"pyarrow/*{part}*.so*"):
            library.unlink()
    for tests in [*target.glob("numpy/**/tests"), *target.glob("**/__pycache__")]:
        shutil.rmtree(tests, ignore_errors=True)
