"""The small working Fornix of tests/flow.py."""

from tests.flow import aws_url, flow, system  # noqa: F401
from tests.lab.worker_fixtures import another, instead, trials, worker  # noqa: F401
