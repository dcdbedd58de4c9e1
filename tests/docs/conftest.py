"""A running system that did its main job: sessions that rigs uploaded and workers processed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from infra.local.demo import Workers, process
from tests.system import Cloud

TIMEOUT = 600
"""Seconds after which the sessions count as stuck."""


@pytest.fixture(scope="session")
def processed(cloud: Cloud) -> Cloud:
    """The system after the job of ``make run``; its workers are at rest."""
    workers = Workers(cloud.system.home)
    workers.start()
    try:
        process(cloud.system, Console(file=io.StringIO()), [], TIMEOUT)
    finally:
        workers.stop()
    return cloud
