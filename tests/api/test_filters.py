"""The language of ``?django=``: what it means, and that nothing hostile gets through."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from functions.api.engine import filters
from functions.api.engine.filter_grammar import BadFilter, literal, parse
from functions.api.errors import ApiError
from functions.api.resources import RESOURCES
from shared import catalog
from shared.catalog import versions
from shared.catalog.rows import Rows, Selection
from shared.records.where import Where
from tests.api.conftest import Api

UUID = "cf264653-2deb-44cb-aa84-89b82507028a"


def nothing(kind: str, wheres: list[Where]) -> Selection:
    """A look-up of related records that knows none; it still tries the conditions."""
    for where in wheres:
        where.on_rows()({})
    return Selection(Rows(kind, [], ("id",)), [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("None", None),
        ("true", True),
        ("False", False),
        ("3", 3),
        ("-2.5e3", -2500.0),
        ("2024-07-01", "2024-07-01"),
        ("'3'", "3"),
        ("plain text", "plain text"),
        ("('a',)", ["a"]),
        ("('a', 'b')", ["a", "b"]),
        ("['a', \"it's\", 3, None]", ["a", "it's", 3, None]),
        ("[a, b]", ["a", "b"]),
        ("[]", []),
        ("1_000", "1_000"),
        ("__import__", "__import__"),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert literal(text) == value


def test_pairs_and_negation_and_commas_in_brackets() -> None:
    assert parse("subject__nickname,KS,~users__in,['a', 'b'],n_trials__gte,3") == [
        ("subject__nickname", "KS", False),
        ("users__in", ["a", "b"], True),
        ("n_trials__gte", 3, False),
    ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("subject", "has no value"),
        ("a,b,c", "has no value"),
        ("pk__in,('a'", "is not closed"),
        ("pk__in,'a')", "closes nothing"),
        ("id__in,[['a']]", "list within a list"),
        ("id,not-a-uuid", "not a valid UUID"),
        ("subject__password,x", "no such field"),
        ("users__password__startswith,pbkdf", "no such field"),
        ("lab__users__token,x", "no such field"),
        ("subject__nickname__regex,a++$", "is no pattern"),
        ("start_time__date__year__gte,3", "is not one of"),
        ("subject__nickname__contains,[a]", "takes one value"),
        ("number__range,3", "two values"),
        ("subject__isnull,maybe", "True or False"),
        ("__class__,x", "no such field"),
        ("subject.nickname,x", "is not the name of a field"),
        ("a b,x", "is not the name of a field"),
        (",".join(["number,1"] * 41), "More than 40"),
        ("number__in,[" + ",".join("1" * 1 for _ in range(2001)) + "]", "More than 2000"),
        ("narrative," + "x" * 20_001, "longer than"),
        ("__".join(["parent_session"] * 9) + "__number,1", "too many relations"),
    ],
)
def test_what_is_not_of_the_language_is_named(query: str, words: str) -> None:
    with pytest.raises(BadFilter) as caught:
        filters.conditions(RESOURCES["sessions"], query, nothing)
    assert words in caught.value.body["django"][0]


FORMS = [
    ("sessions", f"pk,{UUID}"),
    ("sessions", f"pk__in,('{UUID}',)"),
    ("sessions", "location__name__icontains,ephys"),
    ("sessions", "json__SESSION_DELAY_START__gte,900"),
    ("sessions", "start_time__lte,2024-01-01"),
    ("sessions", "data_dataset_session_related__tags__name,2022_Q2"),
    ("sessions", "~projects__name__icontains,matlab"),
    ("sessions", "qc__lt,50,extended_qc__behavior,1"),
    ("sessions", "subject__lab__name,x,users__username__in,['a','b']"),
    ("sessions", "probe_insertion__isnull,False"),
    ("datasets", f"session__id,{UUID},dataset_type__name,spikes.times"),
    ("datasets", f"session__id,{UUID},dataset_type__name__in,['a','b']"),
    ("datasets", "session__isnull,True"),
    ("datasets", f"id__in,['{UUID}']"),
    ("datasets", "name__icontains,wheel,collection,alf"),
    ("datasets", "session__subject__nickname,KS,tags__name,x"),
    ("files", f"dataset,{UUID},data_repository__globus_is_personal,False"),
    ("labs", f"repositories__globus_endpoint_id,{UUID}"),
    ("insertions", "datasets__name__icontains,spikes"),
    ("insertions", "session__project__name__icontains,x".replace("project__", "projects__")),
    ("insertions", "json__extended_qc__tracing_exists,True,session__qc__lt,50"),
    ("tasks", "session__lab__name__in,cortexlab,data_repository__name,cortexlab"),
    ("notes", f"text__icontains,T,object_id,{UUID}"),
    ("notes", f"object_id,{UUID},text,T,json__name,T"),
    ("subjects", "death_date__isnull,True,responsible_user__username,x"),
    ("trajectories", f"probe_insertion,{UUID},provenance__gte,30"),
    ("channels", f"trajectory_estimate__probe_insertion,{UUID}"),
    ("weighings", "date_time__date__gte,2024-01-01,weight__range,[20,30]"),
]


@pytest.mark.parametrize(("path", "query"), FORMS)
def test_every_form_that_clients_send_is_understood(path: str, query: str) -> None:
    assert filters.conditions(RESOURCES[path], query, nothing)


pieces = st.one_of(
    st.sampled_from(
        [
            ",",
            "~",
            "__",
            "(",
            ")",
            "[",
            "]",
            "'",
            '"',
            "\\",
            "pk",
            "id",
            "in",
            "subject",
            "lab",
            "name",
            "session",
            "json",
            "isnull",
            "None",
            "True",
            "1e999",
            "9" * 50,
            "\0",
            "é",
            "__import__('os')",
            "{}",
            "%s",
            "../",
            "' OR 1=1 --",
            "start_time",
            "date",
            "gte",
            "range",
            "contains",
            "__class__",
            "__dict__",
            "globals",
            "(a+)+$",
            "-1",
            "1e308",
            "0x10",
            "'; DROP TABLE sessions; --",
            "\u202e",
            "\U0001f42d",
            "\ud800",
            "extended_qc",
            "users",
            "start_time__date__gte",
            "2024-13-45",
            "parent_session__" * 5,
            "[" + "1," * 30 + "]",
        ]
    ),
    st.text(max_size=8),
)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(sorted(RESOURCES)), st.lists(pieces, max_size=14))
@example("sessions", ["subject__in", ",", "("])
def test_any_text_is_understood_or_refused_and_never_an_error(path: str, parts: list[str]) -> None:
    query = "".join(parts)
    refusal: dict[str, Any] = {}
    found: list[Where] = []
    try:
        found = filters.conditions(RESOURCES[path], query, nothing)
    except ApiError as error:
        refusal = error.body
    assert list(refusal) in ([], ["django", "status_code"])
    for where in found:
        for value in (None, "x", 3, True, [], ["x"], {"a": 1}, "2024-01-01T00:00:00"):
            assert isinstance(where.on_rows()({where.field: value}), bool)


QUERIES = (
    *("django", "date_range", "number", "json", "extended_qc", "qc", "dataset_qc_lte", "datasets"),
    *("dataset_types", "performance_gte", "users", "subject", "lab", "id", "tag", "atlas_id"),
    *("limit", "offset", "as_of", "session", "start_date", "date", "histology", "nonsense"),
)


@pytest.fixture
def world(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A few records of each kind that lists are asked for, as rows and as columns."""
    monkeypatch.setattr(versions, "SMALL", 2)
    for i, subject in enumerate(("FI_001", "FI_002", "FI_001")):
        body = {"subject": subject, "start_time": f"2024-07-0{i + 1}T10:00:00", "qc": "PASS"}
        more = {"json": {"a": [1, {"b": None}]}, "extended_qc": {"x": 0.5}, "projects": ["demo"]}
        eid = api.ok("POST", "/sessions", {**body, **more})["id"]
        api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})
        api.ok("POST", "/tasks", {"session": eid, "name": "a", "executable": "a"})
        for name in ("spikes.times.npy", "trials.table.pqt"):
            api.ok("POST", "/datasets", {"session": eid, "name": name, "collection": "alf"})
    catalog.reset_for_tests()  # so that the next request makes the index anew
    return api


