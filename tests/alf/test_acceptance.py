"""What a file must fulfil to enter a session; the rig's dry run and the server judge alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alf.acceptance import check_contents, check_name, check_names
from shared.alf.errors import ALFInvalid, DataFormatNotFound, FileInvalid, RowsInconsistent
from shared.alf.validate import Header


def array(n: int) -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(n), allow_pickle=False)
    return file.getvalue()


def judged(files, registered=None):
    """Check contents; return the good paths and what is wrong with the others."""
    opened = {
        path: (lambda c=content: io.BytesIO(c), len(content)) for path, content in files.items()
    }
    headers, problems = check_contents(opened, registered)
    assert set(headers) | set(problems) == set(files)
    assert not set(headers) & set(problems)
    return set(headers), problems


def test_names_are_checked_by_grammar_and_format():
    assert check_name("alf/spikes.times.npy").attribute == "times"
    problems = check_names(["alf/a.b.npy", "alf/a b.npy", "alf/a.b.xyz"])
    assert {path: type(error) for path, error in problems.items()} == {
        "alf/a b.npy": ALFInvalid,
        "alf/a.b.xyz": DataFormatNotFound,
    }


def test_good_files_pass_and_bad_ones_do_not_take_them_along():
    good, problems = judged(
        {"alf/a.x.npy": array(3), "alf/a.y.npy": array(3), "alf/b.x.npy": array(3)[:-1]}
    )
    assert good == {"alf/a.x.npy", "alf/a.y.npy"}
    assert isinstance(problems["alf/b.x.npy"], FileInvalid)


def test_the_odd_one_out_is_refused_and_of_two_both():
    good, problems = judged({"a.x.npy": array(3), "a.y.npy": array(3), "a.z.npy": array(4)})
    assert good == {"a.x.npy", "a.y.npy"}
    assert isinstance(problems["a.z.npy"], RowsInconsistent)
    good, problems = judged({"a.x.npy": array(3), "a.y.npy": array(4)})
    assert good == set()


@pytest.mark.parametrize("n_new", [1, 2, 3])
def test_what_is_registered_is_right_even_against_a_majority(n_new):
    new = {f"a.n{i}.npy": array(4) for i in range(n_new)}
    good, problems = judged({**new, "b.x.npy": array(4)}, {"a.old.npy": Header(rows=3)})
    assert good == {"b.x.npy"}
    assert set(problems) == set(new)
    assert "differ in their number of rows" in str(problems["a.n0.npy"])


def test_a_new_revision_replaces_what_is_registered():
    registered = {"a.x.npy": Header(rows=3), "a.y.npy": Header(rows=3)}
    good, _ = judged({"a.x.npy": array(4), "a.y.npy": array(4)}, registered)
    assert good == {"a.x.npy", "a.y.npy"}
    good, _ = judged({"a.x.npy": array(4)}, registered)
    assert good == set()


def test_one_row_goes_with_any_number():
    good, _ = judged({"a.x.npy": array(1), "a.y.npy": array(5)}, {"a.z.npy": Header(rows=5)})
    assert good == {"a.x.npy", "a.y.npy"}


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1),
    st.dictionaries(st.sampled_from("cde"), st.integers(1, 4)),
)
def test_whatever_passes_leaves_the_session_consistent(new, registered):
    # Given a session that is consistent
    rows = {n for n in registered.values() if n != 1}
    if len(rows) > 1:
        registered = {}
    known = {f"o.{name}.npy": Header(rows=n) for name, n in registered.items()}
    good, _ = judged({f"o.{name}.npy": array(n) for name, n in new.items()}, known)
    # When the good files have come in, then it still is
    after = {**registered, **{path[2]: new[path[2]] for path in good}}
    assert len({n for n in after.values() if n != 1}) <= 1
