"""Who may set which field: the matrix, tried through HTTP; the deciding table itself."""

from __future__ import annotations

from typing import Any

import pytest

from functions.api.engine.declarations import RESOURCES
from shared import catalog
from shared.access import policy
from shared.catalog import visible
from shared.datasets.read import datasets_of
from shared.model.people import Caller, Role
from tests.api.conftest import Api

ROLES = {
    "M": "fimbrialab_member",
    "G": "fimbrialab_manager",
    "D": "admin",
    "R": "fimbrialab_rig",
    "W": "fimbrialab_worker",
    "O": "septumlab_manager",
}
"""Members, managers, administrators, rigs and workers of the record's lab; another's manager."""

CHANGES = [
    ("session", {"public": True}, "GD"),
    ("session", {"embargo_until": "2030-01-01"}, "GD"),
    ("session", {"narrative": "x"}, "MGDRW"),
    ("subject", {"lab": "septumlab"}, "D"),  # who manages both labs would do, too
    ("subject", {"responsible_user": "fimbrialab_manager"}, "MGD"),  # the member is responsible
    ("other's subject", {"responsible_user": "fimbrialab_member"}, "GD"),
    ("location", {"lab": "septumlab"}, "D"),
    ("lab", {"repositories": []}, "GD"),
    ("dataset", {"tags": ["plain"]}, "MGD"),
    ("dataset", {"tags": ["paper"]}, "GD"),
    ("dataset", {"tags": ["kept"]}, "GD"),
    ("protected dataset", {"tags": []}, "D"),
    ("protected dataset", {"tags": ["kept", "plain"]}, "GD"),
    ("released dataset", {"tags": []}, "GD"),
    ("dataset", {"version": "1"}, "MGDRW"),
    ("tag in use", {"public": True}, "GD"),
    ("tag of both labs", {"public": True}, "D"),
    ("protecting tag", {"protected": False}, "D"),
    ("repository", {"data_url": "https://example.org/"}, "GD"),
    ("repository", {"hostname": "example.org"}, "GD"),
    ("repository", {"globus_path": "/x/"}, "GD"),
    ("repository", {"globus_is_personal": True}, "GD"),
    ("repository", {"json": {"disk": "90 %"}}, "GDW"),
    ("repository", {"json": {"bucket_name": "elsewhere"}}, "GD"),
    ("repository of both labs", {"data_url": "https://example.org/"}, "D"),
    ("repository of both labs", {"json": {"disk": "90 %"}}, "D"),
    ("task", {"arguments": {"output_collection": "alf/x"}}, "MGD"),
    ("task", {"executable": "other.task"}, "MGD"),
    ("task", {"status": "Held"}, "MGDW"),
    ("member", {"role": "manager"}, "GD"),
    ("member", {"password": "correct horse battery"}, "GD"),
    ("member", {"lab": ["fimbrialab", "septumlab"]}, "D"),
    ("member", {"is_active": False}, "GD"),
    ("member", {"role": "administrator"}, "D"),
    ("administrator", {"email": "x@example.org"}, "D"),
]


