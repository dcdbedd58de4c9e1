"""Lines in CloudWatch's embedded metric format, as the functions print them."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from shared.records import metrics


def test_a_line_names_its_metrics_and_says_what_they_are_about(monkeypatch, capsys):
    monkeypatch.setenv("FORNIX_METRICS", "fornix")
    before = time.time() * 1000
    metrics.put({"FilesRegistered": 150, "FilesRefused": 0}, lab="fimbrialab")
    (text,) = capsys.readouterr().out.splitlines()
    line = json.loads(text)
    about = line.pop("_aws")
    assert line == {"lab": "fimbrialab", "FilesRegistered": 150, "FilesRefused": 0}
    assert before - 1 <= about["Timestamp"] <= time.time() * 1000
    assert about["CloudWatchMetrics"] == [
        {
            "Namespace": "fornix",
            "Dimensions": [[]],
            "Metrics": [
                {"Name": "FilesRegistered", "Unit": "Count"},
                {"Name": "FilesRefused", "Unit": "Count"},
            ],
        }
    ]


def test_outside_a_deployed_function_nothing_is_printed(monkeypatch, capsys):
    monkeypatch.delenv("FORNIX_METRICS", raising=False)
    metrics.put({"TasksClaimed": 1})
    monkeypatch.setenv("FORNIX_METRICS", "fornix")
    metrics.put({})
    assert capsys.readouterr().out == ""


def test_a_metric_that_no_dashboard_has_is_refused(monkeypatch):
    monkeypatch.delenv("FORNIX_METRICS", raising=False)
    with pytest.raises(KeyError):
        metrics.put({"TaskClaimed": 1})


def test_counting_imports_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import shared.records.metrics;"
        "new = {name: sys.modules[name] for name in set(sys.modules) - before};"
        # what stands in for botocore's documentation is no import of botocore
        "print(*sorted(n.partition('.')[0] for n, m in new.items() if getattr(m, '__file__', '')))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert set(shown.stdout.split()) - {"shared"} <= sys.stdlib_module_names
