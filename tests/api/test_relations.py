"""What a caller may not list, it may not see nested, filter by or count.

The matrix of roles, relations and fields is drawn from the declarations: a new
resource or field is in it by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.api.engine.declarations import KINDS, RESOURCES, Resource
from shared.records import queues
from tests.api.conftest import Api

ROLES: dict[str, str | None] = {
    "anonymous": None,
    "visitor": "visitor",
    "member": "fimbrialab_member",
    "rig": "fimbrialab_rig",
}


@pytest.fixture
def private(api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A public session with notes, water and weights, images and probes; give its id."""
    monkeypatch.setattr(queues, "send", lambda *_, **__: None)
    monkeypatch.setattr(queues, "notify", lambda *_, **__: None)
    session = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    eid: str = api.ok("POST", "/sessions", session)["id"]
    api.ok("PATCH", f"/sessions/{eid}", {"public": True}, user="fimbrialab_manager")
    hidden = api.ok("POST", "/sessions", {**session, "number": 2})["id"]
    api.ok("POST", "/notes", {"content_type": "session", "object_id": eid, "text": "sad"})
    water = {"subject": "FI_001", "session": eid, "water_administered": 1.1}
    api.ok("POST", "/water-administrations", water)
    api.ok("POST", "/weighings", {"subject": "FI_001", "weight": 20.5})
    api.ok("POST", "/water-restriction", {"subject": "FI_001"})
    stack = api.ok("POST", "/imaging-stack", {"name": "stack"})["id"]
    chronic = api.ok("POST", "/chronic-insertions", {"subject": "FI_001", "name": "c"})["id"]
    for number, owner in enumerate((eid, hidden)):
        view = {"session": owner, "name": f"FOV_{number}", "stack": stack}
        api.ok("POST", "/fields-of-view", view)
        probe = {"session": owner, "name": f"probe0{number}", "chronic_insertion": chronic}
        api.ok("POST", "/insertions", probe)
    return eid


def relations(resource: Resource) -> Iterator[tuple[str, Resource]]:
    """Yield the relations of a resource that filters may follow, and where they lead."""
    for name, spec in resource.fields.items():
        if spec.to and spec.indexed and not spec.hidden:
            yield name, KINDS[spec.to]
    for name, (kind, _, _) in resource.reverse.items():
        yield name, KINDS[kind]


def statuses(api: Api, user: str | None) -> dict[str, int]:
    """Return what each list answers a caller."""
    listed = [each for each in RESOURCES.values() if each.has("list")]
    return {each.kind: api("GET", f"/{each.path}?limit=1", user=user).status for each in listed}


@pytest.mark.parametrize("role", ROLES)
def test_a_relation_is_filtered_by_only_where_it_may_be_listed(
    api: Api, private: str, role: str
) -> None:
    user = ROLES[role]
    may = statuses(api, user)
    wrong = []
    for resource in RESOURCES.values():
        if not resource.django or may.get(resource.kind) != 200:
            continue
        for name, other in relations(resource):
            for field, spec in other.fields.items():
                if spec.hidden or not spec.indexed or field == other.key:
                    continue
                path = f"/{resource.path}?django={name}__{field}__isnull,False"
                expected = 200 if may[other.kind] == 200 else 400
                answer = api("GET", path, user=user)
                if answer.status != expected:
                    wrong.append((path, answer.status, answer.raw[:120]))
    assert not wrong


def nested(shown: Any) -> Iterator[tuple[str, str]]:
    """Yield (name of the collection, id) of the records within what is shown."""
    for name, value in shown.items() if isinstance(shown, dict) else ():
        for each in value if isinstance(value, list) else ():
            if isinstance(each, dict) and "id" in each:
                yield name, str(each["id"])
                yield from nested(each)


COLLECTIONS = {
    "notes": "notes",
    "wateradmin_session_related": "water-administrations",
    "water_administrations": "water-administrations",
    "weighings": "weighings",
    "data_dataset_session_related": "datasets",
    "datasets": "datasets",
    "probe_insertion": "insertions",
    "field_of_view": "fields-of-view",
    "slices": "fields-of-view",
    "location": "fov-location",
}
"""Collections that details show, and the list that has their records."""


@pytest.mark.parametrize("role", ROLES)
def test_nothing_is_shown_nested_that_is_not_in_its_own_list(
    api: Api, private: str, role: str
) -> None:
    user = ROLES[role]

    def listed(path: str) -> set[str]:
        answer = api("GET", f"/{path}", user=user)
        return (
            {str(row["id"]) for row in answer.body["results"]} if answer.status == 200 else set()
        )

    known = {path: listed(path) for path in set(COLLECTIONS.values())}
    shown = 0
    for resource in RESOURCES.values():
        answer = api("GET", f"/{resource.path}", user=user)
        for row in answer.body["results"] if answer.status == 200 else ():
            key = row.get(resource.key) or row.get("id")
            detail = api("GET", f"/{resource.path}/{key}", user=user) if key else answer
            for name, identity in nested(detail.body):
                if name in COLLECTIONS:
                    shown += 1
                    assert identity in known[COLLECTIONS[name]], (resource.path, name, identity)
    assert shown >= (2 if user is None else 3 if role == "visitor" else 8)


def test_the_public_sees_a_session_without_its_notebook(api: Api, private: str) -> None:
    shown = api.ok("GET", f"/sessions/{private}", user=None)
    assert shown["notes"] == []
    assert shown["wateradmin_session_related"] == []
    assert len(shown["probe_insertion"]) == 1
    # A member sees both
    shown = api.ok("GET", f"/sessions/{private}")
    assert [len(shown["notes"]), len(shown["wateradmin_session_related"])] == [1, 1]


def test_a_visitor_learns_no_weights_from_a_mouse_that_is_public(api: Api, private: str) -> None:
    shown = api.ok("GET", "/subjects/FI_001", user="visitor")
    assert shown["weighings"] == []
    assert shown["expected_water"] == 0
    assert api.ok("GET", "/subjects/FI_001")["expected_water"] > 0


@pytest.mark.parametrize(
    "query",
    [
        "subject__adverse_effects__startswith,a",
        "subject__cage__isnull,False",
        "subject__json__a,1",
        "subject__responsible_user,x",
        "~subject__description,x",
        "users__email__icontains,example",
        "tasks__status,Waiting",
        "wateradmin_session_related__water_administered__gt,1",
        "wateradmin_session_related__isnull,False",
        "probe_insertion__chronic_insertion__serial,x",
    ],
)
def test_nothing_is_learnt_by_filtering_through_what_is_not_listed(
    api: Api, private: str, query: str
) -> None:
    answer = api("GET", f"/sessions?django={query}", user=None)
    assert answer.status == 400
    assert "cannot be filtered by" in str(answer.body["django"])
    assert api("GET", f"/sessions?django={query}").status == 200


def test_credentials_of_repositories_are_no_oracle(api: Api) -> None:
    everything = api.ok("GET", "/data-repository", user=None)["count"]
    answer = api("GET", "/data-repository?json=secret_key__startswith,a", user=None)
    assert answer.status == 400 or answer.body["count"] in (0, everything)
