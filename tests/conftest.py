"""What every test may use: the real data, an in-memory table."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import tables
from tests.processes import free_port, serving

if TYPE_CHECKING:
    from tests.system import Cloud

# A shell's background job ignores Ctrl-C, and what tests start would inherit that.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The ONE client fills 256 MB with zeros for each file it hashes: half a second a file. It is not
# in every environment that runs some of these tests.
with contextlib.suppress(ModuleNotFoundError):
    hashfile: Any = importlib.import_module("iblutil.io.hashfile")
    hashfile.BUF_SIZE = 1 << 20

# No property fails by the clock: a busy machine is no fault of what is tested.
settings.register_profile("fornix", deadline=None)
settings.load_profile("fornix")

PROCESSED_SECONDS = 600
"""After so long the sessions of ``make run`` count as stuck."""

ROOT = Path(__file__).resolve().parents[1]

# boto and PynamoDB read these once, when first used; tests never reach a real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
)
os.environ.setdefault("FORNIX_TABLE", "fornix")
os.environ.setdefault("POWERTOOLS_TRACE_DISABLED", "true")
os.environ.setdefault("MPLBACKEND", "agg")


CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-default-apps"),
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, and those of a costly fixture."""
    from tests.scheduling import OneFileOneProcess

    return OneFileOneProcess(config, log)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium; one for all tests of a process, as Playwright wants it."""
    if not Path(CHROMIUM).exists():
        pytest.skip("chromium is not installed: pages can not be opened")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings beside the checkout; the test is skipped where it is absent."""
    path = ROOT.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no ../shared/data beside this checkout: real recordings are not there")
    return path


@pytest.fixture(scope="session")
def dynamodb_url() -> Iterator[str]:
    """Address of an in-memory DynamoDB; each test process has its own."""
    binary = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"
    if not binary.exists():
        pytest.skip("dynoxide has no build for this machine")
    port = free_port()
    with serving([binary, "serve", "--port", str(port)], port) as url:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = url
        yield url
        os.environ.pop("AWS_ENDPOINT_URL_DYNAMODB", None)


@pytest.fixture
def table(dynamodb_url: str) -> Iterator[str]:
    """Name of an empty Fornix table with its indexes, fresh for each test."""
    from shared.records.table import table_name

    tables.create(dynamodb_url, table_name())
    yield table_name()
    tables.drop(dynamodb_url, table_name())


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The whole system, seeded, in a temporary folder on free ports (see `tests.system`)."""
    from tests.system import Cloud

    running = Cloud(tmp_path_factory.mktemp("fornix"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def processed(cloud: Cloud) -> Cloud:
    """The system after the job of ``make run``: sessions uploaded and processed, workers at rest.

    Three days of each lab's mouse; the first session of each lab is not public.
    """
    import io

    from rich.console import Console

    from infra.local import demo
    from infra.local.workers import Workers

    workers = Workers(cloud.system.home)
    workers.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(demo, "DAYS", 3)
            demo.process(cloud.system, Console(file=io.StringIO()), [], PROCESSED_SECONDS)
    finally:
        workers.stop()
    return cloud
