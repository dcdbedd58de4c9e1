"""Registering files, downloading them, cache tables, notes with images."""

from __future__ import annotations

import base64
import hashlib
import io
import random
import string
import urllib.error
import urllib.request
import uuid
from urllib.parse import quote

import pytest
import requests
from PIL import Image

from shared.datasets.read import datasets_of
from shared.records import aws, documents
from tests.api.conftest import Api, bring, content_of

MEMBER = "fimbrialab_member"
PATH = "FI_001/2024-07-01/001"


@pytest.fixture
def eid(api: Api) -> str:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": "001"}
    return api.ok("POST", "/sessions", body)["id"]


def register(api: Api, *names: str, **more: object) -> dict:
    body = {
        "created_by": "fimbrialab_member",
        "path": PATH,
        "filenames": list(names),
        "hashes": [hashlib.md5(content_of(name)).hexdigest() for name in names],
        "filesizes": [len(content_of(name)) for name in names],
        "versions": ["1.0"] * len(names),
        "name": "fornix",
        "exists": True,
        "server_only": False,
        "default": True,
        "check_protected": True,
        "labs": "fimbrialab",
    }
    return {"method": "POST", "path": "/register-file", "body": {**body, **more}}


def test_registering_answers_in_file_order_and_shows_in_the_session(
    api: Api, eid: str, bucket: str
) -> None:
    names = ["alf/probe00/spikes.times.npy", "alf/trials.table.pqt"]
    rows = api.ok(**register(api, *names))
    assert [row["name"] for row in rows] == ["spikes.times.npy", "trials.table.pqt"]
    assert [row["collection"] for row in rows] == ["alf/probe00", "alf"]
    first = rows[0]
    assert first["session"] == eid
    # That the own store has a file is what it says itself, not what a client says
    assert first["file_records"][0]["exists"] is False
    bring(api, eid)
    first = api.ok(**register(api, *names))[0]
    assert (first["qc"], first["default"], first["revision"]) == (0, True, "")
    assert first["file_records"] == [
        {
            "id": first["file_records"][0]["id"],
            "data_repository": "fornix",
            "relative_path": f"{PATH}/alf/probe00/spikes.times.npy",
            "exists": True,
        }
    ]
    shown = api.ok("GET", f"/sessions/{eid}")["data_dataset_session_related"]
    assert shown[0]["default_revision"] == "True"
    assert shown[0]["data_url"] == (
        "http://fornix.test/data/fimbrialab/Subjects/"
        f"{PATH}/alf/probe00/spikes.times.{first['id']}.npy"
    )
    # And again is no change
    assert api.ok(**register(api, *names))[0] == first


def test_one_bad_name_registers_nothing(api: Api, eid: str) -> None:
    answer = api(**register(api, "alf/trials.table.pqt", "alf/a.b.xyz"))
    assert answer.status == 400
    assert "a.b.xyz" in answer.body["detail"]
    assert datasets_of(eid) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"labs": "nolab"}, "no lab 'nolab'"),
        ({"name": "nowhere"}, "no data repository 'nowhere'"),
        ({"path": "FI_001/2024-07-01/009"}, "no session FI_001/2024-07-01/009"),
        ({"path": "ghost/2024-07-01/001"}, "no session ghost"),
        ({"path": "FI_001/yesterday/001"}, "is not subject/YYYY-MM-DD/NNN"),
        ({"filenames": ["#2024#/#2025#/spikes.times.npy"]}, "one #revision# folder"),
        ({"filenames": ["../spikes.times.npy"]}, "not made of dots"),
        ({"hashes": ["zz"]}, "not hexadecimal"),
        ({"filesizes": ["many"]}, "not a number of bytes"),
        ({"filesizes": [1, 2]}, "2 values for 1 files"),
        ({"created_by": "nobody"}, "no user 'nobody'"),
        ({"filenames": []}, "give 1 to"),
    ],
)
def test_what_is_wrong_is_named(api: Api, eid: str, more: dict, words: str) -> None:
    answer = api(**register(api, "spikes.times.npy", **more))
    assert answer.status == 400
    assert words in answer.body["detail"]


