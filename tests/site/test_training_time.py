"""The training-time page of cohorts: a small one waits, a simulated one says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.results import addresses, figure2, training_time
from shared.results.render import SiteSettings
from shared.results.store import FolderStore

MARK = "<strong>Synthetic data.</strong>"
RESULT = {
    "synthetic": True,
    "cohort": {"n_used": 24},
    "full": {"f1": 0.5},
    "shuffled": {"mean": 0.25},
    "statement": "Simulated.",
}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def page(store: FolderStore) -> str:
    found = store.read(addresses.TRAINING_TIME)
    assert found is not None
    return found[0].decode()


def announce(store: FolderStore, synthetic: bool = True) -> None:
    training_time.announce(
        store, SiteSettings(), "syn", "A <cohort>", n_mice=4, n_trained=1, synthetic=synthetic
    )


def test_a_cohort_too_small_is_said_and_marked(store: FolderStore) -> None:
    announce(store)
    text = " ".join(page(store).split())
    assert f'<p class="synthetic" role="note">{MARK} A &lt;cohort&gt;: 1 of 4 mice' in text


def test_real_mice_are_not_marked(store: FolderStore) -> None:
    announce(store, synthetic=False)
    assert MARK not in page(store)
    assert "1 of 4 mice" in page(store)


def test_a_result_replaces_what_was_said_and_is_not_taken_back(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure2, "draw", lambda result, kind: b"drawn")
    announce(store)
    training_time.publish(store, SiteSettings(), "syn", "A <cohort>", RESULT)
    announce(store)
    assert "of 4 mice" not in page(store)
    assert 'data-cohort="syn"' in page(store)
    # Another cohort's result leaves what is said of a small one, and real mice come first.
    training_time.announce(
        store, SiteSettings(), "small", "Small", n_mice=2, n_trained=0, synthetic=True
    )
    training_time.publish(store, SiteSettings(), "real", "Real", RESULT | {"synthetic": False})
    assert "Small: 0 of 2 mice" in page(store)
    assert page(store).index('data-cohort="real"') < page(store).index('data-cohort="syn"')