@pytest.fixture
def records(api: Api) -> dict[str, str]:
    """Records of a lab and of two labs: path by name."""
    admin = {"user": "admin"}
    start = {"start_time": "2024-07-01T10:00:00"}
    mine, theirs = (
        api.ok("POST", "/sessions", {"subject": subject, **start}, **admin)["id"]
        for subject in ("FI_001", "SE_001")
    )
    for name, more in (
        ("plain", {}),
        ("shared", {}),
        ("used", {}),
        ("paper", {"public": True}),
        ("kept", {"protected": True}),
    ):
        api.ok("POST", "/tags", {"name": name, **more}, **admin)

    def dataset(session: str, name: str, *tags: str) -> str:
        body = {"session": session, "name": name, "collection": "alf", "tags": list(tags)}
        made: str = api.ok("POST", "/datasets", body, **admin)["id"]
        return f"/datasets/{made}"

    dataset(theirs, "trials.table.pqt", "shared")
    both = {"name": "both", "data_url": "https://example.com/", "globus_is_personal": False}
    api.ok("POST", "/data-repository", both, **admin)
    for lab in ("fimbrialab", "septumlab"):
        own = {**both, "name": f"server_{lab}"}
        api.ok("POST", "/data-repository", own, **admin)
        api.ok("PATCH", f"/labs/{lab}", {"repositories": ["both", own["name"]]}, **admin)
    api.ok("POST", "/locations", {"name": "rig_0", "lab": "fimbrialab"}, **admin)
    body = {"session": mine, "executable": "task.trials", "graph": "local"}
    task = api.ok("POST", "/tasks", body, **admin)["id"]
    body = {"nickname": "FI_003", "lab": "fimbrialab", "responsible_user": "admin"}
    api.ok("POST", "/subjects", body, **admin)
    api.ok("POST", "/users", {"username": "new", "lab": ["fimbrialab"]}, **admin)
    api.ok("POST", "/users", {"username": "root", "role": "administrator"}, **admin)
    return {
        "session": f"/sessions/{mine}",
        "subject": "/subjects/FI_001",
        "other's subject": "/subjects/FI_003",
        "location": "/locations/rig_0",
        "lab": "/labs/fimbrialab",
        "dataset": dataset(mine, "spikes.times.npy"),
        "protected dataset": dataset(mine, "spikes.depths.npy", "kept"),
        "released dataset": dataset(mine, "spikes.amps.npy", "paper"),
        "tag in use": "/tags/used",
        "tag of both labs": "/tags/shared",
        "protecting tag": "/tags/kept",
        "used": dataset(mine, "wheel.position.npy", "used", "shared"),
        "repository": "/data-repository/server_fimbrialab",
        "repository of both labs": "/data-repository/both",
        "task": f"/tasks/{task}",
        "member": "/users/new",
        "administrator": "/users/root",
    }


@pytest.mark.parametrize("role", ROLES)
def test_a_field_is_changed_by_whom_the_matrix_names(
    api: Api, records: dict[str, str], role: str
) -> None:
    wrong = []
    for name, change, allowed in CHANGES:
        path = records[name]
        before = api.ok("GET", path, user="admin")
        answer = api("PATCH", path, change, user=ROLES[role])
        refused = answer.status in (403, 404)
        if refused == (role in allowed) or answer.status >= 500:
            wrong.append((name, change, role, answer.status, answer.raw[:200]))
        elif refused and answer.status == 403:
            # Who may is named, and nothing has changed
            assert " may" in answer.body["detail"], (name, change, answer.raw)
            assert api.ok("GET", path, user="admin") == before
        else:
            back = {key: before.get(key) for key in change if key != "password"}
            if back:
                assert api("PATCH", path, back, user="admin").status == 200, (name, back)
    assert wrong == []


@pytest.mark.parametrize(
    ("path", "body", "allowed"),
    [
        ("/sessions", {"subject": "FI_001", "public": True}, "GD"),
        ("/sessions", {"subject": "FI_001", "embargo_until": "2030-01-01"}, "GD"),
        ("/sessions", {"subject": "FI_001", "public": False}, "MGDR"),
        ("/datasets", {"session": "", "name": "x.y.npy", "tags": ["paper"]}, "GD"),
        ("/datasets", {"session": "", "name": "x.y.npy", "tags": ["kept"]}, "GD"),
        ("/datasets", {"session": "", "name": "x.y.npy", "tags": ["plain"]}, "MGD"),
        ("/datasets", {"session": "", "name": "x.y.npy", "tags": []}, "MGDRW"),
        ("/tags", {"name": "t", "public": True}, "GDO"),  # nothing has it yet
        ("/tags", {"name": "t", "protected": True}, "GDO"),
        ("/tags", {"name": "t"}, "MGDO"),
        ("/locations", {"name": "l", "lab": "fimbrialab"}, "GD"),
        ("/data-repository", {"name": "r", "data_url": "https://example.org/"}, "GDO"),
        ("/tasks", {"session": "", "executable": "a", "arguments": {"b": 1}}, "MGDW"),
        ("/users", {"username": "u", "lab": ["fimbrialab"], "role": "manager"}, "GD"),
        ("/users", {"username": "u", "lab": ["fimbrialab"], "role": "administrator"}, "D"),
        ("/users", {"username": "u", "lab": [], "role": "member"}, "D"),
    ],
)
def test_a_new_record_has_only_what_its_maker_may_give(
    api: Api, records: dict[str, str], path: str, body: dict[str, Any], allowed: str
) -> None:
    wrong = []
    for i, (role, user) in enumerate(ROLES.items()):
        mine = dict(body)
        if "session" in mine:
            mine["session"] = records["session"].rpartition("/")[2]
        if path == "/sessions":
            mine |= {"number": i + 10, "start_time": "2024-07-01T10:00:00"}
        for key in ("name", "username", "executable"):
            if key in mine:
                mine[key] = f"{role.lower()}{mine[key]}"
        answer = api("POST", path, mine, user=user)
        if (answer.status == 201) != (role in allowed) or answer.status not in (201, 403, 404):
            wrong.append((role, answer.status, answer.raw[:200]))
    assert wrong == []


