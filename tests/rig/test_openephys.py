"""Recordings of the Open Ephys GUI, written by its published format, through rig and tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lab.rig import openephys
from lab.rig.session import find
from lab.rig.upload import check, chosen, made_ready
from lab.simulate.board import BoardClock, write_board
from lab.simulate.recording import ProbeDrift, SimulatedProbe, write_probe
from lab.simulate.spikes import simulate_sorting
from lab.tasks.run import orders, run
from shared.recordings.spikeglx import read_meta
from shared.science.errors import RawFileInvalid, RawFileMissing
from shared.tasks.states import Status
from tests.site.conftest import trials_of

PROBE = "raw_ephys_data/probe00"
STEM = "_openephys_ephysData_g0_t0"
SECONDS, RATE = 25.0, 30_000.0
RECORDING = "raw_ephys_data/2024-07-01_10-00-00/Record Node 101/experiment1/recording1"
FIRST = 4_711


def lines_of(words: np.ndarray, probe: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the changes of words as the GUI writes them: ± line, and their samples."""
    states, at = [], []
    changed = np.diff(words.astype(np.uint16), prepend=np.uint16(0))
    for sample in np.flatnonzero(changed):
        before = int(words[sample - 1].astype(np.uint16)) if sample else 0
        now = int(words[sample].astype(np.uint16))
        for bit in range(16):
            if (before ^ now) >> bit & 1:
                line = {6: 1}.get(bit, bit + 2 if bit < 6 else bit + 1) if probe else bit + 1
                states.append(line if now >> bit & 1 else -line)
                at.append(sample)
    return np.array(states, np.int16), np.array(at, np.int64)


def write(recording: Path, streams: dict[str, tuple[Path, float]]) -> None:
    """Write a recording as the GUI does, from files of SpikeGLX with the word as last column."""
    said = []
    for folder, (source, microvolts) in streams.items():
        meta = read_meta(source)
        assert meta is not None
        data = np.fromfile(source, "<i2").reshape(-1, meta.n_channels or 0)
        place, events = recording / "continuous" / folder, recording / "events" / folder / "TTL"
        place.mkdir(parents=True)
        events.mkdir(parents=True)
        data[:, :-1].tofile(place / "continuous.dat")
        np.save(place / "sample_numbers.npy", FIRST + np.arange(len(data), dtype=np.int64))
        np.save(place / "timestamps.npy", np.arange(len(data)) / (meta.sample_rate or 1))
        states, at = lines_of(data[:, -1], "Probe" in folder)
        np.save(events / "states.npy", states)
        np.save(events / "sample_numbers.npy", FIRST + at)
        n = data.shape[1] - 1
        said.append(
            {
                "folder_name": f"{folder}/",
                "sample_rate": meta.sample_rate,
                "stream_name": folder.rpartition(".")[2],
                "num_channels": n,
                "channels": [
                    {"channel_name": f"CH{c}", "bit_volts": microvolts} for c in range(n)
                ],
            }
        )
    about = {"GUI version": "0.6.7", "continuous": said, "events": [], "spikes": []}
    (recording / openephys.STRUCTURE).write_text(json.dumps(about))


def settings_xml(recording: Path, places: np.ndarray) -> None:
    """Write the places of a probe's sites where the GUI has them."""
    x, y = (" ".join(f'CH{n}="{p[axis]:g}"' for n, p in enumerate(places)) for axis in (0, 1))
    text = f"<S><NP_PROBE><ELECTRODE_XPOS {x}/><ELECTRODE_YPOS {y}/></NP_PROBE></S>"
    (recording.parents[1] / "settings.xml").write_text(text)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session of a board and a probe as SpikeGLX would have written it; spikes' main times."""
    folder = tmp_path_factory.mktemp("spikeglx")
    quiet = {name: np.empty(0) for name in ("bpod", "frame2ttl", "audio")}
    quiet |= {f"rotary_encoder_{n}": np.empty(0) for n in (0, 1)}
    quiet |= {f"{side}_camera": np.empty(0) for side in ("left", "right", "body")}
    write_board({**quiet, "imec_sync": np.arange(0.5, SECONDS, 0.5)}, BoardClock(), folder)
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=8)
    drift = ProbeDrift(offset=0.02, drift=40.0)
    probe = SimulatedProbe(sorting, channels=2, seed=1, drift=drift)
    places = sorting["channels.localCoordinates.npy"][:2]
    write_probe(probe, places, SECONDS, folder / PROBE)
    times = sorting["spikes.times.npy"]
    return folder, drift, times[times < SECONDS], places


