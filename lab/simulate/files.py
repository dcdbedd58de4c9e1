"""The files that a rig writes, of a simulated session, in the formats of rig 5 and rig 8."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shared.alf import SessionPath

if TYPE_CHECKING:
    pass
from lab.simulate.course import Course
from lab.simulate.mouse import (
    BIASED,
    LAST_PHASE,
    PHASES,
    POSITION,
    TRAINING,
    Decisions,
    Floats,
    Progress,
)

PROTOCOLS = {
    TRAINING: "_iblrig_tasks_trainingChoiceWorld",
    BIASED: "_iblrig_tasks_biasedChoiceWorld",
}
VERSIONS = {5: "5.0.0", 8: "8.27.0"}


@dataclass(frozen=True)
class RigFiles:
    """Writer of the raw files of one session."""

    folder: Path
    rng: np.random.Generator
    course: Course
    decisions: Decisions
    progress: Progress
    path: SessionPath
    rig: int
    protocol: str

    @property
    def task_protocol(self) -> str:
        """Name of the protocol, as rigs write it."""
        return PROTOCOLS[self.protocol]

    def write(self, about: dict[str, Any]) -> None:
        """Write all files."""
        ambient = self._ambient()
        self._lines("_iblrig_ambientSensorData.raw.jsonable", map(json.dumps, ambient))
        trials = self._trials(ambient)
        self._lines("_iblrig_taskData.raw.jsonable", map(json.dumps, trials))
        self._encoder()
        self._trial_info()
        settings = json.dumps(self._settings(about), indent=1)
        (self.folder / "_iblrig_taskSettings.raw.json").write_text(settings, newline="\n")

    def _lines(self, name: str, lines: Iterator[str]) -> None:
        text = "".join(line + "\n" for line in lines)
        (self.folder / name).write_text(text, newline="\n")

    def _ambient(self) -> list[dict[str, list[float]]]:
        """Return temperature, pressure and humidity of each trial: slow drifts and noise."""
        n, rng = self.decisions.choice.size, self.rng
        slow = np.cumsum(rng.normal(0, 1, (n, 3)), axis=0) / max(n, 1) ** 0.5
        level = rng.normal([24.0, 1012.0, 45.0], [1.0, 6.0, 6.0])
        values = level + slow * [0.3, 0.2, 0.8] + rng.normal(0, [0.01, 0.02, 0.05], (n, 3))
        names = ("Temperature_C", "AirPressure_mb", "RelativeHumidity")
        return [
            {k: [v] for k, v in zip(names, row, strict=True)}
            for row in np.round(values, 4).tolist()
        ]

    def _trials(self, ambient: list[dict[str, list[float]]]) -> Iterator[dict[str, Any]]:
        """Yield the object of each trial, in the layout of the rig."""
        course, d = self.course, self.decisions
        n = d.choice.size
        states = {name: np.stack(times, axis=1).tolist() for name, times in course.states.items()}
        events = {
            name: np.sort(np.stack(times, axis=1), axis=1).tolist()
            for name, times in course.events.items()
        }
        loop = course.states["closed_loop"]
        columns = {
            "position": d.position,
            "contrast": d.contrast,
            "left": d.probability_left,
            "choice": d.choice,
            "correct": d.correct,
            "repeat": d.repeat,
            "phase": d.phase,
            "block": d.block,
            "block_trial": d.block_trial,
            "quiescent": course.quiescent,
            "stim_phase": self.rng.uniform(0, 2 * np.pi, n),
            "response_time": np.round(loop[1] - loop[0], 4),
            "n_correct": np.cumsum(d.correct),
            "start": course.start,
            "end": course.end,
        }
        layout: Callable[..., dict[str, Any]] = self._rig5 if self.rig == 5 else self._rig8
        lists = {name: column.tolist() for name, column in columns.items()}
        for i in range(n):
            row = {name: values[i] for name, values in lists.items()}
            trial = layout(i, row, ambient[i])
            trial["behavior_data"] = {
                "Bpod start timestamp": course.bpod_start,
                "Trial start timestamp": row["start"],
                "Trial end timestamp": row["end"],
                "States timestamps": {name: [times[i]] for name, times in states.items()},
                "Events timestamps": {
                    name: happened
                    for name, times in events.items()
                    if (happened := [t for t in times[i] if t == t])
                },
            }
            yield trial

    def _rig5(self, i: int, row: dict[str, Any], ambient: dict[str, Any]) -> dict[str, Any]:
        contrast: Any = row["contrast"]
        if self.protocol == TRAINING:
            kind = "RepeatContrast" if row["repeat"] else "AdaptiveContrast"
            contrast = {"type": kind, "value": contrast, "trial_correct": row["correct"]}
        block = {"block_num": row["block"] + 1, "block_trial_num": row["block_trial"] + 1}
        return {
            "task_protocol": PROTOCOLS[self.protocol],
            "position_set": [-POSITION, POSITION],
            "repeat_on_error": self.protocol == TRAINING,
            "quiescent_period_base": 0.2,
            "quiescent_period": row["quiescent"],
            "response_window": 60,
            "interactive_delay": 0.0,
            "iti_error": 2,
            "iti_correct_target": 1,
            "stim_freq": 0.1,
            "stim_angle": 0.0,
            "stim_gain": self.progress.gain,
            "stim_sigma": 7.0,
            "stim_phase": row["stim_phase"],
            "as_data": {name: values[0] for name, values in ambient.items()},
            "reward_amount": self.progress.reward,
            "reward_valve_time": round(0.045 * self.progress.reward, 4),
            "trial_num": i + 1,
            "position": row["position"],
            "stim_probability_left": row["left"],
            "contrast": contrast,
            "signed_contrast": row["contrast"] * math.copysign(1, row["position"]),
            "response_time": row["response_time"],
            "trial_correct": row["correct"],
            "ntrials_correct": row["n_correct"],
            "water_delivered": round(row["n_correct"] * self.progress.reward, 3),
            **(block if self.protocol == BIASED else {}),
        }

    def _rig8(self, i: int, row: dict[str, Any], ambient: dict[str, Any]) -> dict[str, Any]:
        training = {
            "training_phase": row["phase"],
            "debias_trial": row["repeat"],
            "signed_contrast": row["contrast"] * math.copysign(1, row["position"]),
        }
        block = {"block_num": row["block"], "block_trial_num": row["block_trial"]}
        return {
            **(training if self.protocol == TRAINING else block),
            "contrast": row["contrast"],
            "position": float(row["position"]),
            "quiescent_period": row["quiescent"],
            "response_side": row["choice"],
            "response_time": row["response_time"],
            "reward_amount": self.progress.reward if row["correct"] else 0.0,
            "reward_valve_time": round(0.045 * self.progress.reward, 4),
            "stim_angle": 0.0,
            "stim_freq": 0.1,
            "stim_gain": self.progress.gain,
            "stim_phase": row["stim_phase"],
            "stim_probability_left": row["left"],
            "stim_reverse": False,
            "stim_sigma": 7.0,
            "trial_correct": row["correct"],
            "trial_num": i,
            "pause_duration": 0.0,
        }

    def _encoder(self) -> None:
        """Write positions and events in the encoder's own clock: offset, drift, 32 bits of us."""
        course, rng = self.course, self.rng
        offset, drift = rng.uniform(2, 30), rng.normal(0, 40e-6)

        def stamp(times: Floats) -> np.ndarray:
            return np.round((offset + times * (1 + drift)) * 1e6).astype(np.int64) % 2**32

        turned = np.cumsum(course.wheel_steps)
        reset = course.wheel_steps == 0
        last_reset = np.maximum.accumulate(np.where(reset, np.arange(reset.size), 0))
        # The encoder counts clockwise, and from zero again after each reset.
        ticks = turned[last_reset] - turned
        rows = zip(stamp(course.wheel_times).tolist(), ticks.tolist(), strict=True)
        self._lines("_iblrig_encoderPositions.raw.ssv", (f"{t} {k} " for t, k in rows))

        hide = "hide_stim" if self.rig == 8 else "exit_state"
        kinds = [(2, course.states["stim_on"][0]), (3, course.states["closed_loop"][0])]
        kinds.append((1, course.states[hide][0]))
        if self.rig == 8:
            kinds.append((4, course.states["freeze_reward"][0]))
            kinds.append((4, course.states["freeze_error"][0]))
        # The trial in which the task was stopped has events but no line in the task data.
        unfinished = course.end[-1] - course.bpod_start + 0.5
        times = np.concatenate(
            [when + course.offset for _, when in kinds] + [unfinished + np.array([0.6, 0.7])]
        )
        codes = np.concatenate([np.full(when.size, code) for code, when in kinds] + [[2, 3]])
        times = times + rng.uniform(0, 1e-4, times.size)
        order = np.argsort(times)
        order = order[~np.isnan(times[order])]
        rows = zip(stamp(times[order]).tolist(), codes[order].tolist(), strict=True)
        self._lines("_iblrig_encoderEvents.raw.ssv", (f"{t} {code} " for t, code in rows))

    def _trial_info(self) -> None:
        """Write the stimulus of each trial with the wall clock of the display computer."""
        d, shown = self.decisions, self.course.states["stim_on"][0] + self.course.offset
        begin = self._begin()
        rows = zip(d.position.tolist(), d.contrast.tolist(), shown.tolist(), strict=True)
        self._lines(
            "_iblrig_encoderTrialInfo.raw.ssv",
            (
                f"{i} {position} {contrast:g} 0.1 0 {self.progress.gain:g} 49 0 "
                f"{(begin + datetime.timedelta(seconds=t)).isoformat()} "
                for i, (position, contrast, t) in enumerate(rows)
            ),
        )

    def _begin(self) -> datetime.datetime:
        """Return the local start of the session: the first at ten, each later one after it."""
        hour = 10 + min(max(self.path.number - 1, 0) * 2, 12)
        return datetime.datetime.combine(self.path.date, datetime.time(hour))

    def _settings(self, about: dict[str, Any]) -> dict[str, Any]:
        """Return the settings, the keys that all rigs share and those of this one."""
        begin = self._begin()
        end = begin + datetime.timedelta(seconds=float(self.course.end[-1]))
        rewarded = int(self.decisions.correct.sum())
        shared = {
            "SYNTHETIC": True,
            "COMMENT": "SYNTHETIC: made by the rig simulator of Fornix; no animal, no rig",
            "SIMULATION": {"seed": about["seed"], "day": about["day"], "lab": about["lab"]},
            "PYBPOD_PROTOCOL": PROTOCOLS[self.protocol],
            "SUBJECT_NAME": self.path.subject,
            "SUBJECT_WEIGHT": about["weight"],
            "SUBJECT_PROJECTS": ["synthetic"],
            "SESSION_NUMBER": f"{self.path.number:03d}",
            "SESSION_DATE": self.path.date.isoformat(),
            "CONTRAST_SET": list(PHASES[LAST_PHASE] if self.protocol == BIASED else PHASES[-2]),
            "STIM_POSITIONS": [-POSITION, POSITION],
            "STIM_GAIN": self.progress.gain,
            "STIM_FREQ": 0.1,
            "STIM_SIGMA": 7.0,
            "QUIESCENT_PERIOD": 0.2,
            "QUIESCENCE_THRESHOLDS": [-2, 2],
            "INTERACTIVE_DELAY": 0.0,
            "RESPONSE_WINDOW": 60,
            "ITI_CORRECT": 1,
            "ITI_ERROR": 2,
            "REWARD_AMOUNT": self.progress.reward,
            "REWARD_TYPE": "Water 10% Sucrose",
            "CALIBRATION_VALUE": 0.067,
            "NTRIALS": 2000,
            "IS_MOCK": False,
        }
        if self.rig == 5:
            return shared | {
                "IBLRIG_VERSION_TAG": VERSIONS[5],
                "PYBPOD_BOARD": f"_iblrig_{about['lab'] or 'synthetic'}_behavior_0",
                "PYBPOD_CREATOR": ["synthetic", "00000000-0000-4000-8000-000000000000", "local"],
                "SESSION_DATETIME": begin.isoformat(),
                "SUBJECT_DISENGAGED_TRIGGERED": False,
                "SUBJECT_DISENGAGED_TRIALNUM": None,
                "SOUND_SAMPLE_FREQ": 192000,
                "SD": "None",
                "COM": {"BPOD": "COM5", "ROTARY_ENCODER": "COM6", "FRAME2TTL": "COM4"},
            }
        return shared | {
            "IBLRIG_VERSION": VERSIONS[8],
            "RIG_NAME": f"_iblrig_{about['lab'] or 'synthetic'}_behavior_0",
            "ALYX_USER": "synthetic",
            "SESSION_START_TIME": begin.isoformat(),
            "SESSION_END_TIME": end.isoformat(),
            "SESSION_DELAY_START": 0,
            "ADAPTIVE_REWARD_AMOUNT_UL": self.progress.reward,
            "ADAPTIVE_GAIN_VALUE": self.progress.gain,
            "NTRIALS_CORRECT": rewarded,
            "TOTAL_WATER_DELIVERED": round(rewarded * self.progress.reward, 1),
            "device_sound": {"OUTPUT": "harp"},
            "hardware_settings": {"RIG_NAME": "synthetic", "device_rotary_encoder": {}},
        }
