"""Put the result of ``fornix analyse training-time`` on the results site.

Reads the standard AWS environment, and ``FORNIX_SITE_BUCKET``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pandas as pd

from functions.analysis.bucket import Bucket
from lab.commands.analyse import FEATURES_FILE, RESULT_FILE
from shared.results import training_time
from shared.results.render import SiteSettings
from shared.science.cohort.features import FEATURES


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", required=True, help="Of the cohort, in addresses.")
@click.option("--label", required=True, help="Of the cohort, for readers.")
@click.option("--synthetic", is_flag=True, help="The mice are simulated.")
def main(folder: Path, name: str, label: str, synthetic: bool) -> None:
    """Publish the training-time analysis in FOLDER, of public mice only."""
    store = Bucket(os.environ["FORNIX_SITE_BUCKET"])
    settings = SiteSettings(
        api_url=os.environ.get("FORNIX_API_URL", ""),
        site_url=os.environ.get("FORNIX_SITE_URL", ""),
    )
    if (folder / RESULT_FILE).is_file():
        result = json.loads((folder / RESULT_FILE).read_text())
        result["synthetic"] = result["synthetic"] or synthetic
        training_time.publish(store, settings, name, label, result)
        return
    table = pd.read_parquet(folder / FEATURES_FILE)
    complete = table[["training_time", *FEATURES]].notna().all(axis=1)
    training_time.announce(
        store,
        settings,
        name,
        label,
        n_mice=len(table),
        n_trained=int(complete.sum()),
        synthetic=synthetic,
    )


if __name__ == "__main__":
    main()