@pytest.fixture
def session(recorded, tmp_path):
    """The same session, recorded by the GUI."""
    source, _, _, places = recorded
    folder = tmp_path / "FI_001" / "2024-07-01" / "001"
    (board,) = source.rglob("*.nidq.bin")
    files = {
        "Neuropix-PXI-100.ProbeA-AP": (next(source.rglob("*.ap.bin")), 2.34375),
        "Neuropix-PXI-100.ProbeA-LFP": (next(source.rglob("*.lf.bin")), 4.6875),
        "NI-DAQmx-103.PXIe-6341": (board, 152.587890625),
    }
    write(folder / RECORDING, files)
    settings_xml(folder / RECORDING, places)
    return folder


def test_the_samples_and_lines_are_those_recorded_and_go_back(recorded, session, tmp_path):
    # When the rig makes the session ready
    written, others = openephys.wrap(session)
    # Then names are ONE's, and samples, lines, gains and places are those of the recording
    assert others == []
    found = find(session)[0]
    assert sorted(chosen(found)) == sorted(written)
    assert check(found, chosen(found), None).refused == []
    for name, gui in (
        (f"{PROBE}/{STEM}.imec0.ap.bin", "Neuropix-PXI-100.ProbeA-AP"),
        (f"{PROBE}/{STEM}.imec0.lf.bin", "Neuropix-PXI-100.ProbeA-LFP"),
        (f"raw_ephys_data/{STEM}.nidq.bin", "NI-DAQmx-103.PXIe-6341"),
    ):
        kind = ".".join(name.split(".")[-2:])
        (source,) = (path for path in recorded[0].rglob(f"*.{kind}"))
        assert (session / name).read_bytes() == source.read_bytes()
        # … and the GUI's file comes back byte for byte
        openephys.restore(session / name, tmp_path / "continuous.dat")
        original = session / RECORDING / "continuous" / gui / "continuous.dat"
        assert (tmp_path / "continuous.dat").read_bytes() == original.read_bytes()
    meta = read_meta(session / PROBE / f"{STEM}.imec0.ap.bin")
    facts = meta.facts(3)
    assert facts["microvolts"][:2] == pytest.approx([2.34375] * 2)
    assert [place[1:] for place in facts["probe_map"]] == recorded[3].tolist()
    assert facts["clock"]["first_sample"] == FIRST
    # When it is made ready again, then nothing is written anew
    assert openephys.wrap(session) == ([], [])


def test_the_tasks_bring_its_spikes_to_the_main_clock(recorded, session):
    _, drift, spikes, _ = recorded
    made_ready(find(session)[0])
    for name in ("ephys.compress", "sync.pulses", "ephys.align", "ephys.rawqc"):
        given = {"collection": PROBE} if name in ("ephys.compress", "ephys.rawqc") else {}
        (order,) = orders(name, session, given)
        result = run(order, session, session)
        assert result.status == Status.COMPLETE.label, result.error
    samples, seconds = np.load(session / PROBE / f"{STEM}.imec0.timestamps.npy").T
    theirs = np.rint(drift.read(spikes) * RATE)
    inside = (theirs >= samples[0]) & (theirs <= samples[-1])
    found = np.interp(theirs[inside], samples, seconds)
    assert np.abs(found - spikes[inside]).max() < 0.2e-3


