"""Differences from ibllib that are meant, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.fuzz.rounds import Found


@dataclass(frozen=True)
class Stated:
    """A difference that is meant.

    Attributes
    ----------
    pattern
        Of the difference, or of several.
    why
        What Fornix does, and why.
    damage, note
        It is meant only after this damage, or with this note.
    """

    pattern: str
    why: str
    damage: tuple[str, ...] = ()
    note: str = ""

    def holds(self, found: Found, difference: str) -> bool:
        """Tell whether it explains a difference."""
        return bool(
            re.search(self.pattern, difference)
            and (not self.damage or set(self.damage) & set(found.damage))
            and (not self.note or self.note in found.notes)
        )


STATED = (
    Stated(
        r"^(trials|wheel): only theirs fails: KeyError",
        "a trial's record lacks a state: its time is unknown; ibllib loses the session",
    ),
    Stated(
        r"^trials: only theirs fails: AssertionError in training_trials._extract",
        "a trial lacks a command of its stimulus: its time is unknown; ibllib loses the session",
    ),
    Stated(
        r"^wheel: only ours refuses: RawFileInvalid: .* positions cover",
        "a wheel that does not lie within its trials is refused; ibllib saves it",
    ),
    Stated(
        r"^trials: only theirs fails: ValueError in getlimits",
        "a value that is none is unknown; between the protocols of a session ibllib fails on it",
        damage=("values",),
    ),
    Stated(
        r"(feedback|firstMovement)_times: unknown in theirs|quality",
        "the valve of a first trial whose outcome was omitted is known if the board began within "
        "its pulse; ibllib looks for that of rewarded trials only",
        damage=("outcomes",),
    ),
    Stated(
        r"^trials: only theirs fails: ValueError in ephys_fpga._assign_events_to_trial",
        "a trial that ends after the next one began keeps the others; ibllib loses the session",
        damage=("overlap",),
    ),
    Stated(
        r"^_ibl_trials.*: other shape|^trials: only theirs fails: "
        r"(IndexError in ephys_fpga.<dictcomp>|ValueError in sync.sync_timestamps"
        r"|ValueError in ephys_fpga._assign_events_to_trial)",
        "trials of habituation whose valve the board has not seen are kept; ibllib leaves them "
        "out, or fails",
        note="habituation",
    ),
    Stated(
        r"^_ibl_trials.stimOffTrigger_times.npy: ours only",
        "beside a board habituation has its triggers, too; ibllib leaves this one out",
        note="habituation",
    ),
    Stated(
        r"^wheel: only theirs fails: ParserError",
        "lines without a blank at their ends are read; ibllib asks for three columns",
    ),
    Stated(
        r"^trials: only ours refuses: TrialInvalid: .* not a number in every trial",
        "a trial whose contrast, side or reward is no number is refused, by name; ibllib saves it",
        damage=("values",),
    ),
    Stated(
        r"_ibl_wheel|firstMovement|quality",
        "lines far from their place are put in order; ibllib leaves the times unsorted, and its "
        "check of the wheel fails on them",
        damage=("late_line", "lost_lines", "first_line", "swapped_lines"),
        note="theirs unsorted",
    ),
    Stated(
        r"goCue_times|feedback_times|firstMovement|quality",
        "after an extra pulse, or a lost trial, ibllib takes events by number and gives trials "
        "those of others; here each lies within its own trial",
        note="theirs elsewhere",
    ),
    Stated(
        r"_ibl_wheel.*other values by 1e-[2-9]|firstMovement_times: other values by 1e-[2-9]"
        r"|quality: _task_wheel_move_during_closed_loop",
        "after an event that one clock lacks, ibllib pairs no more of them, as it takes the drift "
        "from another pair; here all are paired, nearer to the truth (round 129 of seed 5: 0.1 ms "
        "at most, ibllib 0.7)",
        damage=(
            *("lost_trials", "lost_lines", "cut", "extra_events", "doubled_lines", "corrupt"),
            *("unvisited", "late_events", "doubled_trial", "swapped_lines", "absent_state"),
        ),
    ),
    Stated(
        r"^wheel: only theirs fails: (AssertionError in training_wheel.sync_rotary_encoder"
        r"|IndexError in raw_data_loaders.sync_trials_robust)",
        "few events, or trials without one, suffice to match the clocks; ibllib fails there",
    ),
    Stated(
        r"^trials: only theirs fails: AssertionError in raw_data_loaders._read_settings",
        "settings that give two versions, or no sound card, are read; ibllib refuses them",
    ),
    Stated(
        r"_ibl_wheel|firstMovement|quality",
        "a wheel shorter than 20 s is in microseconds if the trials are as short; ibllib takes it "
        "for milliseconds, and the session for hours",
        note="theirs in hours",
    ),
    Stated(
        r"^(points|good): other",
        "where one clock lacks a pulse the others are paired by time; ibllib pairs them by "
        "number, so that later ones are half a period off",
        damage=("lost by the probe", "lost by the board", "half"),
    ),
    Stated(
        r"^trials: only theirs fails: ValueError in base.get_bpod_extractor_class",
        "settings without a protocol: that of the trials counts; ibllib refuses them",
    ),
    Stated(
        r"only ours refuses: SyncFailed: .* its clock drifts by",
        "a drift that no clock has is refused in both senses; ibllib refuses a positive one",
    ),
    Stated(
        r"only ours refuses: SyncFailed: .* (they are not those of the trials|# trials, # that)",
        "with pulses of fewer than half of the trials the session is refused; ibllib extrapolates",
    ),
    Stated(
        r"only ours refuses: SyncFailed: .* jumps by",
        "a clock that jumps within a session is told; ibllib gives trials the events of others",
    ),
    Stated(
        r"^(times|framerate|timestamps): other",
        "frames without a signal continue at the camera's rate, and a film that begins after the "
        "first sound is found by its pauses: as near to the drawn truth as ibllib's, or nearer",
        note="ours no farther from the truth",
    ),
    Stated(
        r"^trials: only ours refuses: SyncFailed: the pulses of the camera's frames: there are #",
        "a camera without pulses has no frame times; ibllib saves as many as there are, none or "
        "one",
        damage=("no_signs",),
    ),
    Stated(
        r"^trials: only theirs fails: (AttributeError in camera._extract|LinAlgError)",
        "without the frames' numbers, or if the pin's changes cannot be fitted, frames are "
        "aligned by their number; ibllib fails",
    ),
    Stated(
        r"^_ibl_passiveRFM.times.npy: ours only",
        "flips of the noise in both senses are paired; ibllib takes those of the sense that is "
        "more frequent, and none if neither is",
    ),
    Stated(
        r"^_ibl_passiveRFM.times.npy: other",
        "flips in both senses are paired, and their pairs lie within a frame and a half: as near "
        "to the drawn truth as ibllib's, or nearer",
        note="ours no farther from the truth",
    ),
    Stated(
        r"^_ibl_passiveRFM.times.npy: (theirs only|other)",
        "a file of noise that is not the session's gives no times; ibllib gives some",
        damage=("other_noise",),
    ),
    Stated(
        r"^trials: only theirs fails: (ValueError in _index_tricks_impl"
        r"|AssertionError in ephys_fpga.get_protocol_period)",
        "a line of the state machine without spacers: the passive protocol's own suffice; ibllib "
        "fails",
    ),
    Stated(
        r"^_ibl_passive(Gabor|Stims).table.csv:.* ours only",
        "what was shown and played is saved even if it is not the sequence of the settings, "
        "without what gratings looked like; ibllib saves nothing",
    ),
    Stated(
        r"^_ibl_passiveGabor.*: unknown in ours",
        "gratings have no looks if stimuli came in another order than that of the settings' "
        "sequence; ibllib looks at the order only if each sound and pulse is as expected",
        damage=("another",),
    ),
    Stated(
        r"^_ibl_passivePeriods.*:(passiveProtocol|taskReplay): other values by 1e-[34]",
        "a protocol ends where the spacer of the next one begins; ibllib finds it to 1 ms",
    ),
    Stated(
        r"^pin_state: other",
        "trials without sounds have none; ibllib counts an unknown one for each",
        note="a trial without sounds",
    ),
    Stated(
        r"^trials: only theirs fails: IndexError in ephys_fpga._rotary_encoder",
        "an encoder that is silent costs the wheel; in ibllib it costs the session",
    ),
)
"""All of them."""


def reason(found: Found, difference: str) -> str:
    """Return why a difference is meant; empty if it is not known."""
    return next((each.why for each in STATED if each.holds(found, difference)), "")
