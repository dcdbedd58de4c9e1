"""Synthetic recordings that look like the ones laboratories make.

Every generator takes a number of samples and a seed and returns `(samples × channels array,
sample rate in Hz)`. The parameters of the Neuropixels 1.0 action-potential band were fitted to
the statistics of real Neuropixels frames (standard deviation 8 LSB, lag-1 correlation 0.80,
correlation between neighbours 0.58 of the signal and 0.2 of its differences, 4.36 bits of
entropy of the differences); the others follow the compression ratios published for, or measured
on, recordings of their kind. They are look-alikes: a real recording given to the benchmark
always says more.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float32]
Recording = tuple[NDArray[np.int16], float]


def autoregressive(noise: NDArray[Any], coefficient: float) -> Floats:
    """First-order low-pass along time with unit output variance for unit white input."""
    gain = np.sqrt(1 - coefficient**2)
    return lfilter([gain], [1, -coefficient], noise, axis=0).astype(np.float32)


def field(
    rng: np.random.Generator, samples: int, channels: int, scales: list[tuple[float, float]]
) -> Floats:
    """White in time, smooth across channels: a sum of `(share, length in channels)` kernels."""
    total = np.zeros((samples, channels), np.float32)
    for share, length in scales:
        margin = int(4 * length) + 1
        sources = np.arange(-margin, channels + margin)
        kernel = np.exp(-np.abs(np.arange(channels)[:, None] - sources[None, :]) / length)
        kernel *= np.sqrt(share) / np.sqrt((kernel**2).sum(axis=1, keepdims=True))
        white = rng.standard_normal((samples, len(sources)), dtype=np.float32)
        total += white @ kernel.T.astype(np.float32)
    return total


def add_spikes(
    rng: np.random.Generator,
    traces: Floats,
    units: int,
    amplitude: tuple[float, float],
    rate: float,
    sample_rate: float,
    footprint: float = 4.0,
) -> None:
    """Add biphasic spikes with an exponential spatial footprint, in place."""
    samples, channels = traces.shape
    before, after = int(0.7e-3 * sample_rate), int(1.4e-3 * sample_rate)
    time = np.arange(-before, after) / sample_rate * 1000
    wave = -np.exp(-((time / 0.12) ** 2)) + 0.45 * np.exp(-(((time - 0.35) / 0.25) ** 2))
    for _ in range(units):
        centre = rng.integers(0, channels)
        size = np.exp(rng.uniform(*np.log(amplitude)))
        near = np.arange(max(0, int(centre) - 12), min(channels, int(centre) + 13))
        spread = np.exp(-np.abs(near - centre) / footprint)
        spike = (size * wave[:, None] * spread[None, :]).astype(np.float32)
        count = rng.poisson(rng.gamma(1.2, rate / 1.2) * samples / sample_rate)
        for start in rng.integers(0, max(1, samples - before - after), count):
            window = traces[start : start + before + after, near[0] : near[-1] + 1]
            window += spike[: len(window)]


def digitise(traces: Floats, bits: int) -> NDArray[np.int16]:
    """Round to the converter's steps and clip to its range."""
    top = 2 ** (bits - 1)
    return np.clip(np.rint(traces), -top, top - 1).astype(np.int16)