def test_protected_files_answer_with_the_details_that_clients_act_on(api: Api, eid: str) -> None:
    (row,) = api.ok(**register(api, "alf/spikes.times.npy"))
    documents.create("tag", "release", {"name": "release", "protected": True}, who="admin")
    api.ok("PATCH", f"/datasets/{row['id']}", {"tags": ["release"]}, user="fimbrialab_manager")
    answer = api(**register(api, "alf/spikes.times.npy", "alf/trials.table.pqt"))
    assert answer.status == 403
    assert answer.body == {
        "error": "One or more datasets is protected",
        "details": [{"alf/spikes.times.npy": [{"": True}]}, {"alf/trials.table.pqt": []}],
        "status_code": 403,
    }
    checked = api.ok("GET", "/check-protected", register(api, "alf/spikes.times.npy")["body"])
    assert checked["status_code"] == 403
    assert checked["details"] == answer.body["details"][:1]
    other = api.ok("GET", "/check-protected", register(api, "alf/trials.table.pqt")["body"])
    assert other == {"status_code": 200, "details": "None of the datasets are protected"}
    # A new revision is accepted and becomes the default; the old one stays
    (new,) = api.ok(**register(api, "alf/#2024-08-01#/spikes.times.npy", check_protected=False))
    assert (new["revision"], new["default"]) == ("2024-08-01", True)
    assert api.ok("GET", "/revisions/2024-08-01")["name"] == "2024-08-01"
    shown = api.ok("GET", f"/datasets?session={eid}")["results"]
    assert {each["revision"]: each["default_dataset"] for each in shown} == {
        "": False,
        "2024-08-01": True,
    }
    # Other content over a protected dataset is refused even without the check, and so is deletion
    answer = api(
        **register(api, "alf/spikes.times.npy", check_protected=False, hashes=["ff" * 16])
    )
    assert answer.status == 403
    assert api("DELETE", f"/datasets/{row['id']}", user="admin").status == 403
    assert api("DELETE", f"/sessions/{eid}").status == 403
    # Only an administrator may delete them with their session
    assert api("DELETE", f"/sessions/{eid}", user="admin").status == 204


def test_other_content_resets_what_is_known_of_the_file(api: Api, eid: str) -> None:
    (row,) = api.ok(**register(api, "alf/spikes.times.npy"))
    changed = {"hashes": ["ee" * 16], "name": None, "filesizes": [7], "exists": False}
    (again,) = api.ok(**register(api, "alf/spikes.times.npy", **changed))
    assert again["id"] == row["id"]
    assert again["file_size"] == 7
    assert [each["exists"] for each in again["file_records"]] == [False]
    assert api.ok("GET", f"/sessions/{eid}")["data_dataset_session_related"] == []


