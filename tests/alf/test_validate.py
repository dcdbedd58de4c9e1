"""Headers are read from bytes, broken files are refused, and objects have one number of rows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from one.alf.io import check_dimensions

from shared.alf.errors import FileInvalid
from shared.alf.validate import Header, check_rows, header


def npy(array: np.ndarray, **kwargs: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **kwargs)
    return buffer.getvalue()


def pqt(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


@given(
    hnp.arrays(
        hnp.scalar_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_the_header_of_any_array_is_read_from_its_first_bytes(array: np.ndarray) -> None:
    content = npy(array)
    size_of_header = len(content) - array.nbytes
    found = header(content[:size_of_header], "npy", size=len(content))
    rows = array.shape[0] if array.ndim else 1
    assert found == Header(rows, array.shape, array.dtype.str, None)
    assert header(io.BytesIO(content), ".npy") == found


@given(st.integers(0, 1000))
def test_an_array_cut_anywhere_is_refused(kept: int) -> None:
    content = npy(np.arange(109, dtype=float))
    assert len(content) == 1000
    if kept < len(content):
        with pytest.raises(FileInvalid):
            header(content[:kept], "npy")


def test_a_truncated_array_says_what_is_missing() -> None:
    with pytest.raises(FileInvalid, match=r"shape \(10,\) and type <f8 makes 208 bytes"):
        header(npy(np.zeros(10))[:-1], "npy", name="spikes.times.npy")


def test_an_array_with_a_tail_is_refused() -> None:
    with pytest.raises(FileInvalid, match="bytes"):
        header(npy(np.zeros(10)) + b"x", "npy")


def test_python_objects_are_never_accepted() -> None:
    content = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FileInvalid, match="foreign code"):
        header(content, "npy")


def test_a_structured_array_gives_its_columns() -> None:
    found = header(npy(np.zeros(3, [("x", "f8"), ("y", "i4")])), "npy")
    assert found.columns == ("x", "y")


def test_the_footer_of_a_table_gives_rows_and_columns() -> None:
    table = pd.DataFrame({"choice": [1, -1, 0], "stimOn_times": [0.1, 0.2, 0.3]})
    expected = Header(3, (3, 2), None, ("choice", "stimOn_times"))
    assert header(pqt(table), "pqt") == expected
    assert header(pqt(table.set_index(pd.Index([5, 6, 7]))), "pqt") == expected


@pytest.mark.parametrize("kept", [1, 100, -1, -4])
def test_a_truncated_table_is_refused(kept: int) -> None:
    content = pqt(pd.DataFrame({"x": np.arange(1000)}))
    with pytest.raises(FileInvalid, match="not a whole Parquet file"):
        header(content[:kept], "pqt")


def test_a_golden_table_and_arrays_are_read(shared_data: Path) -> None:
    folder = shared_data / "rig_sessions" / "training_rig5.0.0" / "alf"
    headers = {}
    for path in folder.iterdir():
        with path.open("rb") as file:
            headers[f"alf/{path.name}"] = header(file, path.suffix, name=path.name)
    assert headers["alf/_ibl_trials.table.pqt"].rows == 12
    assert headers["alf/_ibl_wheelMoves.intervals.npy"].shape == (11, 2)
    assert check_rows(headers) == []


def test_lines_of_json_are_counted_and_a_broken_one_is_named() -> None:
    assert header(b'{"a": NaN}\n{"a": 2}\n\n', "jsonable").rows == 2
    with pytest.raises(FileInvalid, match="line 2 is not JSON") as refused:
        header(b'{"a": 1}\n{"a": \n{}\n', "jsonable", name="_iblrig_taskData.raw.jsonable")
    assert refused.value.where == "_iblrig_taskData.raw.jsonable"
    with pytest.raises(FileInvalid, match="line 1 is not JSON"):
        header(b'{"a": ', "jsonable")


def test_a_torn_last_line_is_told_and_the_whole_ones_count() -> None:
    found = header(b'{"a": 1}\n{"a": 2}\n{"a": ', "jsonable")
    assert (found.rows, found.notes) == (2, ("the last line is torn: 2 whole ones count",))


def test_a_text_table_has_a_header_line() -> None:
    assert header(b"x,y\n1,2\n3,4\n", "csv") == Header(2, (2, 2), None, ("x", "y"))
    assert header(b"x\ty\n1\t2\n", "htsv").rows == 1
    assert header(b'x\n"two\nlines"\n', "csv").rows == 1
    assert header(b"1 2 \n3 4 \n5 6 ", "ssv") == Header(3, (3, 2))  # rigs write no header
    assert header(b"1 2 \n\xff \n5 6 ", "ssv").rows == 3
    with pytest.raises(FileInvalid, match="not a text table"):
        header(b"x,y\n\xff\xfe\n", "csv")


@pytest.mark.parametrize(
    ("extension", "content"),
    [
        ("json", b'{"a": '),
        ("json", b"\xff"),
        ("yaml", b"a: [1"),
        ("yml", b"x: \xff"),
        ("ch", b"not json"),
        ("mp4", b"\x00\x00\x00\x18avi "),
        ("flac", b"RIFF"),
        ("zip", b"not a zip"),
        ("tar", b"short"),
        ("npy", b"not an array"),
        ("npy", b"\x93NUMPY\x01\x00\xff\xff"),
        ("pqt", b"PAR1PAR1"),
    ],
)
def test_a_file_that_is_not_what_its_extension_says_is_refused(
    extension: str, content: bytes
) -> None:
    with pytest.raises(FileInvalid) as refused:
        header(content, extension)
    assert refused.value.fix


@pytest.mark.parametrize("extension", ["npy", "pqt", "jsonable", "json", "csv", "bin", "mp4"])
def test_an_empty_file_is_refused(extension: str) -> None:
    with pytest.raises(FileInvalid, match="empty"):
        header(b"", extension)


@pytest.mark.parametrize("extension", ["flag", "log"])
def test_a_flag_or_log_may_be_empty(extension: str) -> None:
    assert header(b"", extension) == Header()


@pytest.mark.parametrize(
    ("extension", "content"),
    [("bin", b"\x00"), ("cbin", b"\x00"), ("json", b"{}"), ("mp4", b"\x00\x00\x00\x18ftypmp42")],
)
def test_formats_without_rows_have_an_empty_header(extension: str, content: bytes) -> None:
    assert header(content, extension) == Header()


def array(*shape: int) -> Header:
    return Header(shape[0], shape, "<f8")


def test_files_of_one_object_have_one_number_of_rows() -> None:
    problems = check_rows(
        {
            "alf/spikes.times.npy": array(100),
            "alf/spikes.amps.npy": array(100),
            "alf/spikes.depths.npy": array(99),
            "alf/clusters.amps.npy": array(7),
            "alf/probe01/spikes.times.npy": array(50),
        }
    )
    (problem,) = problems
    assert problem.where == "alf/spikes.depths.npy"
    assert problem.text == "99"
    assert "spikes.amps.npy 100" in problem.rule
    assert "100 rows are expected" in problem.fix


def test_where_there_is_no_majority_all_files_of_the_object_are_named() -> None:
    problems = check_rows({"a.x.npy": array(3), "a.y.npy": array(4), "b.z.npy": array(5)})
    assert {p.where for p in problems} == {"a.x.npy", "a.y.npy"}


@pytest.mark.parametrize(
    "headers",
    [
        {"wheel.position.npy": array(500), "wheel.timestamps.npy": array(2, 2)},
        {"wheel.position.npy": array(500), "wheel.timestamps.npy": array(500)},
        {"wheel.position.npy": array(500), "wheel.timestamps.npy": array(500, 1)},
        {"wheel.position.npy": array(500), "wheel.timestamps.npy": Header(rows=2)},
        {"trials.table.pqt": Header(5, (5, 3)), "_ibl_trials.choice.npy": array(5)},
        {"a.x.npy": array(5), "a.y.npy": array(1, 5)},
        {"sync.times.probe00.npy": array(5), "sync.times.probe01.npy": array(6)},
        {"a.x.npy": array(5), "#2020#/a.x.npy": array(6), "a.y.npy": array(6)},
        {"a.x.npy": array(5), "a.video.mp4": Header()},
        {"a.x.9a8a5c4c-9408-4910-99cb-abf16d9225b9.npy": array(5), "a.y.npy": array(5)},
    ],
)
def test_consistent_objects_have_no_problems(headers: dict[str, Header]) -> None:
    assert check_rows(headers) == []


def test_timestamps_are_a_vector_or_two_points() -> None:
    wrong = {"wheel.position.npy": array(500), "wheel.timestamps.npy": array(3, 2)}
    (problem,) = check_rows(wrong)
    assert problem.text == "(3, 2)"
    wrong["wheel.timestamps.npy"] = array(499)
    assert len(check_rows(wrong)) == 2


@given(
    st.dictionaries(
        st.sampled_from(["x", "y", "z", "timestamps"]),
        hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4),
        min_size=1,
    )
)
def test_row_counts_are_consistent_when_the_one_client_says_so(
    shapes: dict[str, tuple[int, ...]],
) -> None:
    headers = {f"obj.{name}.npy": array(*shape) for name, shape in shapes.items()}
    expected = check_dimensions({name: np.zeros(shape) for name, shape in shapes.items()})
    assert bool(check_rows(headers)) == bool(expected)


def test_nothing_has_no_header() -> None:
    with pytest.raises(FileInvalid) as refused:
        header(b"", "npy", name="a.b.npy")
    assert refused.value.code == "invalid_file"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[]", "a list"),
        ('"{\\"DEBUG\\": false}"', "a text"),
        ("null", "null"),
        ("7", "a number"),
        ("true", "true or false"),
    ],
)
def test_settings_that_are_no_object_are_refused_with_what_was_found(content: str, found: str):
    for name in ("raw_behavior_data/_iblrig_taskSettings.raw.json", "probe00/a.b.wiring.json"):
        with pytest.raises(FileInvalid, match=f"{found}, where an object of names and values"):
            header(content.encode(), "json", name=name)
    assert header(content.encode(), "json", name="alf/probes.description.json").rows is None
