"""Wheel position and movements: real traces against golden, and each rule by itself."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.simulate.session import simulate_session
from shared.science.behaviour.raw_encoder import read_encoder_events, read_encoder_positions
from shared.science.behaviour.wheel import extract_wheel
from shared.science.behaviour.wheel_movements import (
    Movements,
    encoder_step,
    find_movements,
    first_movement_times,
    movements,
)
from shared.science.behaviour.wheel_position import TICK
from shared.science.clocks.matching import match_clocks
from shared.science.errors import (
    ExtractionError,
    RawFileInvalid,
    RawFileMissing,
    WheelUnsynchronised,
)


def test_a_real_rig_5_session_equals_its_golden_files(shared_data: Path) -> None:
    session = shared_data / "rig_sessions" / "training_rig5.0.0"
    outputs = extract_wheel(session)
    assert set(outputs) == {p.name for p in (session / "alf").glob("*wheel*")}
    for name, found in outputs.items():
        expected = np.load(session / "alf" / name)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_movements_of_a_real_trace_equal_the_golden_ones(shared_data: Path) -> None:
    with np.load(shared_data / "wheel" / "wheel_moves_14.npz") as golden:
        found = movements(golden["t"], golden["pos"])
        expected = np.stack([golden["onsets"], golden["offsets"]], axis=1)
        np.testing.assert_allclose(found.intervals, expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.peak_amplitude, golden["amplitudes"], rtol=0, atol=1e-9)


def test_a_truncated_wheel_file_is_refused_with_its_extent(shared_data: Path) -> None:
    session = shared_data / "rig_sessions" / "training_rig4_truncated"
    with pytest.raises(
        RawFileInvalid, match=r"its 14 positions cover .* truncated, corrupt"
    ) as refused:
        extract_wheel(session)
    assert refused.value.fault == "_iblrig_encoderPositions.raw.ssv"
    assert refused.value.fix


def still(seconds: float, at: float = 0.0) -> np.ndarray:
    """A wheel at rest, 1 kHz."""
    return np.full(round(seconds * 1000), at)


def test_a_turn_is_one_movement_from_its_first_steps_to_rest() -> None:
    turn = np.linspace(0, -50, 300)
    position = np.concatenate([still(1), turn, still(1, -50)])
    t = np.arange(position.size) / 1000
    found = movements(t, position)
    assert found.intervals.shape == (1, 2)
    onset, offset = found.intervals[0]
    assert abs(onset - 1.008) < 0.003  # 1.5 steps into the turn
    # Rest begins when less than 8 steps are left, and the amplitude is that until then.
    assert abs(offset - 1.252) < 0.003
    assert found.peak_amplitude == pytest.approx([-40.6], abs=0.2)


def test_a_pause_shorter_than_100_ms_joins_movements_and_a_longer_one_parts_them() -> None:
    def moves(pause: float) -> int:
        parts = [still(1), np.linspace(0, 40, 200), still(pause, 40), np.linspace(40, 80, 200)]
        position = np.concatenate([*parts, still(1, 80)])
        return len(movements(np.arange(position.size) / 1000, position).peak_amplitude)

    assert moves(0.08) == 1
    assert moves(0.6) == 2


@pytest.mark.parametrize("position", [still(2), np.empty(0), np.zeros(1), np.zeros(3)])
def test_a_wheel_that_rests_has_no_movements(position: np.ndarray) -> None:
    found = movements(np.arange(position.size) / 1000, position)
    assert found.intervals.shape == (0, 2)
    assert found.peak_amplitude.shape == (0,)


@given(
    st.lists(st.tuples(st.floats(0.05, 2), st.floats(-300, 300), st.floats(0.01, 0.5)), max_size=8)
)
@settings(deadline=None, max_examples=50)
def test_movements_are_in_order_and_long_enough(legs: list[tuple[float, float, float]]) -> None:
    position = still(0.5)
    for rest, distance, duration in legs:
        last = position[-1]
        turn = np.linspace(last, last + distance, round(duration * 1000) + 1)
        position = np.concatenate([position, still(rest, last), turn])
    found = movements(np.arange(position.size) / 1000, position)
    onsets, offsets = found.intervals.T
    assert (offsets - onsets >= 0.05 - 1e-9).all()
    assert (onsets[1:] - offsets[:-1] >= 0.1 - 1e-9).all()


def test_the_step_is_that_of_the_encoder_nearest_to_the_trace() -> None:
    for resolution in (1024, 2048, 4096):
        trace = np.cumsum(np.full(100, 2 * np.pi / resolution))
        assert encoder_step(trace) == pytest.approx(2 * np.pi / resolution)


def test_movements_in_radians_are_those_in_steps() -> None:
    steps = np.concatenate([still(1), np.round(np.linspace(0, 60, 400)), still(1, 60)])
    t = np.arange(steps.size) / 1000
    moved = np.concatenate([[True], np.diff(steps) != 0])
    moved[-1] = True
    found = find_movements(t[moved], steps[moved] * TICK)
    assert found.intervals.shape == (1, 2)
    assert abs(found.intervals[0, 0] - 1.01) < 0.02
    assert found.peak_amplitude[0] / TICK == pytest.approx(51, abs=2)


def test_the_first_movement_is_the_first_large_one_in_its_trial() -> None:
    onsets = [0.5, 0.9, 1.2, 2.5, 3.1, 5.0]
    amplitudes = [1.0, 0.05, -0.4, 0.1, 0.3, 1.0]
    moves = Movements(np.array([onsets, onsets]).T, np.array(amplitudes))
    go, feedback = np.array([1.0, 2.6, 4.0, 6.0, np.nan]), np.array([1.9, 3.9, 4.9, np.nan, 9])
    found = first_movement_times(moves, go, feedback)
    np.testing.assert_equal(found, [1.2, 2.5, np.nan, np.nan, np.nan])
    # A movement counts from the quiescent period on, which may differ between trials.
    found = first_movement_times(moves, go, feedback, [0.6, 0.05, 0.2, 0.2, 0.2, 0.2])
    np.testing.assert_equal(found, [0.5, 3.1, np.nan, np.nan, np.nan])


def events(n: int, seed: int = 0) -> np.ndarray:
    """Irregular events, about one in five seconds."""
    return np.cumsum(np.random.default_rng(seed).uniform(3, 8, n))


@given(st.integers(0, 20), st.floats(-1000, 1000), st.floats(-150, 150))
@settings(deadline=None, max_examples=30)
def test_clocks_with_offset_and_drift_are_matched(missing: int, offset: float, ppm: float) -> None:
    bpod = events(100)
    encoder = (bpod + offset) * (1 + ppm * 1e-6)
    found_e, found_b = match_clocks(np.delete(encoder, missing), bpod)
    expected = (found_b + offset) * (1 + ppm * 1e-6)
    np.testing.assert_allclose(found_e, expected, rtol=0, atol=1e-6)
    assert found_b.size >= 90


def test_a_few_bad_events_are_left_out() -> None:
    bpod = events(300)
    encoder = bpod + 3
    encoder[150] += 0.5
    found_e, found_b = match_clocks(encoder, bpod)
    np.testing.assert_allclose(found_e, found_b + 3)
    assert found_b.size == 297


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        (np.array([1.0]), "only 1 closed-loop events"),
        (events(50, seed=1), "not those of the trials"),
        (events(50) + np.linspace(0, 0.06, 50) ** 2 * 20, "linear drift"),
    ],
)
def test_clocks_that_do_not_match_are_refused(encoder: np.ndarray, reason: str) -> None:
    with pytest.raises(WheelUnsynchronised, match=reason):
        match_clocks(encoder, events(50))


def positions(folder: Path, *rows: str) -> np.ndarray:
    """Times and ticks read from a file with these rows."""
    (folder / "_iblrig_encoderPositions.raw.ssv").write_text("\n".join(rows) + "\n")
    read = read_encoder_positions(folder)
    return np.stack([read.times, read.values])


SECOND = 1_000_000


def test_incomplete_duplicate_and_corrupt_rows_are_dropped(tmp_path: Path) -> None:
    found = positions(
        tmp_path,
        "1000000 0 ",
        "2000000 1 ",
        "2000000 1 ",
        "x 5 ",
        "60000000 2 ",
        "7",
    )
    assert found.tolist() == [[1e6, 2e6, 6e7], [0, 1, 2]]


def test_the_counter_may_start_anew(tmp_path: Path) -> None:
    rows = [f"{(2**32 - 30 * SECOND + i * 10 * SECOND) % 2**32} {i} " for i in range(6)]
    assert np.diff(positions(tmp_path, *rows)[0]).tolist() == [1e7] * 5


def test_swapped_rows_are_swapped_back(tmp_path: Path) -> None:
    times = [0, 10, 20, 40, 30, 50]
    found = positions(tmp_path, *(f"{t * SECOND} {t} " for t in times))
    assert found[0].tolist() == sorted(t * 1e6 for t in times)
    assert found[1].tolist() == sorted(times)


def test_a_corrupt_first_row_is_dropped(tmp_path: Path) -> None:
    found = positions(tmp_path, *(f"{t * SECOND} {t} " for t in (99, 10, 20, 40)))
    assert found[1].tolist() == [10, 20, 40]


def test_a_session_shorter_than_20_s_is_in_milliseconds(tmp_path: Path) -> None:
    found = positions(tmp_path, "1000 0 ", "2000000 1 ")
    assert found[0].tolist() == [1e6, 2e9]


def test_the_labelled_format_of_rigs_before_5_is_read(tmp_path: Path) -> None:
    rows = [
        "Position 1000000 2 2019-02-07T16:49:20.5192064+00:00 ",
        "Position 2000000 3 2019-02-07T16:49:21.5192064+00:00 ",
        "Position 3000000 3 2019-02-07T16:49",
    ]
    assert positions(tmp_path, *rows).tolist() == [[1e6, 2e6], [2, 3]]
    (tmp_path / "_iblrig_encoderEvents.raw.ssv").write_text(
        "Event 1000 StateMachine 3 2018-12-11T19:39:06.7438592+00:00 \n"
        "Event 21000 StateMachine 1 2018-12-11T19:39:26.7438592+00:00 \n"
    )
    events = read_encoder_events(tmp_path)
    assert events.times.tolist() == [1e6, 21e6]  # was in milliseconds
    assert events.values.tolist() == [3, 1]


@pytest.mark.parametrize("content", ["", "\n\n", "nonsense\n", "Position \n", "\x00\x00"])
def test_a_file_without_rows_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "_iblrig_encoderPositions.raw.ssv").write_text(content)
    with pytest.raises(RawFileInvalid, match="_iblrig_encoderPositions"):
        read_encoder_positions(tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RawFileMissing, match=r"_iblrig_encoderEvents\.raw"):
        read_encoder_events(tmp_path)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short simulated session."""
    return simulate_session(
        tmp_path_factory.mktemp("simulated"),
        seed=1,
        subject="SYN_001",
        date=datetime.date(2024, 1, 8),
        n_trials=15,
        performance=0.9,
    ).session


