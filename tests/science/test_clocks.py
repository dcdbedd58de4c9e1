"""Pulses in a recording, and clocks that are matched by them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.codec.errors import CodecError
from shared.recordings.spikeglx import Meta, SyncColumns
from shared.science.clocks.events import match_events
from shared.science.clocks.pulses import Fronts, Pulses, extract_pulses
from shared.science.clocks.spacers import LENGTH, RISES, WIDTH, find_spacers, protocol_period
from shared.science.clocks.wiring import BOARD, PROBE, read_wiring
from shared.science.errors import RawFileInvalid


def pulses_of(samples, rate=100.0, analog=(), volts=1e-3):
    def read(start, stop, channels):
        return samples[start:stop][:, channels]

    return extract_pulses(
        read, len(samples), rate, SyncColumns(samples.shape[1] - 1, analog, volts)
    )


def test_every_change_of_a_line_is_found_with_its_sense():
    word = np.zeros((50, 1), np.int16)
    word[10:20, 0] |= 1 << 3
    word[15:, 0] |= -(1 << 15)  # the last bit is a line, too, not a sign
    found = pulses_of(word)
    assert found.times.tolist() == [0.1, 0.15, 0.2]
    assert found.channels.tolist() == [3, 15, 3]
    assert found.polarities.tolist() == [1, 1, -1]


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=60))
def test_levels_are_what_the_changes_add_up_to(words):
    samples = np.array(words, np.uint16).view(np.int16)[:, None]
    found = pulses_of(samples)
    for bit in range(16):
        mine = found.of(bit)
        level = np.full(len(words), (words[0] >> bit) & 1)
        for time, sense in zip(mine.times, mine.polarities, strict=True):
            level[round(time * 100) :] += int(sense)
        np.testing.assert_array_equal(level, [(word >> bit) & 1 for word in words])
        assert mine.alternate


def test_pieces_and_windows_are_not_seen_in_what_is_found(monkeypatch):
    rng = np.random.default_rng(0)
    samples = rng.integers(-(2**15), 2**15, (1000, 1), dtype=np.int16)
    whole = pulses_of(samples)
    monkeypatch.setattr("shared.science.clocks.pulses.PIECE", 7)
    monkeypatch.setattr("shared.science.clocks.pulses.WINDOW", 0.3)
    np.testing.assert_array_equal(pulses_of(samples).times, whole.times)


def test_an_analog_line_is_high_above_its_own_floor():
    samples = np.zeros((100, 2), np.int16)
    samples[:, 0] = 900  # an offset below the threshold, and above it with the pulse
    samples[30:40, 0] += 1000
    samples[60:70, 0] += 1300
    found = pulses_of(samples, analog=(0,))
    assert found.times.tolist() == [0.6, 0.7]
    assert found.channels.tolist() == [16, 16]


@pytest.mark.parametrize("n", [0, 1])
def test_a_recording_of_nothing_has_no_pulses(n):
    assert pulses_of(np.zeros((n, 1), np.int16)).times.size == 0


def test_the_lines_of_a_board_and_of_a_probe_are_where_their_meta_says():
    board = {"typeThis": "nidq", "snsMnMaXaDw": "1,0,2,1", "niAiRangeMax": "5"}
    probe = {"typeThis": "imec", "snsApLfSy": "384,0,1"}
    found = Meta("x", board).sync_columns()
    assert (found.word, found.analog, found.volts) == (3, (1, 2), pytest.approx(5 / 32768))
    assert Meta("x", probe).sync_columns() == SyncColumns(384)


@pytest.mark.parametrize(
    "pairs",
    [{}, {"snsApLfSy": "384,0,0"}, {"snsApLfSy": "x"}, {"typeThis": "nidq", "snsMnMaXaDw": ""}],
)
def test_a_meta_without_digital_lines_is_told(pairs):
    with pytest.raises(CodecError, match="no digital line"):
        Meta("x.meta", pairs).sync_columns()


def test_wiring_is_the_rig_s_and_else_the_usual(tmp_path):
    assert read_wiring(tmp_path, PROBE) == {"imec_sync": 6}
    said = {
        "SYSTEM": "3B",
        "SYNC_WIRING_DIGITAL": {"P0.1": "audio", "P0.2": None},
        "SYNC_WIRING_ANALOG": {"AI2": "bpod"},
    }
    (tmp_path / "x.nidq.wiring.json").write_text(json.dumps(said))
    found = read_wiring(tmp_path, BOARD)
    assert (found["audio"], found["bpod"], found["frame2ttl"]) == (1, 18, 4)


def test_pins_of_a_3a_connector_are_known(tmp_path):
    said = {"SYSTEM": "3A", "SYNC_WIRING_DIGITAL": {"pin04": "a", "pin19": "b", "pin05": "c"}}
    (tmp_path / "x.wiring.json").write_text(json.dumps(said))
    assert read_wiring(tmp_path, {}) == {"a": 3, "b": 15}


@pytest.mark.parametrize(
    "said",
    [
        *("[]", "{", "3", '{"SYNC_WIRING_DIGITAL": [1]}', '{"SYNC_WIRING_DIGITAL": {"x": "a"}}'),
        *('{"SYNC_WIRING_ANALOG": {"P0.1": "a"}}', '{"SYNC_WIRING_DIGITAL": {"P0.16": "a"}}'),
    ],
)
def test_a_wiring_file_that_is_none_is_named(tmp_path, said):
    (tmp_path / "x.wiring.json").write_text(said)
    with pytest.raises(RawFileInvalid, match=r"x\.wiring\.json: not the wiring of a rig"):
        read_wiring(tmp_path, BOARD)


@settings(deadline=None)  # the first call imports
@given(
    seed=st.integers(0, 2**32 - 1),
    offset=st.floats(-3000, 3000),
    drift=st.floats(-100, 100),
    kept=st.floats(0.6, 1.0),
    more=st.integers(0, 10),
)
def test_two_clocks_are_matched_whatever_their_offset_drift_and_losses(
    seed, offset, drift, kept, more
):
    rng = np.random.default_rng(seed)
    ours = np.cumsum(rng.uniform(2, 12, 300))
    seen = np.sort(rng.permutation(300)[: int(300 * kept)])
    spurious = rng.uniform(ours[0], ours[-1], more)
    spurious = spurious[np.abs(spurious[:, None] - ours).min(axis=1) > 0.5]
    theirs = np.concatenate([ours[seen], spurious]) * (1 + drift * 1e-6) + offset
    matched = match_events(ours, np.sort(theirs))
    assert matched is not None
    np.testing.assert_array_equal(matched.ours, seen)
    assert matched.drift == pytest.approx(drift, abs=0.01)
    inside = ours[seen[0] : seen[-1] + 1]
    expected = inside * (1 + drift * 1e-6) + offset
    np.testing.assert_allclose(matched.convert(inside), expected, atol=1e-6)


def test_times_that_have_nothing_in_common_do_not_match():
    assert match_events(np.array([1.0]), np.array([1.0, 2.0])) is None
    assert match_events(np.empty(0), np.empty(0)) is None


def spacer_at(*begins):
    rises = np.concatenate([begin + RISES for begin in begins])
    return np.sort(np.concatenate([rises, rises + WIDTH]))


def fronts(times):
    return Fronts(times, np.where(np.arange(times.size) % 2, -1.0, 1.0))


def test_protocols_are_told_apart_by_their_spacers():
    trials = np.array([20.0, 20.1, 30.0, 30.1, 80.0, 80.1])
    line = fronts(np.sort(np.concatenate([spacer_at(5.0, 40.0, 60.0), trials])))
    np.testing.assert_allclose(find_spacers(line), [5.0, 40.0, 60.0])
    assert protocol_period(line, 0) == pytest.approx((5.0 + LENGTH, 40.0))
    # the one at 40 s was stopped at once
    assert protocol_period(line, 1) == pytest.approx((60.0 + LENGTH, np.inf))
    assert protocol_period(line, 2) is None
    assert protocol_period(fronts(trials), 0) is None


def test_a_spacer_is_that_of_the_rigs() -> None:
    """Given the rises of the rigs' own library (iblutil 1.20.0), then they are found."""
    ms = [70, 194.286, 372.857, 605.714, 892.857, 1234.286, 1630, 2080, 2530, 2925.714, 3267.143,
          3554.286, 3787.143, 3965.714, 4090]  # fmt: skip
    rises = 5 + np.array(ms) / 1000
    line = fronts(np.sort(np.concatenate([rises, rises + 0.05, [20.0, 20.1]])))
    np.testing.assert_allclose(find_spacers(line), [5.0], atol=1e-5)
    assert protocol_period(line, 0) == pytest.approx((9.59, np.inf), abs=1e-5)


def test_a_protocol_without_rewards_gives_no_pulses_after_its_spacer() -> None:
    line = fronts(spacer_at(5.0, 40.0))
    assert protocol_period(line, 1) is None
    assert protocol_period(line, 1, also_silent=True) == pytest.approx((40.0 + LENGTH, np.inf))


def test_the_files_of_pulses_have_the_reference_s_names():
    some = Pulses(*(np.zeros(1) for _ in range(3)))
    assert list(some.files()) == [
        f"_spikeglx_sync.{name}.npy" for name in ("times", "channels", "polarities")
    ]
    assert "_spikeglx_sync.times.probe00.npy" in some.files("probe00")