def test_datasets_are_listed_with_file_records(api: Api, eid: str, bucket: str) -> None:
    (row,) = api.ok(**register(api, "alf/probe00/spikes.times.npy"))
    assert api.ok("GET", f"/datasets?session={eid}&exists=True")["count"] == 0
    bring(api, eid)
    for query in (
        f"id={row['id']}",
        f"session={eid}",
        "name=spikes.times.npy",
        "collection=alf/probe00",
        "dataset_type=spikes.times",
        "subject=FI_001&date=2024-07-01",
        "lab=fimbrialab&exists=True",
        "created_by=fimbrialab_member",
        f"exists=True&django=id__in,['{row['id']}']",
        f"django=session__id,{eid},dataset_type__name,spikes.times",
        f"django=session__id,{eid},dataset_type__name__in,['spikes.times']",
        "django=name__icontains,spikes,file_size__gte,50",
        "public=False&protected=False",
    ):
        found = api.ok("GET", f"/datasets?{query.replace(' ', '%20')}")
        assert [each["id"] for each in found["results"]] == [row["id"]], query
    one = found["results"][0]
    assert one == api.ok("GET", f"/datasets/{row['id']}")
    assert one["file_records"][0]["data_repository_path"] == "data/fimbrialab/Subjects/"
    assert (one["default_dataset"], one["qc"], one["public"], one["protected"]) == (
        True,
        "NOT_SET",
        0,
        0,
    )
    assert api.ok("GET", "/datasets?django=session__isnull,True")["results"] == []
    query = f"django=dataset,{row['id']},data_repository__globus_is_personal,False"
    (file,) = api.ok("GET", f"/files?{query}")["results"]
    patched = api.ok("PATCH", f"/files/{file['id']}", {"json": {"mismatch_hash": True}})
    assert patched["json"] == {"mismatch_hash": True}
    assert patched["id"] == file["id"]


def test_file_records_are_found_by_their_ids_wherever_the_dataset_came_from(
    api: Api, eid: str
) -> None:
    # Given a dataset with an id of Fornix's, one with an id of its own, and an aggregate
    subject = api.ok("GET", "/subjects/FI_001")["id"]
    api.ok(**register(api, "alf/spikes.times.npy"))
    body = {"id": "5cb3a6b1-3bd5-4f8c-9c2a-0f0f0f0f0f0f", "session": eid, "name": "a.b.npy"}
    repository = {"name": "flatiron", "data_url": "https://example.org/"}
    api.ok("POST", "/data-repository", repository, user="admin")
    body["file_records"] = [{"data_repository": "flatiron", "exists": True}]
    api.ok("POST", "/import", {"resource": "datasets", "rows": [body]}, user="admin")
    more = {"content_type": "subject", "object_id": subject, "path": "Subjects/FI_001"}
    api.ok(**register(api, "spikes.times.npy", **more))
    listed = api.ok("GET", "/files")["results"]
    assert len({row["dataset"] for row in listed}) == 3
    # When each is asked for by the id that the lists show, and changed
    for row in listed:
        found = api.ok("GET", f"/files/{row['id']}")
        assert found["dataset"] == row["dataset"]
        api.ok("PATCH", f"/files/{row['id']}", {"json": {"mismatch_hash": True}})
    # Then all are as they were told to be
    assert {str(row["json"]) for row in api.ok("GET", "/files")["results"]} == {
        "{'mismatch_hash': True}"
    }


def test_aggregates_belong_to_other_records(api: Api) -> None:
    subject = api.ok("GET", "/subjects/FI_001")["id"]
    more = {"content_type": "subject", "object_id": subject, "path": "Subjects/FI_001"}
    (row,) = api.ok(**register(api, "spikes.times.npy", **more))
    assert row["content_type"] == "subjects.subject"
    assert row["file_records"][0]["relative_path"] == "Subjects/FI_001/spikes.times.npy"
    found = api.ok("GET", "/datasets?django=session__isnull,True")
    assert [each["id"] for each in found["results"]] == [row["id"]]
    assert found["results"][0]["session"] is None


