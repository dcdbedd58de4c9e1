"""The small working Fornix of tests/flow.py, where its libraries are installed."""

from importlib.util import find_spec

if find_spec("pynamodb"):  # not in the environments apart
    from tests.flow import aws_url, flow, system  # noqa: F401
