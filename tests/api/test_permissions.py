"""Who may use which route: the whole matrix, written out and tried."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from functions.api import permissions
from functions.api.app import app
from functions.api.errors import ApiError
from shared.access import policy
from shared.datasets.read import datasets_of
from shared.model.people import Caller
from tests.api.conftest import Api

ROLES = {
    "A": None,
    "V": "visitor",
    "M": "fimbrialab_member",
    "O": "septumlab_member",
    "G": "fimbrialab_manager",
    "D": "admin",
    "R": "fimbrialab_rig",
    "W": "fimbrialab_worker",
}
"""Anonymous, account for the public (visitor), members of two labs (the tables' M stands for
both), manager, administrator (D), rig, worker. Which records of another lab a member may write
is tried by `test_nobody_but_administrators_writes_records_of_another_lab`."""

RESOURCES = """
path                  read     create change delete
alleles               VMGDRW   GD     GD     GD
brain-regions         AVMGDRW  D      D      -
breeding-pairs        VMGDRW   MGD    MGD    MGD
cage-types            VMGDRW   GD     GD     GD
cages                 VMGDRW   MGD    MGD    MGD
channels              AVMGDRW  MGDW   MGDW   MGDW
chronic-insertions    VMGDRW   MGD    MGD    MGD
coordinate-systems    AVMGDRW  MGD    GD     D
cull-methods          VMGDRW   GD     GD     GD
cull-reasons          VMGDRW   GD     GD     GD
culls                 VMGDRW   MGD    MGD    MGD
data-formats          AVMGDRW  MGD    GD     D
data-notices          AVMGDRW  MGD    MGD    MGD
data-repository       AVMGDRW  GD     GDW    D
data-repository-type  AVMGDRW  MGD    GD     D
dataset-types         AVMGDRW  MGD    GD     D
datasets              AVMGDRW  MGDRW  MGDRW  MGDW
downloads             VMGDRW   -      MGD    -
enrichments           VMGDRW   GD     GD     GD
fields-of-view        AVMGDRW  MGDW   MGDW   MGDW
files                 VMGDRW   MGDRW  MGDW   MGDW
foods                 VMGDRW   GD     GD     GD
fov-location          AVMGDRW  MGDW   MGDW   MGDW
genotype-tests        VMGDRW   MGD    MGD    MGD
images                VMGDRW   MGD    -      MGD
imaging-stack         AVMGDRW  MGDW   MGDW   MGDW
imaging-types         AVMGDRW  MGD    GD     D
insertions            AVMGDRW  MGDW   MGDW   MGDW
lab-memberships       VMGDRW   GD     GD     GD
labs                  AVMGDRW  D      GD     D
licences              VMGDRW   GD     GD     GD
lines                 VMGDRW   GD     GD     GD
litters               VMGDRW   MGD    MGD    MGD
locations             VMGDRW   GD     MGDR   GD
notes                 VMGDRW   MGDRW  MGDW   MGDW
notification-rules    VMGDRW   MGD    MGD    MGD
notifications         VMGDRW   -      MGD    MGD
other-actions         VMGDRW   MGD    MGD    MGD
own-fields            VMGDRW   GD     GD     GD
probe-models          AVMGDRW  MGD    GD     D
procedures            AVMGDRW  MGD    GD     D
projects              AVMGDRW  MGD    GD     D
revisions             AVMGDRW  MGDRW  GD     MGD
sequences             VMGDRW   GD     GD     GD
sessions              AVMGDRW  MGDR   MGDRW  MGD
signatures            VMGDRW   MGD    -      -
sources               AVMGDRW  MGD    GD     D
species               AVMGDRW  MGD    GD     D
stays                 VMGDRW   MGD    MGD    MGD
strains               AVMGDRW  MGD    GD     D
subject-requests      VMGDRW   MGD    MGD    MGD
subject-tags          VMGDRW   MGD    MGD    MGD
subjects              VMGDRW   MGD    MGDW   GD
surgeries             VMGDRW   MGD    MGD    MGD
tags                  AVMGDRW  MGD    GD     D
tasks                 VMGDRW   MGDW   MGDW   MGD
templates             VMGDRW   GD     GD     GD
trajectories          AVMGDRW  MGDW   MGDW   MGDW
users                 VMGDRW   GD     GD     D
views                 VMGDRW   MGD    MGD    MGD
virus-injections      VMGDRW   MGD    MGD    MGD
water-administrations VMGDRW   MGDRW  MGD    MGD
water-restriction     VMGDRW   MGD    MGD    MGD
water-type            AVMGDRW  MGD    GD     D
weighings             VMGDRW   MGDRW  MGD    MGD
webhooks              GD       GD     GD     GD
zygosity-rules        VMGDRW   GD     GD     GD
"""

OTHERS = """
GET    /api/schema                        AVMGDRW
GET    /health                            AVMGDRW
GET    /changes                           MGD
GET    /changes/subjects                  MGD
POST   /batch                             MGD
GET    /audit                             MGD
POST   /audit/{group}/undo                MGD
GET    /forms                             AVMGDRW
GET    /session                           AVMGDRW
POST   /session                           AVMGDRW
DELETE /session                           AVMGDRW
POST   /auth-token                        AVMGDRW
DELETE /auth-token                        VMGDRW
GET    /me                                VMGDRW
GET    /public-account                    AVMGDRW
POST   /me/password                       MGD
PATCH  /me                                MGD
GET    /cache/info                        AVMGDRW
GET    /cache/info/{tag}                  AVMGDRW
GET    /cache.zip                         AVMGDRW
GET    /cache-files/{grant}/cache.zip     AVMGDRW
GET    /check-protected                   MGDRW
POST   /register-file                     MGDRW
GET    /data/{path+}                      AVMGDRW
HEAD   /data/{path+}                      AVMGDRW
GET    /datasets/{id}/index               AVMGDRW
GET    /datasets/{id}/run-record          AVMGDRW
GET    /uploaded/{path+}                  AVMGDRW
POST   /new-download                      MGDRW
POST   /import                            D
POST   /import/end                       D
GET    /export                            D
POST   /tasks/{id}/claim                  W
POST   /tasks/{id}/heartbeat              W
POST   /tasks/{id}/log                    W
POST   /tasks/{id}/release                W
POST   /tasks/{id}/complete               W
POST   /workers/credentials               W
POST   /workers/report                    W
GET    /board                             MGDRW
GET    /board/{session}                   MGDRW
GET    /lab-pages/{lab}/{path+}           MGD
GET    /queues                            D
POST   /queues/{queue}/redrive            D
GET    /releases                          AVMGDRW
POST   /tags/{name}/datasets              MGD
POST   /releases                          GD
GET    /releases/{name}                   AVMGDRW
GET    /releases/{name}/{version}         AVMGDRW
PATCH  /releases/{name}/{version}         GD
GET    /releases/{name}/{version}/{document} AVMGDRW
GET    /releases/{name}/{version}/nwb     AVMGDRW
POST   /releases/{name}/{version}/publish GD
POST   /releases/{name}/{version}/withdraw GD
GET    /releases/{name}/{version}/reviewers GD
POST   /releases/{name}/{version}/reviewers GD
DELETE /releases/{name}/{version}/reviewers/{link} GD
GET    /training-prediction/{nickname}    MGD
GET    /uploads                           MGDRW
POST   /uploads                           MGDRW
GET    /uploads/{upload}                  MGDRW
POST   /uploads/{upload}/parts            MGDRW
POST   /uploads/{upload}/assemble         MGDRW
POST   /uploads/{upload}/complete         MGDRW
GET    /water-requirement/{nickname}      MGDRW
GET    /training-prediction/{nickname}    MGD
GET    /water-restricted-subjects         MGDRW
GET    /water-status                      MGDRW
GET    /water-explanation/{nickname}      MGDRW
GET    /reports/{name}                    MGD
GET    /images/{id}                       MGDRW
POST   /litters/{name}/pups               MGD
POST   /litters/{name}/wean               MGD
POST   /subjects/transfer                 MGD
POST   /subjects/cull                     MGD
POST   /breeding-plans                    MGD
POST   /subjects/{nickname}/rename        MGD
POST   /lines/{name}/zygosities           GD
GET    /webhooks/{id}/deliveries          GD
POST   /webhooks/{id}/deliveries/{delivery} GD
POST   /webhooks/{id}/test                GD
"""


def expected() -> dict[tuple[str, str], str]:
    """Return the roles of every route, from the tables above."""
    table = {}
    for line in OTHERS.strip().splitlines():
        method, path, roles = line.split()
        table[method, path] = roles
    for line in RESOURCES.strip().splitlines()[1:]:
        name, *columns = line.split()
        read, create, change, delete = (c.strip("-") for c in columns)
        keys = [p for p in app.routes if p.startswith(f"/{name}/{{") and p.count("/") == 2]
        table["GET", f"/{name}"] = read
        table["POST", f"/{name}"] = create
        for key in keys:
            table.setdefault(("GET", key), read)  # unless it has a route of its own
            table["PUT", key] = table["PATCH", key] = change
            table["DELETE", key] = delete
    return {route: roles.replace("M", "MO") for route, roles in table.items() if roles}


def test_every_route_is_in_the_table_and_has_a_rule() -> None:
    routes = {(method, path) for path, entries in app.routes.items() for method in entries}
    assert routes == set(expected())
    for method, path in routes:
        ruled = (path, method) in permissions.RESOURCE_RULES or policy.rule_of(path, method)
        assert ruled, path
    # No rule is left of a route that is gone, and a route without a rule would be refused
    plain = {f"{method} {policy.plain_path(path)}" for method, path in routes}
    assert set(policy.ROUTES) <= plain
    with pytest.raises(ApiError) as caught:
        permissions.check("/forgotten", "GET", Caller("admin", "administrator"))
    assert caught.value.status == 403


NOBODY = "00000000-0000-4000-8000-000000000000"


def test_each_role_is_let_in_or_refused_as_the_table_says(api: Api, bucket: str) -> None:
    wrong = []
    for (method, path), roles in expected().items():
        address = re.sub(r"{[^}]+}", NOBODY, path)
        for role, user in ROLES.items():
            answer = api(method, address, {} if method in WITH_BODY else None, user=user)
            if (method, path) == ("DELETE", "/auth-token"):
                api.tokens.clear()
            # Who is let in finds nothing there, or is told what is missing in the body
            status = 401 if user is None and path == PAGES else 403
            refused = answer.status == status and answer.body["detail"].startswith(REFUSALS)
            broken = answer.status >= 500 and path not in OF_THE_CLOUD
            if refused != (role not in roles) or broken:
                wrong.append((method, path, role, answer.status, answer.raw[:80]))
    assert wrong == []


OF_THE_CLOUD = ("/workers/credentials", "/board", "/queues", "/queues/{queue}/redrive")
"""Who is let in reaches the token service, which only the whole system has."""

PAGES = "/lab-pages/{lab}/{path+}"
"""Its callers are browsers, which are asked to sign in."""

WITH_BODY = ("POST", "PUT", "PATCH")
REFUSALS = (
    "Authentication credentials were not provided.",
    "You do not have permission to perform this action.",
)


@pytest.fixture
def others(api: Api) -> dict[str, str]:
    """Records of the other lab: path of each, and what would change it."""
    admin = {"user": "admin"}
    eid = api.ok(
        "POST", "/sessions", {"subject": "SE_001", "start_time": "2024-07-01T10:00:00"}, **admin
    )["id"]
    pid = api.ok("POST", "/insertions", {"session": eid, "name": "probe00"}, **admin)["id"]
    weight = api.ok("POST", "/weighings", {"subject": "SE_001", "weight": 20}, **admin)["url"]
    water = {"subject": "SE_001", "water_administered": 1}
    watering = api.ok("POST", "/water-administrations", water, **admin)["url"]
    note = {"content_type": "session", "object_id": eid, "text": "x"}
    note_id = api.ok("POST", "/notes", note, **admin)["id"]
    rig = {"name": "rig_0", "lab": "septumlab"}
    api.ok("POST", "/locations", rig, **admin)
    dataset = {"session": eid, "name": "trials.table.pqt", "collection": "alf"}
    did = api.ok("POST", "/datasets", dataset, **admin)["id"]
    return {
        "session": f"/sessions/{eid}",
        "insertion": f"/insertions/{pid}",
        "weighing": weight.removeprefix("http://fornix.test"),
        "watering": watering.removeprefix("http://fornix.test"),
        "note": f"/notes/{note_id}",
        "location": "/locations/rig_0",
        "dataset": f"/datasets/{did}",
        "subject": "/subjects/SE_001",
        "lab": "/labs/septumlab",
        "eid": eid,
    }


@pytest.mark.parametrize("role", ["member", "manager", "rig", "worker"])
def test_nobody_but_administrators_writes_records_of_another_lab(
    api: Api, others: dict[str, str], role: str
) -> None:
    eid = others["eid"]
    user = f"fimbrialab_{role}"
    for path in [path for name, path in others.items() if name != "eid"]:
        for method, body in (("PATCH", {"json": {"a": 1}}), ("DELETE", None)):
            answer = api(method, path, body, user=user)
            assert answer.status in (403, 405), (method, path, answer.raw)
    creations: list[tuple[str, Any]] = [
        ("/sessions", {"subject": "SE_001", "start_time": "2024-07-02T10:00:00"}),
        ("/subjects", {"nickname": "SE_009", "lab": "septumlab"}),
        ("/weighings", {"subject": "SE_001", "weight": 20}),
        ("/water-administrations", {"subject": "SE_001", "water_administered": 1}),
        ("/water-restriction", {"subject": "SE_001", "reference_weight": 20}),
        ("/surgeries", {"subject": "SE_001", "implant_weight": 1}),
        ("/insertions", {"session": eid, "name": "probe01"}),
        ("/notes", {"content_type": "session", "object_id": eid, "text": "x"}),
        ("/datasets", {"session": eid, "name": "spikes.times.npy"}),
        ("/tasks", {"session": eid, "executable": "task.trials"}),
        ("/locations", {"name": "rig_1", "lab": "septumlab"}),
        (
            "/register-file",
            {"path": "SE_001/2024-07-01/001", "filenames": ["alf/spikes.times.npy"]},
        ),
    ]
    for path, body in creations:
        answer = api("POST", path, body, user=user)
        assert answer.status == 403, (path, answer.raw)
        # and the administrator may
    assert [item.name for item in datasets_of(eid)] == ["trials.table.pqt"]
    assert api("PATCH", others["session"], {"narrative": "ok"}, user="admin").status == 200
    assert api("PATCH", others["session"], {"qc": "PASS"}, user="septumlab_member").status == 200


def test_the_public_sees_what_is_public_and_nothing_else(api: Api) -> None:
    shown, hidden = (
        api.ok("POST", "/sessions", {"subject": s, "start_time": "2024-07-01T10:00:00"})["id"]
        for s in ("FI_001", "FI_002")
    )
    for eid in (shown, hidden):
        api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})
        api.ok("POST", "/datasets", {"session": eid, "name": "trials.table.pqt"})
    api.ok("PATCH", f"/sessions/{shown}", {"public": True}, user="fimbrialab_manager")
    for user in (None, "visitor"):
        assert [r["id"] for r in api.ok("GET", "/sessions", user=user)["results"]] == [shown]
        (row,) = api.ok("GET", "/insertions", user=user)["results"]
        assert row["session"] == shown
        (row,) = api.ok("GET", "/datasets", user=user)["results"]
        assert row["session"].endswith(shown)
        assert api("GET", f"/sessions/{hidden}", user=user).status == 404
        assert api.ok("GET", f"/datasets?session={hidden}", user=user)["results"] == []
        query = "/sessions?django=probe_insertion__session__subject__nickname,FI_002"
        assert api.ok("GET", query, user=user)["results"] == []
    subjects = api.ok("GET", "/subjects", user="visitor")["results"]
    assert [row["nickname"] for row in subjects] == ["FI_001"]
    assert api.ok("GET", "/notes", user="visitor")["results"] == []
    assert api("GET", "/subjects/FI_002", user="visitor").status == 404
    assert (
        api("POST", "/weighings", {"subject": "FI_001", "weight": 2}, user="visitor").status == 403
    )
    # A public release shows its datasets of a session that is not public
    api.ok("POST", "/tags", {"name": "paper", "public": True}, user="admin")
    (row,) = api.ok("GET", f"/datasets?session={hidden}")["results"]
    api.ok("PATCH", f"/datasets/{row['id']}", {"tags": ["paper"]}, user="fimbrialab_manager")
    assert api.ok("GET", f"/datasets/{row['id']}", user=None)["public"] == 1


def test_managers_manage_only_their_own_labs_people(api: Api) -> None:
    manager = {"user": "fimbrialab_manager"}
    body = {"username": "new", "lab": ["fimbrialab"], "password": "long enough", "role": "member"}
    made = api("POST", "/users", body, **manager)
    assert made.status == 201
    assert "password" not in json.dumps(made.body)
    assert "long enough" not in json.dumps(api.ok("GET", "/users"))
    assert (
        api("POST", "/users", {**body, "username": "b", "lab": ["septumlab"]}, **manager).status
        == 403
    )
    assert (
        api("POST", "/users", {**body, "username": "c", "role": "administrator"}, **manager).status
        == 403
    )
    assert api("PATCH", "/users/admin", {"email": "x@y"}, **manager).status == 403
    assert api("PATCH", "/users/septumlab_member", {"email": "x@y"}, **manager).status == 403
    assert api("PATCH", "/labs/septumlab", {"address": "x"}, **manager).status == 403
    assert api("PATCH", "/labs/fimbrialab", {"address": "x"}, **manager).status == 200
