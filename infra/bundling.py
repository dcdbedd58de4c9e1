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

LARGEST = 250 * 2**20
"""Bytes of a function's archive when it is unpacked (AWS Lambda's quota)."""

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
            precompile(out)
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


def precompile(target: Path) -> bool:
    """Compile all modules in a folder for Lambda's Python; return whether that was possible.

    Lambda's disk keeps nothing that a function writes: without this each start of a process
    compiles some 450 modules, which takes seven times as long as to import them
    (``benchmarks/api.py``). The source's date is not compared, because an archive changes it.
    Another Python's code would be left aside, so it must be the runtime's version.

    Raises
    ------
    ValueError
        The folder is then larger than Lambda unpacks.
    """
    python = _interpreter(PYTHON_VERSION)
    if python is None:
        reason = f"python{PYTHON_VERSION} is not here: functions compile their code at each start"
        print(f"{reason}. Install it and deploy again to save half a second and more.")
        return False
    place = ["-s", str(target), "-p", "/var/task"]
    how = ["--invalidation-mode", "unchecked-hash"]
    # What a library has for other versions does not compile, and is not imported either.
    subprocess.run([python, "-m", "compileall", "-q", *place, *how, target], check=False)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size > LARGEST:
        raise ValueError(
            f"the functions' archive has {size} bytes unpacked, Lambda takes {LARGEST}: "
            "remove more of the libraries in `infra.bundling._prune`"
        )
    return True


def _interpreter(version: str) -> str | None:
    """Return a Python of a version (``3.13``), None if there is none."""
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for name in (sys.executable, shutil.which(f"python{version}")):
        if name:
            # A shim of pyenv may be there without its Python.
            told = subprocess.run([name, "-c", ask], capture_output=True, text=True, check=False)
            if told.stdout.strip() == version:
                return name
    return None


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