def test_what_is_killed_on_the_way_is_written_anew(session, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(openephys, "_meta", killed)
        with pytest.raises(KeyboardInterrupt):
            openephys.wrap(session)
    assert not list((session / PROBE).glob("*"))
    assert len(openephys.wrap(session)[0]) == 7


def cut(recording):
    (data,) = recording.rglob("*ProbeA-AP/continuous.dat")
    data.write_bytes(data.read_bytes()[:-3])


def empty(recording):
    next(recording.rglob("*ProbeA-AP/continuous.dat")).write_bytes(b"")


def gap(recording):
    place = next(recording.rglob("*ProbeA-AP/sample_numbers.npy"))
    numbers = np.load(place)
    numbers[100:] += 5
    np.save(place, numbers)


def no_numbers(recording):
    next(recording.rglob("*ProbeA-AP/sample_numbers.npy")).unlink()
    next(recording.rglob("*ProbeA-AP/timestamps.npy")).unlink()


def no_samples(recording):
    next(recording.rglob("*ProbeA-AP/continuous.dat")).unlink()


def impossible_line(recording):
    np.save(next(recording.rglob("*TTL/states.npy")), np.array([99], np.int16))
    np.save(next(recording.rglob("*TTL/sample_numbers.npy")), np.array([FIRST], np.int64))


def pickled(recording):
    place = next(recording.rglob("*ProbeA-AP/sample_numbers.npy"))
    np.save(place, np.array([{}], object), allow_pickle=True)


def edited(**changed):
    def edit(recording):
        about = json.loads((recording / openephys.STRUCTURE).read_text())
        about["continuous"][0] |= changed
        (recording / openephys.STRUCTURE).write_text(json.dumps(about))

    return edit


def second(recording):
    other = recording.with_name("recording2")
    other.mkdir()
    (other / openephys.STRUCTURE).write_text("{}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut, "copy it again"),
        (empty, "it is empty"),
        (gap, "samples are missing in 1 places"),
        (no_numbers, "copy it again"),
        (no_samples, "copy them again"),
        (impossible_line, "± 1 to 16"),
        (pickled, "copy it again"),
        (edited(folder_name="../../../../etc/"), "the folder"),
        (edited(folder_name="/etc"), "the folder"),
        (edited(sample_rate=0), "sample_rate"),
        (edited(num_channels=3), "num_channels"),
        (edited(channels=None), "not the GUI's"),
        (
            edited(folder_name="Neuropix-PXI-100.ProbeA-LFP", stream_name="ProbeA-LFP"),
            "one device",
        ),
        (second, "a session of each"),
        (lambda recording: (recording / openephys.STRUCTURE).write_text("{"), "not the GUI's"),
    ],
)
def test_a_bad_recording_is_told_and_nothing_of_its_stream_is_written(session, damage, words):
    damage(session / RECORDING)
    with pytest.raises((RawFileInvalid, RawFileMissing)) as caught:
        openephys.wrap(session)
    assert words in str(caught.value)
    assert not list((session / PROBE).glob("*.ap.*"))


def test_other_streams_are_named_and_left_out(session):
    edited(folder_name="Acquisition_Board-100.Rhythm", stream_name="Rhythm")(session / RECORDING)
    notes = made_ready(find(session)[0])
    assert any("Acquisition_Board-100.Rhythm" in note for note in notes)
    assert not list((session / PROBE).glob("*.ap.*"))


def test_restoring_finds_other_bytes(session, tmp_path):
    openephys.wrap(session)
    samples = session / PROBE / f"{STEM}.imec0.lf.bin"
    content = bytearray(samples.read_bytes())
    content[0] ^= 1
    samples.write_bytes(content)
    with pytest.raises(RawFileInvalid, match="not those recorded"):
        openephys.restore(samples, tmp_path / "continuous.dat")
    assert not (tmp_path / "continuous.dat").exists()
