"""Fornix recordings in SpikeInterface, and so in all analyses that build on it.

from shared.recordings.spikeinterface import read_fornix

recording = read_fornix("ap.ebin")                 # or an HTTP address, or mtscomp's .cbin
"""

from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment
from spikeinterface.core.core_tools import define_function_from_class

from shared.codec.reader import Reader
from shared.recordings.opening import open as open_recording
from shared.recordings.remote import is_address


class FornixRecordingExtractor(BaseRecording):
    """A compressed recording as a recording of SpikeInterface.

    Parameters
    ----------
    file_path : str or path
        `.ebin` or `.cbin`, a local path or an HTTP address.
    sidecar : str or path, optional
        The `.eh` or `.ch`, if it is not beside the file.
    gain_to_uv, offset_to_uv : float or list of float, optional
        Microvolts per step, and at zero, of each channel; by default those of the recording.
    """

    mode = "file"
    name = "fornix"

    def __init__(
        self,
        file_path: str | Path,
        sidecar: str | Path | None = None,
        gain_to_uv: Any = None,
        offset_to_uv: Any = None,
    ) -> None:
        opened = open_recording(file_path, sidecar=sidecar)
        super().__init__(
            sampling_frequency=opened.sample_rate,
            channel_ids=np.arange(opened.shape[1]),
            dtype=opened.dtype,
        )
        self.add_recording_segment(FornixRecordingSegment(opened))
        gains = gain_to_uv if gain_to_uv is not None else opened.index.facts.get("microvolts")
        if gains is not None:
            self.set_channel_gains(gains)
            self.set_channel_offsets(0 if offset_to_uv is None else offset_to_uv)
        whole = str(file_path) if is_address(file_path) else str(Path(file_path).absolute())
        self._kwargs = {
            "file_path": whole,
            "sidecar": None if sidecar is None else str(sidecar),
            "gain_to_uv": gain_to_uv,
            "offset_to_uv": offset_to_uv,
        }


class FornixRecordingSegment(BaseRecordingSegment):
    """The one segment of a recording."""

    def __init__(self, opened: Reader) -> None:
        super().__init__(sampling_frequency=opened.sample_rate)
        self._opened = opened

    def get_num_samples(self) -> int:
        """Return samples per channel."""
        return self._opened.shape[0]

    def get_traces(
        self,
        start_frame: int | None = None,
        end_frame: int | None = None,
        channel_indices: Any = None,
    ) -> Any:
        """Return samples × channels."""
        channels = slice(None) if channel_indices is None else channel_indices
        return self._opened[start_frame:end_frame, channels]


read_fornix = define_function_from_class(FornixRecordingExtractor, name="read_fornix")
