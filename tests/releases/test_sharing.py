"""Two releases the whole way of sharing, by users' commands and strangers' tools (`make sharing`).

One is of a simulated ephys rig's session: behaviour, a probe, an NI board and a film; the other of
a real rig's session that was imported. Every step is a command over real sockets, or a tool as
strangers have it: ONE, pynwb, nwbinspector, dandi, LINDI, SpikeInterface, DataJoint.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import requests

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")
pytest.importorskip("pymysql", reason="the extra [datajoint] is not installed")

from nwbinspector import Importance, inspect_nwbfile, load_config  # noqa: E402

from functions.analysis.handler import act  # noqa: E402
from lab.simulate.camera import SimulatedCamera  # noqa: E402
from lab.simulate.ephys import EphysRig, add_probe  # noqa: E402
from lab.simulate.session import simulate_session  # noqa: E402
from lab.simulate.spikes import write_sorting  # noqa: E402
from shared.work import read  # noqa: E402
from tests.flow import LAB, System  # noqa: E402
from tests.processes import free_port  # noqa: E402
from tests.releases.test_whole_way import fornix  # noqa: E402

pytestmark = pytest.mark.proof

ROOT = Path(__file__).resolve().parents[2]
NAME = "2026_Mice"
AP = "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
FILM = "raw_video_data/_iblrig_leftCamera.raw.mp4"
RIG = EphysRig(channels=16, units=40, cameras=(SimulatedCamera(),))
SORTING = {"ephys.sort", "ephys.sort_gpu"}
"""Tasks that need a sorter's environment; the simulation's own spikes stand for what they find."""


class Shared(msgspec.Struct):
    """A session that is to be shared.

    Attributes
    ----------
    eid, subject : str
    folder : Path
        Its folder at the rig.
    has_ephys : bool
        Whether it has a recording, sorted spikes and a film.
    """

    eid: str
    subject: str
    folder: Path
    has_ephys: bool


class Way:
    """The people on the way, and what they hold."""

    def __init__(self, system: System, root: Path) -> None:
        self.system, self.root = system, root
        nobody = {"XDG_CONFIG_HOME": str(root / "none"), "XDG_STATE_HOME": str(root / "state")}
        self.stranger = nobody
        self.manager, self.worker, self.rig = (
            nobody | system.environment(role) for role in ("manager", "worker", "rig")
        )
        self.admin = nobody | system.environment_of("admin")
        self.address = f"{system.url}/releases/{NAME}"
        self.mirror, self.zip, self.unpacked = root / "mirror", root / "mice.zip", root / "zip"

    def simulated(self) -> Shared:
        """Simulate a session, upload it as a rig does, and have a worker process it."""
        truth = simulate_session(
            self.root / "rig" / LAB / "Subjects",
            seed=5,
            subject="SYN_001",
            date=date(2024, 1, 8),
            n_trials=5,
            rig_version=8,
            lab=LAB,
            board=RIG.board,
            cameras=RIG.cameras,
        )
        sorting = add_probe(truth, RIG, seed=5)
        write_sorting(sorting, truth.session / "alf/probe00")
        about = ("--sex", "F", "--birth-date", "2023-09-01")
        fornix(self.manager, "subject", "add", "SYN_001", *about)
        fornix(self.rig, "rig", "upload", self.root / "rig", "--include", "alf/*")
        eid = self._eid("SYN_001")
        self.work(eid, "ephys.compress")
        return Shared(eid, "SYN_001", truth.session, has_ephys=True)

    def imported(self, data: Path) -> Shared:
        """Import a folder with a real rig's session."""
        subject = "_iblrig_test_mouse"  # what the session says of itself
        folder = self.root / "real" / LAB / "Subjects" / subject / "2019-07-01" / "001"
        shutil.copytree(data / "rig_sessions" / "training_rig5.0.0", folder)
        fornix(self.manager, "subject", "add", subject, "--sex", "M", "--birth-date", "2019-03-01")
        fornix(self.admin, "import", "folder", self.root / "real", "--upload")
        return Shared(self._eid(subject), subject, folder, has_ephys=False)

    def _eid(self, subject: str) -> str:
        (row,) = self.system.client("manager").get("/sessions", subject=subject)["results"]
        return str(row["id"])

    def work(self, eid: str, name: str) -> None:
        """Run the lab's worker once a task waits for it, until nothing of the session does."""

        def waiting() -> set[str]:
            tasks = {task.name for task in read.of_session(eid) if task.status == "Waiting"}
            return tasks - SORTING

        self.system.flow.until(lambda: name in waiting())
        while waiting():
            fornix(self.worker, "worker", "--until-idle", 3, "--environments", "none")
            self.system.flow.pump()
        statuses = {task.name: task.status for task in read.of_session(eid)}
        assert "Errored" not in statuses.values(), statuses