@given(
    file=st.sampled_from(["Positions", "Events"]),
    damage=st.lists(
        st.tuples(
            st.floats(0, 1),
            st.sampled_from(
                ["", "x", "7", "1 2 3 4 5", "-1 0 ", "1e300 5 ", "inf 1 ", "4294967295 9 ", "0 0 "]
            )
            | st.text(alphabet='0123456789 .-e\x00"', max_size=12),
        ),
        max_size=6,
    ),
    keep=st.floats(0, 1),
)
@example(file="Positions", damage=[(0.0, "1 2 3 4 5")], keep=0.0)
@example(file="Positions", damage=[(0.0, "4294967295 9 "), (1.0, "-1 0 ")], keep=0.0)
@settings(deadline=None, max_examples=60)
def test_a_damaged_encoder_file_gives_a_wheel_or_a_reason(
    simulated: Path, file: str, damage: list[tuple[float, str]], keep: float
) -> None:
    raw = simulated / "raw_behavior_data"
    path = raw / f"_iblrig_encoder{file}.raw.ssv"
    whole = path.read_text()
    lines = whole.splitlines()
    for place, text in damage:
        lines[int(place * (len(lines) - 1))] = text
    kept = "\n".join(lines)[: round(len(whole) * max(keep, 1 - keep))]
    path.write_text(kept)
    try:
        wheel = extract_wheel(simulated)
    except ExtractionError as refused:
        assert refused.fix  # noqa: PT017
    else:
        assert wheel["_ibl_wheel.timestamps.npy"].size == wheel["_ibl_wheel.position.npy"].size
    finally:
        path.write_text(whole)


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("ssv-without-trailing-space", None),
        ("encoder-rollover-at-second-event", None),
        ("wheel-short-aborted-session", 4),
    ],
)
def test_what_was_reported_gives_the_right_wheel(
    shared_data: Path, name: str, samples: int | None
) -> None:
    # Given copies of one real session, each with a fault that was reported
    session = shared_data / "reported" / name / "sessions" / "FI_001" / "2024-02-29" / "001"
    golden = shared_data / "rig_sessions" / "training_rig5.0.0" / "alf"
    # When the wheel is extracted
    found = extract_wheel(session)
    # Then it is that of the session without the fault, as far as it was recorded
    times, position = found["_ibl_wheel.timestamps.npy"], found["_ibl_wheel.position.npy"]
    expected = np.load(golden / "_ibl_wheel.position.npy")
    at = np.load(golden / "_ibl_wheel.timestamps.npy")
    if samples is None:
        assert times.size == at.size
    n = times.size - (0 if samples is None else 1)
    np.testing.assert_allclose(times[:n], at[:n], rtol=0, atol=2e-3)
    np.testing.assert_allclose(np.diff(position[:n]), np.diff(expected[:n]), atol=1e-9)


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", "  "])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", " \r\n"])
def test_logs_are_read_with_any_separator(tmp_path: Path, separator: str, end: str) -> None:
    rows = [(1_000_000, 0), (30_000_000, 5), (60_000_000, -3)]
    text = "".join(f"{t}{separator}{v}{end}" for t, v in rows)
    (tmp_path / "_iblrig_encoderPositions.raw.ssv").write_bytes(text.encode())
    found = read_encoder_positions(tmp_path)
    assert found.times.tolist() == [t for t, _ in rows]
    assert found.values.tolist() == [v for _, v in rows]


