"""Sessions of a lab's own protocols, extracted by its personal project of ibllib."""

from pathlib import Path

PIPELINE = Path(__file__).with_name("pipeline.toml")