@pytest.mark.parametrize("kind", ["simulated", "real"])
def test_a_release_goes_the_whole_way(
    kind: str, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_data: Path
) -> None:
    site = f"{system.flow.bucket}-site"
    system.flow.s3.create_bucket(Bucket=site)
    monkeypatch.setenv("FORNIX_SITE_BUCKET", site)
    way = Way(system, tmp_path)
    shared = way.simulated() if kind == "simulated" else way.imported(shared_data)
    publish(way, shared)
    page(way, site)
    zip_and_one(way, shared)
    released_nwb(way, shared)
    exported_nwb(way, shared)
    datajoint(way, shared)
    verified_mirror(way)


def publish(way: Way, shared: Shared) -> None:
    """Tag the session, make a release and show it; the worker writes it as NWB."""
    fornix(way.manager, "release", "tag", NAME, shared.subject)
    create = ("release", "create", NAME, "--title", "Mice", "--creator", "Garrett, Ada;;Fimbria")
    assert f"made: {NAME}@1" in fornix(way.manager, *create)
    assert "is public now" in fornix(way.manager, "release", "publish", NAME)
    way.work(shared.eid, "release.nwb")
    way.system.flow.until(lambda: len(listed(way)) == 1 + shared.has_ephys)


def listed(way: Way) -> list[dict[str, Any]]:
    """Return the NWB files of the release, as anybody sees them."""
    rows: list[dict[str, Any]] = requests.get(f"{way.address}/1/nwb", timeout=30).json()["results"]
    return sorted(rows, key=lambda row: row["path"])


def page(way: Way, site: str) -> None:
    """The release has a page that says how to load it, for people and for search engines."""
    for message in way.system.flow.messages("analysis"):
        if message["kind"] == "release.changed":
            act(message, None)
    act({"kind": "release.changed", "name": NAME}, None)
    body = way.system.flow.s3.get_object(Bucket=site, Key=f"releases/{NAME}-1.html")["Body"]
    text = body.read().decode()
    assert "application/ld+json" in text
    for row in listed(way):
        assert row["path"].rpartition("/")[2] in text or row["url"].rpartition("/")[2] in text


