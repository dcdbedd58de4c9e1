"""Files are loaded and saved by extension as the ONE client does, without running any code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from one.alf.io import load_object as one_load_object

from shared.alf.errors import ALFInvalid, FileInvalid
from shared.alf.io import explode, load, load_object, save


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.b.npy", np.arange(6.0).reshape(3, 2)),
        ("a.b.npy", np.array(["x", "yy"])),
        ("a.b.pqt", pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})),
        ("a.b.json", {"x": [1, None]}),
        ("a.b.jsonable", [{"x": 1}, {"x": 2}]),
    ],
)
def test_what_was_saved_is_loaded(tmp_path: Path, name: str, content: Any) -> None:
    path = save(tmp_path / "alf" / name, content)
    assert [p.name for p in path.parent.iterdir()] == [name]
    loaded = load(path)
    if isinstance(content, pd.DataFrame):
        pd.testing.assert_frame_equal(loaded, content)
    else:
        np.testing.assert_equal(loaded, content)


@pytest.mark.parametrize("name", ["trials.npy", "a.b.mp4", "a b.c.npy"])
def test_only_valid_names_of_known_formats_are_saved(tmp_path: Path, name: str) -> None:
    with pytest.raises(ALFInvalid):
        save(tmp_path / name, np.zeros(3))
    assert list(tmp_path.iterdir()) == []


def test_a_column_is_loaded_as_a_vector(tmp_path: Path) -> None:
    assert load(save(tmp_path / "a.b.npy", np.zeros((5, 1)))).shape == (5,)


def test_other_formats_are_loaded_or_given_as_paths(tmp_path: Path) -> None:
    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    assert load(write("a.b.yaml", "x: [1, 2]")) == {"x": [1, 2]}
    assert load(write("a.b.csv", "x,y\n1,2\n")).to_dict("list") == {"x": [1], "y": [2]}
    assert load(write("a.b.htsv", "x\ty\n1\t2\n")).shape == (1, 2)
    assert load(write("a.b.ssv", "x y\n1 2\n")).shape == (1, 2)
    video = write("a.b.mp4", "film")
    assert load(video) == video
    np.savez(tmp_path / "a.b.npz", x=np.arange(3))
    assert list(load(tmp_path / "a.b.npz")["x"]) == [0, 1, 2]
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.b.mp4")


@pytest.mark.parametrize("name", ["a.b.npy", "a.b.pqt", "a.b.json", "a.b.jsonable", "a.b.npz"])
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"{broken")
    with pytest.raises(FileInvalid) as refused:
        load(tmp_path / name)
    assert refused.value.where == name


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.b.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FileInvalid):
        load(tmp_path / "a.b.npy")


# The client itself uses a deprecated keyword of pandas.
@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("name", ["trials", "wheel", "wheelMoves"])
def test_an_object_is_loaded_as_the_one_client_loads_it(shared_data: Path, name: str) -> None:
    folder = shared_data / "rig_sessions" / "training_rig5.0.0" / "alf"
    found, expected = load_object(folder, name), one_load_object(folder, name)
    assert set(found) == set(expected)
    for attribute, content in expected.items():
        np.testing.assert_array_equal(found[attribute], content)


def test_the_latest_revision_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "spikes.times.npy", np.zeros(1))
    save(tmp_path / "#2020-01-01#" / "spikes.times.npy", np.zeros(2))
    save(tmp_path / "#2021-01-01#" / "spikes.times.npy", np.zeros(3))
    save(tmp_path / "spikes.amps.npy", np.zeros(3))
    (tmp_path / "._spikes.times.npy").write_bytes(b"\x00")
    assert {k: len(v) for k, v in load_object(tmp_path, "spikes").items()} == {
        "times": 3,
        "amps": 3,
    }


def test_an_object_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'spikes'"):
        load_object(tmp_path, "spikes")


def test_a_table_is_taken_apart_by_columns() -> None:
    table = {"intervals_0": np.array([1, 2]), "intervals_1": np.array([3, 4]), "x_0": np.ones(2)}
    columns = explode(table)
    assert columns["intervals"].tolist() == [[1, 3], [2, 4]]
    assert set(columns) == {"intervals", "x_0"}