def neuropixels_1_ap(samples: int = 120_000, seed: int = 1) -> Recording:
    """Neuropixels 1.0, AP band: 384 sites of 10 bits, multiplexed converters, and sync."""
    rng = np.random.default_rng(seed)
    channels = 385
    shared = autoregressive(field(rng, samples, channels, [(0.5, 3), (0.5, 14)]), 0.88)
    # Twelve multiplexed slots per converter: neighbours are sampled at different instants.
    delay = (((np.arange(channels) // 2) % 12) / 24).astype(np.float32)
    shared[1:] = shared[1:] * (1 - delay) + shared[:-1] * delay
    private = autoregressive(rng.standard_normal((samples, channels), dtype=np.float32), 0.61)
    converter = np.arange(channels) % 2 + 2 * (np.arange(channels) // 24)
    common = rng.standard_normal((samples, converter.max() + 1), dtype=np.float32)
    traces = np.sqrt(0.60) * shared + np.sqrt(0.40) * private + 0.03 * common[:, converter]
    traces *= 7.7 * np.exp(0.08 * rng.standard_normal(channels)).astype(np.float32)
    add_spikes(rng, traces, 250, (8, 60), 6, 30_000)
    traces[:, 191] *= 0.25  # the internal reference site
    recording = digitise(traces, 10)
    recording[:, 384] = np.where((np.arange(samples) // 7511) % 2, 64, 0)
    return recording, 30_000.0


def neuropixels_2_wide(samples: int = 90_000, seed: int = 2) -> Recording:
    """Neuropixels 2.0, wide band: 14 bits, field potential and spikes in one signal, and sync."""
    rng = np.random.default_rng(seed)
    channels = 385
    slow = autoregressive(field(rng, samples, channels, [(0.6, 20), (0.4, 120)]), 0.998)
    shared = autoregressive(field(rng, samples, channels, [(0.5, 3), (0.5, 14)]), 0.85)
    private = autoregressive(rng.standard_normal((samples, channels), dtype=np.float32), 0.45)
    traces = 150 * slow + 12.6 * shared + 13.8 * private
    traces *= np.exp(0.08 * rng.standard_normal(channels)).astype(np.float32)
    add_spikes(rng, traces, 250, (30, 250), 6, 30_000)
    recording = digitise(traces, 14)
    recording[:, 384] = np.where((np.arange(samples) // 7511) % 2, 64, 0)
    return recording, 30_000.0


def neuropixels_1_lf(samples: int = 25_000, seed: int = 3) -> Recording:
    """Neuropixels 1.0, LF band at 2.5 kHz: field potential, smooth in space and time."""
    rng = np.random.default_rng(seed)
    channels = 385
    slow = autoregressive(field(rng, samples, channels, [(0.7, 20), (0.3, 120)]), 0.99)
    middle = autoregressive(field(rng, samples, channels, [(1.0, 6)]), 0.8)
    private = rng.standard_normal((samples, channels), dtype=np.float32)
    traces = 12 * slow + 2.3 * middle + 2.0 * autoregressive(private, 0.35)
    traces *= np.exp(0.05 * rng.standard_normal(channels)).astype(np.float32)
    recording = digitise(traces, 10)
    recording[:, 384] = np.where((np.arange(samples) // 626) % 2, 64, 0)
    return recording, 2_500.0


def auxiliary(samples: int = 300_000, seed: int = 4) -> Recording:
    """NIDQ-like: eight analogue lines (photodiode, camera TTL, wheel, audio) and a bit mask."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples)
    traces = 1.4 * rng.standard_normal((samples, 9), dtype=np.float32)
    traces[:, 0] += 2000 * ((time // 5011) % 2) + 4 * rng.standard_normal(samples)
    traces[:, 1] += 9000 * ((time % 500) < 80)
    traces[:, 2] += 9000 * ((time % 200) < 40)
    traces[:, 3] += 3000 * np.sin(time / 9000)
    traces[:, 4] += 400 * autoregressive(rng.standard_normal((samples, 1)), 0.97)[:, 0]
    traces[:, 5] += 1000 * np.sin(time / 11.3) * np.exp(-((time % 60000) / 8000))
    traces[:, 6] += 40 * autoregressive(rng.standard_normal((samples, 1)), 0.9)[:, 0]
    recording = digitise(traces, 16)
    recording[:, 8] = ((time // 5011) % 2) + 2 * ((time % 500) < 80) + 4 * ((time // 15000) % 2)
    return recording, 30_000.0


def _wide_band(
    rng: np.random.Generator,
    samples: int,
    channels: int,
    slow: tuple[float, float],
    hiss: tuple[float, list[float]],
    share: float,
) -> Floats:
    """Field potential plus band-limited hiss, a `share` of it common to all channels.

    `slow` is (size, pole); `hiss` is (size, moving-average weights).
    """
    white = rng.standard_normal((samples, channels + 1), dtype=np.float32)
    mixed = np.sqrt(1 - share) * white[:, 1:] + np.sqrt(share) * white[:, :1]
    weights = np.array(hiss[1]) / np.linalg.norm(hiss[1])
    band = lfilter(weights, [1.0], mixed, axis=0).astype(np.float32)
    drift = rng.standard_normal((samples, channels + 1), dtype=np.float32)
    drift = autoregressive(0.95 * drift[:, :1] + 0.31 * drift[:, 1:], slow[1])
    return slow[0] * drift + hiss[0] * band


def tetrode(samples: int = 431_548, seed: int = 5) -> Recording:
    """Insect antennal lobe tetrode, 12 bits at 15 kHz: large band-limited background."""
    rng = np.random.default_rng(seed)
    weights = [1.0, 1.25, 0.55, 0.0, -0.2]
    traces = _wide_band(rng, samples, 4, (50, 0.97), (84, weights), 0.35)
    add_spikes(rng, traces, 8, (150, 900), 6, 15_000)
    return digitise(traces, 12) + np.int16(2048), 15_000.0


def tetrode_short(samples: int = 20_000, seed: int = 6) -> Recording:
    """Broadband tetrode, one second: a file of 160 kB."""
    rng = np.random.default_rng(seed)
    weights = [1.0, 1.5, 1.1, 0.5, 0.1]
    traces = _wide_band(rng, samples, 4, (300, 0.995), (175, weights), 0.3)
    add_spikes(rng, traces, 5, (300, 1500), 8, 20_000)
    return digitise(traces, 15), 20_000.0


def intan_32(samples: int = 19_440, seed: int = 7) -> Recording:
    """Short sample of a 32-channel amplifier board, 20 kHz, 0.195 µV per step."""
    rng = np.random.default_rng(seed)
    traces = _wide_band(rng, samples, 32, (40, 0.99), (21, [1.0, 0.65, 0.1]), 0.1)
    traces *= np.exp(0.3 * rng.standard_normal(32)).astype(np.float32)
    return digitise(traces, 16), 20_000.0


def culture_8(samples: int = 158_024, seed: int = 8) -> Recording:
    """Eight electrodes of a culture array: quiet, with stimulation artefacts and saturation."""
    rng = np.random.default_rng(seed)
    traces = _wide_band(rng, samples, 8, (6, 0.98), (5, [1.0, 0.8, 0.3]), 0.2)
    for start in range(9_000, samples - 4_000, 19_000):
        decay = np.exp(-np.arange(4_000) / 400)[:, None]
        traces[start : start + 4_000] += (rng.uniform(-60_000, 60_000, 8) * decay).astype("f4")
        traces[start : start + 4_000] *= 1 + decay
    return digitise(traces, 16), 20_000.0


def stretched_5(samples: int = 98_000, seed: int = 9) -> Recording:
    """Five channels of a 10-bit converter stretched to 16 bits: steps of 64 and 65."""
    rng = np.random.default_rng(seed)
    traces = _wide_band(rng, samples, 5, (10, 0.99), (6.0, [1.0, 0.9, 0.4]), 0.0)
    add_spikes(rng, traces, 5, (10, 120), 20, 19_531)
    counts = digitise(traces, 10).astype(np.float64)
    return np.rint((counts + 0.5) * 64.061577).astype(np.int16), 19_531.0


def field_potential_1(samples: int = 66_438, seed: int = 10) -> Recording:
    """One channel of hippocampal field potential: smooth, steep spectrum."""
    rng = np.random.default_rng(seed)
    slow = autoregressive(rng.standard_normal((samples, 1), dtype=np.float32), 0.97)
    theta = 700 * np.sin(np.arange(samples)[:, None] * 2 * np.pi * 8 / 1250)
    traces = 900 * lfilter([0.15], [1, -0.85], slow, axis=0) + theta.astype("f4")
    traces += 9 * rng.standard_normal((samples, 1), dtype=np.float32)
    return digitise(traces, 16), 1_250.0


RECORDINGS: dict[str, Callable[[], Recording]] = {
    "np1_ap": neuropixels_1_ap,
    "np2_wide": neuropixels_2_wide,
    "np1_lf": neuropixels_1_lf,
    "nidq": auxiliary,
    "tetrode": tetrode,
    "tetrode_short": tetrode_short,
    "intan_32": intan_32,
    "culture_8": culture_8,
    "stretched_5": stretched_5,
    "field_1": field_potential_1,
}