@pytest.mark.parametrize("role", ["member", "manager", "rig", "worker"])
def test_nothing_is_put_into_a_session_or_lab_of_others(
    api: Api, records: dict[str, str], role: str
) -> None:
    # Given a session of another lab, and every kind of record that may name one or a lab
    user = f"fimbrialab_{role}"
    theirs = api.ok("GET", "/sessions?lab=septumlab", user="admin")["results"][0]["id"]
    mine = records["session"].rpartition("/")[2]
    other = {"session": theirs, "lab": "septumlab"}
    own = {"session": mine, "lab": "fimbrialab"}
    tried = 0
    for path, resource in RESOURCES.items():
        named = [
            (name, spec)
            for name, spec in resource.fields.items()
            if spec.type == "ref" and spec.to in other and not spec.many
        ]
        if not named or not resource.has("create"):
            continue
        example = {k: mine if v == "<session id>" else v for k, v in resource.example.items()}
        for name, spec in named:
            answer = api("POST", f"/{path}", {**example, name: other[spec.to]}, user=user)
            # Then it is refused, whatever else of the record is the caller's
            assert answer.status in (400, 403, 404), (path, name, answer.raw[:200])
            made = api("POST", f"/{path}", {**example, name: own[spec.to]}, user="admin")
            if made.status != 201 or not resource.has("partial_update"):
                continue
            where = f"/{path}/{made.body[resource.key]}"
            api("PATCH", where, {name: other[spec.to]}, user=user)
            after = api("GET", where, user="admin").body
            assert after.get(name) == made.body.get(name), (path, name)
            api("DELETE", where, user="admin")
            tried += 1
    assert tried >= 6
    assert api.ok("GET", f"/sessions/{theirs}", user="admin")["wateradmin_session_related"] == []


def test_what_is_sent_back_as_it_was_takes_no_permission(
    api: Api, records: dict[str, str]
) -> None:
    # A client that changes one field of a session or dataset and sends all of them
    for name in ("session", "released dataset", "protected dataset"):
        shown = api.ok("GET", records[name])
        sent = {key: shown[key] for key in ("public", "tags", "json", "qc") if key in shown}
        assert api("PATCH", records[name], {**sent, "qc": "PASS"}).status == 200, name