def zip_and_one(way: Way, shared: Shared) -> None:
    """Anybody takes the zip, proves it and loads it by ONE, without a warning."""
    fornix(way.stranger, "release", "zip", way.address, "--out", way.zip)
    assert " 0 faults" in fornix(
        way.stranger, "release", "verify", way.zip, "--against", way.address
    )
    with zipfile.ZipFile(way.zip) as archive:
        assert archive.testzip() is None
        archive.extractall(way.unpacked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # ONE-api 3.6.1 itself uses what pandas 3 will remove
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
        from one.api import One

        one = One(cache_dir=way.unpacked, mode="local")
        (eid,) = one.search(subject=shared.subject)
        assert str(eid) == shared.eid
        trials = one.load_object(eid, "trials", collection="alf")
        wheel = one.load_object(eid, "wheel", collection="alf")
        assert len(trials["intervals"]) == len(expected_trials(way, shared))
        assert len(wheel["position"]) == len(wheel["timestamps"])
        if shared.has_ephys:
            spikes = one.load_object(eid, "spikes", collection="alf/probe00")
            rig = np.load(shared.folder / "alf/probe00/spikes.times.npy")
            np.testing.assert_array_equal(spikes["times"], rig)
            film = one.load_dataset(
                eid, FILM.rpartition("/")[2], collection="raw_video_data", download_only=True
            )
            frames = one.load_object(eid, "leftCamera", collection="alf")["times"]
            assert frames_of(film) == len(frames)


def expected_trials(way: Way, shared: Shared) -> pd.DataFrame:
    """Return the session's trials: as extracted here, or as they came with the import."""
    (path,) = way.unpacked.rglob("_ibl_trials.table.pqt")
    return pd.read_parquet(path)


def frames_of(film: Path) -> int:
    """Count the pictures in a film."""
    import av

    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def sound(path: Path) -> None:
    """Refuse a file that pynwb or DANDI's inspector does not take."""
    assert pynwb.validate(path=str(path)) == []
    refused = {
        Importance.ERROR,
        Importance.PYNWB_VALIDATION,
        Importance.CRITICAL,
        Importance.BEST_PRACTICE_VIOLATION,
    }
    found = inspect_nwbfile(nwbfile_path=path, config=load_config("dandi"))
    assert [each.message for each in found if each.importance in refused] == []


def released_nwb(way: Way, shared: Shared) -> None:
    """The NWB files that workers wrote are sound, and have the trials and the recording."""
    processed, *raw = listed(way)
    path = way.root / "released.nwb"
    path.write_bytes(requests.get(processed["url"], timeout=60).content)
    sound(path)
    same_trials(path, expected_trials(way, shared))
    assert bool(raw) == shared.has_ephys
    for row in raw:
        told = requests.get(row["url"], timeout=60)
        reference = way.root / "released.nwb.lindi.json"
        reference.write_bytes(told.content)
        second = apart("nwb", BY_REFERENCE, reference, way.root)
        assert second["film"].startswith(way.system.url)
        np.testing.assert_array_equal(np.load(way.root / "samples.npy"), at_the_rig(shared))


def same_trials(path: Path, table: pd.DataFrame) -> None:
    with pynwb.NWBHDF5IO(str(path), "r") as file:
        trials = file.read().trials.to_dataframe()
    np.testing.assert_array_equal(trials["start_time"], table["intervals_0"])
    np.testing.assert_array_equal(trials["feedback_time"], table["feedback_times"])
    np.testing.assert_array_equal(trials["probability_left"], table["probabilityLeft"])


START, STOP = 41_000, 43_500
"""Samples that are compared: of more than one compressed chunk."""


def at_the_rig(shared: Shared) -> np.ndarray:
    """Return some samples of the recording as the rig wrote it."""
    (path,) = (shared.folder / "raw_ephys_data/probe00").glob("*.ap.bin")
    return np.fromfile(path, np.int16).reshape(-1, RIG.channels + 1)[START:STOP, :-1]


BY_REFERENCE = f"""
import json, sys
import lindi, numpy as np, pynwb
import shared.recordings.numcodec
nwb = pynwb.NWBHDF5IO(file=lindi.LindiH5pyFile.from_lindi_file(sys.argv[1]), mode="r").read()
series = nwb.acquisition["ElectricalSeriesProbe00AP"]
np.save(sys.argv[2] + "/samples.npy", series.data[{START}:{STOP}])
print(json.dumps({{"film": nwb.acquisition["VideoLeftCamera"].external_file[0]}}))
"""

BY_SPIKEINTERFACE = f"""
import json, sys
import numpy as np
from spikeinterface.extractors import read_nwb_recording, read_nwb_sorting
processed, raw, out = sys.argv[1:]
recording = read_nwb_recording(raw, electrical_series_path="acquisition/ElectricalSeriesProbe00AP")
np.save(out + "/samples.npy", recording.get_traces(start_frame={START}, end_frame={STOP}))
sorting = read_nwb_sorting(processed, sampling_frequency=30_000.0, t_start=0.0)
print(json.dumps({{
    "rate": recording.get_sampling_frequency(),
    "channels": recording.get_num_channels(),
    "units": sorting.get_num_units(),
    "spikes": sum(len(sorting.get_unit_spike_train(unit)) for unit in sorting.unit_ids),
}}))
"""


def apart(environment: str, program: str | Path, *arguments: object) -> Any:
    """Run a program with the libraries of an environment of its own; return what it says."""
    python = ROOT / ".venv" / environment / "bin" / "python"
    assert python.exists(), f"make sharing installs {environment}"
    given = ["-c", program] if isinstance(program, str) else [str(program)]
    done = subprocess.run(
        [str(python), *given, *map(str, arguments)],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME")} | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1].removeprefix("ANSWER "))


def exported_nwb(way: Way, shared: Shared) -> None:
    """A stranger makes NWB of a mirror; pynwb, DANDI's tools and SpikeInterface take it."""
    fornix(way.stranger, "mirror", way.address, way.mirror)
    out = way.root / "dandiset"
    born = ("--birth-date", "2019-06-01", "--sex", "F", "--institution", "Fimbria Institute")
    export = ("export", "nwb", way.mirror, "--out", out, "--raw", "--json", *born)
    (line,) = map(json.loads, fornix(way.stranger, *export).splitlines())
    assert (line["did"], line["why"]) == ("written", "")
    files = [out / name for name in line["files"]]
    assert len(files) == 1 + shared.has_ephys
    for path in files:
        sound(path)
    same_trials(files[0], expected_trials(way, shared))
    (again,) = map(json.loads, fornix(way.stranger, *export).splitlines())
    assert again["did"] == "kept"
    (out / "dandiset.yaml").write_text("identifier: '000409'\nname: Test\n")
    dandi = [ROOT / ".venv/nwb/bin/dandi", "validate", out]
    env = {"DANDI_NO_ET": "1", "HOME": str(way.root), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(dandi, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert "No errors found" in done.stdout + done.stderr, done.stdout + done.stderr
    if not shared.has_ephys:
        return
    with pynwb.NWBHDF5IO(str(files[1]), "r") as file:
        nwb = file.read()
        film = files[1].parent / nwb.acquisition["VideoLeftCamera"].external_file[0]
        assert frames_of(film) == len(nwb.acquisition["VideoLeftCamera"].timestamps)
        board = nwb.acquisition["TimeSeriesNIDQ"]
        (samples,) = (shared.folder / "raw_ephys_data").glob("*.nidq.bin")
        analog = np.fromfile(samples, np.int16).reshape(-1, 2)[:, :1]
        np.testing.assert_array_equal(board.data[:], analog)
    told = apart("spikeinterface", BY_SPIKEINTERFACE, *files, way.root)
    np.testing.assert_array_equal(np.load(way.root / "samples.npy"), at_the_rig(shared))
    spikes = np.load(shared.folder / "alf/probe00/spikes.clusters.npy")
    assert (told["channels"], told["units"], told["spikes"]) == (
        RIG.channels,
        len(np.unique(spikes)),
        len(spikes),
    )


def datajoint(way: Way, shared: Shared) -> None:
    """Both lines of DataJoint's client find the session's trials and spike trains."""
    folder, port = way.root / "db", free_port()
    place = ("--folder", folder, "--port", port)
    try:
        settings = way.root / "settings.json"
        settings.write_text(fornix(way.manager, "datajoint", "up", *place, "--json"))
        cache = ("--cache", way.root / "cache")
        (told,) = map(
            json.loads,
            fornix(way.manager, "datajoint", "sync", *place, *cache, "--json").splitlines(),
        )
        assert (told["subject"], told["did"]) == (shared.subject, "written")
        table = expected_trials(way, shared)
        for line in ("datajoint-0.14", "datajoint-2"):
            queries = ROOT / "tests/exports/datajoint_queries.py"
            (row,) = apart(line, queries, settings, "trials")
            assert row["session_uuid"] == shared.eid
            np.testing.assert_array_equal(row["start"], table["intervals_0"])
            units = apart(line, queries, settings, "spikes")
            trains = [np.asarray(unit["cluster_spikes_times"]) for unit in units]
            assert bool(trains) == shared.has_ephys
            if trains:
                rig = np.load(shared.folder / "alf/probe00/spikes.times.npy")
                np.testing.assert_array_equal(np.sort(np.concatenate(trains)), np.sort(rig))
    finally:
        fornix(way.manager, "datajoint", "down", "--folder", folder)


def verified_mirror(way: Way) -> None:
    """The mirror is the release and the zip, and a second run has nothing to fetch."""
    assert " 0 faults" in fornix(
        way.stranger, "release", "verify", way.mirror, "--against", way.address
    )
    assert fornix(way.stranger, "release", "diff", way.mirror, way.unpacked) == ""
    assert "0 files fetched" in fornix(way.stranger, "mirror", way.address, way.mirror)