LISTS = ("sessions", "insertions", "tasks", "datasets", "subjects", "files", "weighings")


@settings(
    max_examples=1500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(LISTS), st.sampled_from(QUERIES), st.lists(pieces, min_size=1, max_size=10))
@example("sessions", "django", ["start_time", ",", "9" * 5000])
@example("sessions", "django", ["json__" + "a__" * 3000, ",", "1"])
@example("datasets", "django", ["name__icontains", ",", "(a+)+$" * 1000])
@example("tasks", "django", ["parents", ",", "[", "1e400", "]"])
def test_no_query_of_a_list_is_an_internal_error(
    world: Api, path: str, name: str, parts: list[str]
) -> None:
    text = "".join(parts).encode("utf-8", "replace").decode()
    answer = world("GET", f"/{path}?{name}={quote(text, safe='')}")
    assert answer.status in (200, 400, 404), (name, text, answer.raw)
    if answer.status == 400:
        (part,) = [key for key in answer.body if key not in ("status_code", "detail")] or [name]
        assert part in (*QUERIES, "json", "atlas_id")


def test_records_of_an_animal_and_of_probes_are_found_by_days_subject_and_lab(api: Api) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00"}
    eid = api.ok("POST", "/sessions", body)["id"]
    insertion = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})["id"]
    place = {"x": 1, "y": 2, "depth": 3, "theta": 4, "phi": 5, "provenance": "Planned"}
    track = api.ok("POST", "/trajectories", {"probe_insertion": insertion, **place})["id"]
    api.ok("POST", "/channels", {"trajectory_estimate": track, "axial": 20, "lateral": 43})
    surgery = {"subject": "FI_001", "implant_weight": 1, "start_time": "2024-06-01T10:00:00"}
    api.ok("POST", "/surgeries", surgery)
    api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20, "date_time": "2024-06-01"})
    for path, count in (
        ("/channels?subject=FI_001", 1),
        ("/channels?subject=SE_001", 0),
        ("/channels?lab=septumlab", 0),
        ("/surgeries?date_range=2024-06-01,2024-06-01", 1),
        ("/surgeries?date_range=2024-06-02,2024-06-30", 0),
        ("/weighings?date_range=2024-05-01,2024-06-01", 1),
        ("/weighings?date_range=2024-06-02,2024-06-30", 0),
        ("/files?lab=septumlab", 0),
    ):
        assert api.ok("GET", path)["count"] == count, path
    assert api("GET", "/surgeries?date_range=yesterday").status == 400
