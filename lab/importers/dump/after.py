"""Steps after the rows exist: delegates of users, and pictures of notes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from lab.client import RequestRefused, plain
from lab.importers.carrier import Carrier
from lab.importers.dump import models
from lab.importers.dump.parts import DumpContext, Lost
from lab.importers.dump.shelf import SENT

THERE = (SENT, "kept", "to send")


class CarryingContext(DumpContext, Protocol):
    """The running import, with its API client."""

    carrier: Carrier


def carry_delegates(job: CarryingContext) -> None:
    """Set the delegates of users, when all users exist."""
    for user in job.shelf.first(models.USER, -1):
        if user.state not in THERE:
            continue
        names = []
        for delegate in user.fields.get("allowed_users") or ():
            try:
                names.append(job.reference(models.USER, delegate))
            except Lost:
                job.note("misc.labmember: users who may act for others are not here")
        if not names or job.carrier.dry_run:
            continue
        path = f"/users/{quote(str(user.name), safe='')}"
        try:
            job.carrier.api.patch(path, {"allowed_users": sorted(names)})
        except RequestRefused as error:
            job.note(f"the server refuses who may act for {user.name}: {plain(error.body)}")


def carry_pictures(job: CarryingContext, media: Path) -> None:
    """Give notes their pictures; existing pictures stay."""
    root, api = media.resolve(), job.carrier.api
    for note in job.shelf.first("misc.note", -1):
        image = note.fields.get("image")
        if not image or note.state not in THERE:
            continue
        file = (root / str(image)).resolve()
        if not file.is_relative_to(root) or not file.is_file():
            job.note("misc.note: pictures that are not in the media folder")
            continue
        try:
            if not api.get(f"/notes/{note.name}").get("image"):
                api.send_file("PATCH", f"/notes/{note.name}", "image", file)
                job.note("misc.note: pictures that came with their notes")
        except RequestRefused as error:
            job.note(f"the server refuses the picture {image}: {plain(error.body)}")