def test_downloads_redirect_ask_for_basic_and_refuse_others(
    api: Api, eid: str, bucket: str, address: str
) -> None:
    names = ["alf/#2024-08-01#/spikes.times.npy"]
    (row,) = api.ok(**register(api, *names))
    content = content_of(names[0])
    bring(api, eid)
    url = api.ok("GET", f"/datasets/{row['id']}")["file_records"][0]["data_url"]
    assert "#2024-08-01#" in url
    url = url.replace("#", "%23")

    def get(user: str | None, **headers: str) -> bytes:
        request = urllib.request.Request(url, headers=headers)
        if user:
            basic = base64.b64encode(f"{user}:{api.token(user)}".encode()).decode()
            request.add_header("Authorization", f"Basic {basic}")
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["Content-Length"]
            return answer.read()

    with pytest.raises(urllib.error.HTTPError) as caught:
        get(None)
    assert caught.value.code == 401
    assert caught.value.headers["WWW-Authenticate"].startswith("Basic ")
    caught.value.close()
    # urllib does as ONE does: bare first, Basic when asked, nothing of it to the storage
    manager = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    manager.add_password(None, url, "fimbrialab_member", api.token("fimbrialab_member"))
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    with opener.open(url) as answer:
        assert answer.read() == content
    # When the session is made public
    api.ok("PATCH", f"/sessions/{eid}", {"public": True}, user="fimbrialab_manager")
    assert get(None) == content
    assert get(None, Range="bytes=2-4") == content[2:5]
    # But not before its embargo ends
    api.ok("PATCH", f"/sessions/{eid}", {"embargo_until": "2199-01-01"}, user="fimbrialab_manager")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(None)
    caught.value.close()


def test_a_private_file_is_refused_by_the_gateway_and_answered_by_the_function(
    api: Api, eid: str, bucket: str, address: str
) -> None:
    (row,) = api.ok(**register(api, "alf/spikes.times.npy"))
    bring(api, eid)
    data_url = api.ok("GET", f"/datasets/{row['id']}")["file_records"][0]["data_url"]
    # Given no credentials, then the refusal says how to send them, in the API's one shape
    bare = requests.get(data_url)
    assert bare.status_code == 401
    assert bare.headers["WWW-Authenticate"].startswith("Basic realm=")
    detail = "Authentication credentials were not provided."
    assert bare.json() == {"detail": detail, "status_code": 401}
    assert requests.head(data_url).headers["WWW-Authenticate"].startswith("Basic realm=")
    # A client that sends them with its first request gets the bytes
    answer = requests.get(data_url, auth=(MEMBER, api.token(MEMBER)))
    assert answer.content == content_of("alf/spikes.times.npy")
    assert [each.status_code for each in answer.history] == [302]
    # Wrong ones are refused for good: asking again would not help
    wrong = requests.get(data_url, auth=(MEMBER, "f" * 40))
    assert (wrong.status_code, wrong.json()["detail"]) == (403, "Invalid token.")
    assert "WWW-Authenticate" not in wrong.headers
    # And what there is not, is not there for anybody
    missing = requests.get(data_url.replace(row["id"], "5cb3a6b1-3bd5-4f8c-9c2a-0f0f0f0f0f0f"))
    assert missing.status_code == 404


REFERENCES = [
    ([("far", True)], 404, "it is on far, which has no web address (data_url)"),
    ([("far", True), ("web", True)], 302, "https://data.example.org/x/{name}"),
    ([("web", False)], 404, "no data repository has it"),
    ([("web", False), ("far", True)], 404, "it is on far, which has no web address (data_url)"),
]


@pytest.mark.parametrize(("places", "status", "said"), REFERENCES)
def test_a_file_held_elsewhere_is_redirected_to_or_said_to_be_out_of_reach(
    api: Api, eid: str, bucket: str, places: list, status: int, said: str
) -> None:
    # Given an imported dataset whose bytes stayed where they are
    api.ok("POST", "/data-repository", {"name": "far"}, user="admin")
    web = {"name": "web", "data_url": "https://data.example.org/x"}
    api.ok("POST", "/data-repository", web, user="admin")
    identity = "5cb3a6b1-3bd5-4f8c-9c2a-0f0f0f0f0f0f"
    path = "FI_001/2024-07-01/001/alf/spikes.times.npy"
    records = [
        {"data_repository": name, "relative_path": path, "exists": there} for name, there in places
    ]
    body = {"id": identity, "session": eid, "name": "spikes.times.npy", "collection": "alf"}
    rows = {"resource": "datasets", "rows": [{**body, "file_records": records}]}
    assert api.ok("POST", "/import", rows, user="admin")["refused"] == []
    # When a member downloads it by the API's address
    name = path.replace(".npy", f".{identity}.npy")
    answer = api("GET", f"/data/fimbrialab/Subjects/{name}")
    # Then the answer is the address it has there, or why it cannot be had
    assert answer.status == status
    if status == 302:
        assert answer.headers["Location"] == said.format(name=name)
    else:
        detail = f"The file alf/spikes.times.npy cannot be downloaded: {said}."
        assert answer.body == {"detail": detail, "status_code": 404}


