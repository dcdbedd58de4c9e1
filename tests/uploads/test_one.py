"""The real ONE client finds and loads what came in by upload."""

from __future__ import annotations

import warnings

from functions.api.auth import passwords, tokens
from lab.client import Client, Settings
from tests.flow import LAB, npy

PASSWORD = "correct horse battery"
FILES = {"alf/spikes.times.npy": npy(1, 2), "alf/spikes.amps.npy": npy(3, 4)}


def test_one_finds_and_loads_own_files_though_a_public_bucket_is_named(
    system, tmp_path, monkeypatch
):
    # Given a session that was uploaded, and a repository that names a public bucket
    system.rest()
    eid = system.flow.upload(FILES)["session"]
    admin = Client(Settings(system.url, token=tokens.issue("admin")))
    place = {"bucket_name": "a-public-bucket", "region_name": "us-east-1"}
    admin.post("/data-repository", {"name": "aws_cortexlab", "json": place})
    passwords.set_password(f"{LAB}_member", PASSWORD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import OneAlyx

        monkeypatch.setattr("iblutil.io.params.getfile", lambda name: str(tmp_path / f".{name}"))
        one = OneAlyx(
            base_url=system.url,
            username=f"{LAB}_member",
            password=PASSWORD,
            silent=True,
            cache_rest=None,
            cache_dir=tmp_path / "cache",
        )
        for name, value in (
            ("HTTP_DATA_SERVER", f"{system.url}/data"),
            ("HTTP_DATA_SERVER_LOGIN", f"{LAB}_member"),
            ("HTTP_DATA_SERVER_PWD", PASSWORD),
        ):
            one.alyx._par = one.alyx._par.set(name, value)
        # When it is looked for by the name of a dataset, and loaded
        found = one.search(datasets="spikes.times.npy", query_type="remote")
        times = one.load_dataset(eid, "spikes.times.npy", "alf", query_type="remote")
    # Then it is found, and its bytes are those that were sent
    assert [str(each) for each in found] == [eid]
    assert list(times) == [1, 2]
