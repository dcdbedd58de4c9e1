"""One grammar of names: a corpus of hostile ones, and of good ones, for each kind."""

from __future__ import annotations

import pytest

from shared.alf import names

HOSTILE = [
    "..", ".", "...", "../..", "a/../b", "/etc", "C:\\", "C:", "a\\b", "\\\\server\\x", "//x",
    "", " ", " a", "a ", "a.", "a\0b", "a\nb", "a\r\nb", "a\tb", "\x7f", "\x1b[31m",
    "CON", "con", "nul", "NUL.txt", "aux.npy", "COM1", "lpt9.x", "com¹",
    "<img>", "a|b", "a?b", "a*b", 'a"b', "a\u202eb", "a\u200bb", "\ud800", "a\u0301", "ﬁ", "ａ",
    "x" * 300,
]  # fmt: skip
"""Refused as the name of any folder."""

GOOD = {
    "lab": ["cortexlab", "churchlandlab_ucla", "Lab1"],
    "user": ["anna", "anna.b@example.org", "a+b", "_iblrig_test", "0001"],
    "subject": ["SWC_054", "KS-001", "größe_5", "マウス", "NYU.1", "CONrad", "com", ".a"],
    "revision": ["2024-05-06", "2024-05-06a", "v1.0"],
    "folder": ["alf", "raw_ephys_data", "probe00", "probe00.imec"],
    "collection": ["alf", "alf/probe00", "raw_ephys_data/probe00"],
    "dataset": ["_ibl_trials.table.pqt", "spikes.times.npy", "größe.werte.npy", "a b.c.npy"],
    "label": ["2022_Q4_IBL_et_al", "ibl_neuropixel_brainwide_01", "Größe 5", "a & b"],
    "term": ["Behavior training/tasks", "C57BL/6J"],
}


@pytest.mark.parametrize("kind", ["lab", "user", "subject", "revision", "folder", "dataset"])
@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_name_that_some_system_does_not_take_is_refused(kind: str, text: str) -> None:
    if kind == "user" and (text == "a." or text.partition(".")[0].casefold() in names.DEVICES):
        return  # no folder is called after a user
    with pytest.raises(ValueError, match=r"name|characters|normal form|Windows|only"):
        names.check(kind, text)


@pytest.mark.parametrize(("kind", "text"), [(kind, each) for kind in GOOD for each in GOOD[kind]])
def test_good_names_are_taken(kind: str, text: str) -> None:
    names.check(kind, text)


@pytest.mark.parametrize("text", [each for each in HOSTILE if each], ids=ascii)
def test_no_part_of_a_path_is_such_a_name(text: str) -> None:
    for path in (f"{text}/spikes.times.npy", f"alf/{text}", f"alf/#{text}#/spikes.times.npy"):
        with pytest.raises(ValueError, match=r".+"):
            names.check_path(path)


def test_paths_below_a_session() -> None:
    for path in ("alf/spikes.times.npy", "alf/probe00/#2024-01-01#/spikes.times.npy", "a.b.npy"):
        names.check_path(path)
    for path in ("alf//a.b.npy", "/a.b.npy", "alf/", "#x#/alf/a.b.npy", "alf/#/a.b.npy"):
        with pytest.raises(ValueError, match=r".+"):
            names.check_path(path)


@pytest.mark.parametrize(
    "arguments",
    [
        {"output_collection": "../.."},
        {"collection": "/etc"},
        {"deep": [{"sync_collection": "C:\\x"}]},
        {"collection": ["alf", ".."]},
        {"revision": "../x"},
    ],
)
def test_folders_among_the_arguments_of_a_task_are_collections(arguments: object) -> None:
    with pytest.raises(ValueError, match=r"collection|revision"):
        names.check_arguments(arguments)
    names.check_arguments({"collection": "alf/probe00", "n": 1, "other": "../.."})


def test_names_that_look_the_same() -> None:
    assert names.look("A") == names.look("a")
    assert names.look("STRASSE") == names.look("straße")
    assert names.look("a_1") != names.look("a_2")
    assert names.look_of_user("adm1n") == names.look_of_user("Admin")
    assert names.look_of_user("rnary") == names.look_of_user("mary")
    assert names.look_of_user("anna") != names.look_of_user("hanna")