def form(eid: str, image: bytes, width: str | None) -> tuple[bytes, dict[str, str]]:
    """Return the body and the headers of a note with an image, as ``requests`` sends them."""
    fields = {
        "user": "fimbrialab_member",
        "content_type": "session",
        "object_id": eid,
        "text": "wheel drift",
        "json": '{"name": "plot"}',
        **({"width": width} if width else {}),
    }
    body = "".join(
        f'--x-boundary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    body += (
        '--x-boundary\r\nContent-Disposition: form-data; name="image"; filename="a b.png"\r\n'
        "Content-Type: image/png\r\n\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x-boundary"}
    return body.encode() + image + b"\r\n--x-boundary--\r\n", kind


def test_a_note_keeps_its_image(api: Api, eid: str, bucket: str, address: str) -> None:
    body, kind = form(eid, b"\x89PNG\r\n\xff\xfe", "orig")
    note = api.ok("POST", "/notes", body, headers=kind)
    assert note["content_type"] == "actions.session"
    assert note["json"] == {"name": "plot"}
    token = {"Authorization": f"Token {api.token('fimbrialab_member')}"}
    where = note["image"].removeprefix(address)
    answer = api("GET", where, headers=token)
    assert answer.status == 302
    with urllib.request.urlopen(answer.headers["Location"]) as image:
        assert image.read() == b"\x89PNG\r\n\xff\xfe"
    for query in (
        f"django=object_id,{eid},text,wheel%20drift,json__name,plot",
        f"django=text__icontains,drift,object_id,{eid}",
    ):
        assert [each["id"] for each in api.ok("GET", f"/notes?{query}")["results"]] == [note["id"]]
    assert api.ok("GET", f"/sessions/{eid}")["notes"][0]["text"] == "wheel drift"


def test_file_records_are_found_by_what_their_datasets_are(api: Api, eid: str) -> None:
    rows = api.ok(**register(api, "alf/spikes.times.npy", "alf/wheel.position.npy"))
    for query, names in (
        (f"dataset__session,{eid}", ["spikes.times", "wheel.position"]),
        (f"dataset__session,{eid},dataset__dataset_type__name,spikes.times", ["spikes.times"]),
        ("dataset__name__icontains,wheel", ["wheel.position"]),
        (f"dataset,{rows[0]['id']},data_repository__globus_is_personal,False", ["spikes.times"]),
        (f"dataset__session,{uuid.uuid4()}", []),
    ):
        found = api.ok("GET", f"/files?django={quote(query)}")["results"]
        paths = sorted(row["relative_path"].rpartition("/")[2] for row in found)
        assert paths == [f"{name}.npy" for name in names]


@pytest.mark.parametrize(
    ("width", "size"), [(None, (800, 80)), ("100", (100, 10)), ("orig", (1000, 100))]
)
def test_an_image_of_a_note_is_scaled(
    api: Api, eid: str, bucket: str, width: str | None, size: tuple[int, int]
) -> None:
    picture = io.BytesIO()
    Image.new("RGBA", (1000, 100), (155, 0, 0)).save(picture, format="PNG")
    body, kind = form(eid, picture.getvalue(), width)
    note = api.ok("POST", "/notes", body, headers=kind)
    key = "notes/" + note["image"].partition("/uploaded/")[2]
    kept = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with Image.open(io.BytesIO(kept)) as shown:
        assert (shown.size, shown.format) == (size, "PNG")