@pytest.mark.parametrize("seconds", [3.0, 17.9, 25.0, 600.0])
@pytest.mark.parametrize("unit", [1e3, 1e6])
def test_the_unit_is_that_which_fits_the_trials(
    tmp_path: Path, seconds: float, unit: float
) -> None:
    rows = [f"{round(seconds * unit * part / 10)} {part}" for part in range(11)]
    (tmp_path / "_iblrig_encoderPositions.raw.ssv").write_text("\n".join(rows))
    found = read_encoder_positions(tmp_path, duration=seconds - 0.5)
    if unit == 1e3 and seconds > 20:
        assert np.ptp(found.times) == pytest.approx(seconds * 1e6)
    assert np.ptp(found.times) == pytest.approx(seconds * 1e6)


def test_lines_far_from_their_place_are_put_in_order(tmp_path: Path) -> None:
    """Given late and early lines and a counter that restarts, then times rise."""
    times = (4_294_000_000 + np.arange(100) * 50_000) % 2**32
    lines = [f"{time} {value} " for value, time in enumerate(times)]
    lines.insert(60, lines.pop(30))
    lines.insert(20, lines.pop(80))
    (tmp_path / "_iblrig_encoderPositions.raw.ssv").write_text("\n".join(lines) + "\n")
    read = read_encoder_positions(tmp_path, 5.0)
    assert (np.diff(read.times) == 50_000).all()
    assert read.values.tolist() == list(range(100))


def test_events_are_matched_again_after_several_lost_trials() -> None:
    """Given lost trials near each other, then all are paired but one that has no neighbour."""
    starts = np.cumsum(np.random.default_rng(2).uniform(3, 9, 16))
    kept = np.delete(starts, [6, 8, 9])
    encoder, bpod = match_clocks(starts * (1 + 20e-6) + 18.6, kept)
    paired = np.delete(kept, 6)
    assert bpod.tolist() == paired.tolist()
    np.testing.assert_allclose(encoder, paired * (1 + 20e-6) + 18.6)
