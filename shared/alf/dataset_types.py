"""The dataset types and data formats that Fornix knows, and how a file name finds its type.

A dataset type says what a file holds: a name, a pattern that its file names match (``fnmatch``,
letter case ignored), the unit and the shape of its content. The names are those of the ONE
convention and of Alyx; a laboratory may register more through the API. Shapes are symbolic: rows
of one object share their first dimension.
"""
# ruff: noqa: E501 - the table of types has one row per line.

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import cache

from .errors import ALFInvalid, DataFormatNotFound, DatasetTypeAmbiguous, DatasetTypeNotFound
from .path import parse_dataset_path, without_uuid


@dataclass(frozen=True)
class DatasetType:
    """What a file holds.

    Attributes
    ----------
    name : str
        Unique name, usually ``object.attribute``.
    filename_pattern : str
        Pattern of the file names. Empty: the file's ``object.attribute`` (of a name outside the
        grammar: all before its last dot) equals the type's name.
    unit : str
        Unit of the content; empty where it has none.
    shape : str
        Symbolic dimensions, e.g. ``'trials, 2'``; ``'file'`` where rows are not defined.
    description : str
        One sentence.
    """

    name: str
    filename_pattern: str
    unit: str
    shape: str
    description: str

    def matches(self, filename: str) -> bool:
        """Say whether a file name, without folders and UUID, is of this type."""
        if self.filename_pattern:
            return _pattern(self.filename_pattern).match(filename.casefold()) is not None
        return _names(filename)[-1] == self.name


@dataclass(frozen=True)
class DataFormat:
    """A file format.

    Attributes
    ----------
    name : str
        Alyx's name of the format.
    extension : str
        File extension without its dot; empty for formats that no file has.
    description : str
        What it is.
    rows : bool
        Whether the number of rows of an object can be read from the file.
    """

    name: str
    extension: str
    description: str
    rows: bool = False


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern.casefold()))


@cache
def _names(filename: str) -> tuple[str, ...]:
    """Return the names of types that a file stands for, the most specific first.

    The last one is ``object.attribute``; of a name outside the grammar, all before its last dot.
    """
    try:
        parsed = parse_dataset_path(filename)
    except ALFInvalid:
        return (filename.rpartition(".")[0],)
    short = f"{parsed.object}.{parsed.attribute}"
    timed = f"{short}_{parsed.timescale}" if parsed.timescale else short
    names = [f"{timed}.{parsed.extra}", timed, short]
    if parsed.namespace:
        names = [n for name in names for n in (f"_{parsed.namespace}_{name}", name)]
    return tuple(names)


def match_dataset_type(filename: str, types: Iterable[DatasetType] | None = None) -> DatasetType:
    """Find the one dataset type of a file.

    Parameters
    ----------
    filename : str
        File name or path relative to the session; a UUID in the name is ignored.
    types : iterable of DatasetType, optional
        The types to choose from; by default those of this module.

    Returns
    -------
    DatasetType
        The type whose pattern matches. Of several, the one whose name is the file's own
        (``object.attribute``, with timescale and extra parts where the type has them), so that
        a specific type may live beside a general pattern.

    Raises
    ------
    DatasetTypeNotFound
        No pattern matches.
    DatasetTypeAmbiguous
        Several match and none is named exactly as the file.
    """
    name = without_uuid(filename.rpartition("/")[2])
    found = [t for t in (DATASET_TYPES.values() if types is None else types) if t.matches(name)]
    if len(found) > 1:
        exact = ([t for t in found if t.name.casefold() == n.casefold()] for n in _names(name))
        found = next(filter(None, exact), found)
    if len(found) == 1:
        return found[0]
    if not found:
        raise DatasetTypeNotFound(
            filename,
            "object.attribute",
            _names(name)[-1],
            "no dataset type describes this name",
            "rename the file, or register a dataset type whose filename_pattern matches it",
        )
    raise DatasetTypeAmbiguous(
        filename,
        "object.attribute",
        _names(name)[0],
        "more than one dataset type matches: " + ", ".join(sorted(t.name for t in found)),
        "narrow the filename_pattern of one of them",
    )


def data_format(filename: str) -> DataFormat:
    """Return the format of a file by its extension.

    Raises
    ------
    DataFormatNotFound
        The extension is not in :data:`DATA_FORMATS`.
    """
    extension = filename.rpartition("/")[2].rpartition(".")[2]
    try:
        return _BY_EXTENSION[extension.lower()]
    except KeyError:
        known = ", ".join(sorted(filter(None, _BY_EXTENSION)))
        raise DataFormatNotFound(
            filename,
            "extension",
            extension,
            "not the extension of a data format",
            f"use one of {known}, or register the format",
        ) from None