@pytest.mark.parametrize("role", ["rig", "worker"])
def test_a_machine_sees_its_own_lab_only(
    api: Api, records: dict[str, str], role: str, bucket: str
) -> None:
    user = {"user": f"fimbrialab_{role}"}
    other = api.ok("GET", "/sessions?lab=septumlab")["results"][0]["id"]
    hidden = api.ok("GET", f"/datasets?session={other}")["results"][0]
    api.ok("POST", "/weighings", {"subject": "SE_001", "weight": 20}, user="admin")
    note = {"content_type": "session", "object_id": other, "text": "x"}
    api.ok("POST", "/notes", note, user="admin")
    shown = {row["lab"] for row in api.ok("GET", "/sessions", **user)["results"]}
    assert shown == {"fimbrialab"}
    for path in (
        f"/sessions/{other}",
        f"/datasets/{hidden['id']}",
        "/subjects/SE_001",
        "/users/septumlab_member",
        "/water-requirement/SE_001",
    ):
        assert api("GET", path, **user).status == 404, path
    for path in (
        f"/datasets?session={other}",
        f"/notes?object_id={other}",
        "/weighings?nickname=SE_001",
        "/subjects?lab=septumlab",
        "/sessions?django=subject__nickname,SE_001",
        "/datasets?django=session__lab__name,septumlab",
        "/users?username=septumlab_member",
    ):
        assert api.ok("GET", path, **user)["results"] == [], path
    # Its own lab's records are there, and lists that all labs share
    for path in (
        *(records[name] for name in ("session", "subject", "dataset", "task", "repository")),
        "/labs/septumlab",
        "/species/Mus musculus",
        f"/users/fimbrialab_{role}",
    ):
        assert api("GET", path, **user).status == 200, path


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/\r\nSet-Cookie: a=b",
        "javascript:alert(1)",
        "//example.org/",
        "https://exämple.org/",
        "https://example.org/ x",
        "ftp://example.org/",
        "https:///x",
        "\\\\server\\share",
    ],
)
def test_a_repositorys_address_goes_into_headers_and_is_checked(api: Api, url: str) -> None:
    server = {"name": "server", "data_url": "https://example.org/"}
    api.ok("POST", "/data-repository", server, user="admin")
    answer = api("PATCH", "/data-repository/server", {"data_url": url}, user="admin")
    assert answer.status == 400
    assert "address" in answer.body["data_url"][0]


def test_a_new_field_with_such_a_name_is_closed_until_somebody_decides() -> None:
    member = Caller("anna", Role.MEMBER, ("fimbrialab",), False)
    administrator = Caller("admin", Role.ADMINISTRATOR, (), False)
    for name in sorted(policy.DECIDED_APART):
        for before in (None, {name: "old"}):
            given = {name: "new"}
            assert not policy.may_set(member, "novelty", before, given), name
            assert policy.may_set(administrator, "novelty", before, given), name
    # In the declared resources somebody has decided
    undecided = {
        (resource.kind, name)
        for resource in RESOURCES.values()
        for name in resource.fields
        if name in policy.DECIDED_APART and (resource.kind, name) not in policy.FIELDS
    }
    assert undecided == set()
    # and no rule is left of a field that is gone
    fields = {(r.kind, name) for r in RESOURCES.values() for name in r.fields}
    assert set(policy.FIELDS) <= fields


def test_stripping_protection_by_way_of_the_tag_is_refused(
    api: Api, records: dict[str, str]
) -> None:
    for user in ("fimbrialab_member", "fimbrialab_manager", "fimbrialab_worker"):
        assert api("DELETE", "/tags/kept", user=user).status == 403
        assert api("PATCH", "/tags/kept", {"protected": False}, user=user).status == 403
        assert api("DELETE", records["protected dataset"], user=user).status == 403
        assert api("DELETE", records["session"], user=user).status == 403
    session = records["session"].rpartition("/")[2]
    kept = [item for item in datasets_of(session) if "kept" in (item.tags or ())]
    assert len(kept) == 1
    assert visible.released_tags(catalog.table) == {"paper"}


def test_a_worker_reports_in_a_mouse_s_json_and_changes_nothing_else_of_it(api: Api) -> None:
    # ibllib's TrainingStatus keeps there when a mouse has reached which status
    worker = "fimbrialab_worker"
    report = {"json": {"trained_criteria": {"trained_1a": ["2024-07-01", "x"]}}}
    assert api("PATCH", "/subjects/FI_001", report, user=worker).status == 200
    assert api.ok("GET", "/subjects/FI_001")["json"] == report["json"]
    whole = api.ok("GET", "/subjects/FI_001")
    for change in (
        {"sex": "F" if whole["sex"] == "M" else "M"},
        {"description": "changed"},
        {"lab": "septumlab"},
        {"death_date": "2024-07-02"},
        {**report, "nickname": "FI_999"},
        {**report, "responsible_user": worker},
    ):
        answer = api("PATCH", "/subjects/FI_001", change, user=worker)
        assert answer.status == (400 if "nickname" in change else 403), change
    assert api("PUT", "/subjects/FI_001", {"sex": "F"}, user=worker).status in (400, 403)
    assert api.ok("GET", "/subjects/FI_001") == whole
    # nor anything of another lab's
    assert api("PATCH", "/subjects/SE_001", report, user=worker).status in (403, 404)
