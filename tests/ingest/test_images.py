"""Images of the notebook: announced, put into S3, looked into by the event, shown by size."""

from __future__ import annotations

import io
import random
import urllib.request
from contextlib import suppress
from typing import Any

import pytest
from PIL import Image

from functions.ingest.handler import handler
from functions.ingest.images import made_of
from shared.model.images import FORMATS, WIDTHS, arriving_key, kept_key
from shared.records import aws
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.api.conftest import bucket as bucket


def picture(width: int, height: int, form: str = "JPEG", **more: Any) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(made, format=form, **more)
    return made.getvalue()


def announce(api: Api, content: bytes, content_type: str = "image/jpeg") -> dict[str, Any]:
    body = {"content_type": content_type, "file_size": len(content), "name": "paw.jpg"}
    return dict(api.ok("POST", "/images", body))


def put(made: dict[str, Any], content: bytes) -> None:
    upload = made["upload"]
    request = urllib.request.Request(
        upload["url"], content, {"Content-Type": upload["headers"]["Content-Type"]}, method="PUT"
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def arrive(image: str) -> None:
    """Deliver what S3 says of an object that has arrived."""
    record = {"s3": {"object": {"key": arriving_key(image)}}}
    message = aws_message({"Records": [record]})
    assert handler(message) == {"batchItemFailures": []}


def aws_message(body: dict[str, Any]) -> dict[str, Any]:
    import json

    return {"Records": [{"messageId": "1", "body": json.dumps(body), "eventSource": "aws:sqs"}]}


def fetched(api: Api, path: str) -> bytes:
    answer = api("GET", path)
    assert answer.status == 302, answer.raw
    with urllib.request.urlopen(answer.headers["Location"]) as got:
        return bytes(got.read())


def test_a_photograph_comes_and_is_shown_at_every_size(api: Api, bucket: str) -> None:
    # Given a photograph lying on its side, as phones take them
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    content = picture(1600, 400, exif=exif)
    made = announce(api, content)
    assert (made["state"], made["lab"], made["user"]) == (
        "waiting",
        "fimbrialab",
        "fimbrialab_member",
    )
    early = api("GET", f"/images/{made['id']}")
    assert (early.status, early.headers["Retry-After"]) == (409, "1")
    # When its bytes come
    put(made, content)
    arrive(made["id"])
    # Then it is there at every size, upright, without what the camera wrote
    (row,) = api.ok("GET", "/images")["results"]
    assert (row["state"], row["width"], row["height"]) == ("ready", 400, 1600)
    assert fetched(api, f"/images/{made['id']}") == content
    for size, height in ((200, 800), (800, 1600)):
        small = Image.open(io.BytesIO(fetched(api, f"/images/{made['id']}?size={size}")))
        assert small.format == "JPEG"
        assert small.height == height
        assert not small.getexif()
    # A second event of the same object changes nothing, and nothing is left behind
    arrive(made["id"])
    assert not aws.client("s3").list_objects_v2(Bucket=bucket, Prefix="incoming/").get("Contents")
    assert api("GET", f"/images/{made['id']}?size=7").status == 400
    # Machines of another lab, the public and nobody see it not
    assert api("GET", f"/images/{made['id']}", user="septumlab_rig").status == 404
    assert api("GET", f"/images/{made['id']}", user="visitor").status == 403


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"no image at all", "image/jpeg"),
        (b"", "image/png"),
        (picture(8, 8, "PNG"), "image/jpeg"),
        (picture(8, 8)[:200], "image/jpeg"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/png"),
        (picture(30_000, 10_000, "PNG"), "image/png"),
    ],
    ids=["text", "nothing", "another type", "cut short", "svg", "bomb"],
)
def test_what_is_no_image_is_refused_and_gone(
    api: Api, bucket: str, content: bytes, content_type: str
) -> None:
    made = announce(api, content or b"x", content_type)
    where = {"Bucket": bucket, "Key": arriving_key(made["id"])}
    aws.client("s3").put_object(**where, Body=content)
    arrive(made["id"])
    answer = api("GET", f"/images/{made['id']}")
    assert (answer.status, "cannot be read as" in answer.body["detail"]) == (410, True)
    kept = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=kept_key(made["id"], ""))
    assert not kept.get("Contents")


def test_what_nobody_announced_is_deleted(api: Api, bucket: str) -> None:
    key = arriving_key("cf264653-2deb-44cb-aa84-89b82507028a")
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=picture(8, 8))
    arrive("cf264653-2deb-44cb-aa84-89b82507028a")
    assert not aws.client("s3").list_objects_v2(Bucket=bucket).get("Contents")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content_type": "image/svg+xml", "file_size": 5}, "content_type"),
        ({"content_type": "image/jpeg", "file_size": 0}, "file_size"),
        ({"content_type": "image/jpeg", "file_size": 10**9}, "file_size"),
        ({"content_type": "image/jpeg"}, "file_size"),
    ],
)
def test_an_image_is_announced_with_its_type_and_size(
    api: Api, bucket: str, body: dict[str, Any], field: str
) -> None:
    answer = api("POST", "/images", body)
    assert (answer.status, field in answer.body) == (400, True)


def test_an_id_that_a_device_chose_may_have_capitals(api: Api, bucket: str) -> None:
    content, key = picture(40, 30), "6F1C9A52-0D1E-4B7A-9A33-5F0F4C1B2A77"
    body = {"id": key, "content_type": "image/jpeg", "file_size": len(content)}
    put(made := dict(api.ok("POST", "/images", body)), content)
    arrive(made["id"])
    (row,) = api.ok("GET", "/images")["results"]
    assert (row["id"], row["state"]) == (made["id"], "ready")


@pytest.mark.parametrize("content_type", FORMATS)
def test_a_damaged_image_is_read_or_refused_and_nothing_else(content_type: str) -> None:
    whole = picture(64, 48, FORMATS[content_type])
    draw = random.Random(content_type)
    for _ in range(60):
        damaged = bytearray(whole[: draw.randint(1, len(whole))] if draw.random() < 0.3 else whole)
        for _ in range(draw.randint(1, 12)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        with suppress(ValueError):
            pictures, width, height = made_of(bytes(damaged), content_type)
            assert set(pictures) == set(WIDTHS)
            assert width > 0 < height