def _types(rows: str) -> dict[str, DatasetType]:
    """Read the table below: name | pattern | unit | shape | description, one type a line.

    A pattern of ``-`` stands for ``*name[._]*``: any namespace before, any timescale, extra parts
    and extension after.
    """
    types = {}
    for row in rows.strip().splitlines():
        name, pattern, unit, shape, description = (cell.strip() for cell in row.split("|"))
        pattern = f"*{name}[._]*" if pattern == "-" else pattern
        types[name] = DatasetType(name, pattern, unit, shape, description)
    return types


# Sources: ONE convention, "standard dataset types"; Alyx data.datasettype fixture (names); units
# and shapes from the IBL overview of datasets. Coordinates are relative to bregma, ML-AP-DV.
DATASET_TYPES: dict[str, DatasetType] = _types(
    """
unknown | | | | A file whose type is not recorded.
spikes.times | - | s | spikes | Spike times from the start of the experiment, float64.
spikes.amps | - | V | spikes | Amplitude of each spike.
spikes.depths | - | um | spikes | Depth of each spike along the probe; 0 is the deepest site, up is positive.
spikes.clusters | - | | spikes | Cluster of each spike: row of clusters, from 0.
spikes.templates | - | | spikes | Detection template of each spike: row of templates, from 0.
spikes.samples | - | samples | spikes | Sample of each spike in its own recording.
clusters.amps | - | V | clusters | Mean amplitude.
clusters.depths | - | um | clusters | Depth of the mean waveform along the probe.
clusters.channels | - | | clusters | Channel of largest amplitude: row of channels.
clusters.probes | - | | clusters | Probe of each cluster: row of probes.
clusters.peakToTrough | - | ms | clusters | Time from peak to trough; negative when the trough is first.
clusters.waveforms | - | V | clusters, samples, channels | Template on the channels nearest to the peak.
clusters.waveformsChannels | - | | clusters, channels | Channels of the waveforms, nearest to the peak first.
clusters.metrics | - | | clusters | Table of quality metrics.
clusters.uuids | - | | clusters | Identifier that stays with the cluster through curation.
clusters.curatedLabels | - | | clusters | Labels given by hand.
clusters.mlapdv | - | um | clusters, 3 | Location relative to bregma.
clusters.brainLocationIds_ccf_2017 | *clusters.brainLocationIds[._]* | | clusters | Allen CCF 2017 identifier of the region.
clusters.brainLocationAcronyms_ccf_2017 | *clusters.brainLocationAcronyms[._]* | | clusters | Allen CCF 2017 acronym of the region.
templates.waveforms | - | V | templates, samples, channels | Templates of spike detection.
templates.waveformsChannels | - | | templates, channels | Channels of the templates.
templates.amps | - | V | templates | Mean amplitude.
channels.rawInd | - | | channels | Row of the channel in the raw file.
channels.localCoordinates | - | um | channels, 2 | Position on the shank: x across, y up from the tip.
channels.probes | - | | channels | Probe of each channel: row of probes.
channels.mlapdv | - | um | channels, 3 | Location relative to bregma.
channels.brainLocationIds_ccf_2017 | *channels.brainLocationIds[._]* | | channels | Allen CCF 2017 identifier of the region.
channels.labels | - | | channels | 0 good, 1 dead, 2 noisy, 3 outside the brain.
electrodeSites.localCoordinates | - | um | sites, 2 | Position on the shank.
electrodeSites.mlapdv | - | um | sites, 3 | Location relative to bregma.
electrodeSites.brainLocationIds_ccf_2017 | *electrodeSites.brainLocationIds[._]* | | sites | Allen CCF 2017 identifier of the region.
probes.description | - | | probes | Label, model, serial number and raw file of each probe (JSON).
probes.trajectory | - | um, deg | probes | The seven parameters of each insertion (JSON).
waveforms.traces | - | V | units, waveforms, channels, samples | Snippets of filtered recording around spikes.
waveforms.templates | - | V | units, channels, samples | Median waveforms.
waveforms.table | - | | waveforms | Sample, cluster and peak channel of each waveform.
waveforms.channels | - | | waveforms, channels | Channels of each waveform.
_phy_spikes_subset.spikes | - | | subset | Spikes for which waveforms are kept.
_phy_spikes_subset.channels | - | | subset, channels | Their channels.
_phy_spikes_subset.waveforms | - | V | subset, samples, channels | Their waveforms.
kilosort.whitening_matrix | _kilosort_whitening.matrix[._]* | | channels, channels | Whitening matrix of the sorter.
_kilosort_raw.output | - | | file | Archive of the sorter's output.
iblsorter_parameters | *iblsorter_parameters.y*ml | | file | Parameters of the sorter.
drift.times | - | s | steps | Times of the drift estimates.
drift.um | - | um | steps, depths | Estimated drift; positive is towards the tip.
drift_depths.um | - | um | depths | Depths of the drift estimates.
_spikeglx_sync.times | - | s | pulses | Times of sync pulses from the start of the recording.
_spikeglx_sync.channels | - | | pulses | Sync channel of each pulse.
_spikeglx_sync.polarities | - | | pulses | 1 rising, -1 falling.
ephysData.raw.ap | *ephysData*.ap.*bin | | file | Action-potential band; cbin is compressed.
ephysData.raw.lf | *ephysData*.lf.*bin | | file | Local-field band; cbin is compressed.
ephysData.raw.nidq | *ephysData*.nidq.*bin | | file | Breakout box channels; cbin is compressed.
ephysData.raw.ch | *ephysData*.ch | | file | Chunk table of a compressed recording (JSON).
ephysData.raw.meta | *ephysData*.meta | | file | Acquisition metadata of SpikeGLX.
ephysData.raw.sync | *ephysData*.sync.*npy | s | pulses, 2 | Synchronisation of several probes.
ephysData.raw.timestamps | *ephysData*.timestamps.*npy | samples, s | points, 2 | Sample and session time; between the points the clock is linear.
ephysData.raw.wiring | *ephysData*.wiring.*json | | file | What is connected to each sync channel.
_iblqc_ephysChannels.apRMS | - | V | channels | Root mean square of the action-potential band.
_iblqc_ephysChannels.rawSpikeRates | - | Hz | channels | Rate of threshold crossings.
_iblqc_ephysChannels.labels | - | | channels | 0 good, 1 dead, 2 noisy, 3 outside the brain.
_iblqc_ephysSpectralDensityAP.freqs | - | Hz | frequencies | Frequencies of the spectrum.
_iblqc_ephysSpectralDensityAP.power | - | V2/Hz | frequencies, channels | Power spectral density.
_iblqc_ephysSpectralDensityLF.freqs | - | Hz | frequencies | Frequencies of the spectrum.
_iblqc_ephysSpectralDensityLF.power | - | V2/Hz | frequencies, channels | Power spectral density.
_iblqc_ephysTimeRmsAP.rms | - | V | steps, channels | Root mean square over time.
_iblqc_ephysTimeRmsAP.timestamps | - | s | steps | Times of the steps.
_iblqc_ephysTimeRmsLF.rms | - | V | steps, channels | Root mean square over time.
_iblqc_ephysTimeRmsLF.timestamps | - | s | steps | Times of the steps.
trials.table | - | | trials | Table of intervals, times, choice, contrasts, feedback and reward of each trial.
trials.intervals | - | s | trials, 2 | Start and end.
trials.choice | - | | trials | -1 report of the right (wheel anticlockwise), 1 of the left, 0 none.
trials.feedbackType | - | | trials | 1 reward, -1 none.
trials.contrastLeft | - | | trials | Contrast from 0 to 1 on the left; NaN when the stimulus is on the right.
trials.contrastRight | - | | trials | Contrast from 0 to 1 on the right; NaN when the stimulus is on the left.
trials.probabilityLeft | - | | trials | Probability of the stimulus being on the left.
trials.goCue_times | - | s | trials | Start of the go tone.
trials.goCueTrigger_times | - | s | trials | Command to play the go tone.
trials.stimOn_times | - | s | trials | Stimulus seen on the screen.
trials.stimOnTrigger_times | - | s | trials | Command to show the stimulus.
trials.stimOff_times | - | s | trials | Stimulus gone from the screen.
trials.stimOffTrigger_times | - | s | trials | Command to hide the stimulus.
trials.stimFreeze_times | - | s | trials | Stimulus frozen on the screen.
trials.stimFreezeTrigger_times | - | s | trials | Command to freeze the stimulus.
trials.stimCenter_times | - | s | trials | Stimulus at the centre of the screen (habituation).
trials.stimCenterTrigger_times | - | s | trials | Command to centre the stimulus (habituation).
trials.response_times | - | s | trials | Threshold of the wheel reached, or time out.
trials.feedback_times | - | s | trials | Valve opened or noise played.
trials.errorCue_times | - | s | trials | Start of the noise.
trials.errorCueTrigger_times | - | s | trials | Command to play the noise.
trials.firstMovement_times | - | s | trials | Onset of the first movement that counts as a report.
trials.rewardVolume | - | ul | trials | Water given; 0 for none.
trials.repNum | - | | trials | Count of consecutive repeats after errors; 0 outside them.
trials.included | - | | trials | Whether the trial is to be analysed.
trials.itiDuration | - | s | trials | Inter-trial interval.
trials.quiescencePeriod | - | s | trials | Time for which the wheel had to be still.
trials.position | - | deg | trials | Position of the stimulus on the screen.
trials.phase | - | rad | trials | Phase of the grating.
trials.intervals_bpod | *trials.intervals_bpod.* | s | trials, 2 | Start and end in the state machine's clock.
trials.laserStimulation | - | | trials | Whether the laser was on.
wheel.position | - | rad | samples | Position of the wheel, anticlockwise positive.
wheel.velocity | - | rad/s | samples | Speed of the wheel.
wheel.timestamps | - | s | samples | Times of the positions.
wheelMoves.intervals | - | s | moves, 2 | Onset and offset of each movement.
wheelMoves.peakAmplitude | - | rad | moves | Signed extreme of the position from its onset.
wheelMoves.type | - | | moves | Class of movement.
subjectTrials.table | - | | trials | Trials of all sessions of a subject.
subjectSessions.table | - | | sessions | One row for each session of a subject.
subjectTraining.table | - | | sessions | Training status and its criteria, for each session of a subject.
training.csv | training.csv | | sessions | Training status of a subject in the form of ibllib.
ambient.table | - | C, mb, % | trials | Temperature, pressure and humidity at each trial.
sessionManifest.files | - | | files | Path, size and checksum of each file of a session.
taskQC.checks | - | | checks | Fraction of trials that pass each check, and its outcome.
ephysAlignment.polynomial | - | | coefficients | Clock of a probe to the session's clock.
session.narrative | - | | file | Notes on the session.
_iblrig_taskData.raw | - | | trials | One JSON object for each trial.
_iblrig_taskSettings.raw | - | | file | Settings of the task, the rig and the subject (JSON).
_iblrig_encoderPositions.raw | - | us, ticks | samples | Rotary encoder positions.
_iblrig_encoderEvents.raw | - | us | events | Events that the state machine sent to the rotary encoder.
_iblrig_encoderTrialInfo.raw | - | | trials | Parameters of the stimulus of each trial.
_iblrig_stimPositionScreen.raw | - | | samples | Position of the stimulus on the screen.
_iblrig_syncSquareUpdate.raw | - | | flips | Changes of the sync square on the screen.
_iblrig_ambientSensorData.raw | - | C, mb, % | trials | Temperature, pressure and humidity, one JSON object for each trial.
_iblrig_stimCodeFiles.raw | - | | file | Code that showed the stimuli.
_iblrig_taskCodeFiles.raw | - | | file | Code of the task.
_iblrig_codeFiles.raw | - | | file | Code of the task and the stimuli.
_iblrig_videoCodeFiles.raw | - | | file | Code that recorded the video.
_iblrig_micData.raw | - | | file | Sound recorded in the rig.
_iblrig_RFMapStim.raw | - | | frames | Frames of the receptive-field stimulus.
_iblrig_Camera.raw | _iblrig_*Camera.raw.* | | file | Video of a camera.
_iblrig_Camera.timestamps | _iblrig_*Camera.timestamps.* | | frames | Frame times of a camera in its own clocks.
_iblrig_Camera.frameData | _iblrig_*Camera.frameData.* | | frames | Clocks, counter and pin state of each frame.
_iblrig_Camera.frame_counter | _iblrig_*Camera.frame_counter.* | | frames | Counter of each frame.
_iblrig_Camera.GPIO | _iblrig_*Camera.GPIO.* | | frames | Pin state of each frame.
_iblmic_audioSpectrogram.frequencies | - | Hz | frequencies | Frequencies of the spectrogram.
_iblmic_audioSpectrogram.power | - | | times, frequencies | Power of the spectrogram.
_iblmic_audioSpectrogram.times_mic | _iblmic_audioSpectrogram.times[._]* | s | times | Times in the microphone's clock.
_iblmic_audioOnsetGoCue.times_mic | _iblmic_audioOnsetGoCue.times[._]* | s | cues | Go tones in the microphone's clock.
experiment.description | _ibl_experiment.description.* | | file | Devices, protocols and synchronisation of the session.
raw_session.flag | raw_session.flag | | file | Mark of a session that is ready to be processed.
passivePeriods.intervalsTable | - | s | periods | Start and end of the passive protocols.
passiveRFM.times | - | s | frames | Times of the receptive-field frames.
passiveGabor.table | - | | stimuli | Gratings shown passively.
passiveStims.table | - | | stimuli | Valve, tone and noise played passively.
passiveTrials.intervals | - | s | trials, 2 | Start and end of passive trials.
passiveTrials.contrastLeft | - | | trials | Contrast on the left.
passiveTrials.contrastRight | - | | trials | Contrast on the right.
passiveTrials.stimOn_times | - | s | trials | Stimulus seen on the screen.
passiveTrials.included | - | | trials | Whether the trial is to be analysed.
passiveBeeps.times | - | s | beeps | Tones played passively.
passiveValveClicks.times | - | s | clicks | Valve clicks played passively.
passiveWhiteNoise.times | - | s | bursts | Noise played passively.
sparseNoise.xyPos | - | deg | squares, 2 | Screen position of the squares.
sparseNoise.times | - | s | squares | Times of the squares.
camera.times | - | s | frames | Times of the frames, one file for each camera.
camera.dlc | - | px | frames | Pose: x, y and likelihood of each point.
camera.lightningPose | - | px | frames | Pose: x, y and likelihood of each point.
camera.features | - | | frames | Pupil diameter and other features.
ROIMotionEnergy.position | - | px | 4 | Rectangle in which motion energy is computed.
camera.ROIMotionEnergy | *Camera.ROIMotionEnergy[._]* | | frames | Motion energy in a rectangle.
licks.times | - | s | licks | Licks.
widefieldU.images | - | | height, width, components | Spatial components.
widefieldU.mask | widefieldU.mask[._]* | | height, width | Mask applied before preprocessing.
widefieldSVT.uncorrected | - | | components, frames | Temporal components.
widefieldSVT.haemoCorrected | - | | components, frames | Temporal components, corrected for blood.
widefield.times | - | s | frames | Times of the frames.
widefield.raw | *widefield.raw.* | | frames, height, width | Compressed frames.
widefield.raw.meta | *widefield.raw.meta.* | | file | Frame rate and channels.
widefieldLandmarks.dorsalCortex | - | | file | Landmarks for alignment.
widefieldEvents.raw | - | s | events, 2 | Frame and time of acquisition events.
widefieldChannels.frameAverage | - | | channels, height, width | Mean frame of each channel.
widefieldChannels.wiring | - | nm | channels | Light source of each channel.
imagingLightSource.properties | - | nm | channels | Number, colour and wavelength of each light source.
subjectWidefieldU.mask_atlasTransformed | *subjectWidefieldU.mask[._]* | | height, width | Mask of all sessions of a subject, aligned to the atlas.
photometry.signal | - | | frames, regions | Photometry signal.
photometry.ROIs | - | | regions | Number of each region.
photometryROI.locations | - | | regions | Fibre and brain region of each photometry region.
photometryFibers.brainLocationAcronyms_ccf_2017 | *photometryFibers.brainLocationAcronyms[._]* | | fibres | Allen CCF 2017 acronym of the region.
imaging.frames | - | | frames, height, width | Raw frames.
imaging.times | - | s | frames | Times of the frames.
imaging.imagingLightSource | - | | frames | Light source of each frame: row of imagingLightSource.
rawImagingData.times | - | s | frames | Raw frame exposure times.
mpci.times | - | s | frames | Times of the frames.
mpci.badFrames | - | | frames | Frames to leave out.
mpci.mpciFrameQC | - | | frames | Quality of each frame: row of mpciFrameQC.
mpci.ROIActivityF | - | | frames, rois | Mean fluorescence of each region.
mpci.ROINeuropilActivityF | - | | frames, rois | Mean fluorescence around each region.
mpci.ROIActivityDeconvolved | - | | frames, rois | Deconvolved activity of each region.
mpci.componentsActivity | - | | frames, components | Temporal components of each plane.
mpciFrameQC.names | - | | kinds | Meaning of the frame qualities.
mpciComponents.images | - | | components, height, width | Component images of each plane.
mpciMeanImage.images | - | | channels, height, width | Mean image of each plane and channel.
mpciMeanImage.mlapdv | - | um | height, width, 3 | Location of each pixel relative to bregma.
mpciMeanImage.brainLocationIds | *mpciMeanImage.brainLocationIds[._]* | | height, width | Allen identifier of each pixel.
mpciROIs.stackPos | - | px | rois, 3 | Pixel and plane of each region's centre.
mpciROIs.mlapdv | - | um | rois, 3 | Location relative to bregma.
mpciROIs.mpciROITypes | - | | rois | Kind of each region: row of mpciROITypes.
mpciROIs.masks | - | | rois, height, width | Mask of each region (sparse).
mpciROIs.neuropilMasks | - | | rois, height, width | Mask around each region (sparse).
mpciROIs.uuids | - | | rois | Identifier of each region.
mpciROIs.cellClassifier | - | | rois | Classifier score from 0 to 1.
mpciROIs.brainLocationIds | *mpciROIs.brainLocationIds[._]* | | rois | Allen identifier of each region.
mpciROITypes.names | - | | kinds | Meaning of the kinds of region.
mpciStack.timeshift | - | s | height, width | Scanning delay of each voxel.
referenceImage.raw | - | | height, width | Full-field picture for alignment.
referenceImage.stack | - | | depth, height, width | Stack for alignment.
referenceImage.meta | - | | file | Scale and depths of the stack.
ROIData.raw | - | | file | Output of the cell detection.
DAQdata.raw | _*_DAQdata.raw[._]* | | file | Output of an acquisition program; the namespace says which.
DAQdata.timestamps | _*_DAQdata.timestamps[._]* | s | points, 2 | Sample and time of the acquisition.
DAQdata.meta | _*_DAQdata.meta[._]* | | file | Channels and settings of the acquisition.
DAQdata.wiring | _*_DAQdata.wiring[._]* | | file | What is connected to each channel.
_rigbox_jsonParameters.raw | - | | file | Parameters of a Rigbox task.
_rigbox_matParameters.raw | - | | file | Parameters of a Rigbox task.
_rigbox_Block.raw | - | | file | Events of a Rigbox task.
_rigbox_timeLine.raw | - | | file | Timeline recording of Rigbox.
"""
)