@pytest.mark.parametrize(
    ("content", "width", "field"),
    [(b"\x89PNG no picture", None, "image"), (b"x", "0", "width"), (b"x", "wide", "width")],
)
def test_a_bad_image_is_refused(
    api: Api, eid: str, bucket: str, content: bytes, width: str | None, field: str
) -> None:
    body, headers = form(eid, content, width)
    answer = api("POST", "/notes", body, headers=headers)
    assert (answer.status, list(answer.body)) == (400, [field, "status_code"])
    assert api.ok("GET", "/notes")["count"] == 0


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_only_an_upload_says_that_the_own_store_has_a_file(
    api: Api, eid: str, method: str, bucket: str
) -> None:
    (row,) = api.ok(**register(api, "alf/spikes.times.npy", server_only=True, exists=True))
    (record,) = row["file_records"]
    assert (record["data_repository"], record["exists"]) == ("fornix", False)
    claim = {"dataset": row["id"], "data_repository": "fornix", "exists": True}
    path = f"/files/{record['id']}"
    if method == "POST":
        api.ok("DELETE", path, user="admin")
        path = "/files"
    answer = api(method, path, claim, user="admin")
    assert answer.status == 400
    assert "Upload the file" in answer.body["detail"]
    shown = api.ok("GET", f"/datasets/{row['id']}")["file_records"]
    assert [each["exists"] for each in shown] == ([] if method == "POST" else [False])
    # Once its bytes have come in, the store says so itself, and no client takes it back
    bring(api, eid)
    (kept,) = api.ok("GET", f"/datasets/{row['id']}")["file_records"]
    assert kept["exists"] is True
    assert api("PATCH", f"/files/{kept['id']}", {"exists": False}, user="admin").status == 400


def test_a_thousand_files_with_long_names_are_registered_together(api: Api, bucket: str) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 1}
    eid = api.ok("POST", "/sessions", body)["id"]
    draw = random.Random(1)
    letters = string.ascii_letters + string.digits
    names = [
        "/".join("".join(draw.choices(letters, k=200)) for _ in range(3)) + f"/spikes.times{n}.npy"
        for n in range(1000)
    ]
    answer = api.ok(
        "POST", "/register-file", {"path": "FI_001/2024-07-01/001", "filenames": names}
    )
    assert len(answer) == 1000
    assert api.ok("GET", f"/datasets?session={eid}&limit=1")["count"] == 1000


def test_what_is_said_of_a_download_is_for_whose_it_is_to_change(api: Api, eid: str) -> None:
    dataset = api.ok(**register(api, "alf/trials.table.pqt"))[0]["id"]
    counted = api.ok("POST", "/new-download", {"datasets": [dataset]})["download"][0]
    path, change = f"/downloads/{counted}", {"projects": ["demo"], "json": {"a": 1}}
    for other in ("fimbrialab_manager", "septumlab_member"):
        assert api("PATCH", path, change, user=other).status == 403
        assert api("PUT", path, change, user=other).status == 403
        batch = {
            "group": str(uuid.uuid4()),
            "writes": [{"op": "update", "resource": "downloads", "key": counted, "body": change}],
        }
        assert api("POST", "/batch", batch, user=other).status == 403
    assert api.ok("GET", path)["projects"] == []
    assert api.ok("PATCH", path, change)["projects"] == ["demo"]
    assert api.ok("PATCH", path, {"projects": []}, user="admin")["projects"] == []


def test_a_note_s_image_that_would_fill_the_memory_is_refused(
    api: Api, eid: str, bucket: str
) -> None:
    tall = io.BytesIO()
    Image.new("L", (1, 60_000)).save(tall, format="PNG")
    body, kind = form(eid, tall.getvalue(), "8000")
    answer = api("POST", "/notes", body, headers=kind)
    assert answer.status == 400, answer.raw
    assert "image" in answer.body
