"""The small working Fornix of tests/flow.py."""

from tests.flow import aws_url, flow, system  # noqa: F401
