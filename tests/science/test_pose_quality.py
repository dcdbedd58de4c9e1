"""The checks of a camera's pose: what each finds, and what leaves it without an answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shared.science.video.pose_quality import Pose, checks_of, summary_of

N, RATE = 1200, 60

OF_DLC = {
    *("lick_detection", "mean_in_bbox", "paw_close_nan", "paw_far_nan", "pupil_blocked"),
    *("pupil_diameter_snr", "time_trace_length_match", "trace_all_nan"),
}


def good(tracker: str = "dlc", camera: str = "left") -> Pose:
    """Return a pose that passes every check of ibllib."""
    rng = np.random.default_rng(0)
    wide = 20 + 3 * np.sin(np.arange(N) / 60)
    points = {}
    for name in ("paw_l", "paw_r", "nose_tip", "tongue_end_l", "tongue_end_r", "tube_top"):
        points |= {f"{name}_{axis}": 400 + rng.normal(0, 3, N) for axis in "xy"}
    for name, at in points.items():
        if name.startswith("tongue"):
            at[: N // 2] = np.nan
    return Pose(
        camera, tracker, points, np.arange(N) / RATE,
        wide + rng.normal(0, 0.1, N), wide, np.array([2.0, 7.0, 12.0]),
    )  # fmt: skip


def outcomes(pose: Pose) -> dict[str, object]:
    return {name: value[0] for name, value in checks_of(pose).items()}


def changed(pose: Pose, **points: np.ndarray) -> Pose:
    return replace(pose, points=pose.points | points)


def hidden(share: float) -> np.ndarray:
    """Return a coordinate that is unknown in a share of the frames, evenly."""
    at = np.full(N, 400.0)
    at[np.arange(N) % 20 < 20 * share] = np.nan
    return at


def test_a_good_pose_passes_every_check() -> None:
    assert set(checks_of(good())) == OF_DLC
    assert set(outcomes(good()).values()) == {"PASS"}
    assert summary_of(good())["dlcLeft"] == "PASS"
    assert summary_of(good())["_dlcLeft_pupil_diameter_snr"][0] == "PASS"


@pytest.mark.parametrize(
    ("check", "bad", "outcome"),
    [
        ("trace_all_nan", lambda p: changed(p, paw_l_x=np.full(N, np.nan)), "FAIL"),
        ("trace_all_nan", lambda p: changed(p, tube_top_x=np.full(N, np.nan)), "PASS"),
        ("time_trace_length_match", lambda p: replace(p, times=np.arange(N + 1) / RATE), "FAIL"),
        ("mean_in_bbox", lambda p: changed(p, nose_tip_x=np.full(N, 3000.0)), "FAIL"),
        ("lick_detection", lambda p: changed(
            p, tongue_end_l_x=hidden(0.05), tongue_end_r_x=hidden(0.05)), "FAIL"),
        ("lick_detection", lambda p: changed(p, tongue_end_l_x=hidden(0.05)), "PASS"),
        ("paw_close_nan", lambda p: changed(p, paw_r_x=hidden(0.15)), "WARNING"),
        ("paw_far_nan", lambda p: changed(p, paw_l_x=hidden(0.3)), "FAIL"),
        ("paw_far_nan", lambda p: changed(p, paw_l_x=hidden(0.05)), "PASS"),
        ("pupil_blocked", lambda p: replace(p, pupil=np.full(N, np.nan)), "FAIL"),
        ("pupil_blocked", lambda p: replace(p, pupil=p.pupil * 10), "FAIL"),
        ("pupil_diameter_snr", lambda p: replace(
            p, pupil=p.pupil + np.random.default_rng(1).normal(0, 5, N)), "FAIL"),
    ],
)  # fmt: skip
def test_each_check_finds_what_it_is_for(check, bad, outcome) -> None:  # type: ignore[no-untyped-def]
    before, after = outcomes(good()), outcomes(bad(good()))
    assert after[check] == outcome
    if outcome != "PASS":
        assert before[check] == "PASS"


@pytest.mark.parametrize(
    ("check", "without"),
    [
        ("paw_close_nan", lambda p: replace(p, stimuli=None)),
        ("paw_close_nan", lambda p: replace(p, stimuli=np.full(3, np.nan))),
        ("paw_close_nan", lambda p: replace(p, stimuli=np.array([-50.0]))),
        ("paw_far_nan", lambda p: replace(p, points={"nose_tip_x": np.ones(N)})),
        ("lick_detection", lambda p: replace(p, points={"nose_tip_x": np.ones(N)})),
        ("pupil_blocked", lambda p: replace(p, pupil=None)),
        ("pupil_diameter_snr", lambda p: replace(p, smooth_pupil=None)),
        ("pupil_diameter_snr", lambda p: replace(p, pupil=np.full(N, np.nan))),
        ("mean_in_bbox", lambda p: replace(p, camera="belly")),
        ("mean_in_bbox", lambda p: replace(p, points={"nose_tip_x": np.full(N, np.nan)})),
    ],
)
def test_without_what_it_needs_a_check_has_no_answer(check, without) -> None:  # type: ignore[no-untyped-def]
    assert outcomes(without(good()))[check] == "NOT_SET"


def test_a_camera_of_the_body_is_not_asked_for_tongue_and_pupil() -> None:
    found = outcomes(good(camera="body"))
    unknown = {name for name, value in found.items() if value == "NOT_SET"}
    assert unknown == {
        *("lick_detection", "paw_close_nan", "paw_far_nan"),
        *("pupil_blocked", "pupil_diameter_snr"),
    }


@pytest.mark.parametrize("tracker", ["lightningPose", "pose"])
def test_other_trackers_have_the_checks_of_every_tracker(tracker: str) -> None:
    found = summary_of(good(tracker))
    assert set(found) == {
        f"{tracker}Left",
        *(
            f"_{tracker}Left_{name}"
            for name in OF_DLC
            if "paw" not in name and "pupil" not in name
        ),
    }
    # A lab's own camera may see the mouse elsewhere in its picture
    expected = "NOT_SET" if tracker == "pose" else "PASS"
    assert found[f"_{tracker}Left_mean_in_bbox"] == expected


def test_noise_of_the_pupil_does_not_count_in_the_outcome() -> None:
    noise = np.random.default_rng(1).normal(0, 5, N)
    found = summary_of(replace(good(), pupil=good().pupil + noise))
    assert found["_dlcLeft_pupil_diameter_snr"][0] == "FAIL"
    assert found["dlcLeft"] == "PASS"