# Alyx's table of formats, with wav and avi as rigs write them before compression.
DATA_FORMATS: dict[str, DataFormat] = {
    row.name: row
    for row in (
        DataFormat("unknown", "", "format that is not recorded"),
        DataFormat("notData", "", "datasets without a file of their own"),
        DataFormat("npy", "npy", "NumPy array", rows=True),
        DataFormat("parquet", "pqt", "Apache Parquet table", rows=True),
        DataFormat("jsonable", "jsonable", "text, one JSON value a line", rows=True),
        DataFormat("csv", "csv", "comma-separated table with a header", rows=True),
        DataFormat("ssv", "ssv", "space-separated table", rows=True),
        DataFormat("tsv", "tsv", "tab-separated table", rows=True),
        DataFormat("htsv", "htsv", "tab-separated table with a header", rows=True),
        DataFormat("npz", "npz", "ZIP archive of NumPy arrays"),
        DataFormat("sparse npz", "sparse_npz", "compressed sparse array of pydata/sparse"),
        DataFormat("json", "json", "JSON"),
        DataFormat("yml", "yml", "YAML"),
        DataFormat("yaml", "yaml", "YAML"),
        DataFormat("bin", "bin", "binary without a header"),
        DataFormat("cbin", "cbin", "compressed multichannel recording"),
        DataFormat("ch", "ch", "chunk table of a compressed recording (JSON)"),
        DataFormat("meta", "meta", "acquisition metadata of SpikeGLX"),
        DataFormat("tdms", "tdms", "National Instruments data stream"),
        DataFormat("mat", "mat", "MATLAB data"),
        DataFormat("m", "m", "MATLAB code"),
        DataFormat("log", "log", "text log"),
        DataFormat("flac", "flac", "lossless compressed sound"),
        DataFormat("wav", "wav", "sound"),
        DataFormat("mp4", "mp4", "video"),
        DataFormat("mj2", "mj2", "video in Motion JPEG 2000"),
        DataFormat("avi", "avi", "video"),
        DataFormat("tif", "tif", "images"),
        DataFormat("tar", "tar", "archive"),
        DataFormat("zip", "zip", "compressed archive"),
        DataFormat("bzip2", "bz2", "compressed file"),
    )
}
_BY_EXTENSION = {f.extension: f for f in DATA_FORMATS.values() if f.extension}
