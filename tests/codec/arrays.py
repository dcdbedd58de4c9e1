"""Arrays that are hard on a codec, and small recordings that look real."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.signal import lfilter

DTYPES = ("int16", "uint16", "int32")


def recording(samples: int = 3000, channels: int = 20, seed: int = 0) -> np.ndarray:
    """Correlated noise with a synchronisation line, as probes make it."""
    rng = np.random.default_rng(seed)
    common = np.cumsum(rng.normal(0, 3, (samples, 1)), axis=0)
    noise = rng.normal(0, 6, (samples, channels))
    noise[1:] += 0.7 * noise[:-1]
    traces = np.rint(0.3 * common + noise).astype("int16")
    if channels > 1:
        traces[:, -1] = 64 * (np.arange(samples) // 700 % 2)
    return traces


def delayed(samples: int = 9001, channels: int = 36) -> np.ndarray:
    """Noise that channels share one or two samples later, as converters that take turns see it."""
    rng = np.random.default_rng(5)
    common = rng.normal(0, 60, samples + 2)
    shared = np.stack([common[late : late + samples] for late in np.arange(channels) % 3], axis=1)
    return np.rint(shared + rng.normal(0, 4, shared.shape)).astype("int16")


def smooth(samples: int = 100_000, channels: int = 2, surprise: float = 30.0) -> np.ndarray:
    """Noise far slower than it is sampled: of each sample only the surprise is new."""
    poles = np.array([0.95, 0.93]) * np.exp([0.2j, 0.5j])
    taps = np.poly(np.concatenate([poles, poles.conj()])).real
    white = np.random.default_rng(6).normal(0, surprise, (samples, channels))
    return np.rint(lfilter([1.0], taps, white, axis=0)).astype("int16")


def stretched(counts: np.ndarray, step: float = 12.05) -> np.ndarray:
    """Counts of a converter stored in finer steps, after an offset of each channel's own.

    The first channel is flat, and the channels together use nearly every value.
    """
    offsets = np.random.default_rng(6).uniform(0, step, counts.shape[1])
    values = np.floor(counts * step + offsets)
    values[:, 0] = 7
    return values.astype(counts.dtype)


def faint(samples: int = 20_000, channels: int = 5) -> np.ndarray:
    """Noise of less than a step of the converter, with a click now and then."""
    rng = np.random.default_rng(9)
    traces = np.rint(rng.normal(0, np.linspace(0.1, 1.5, channels), (samples, channels)))
    traces[::997] += 40
    return traces.astype("int16")


def bursts(samples: int = 9000, channels: int = 3) -> np.ndarray:
    """Smooth noise with loud stretches and full-scale jumps."""
    rng = np.random.default_rng(4)
    time = np.arange(samples)[:, None]
    noise = 9000 * np.sin(time / (9 + np.arange(channels))) + 3000 * np.sin(time / 31)
    noise += rng.normal(0, 2, noise.shape)
    noise[3000:4500] += rng.normal(0, 300, (1500, channels))
    traces = np.clip(np.rint(noise), -32768, 32767).astype("int16")
    traces[6000:6003] = [[-32768], [32767], [-32768]]
    return traces


def adversarial(dtype: str = "int16") -> dict[str, np.ndarray]:
    """Arrays that break codecs: extremes, degenerate shapes, sparse alphabets, odd memory."""
    rng = np.random.default_rng(1)
    info = np.iinfo(dtype)
    length = 2600
    time = np.arange(length)
    middle = (int(info.max) + int(info.min)) // 2
    half = int(info.max) - middle
    ramp = (time[:, None] * 7919).astype("int64")
    cases: dict[str, np.ndarray] = {
        "constant": np.full((length, 5), info.max),
        "zeros": np.zeros((length, 3)),
        "one sample": rng.integers(info.min, info.max, (1, 7)),
        "one value": np.array([[info.min]]),
        "one channel": np.rint(middle + 0.01 * half * np.sin(time / 50))[:, None],
        "full range": rng.integers(info.min, info.max, (length, 9), endpoint=True),
        "alternating extremes": np.where((time % 2)[:, None] == 0, info.min, info.max)
        * np.ones((1, 4), "int64"),
        "random extremes": rng.choice([info.min, info.max], (length, 40)),
        "saturated sine": np.clip(
            middle + 3.0 * half * np.sin(time[:, None] / 30 + np.arange(6)), info.min, info.max
        ),
        "wrapping ramp": (ramp + np.arange(35) * 1000) % (int(info.max) - int(info.min) + 1)
        + int(info.min),
        "full-scale steps": np.where((time // 100 % 2)[:, None] == 0, info.min, info.max)
        * np.ones((1, 33), "int64"),
        "impulses": np.where(rng.random((length, 12)) < 0.001, info.max, middle),
        "stretched by 12": middle + 12 * rng.integers(-60, 60, (length, 8)),
        "stretched unevenly": middle + np.rint(64.06 * rng.integers(-200, 200, (length, 5))),
        "two values": rng.choice([3, 5], (length, 3)),
        "identical channels": np.repeat(
            np.cumsum(rng.integers(-3, 4, (length, 1)), axis=0) + middle, 40, axis=1
        ),
        "quiet then loud": middle
        + np.rint(rng.normal(0, 1, (length, 4)) * 10.0 ** (time // 900)[:, None]),
        "odd length": rng.integers(middle - 9, middle + 9, (4097, 33)),
        "more channels than samples": rng.integers(middle - 9, middle + 9, (3, 500)),
        "far from zero": info.max - 50 + rng.integers(-40, 40, (length, 6)),
    }
    counts = rng.integers(-60, 60, (length, 40))
    cases |= {
        "offset and stretched": middle + 12 * counts + rng.integers(0, 12, 40),
        "offset and stretched unevenly": middle + stretched(counts[:, :7], 24.1),
    }
    ready = {
        name: np.clip(array, info.min, info.max).astype(dtype) for name, array in cases.items()
    }
    strided = rng.integers(-50, 50, (2 * length, 30)).astype(dtype)
    ready["not contiguous"] = strided[::2, 5:25:3]
    ready["Fortran order"] = np.asfortranarray(strided[:600])
    ready["reversed"] = strided[::-1, ::-1]
    return ready


@st.composite
def arrays(draw: st.DrawFn, dtypes: tuple[str, ...] = DTYPES) -> np.ndarray:
    """Draw arrays of any shape and type, plain, scaled, smoothed or stretched."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = (draw(st.integers(1, 700)), draw(st.sampled_from([1, 2, 3, 5, 31, 32, 40])))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    size = 2.0 ** draw(st.integers(0, 8 * dtype.itemsize))
    values = rng.normal(0, size, shape)
    if draw(st.booleans()):
        values = np.cumsum(values, axis=0)
    if draw(st.booleans()):
        values = np.cumsum(values, axis=1)
    values = np.rint(values) * draw(st.sampled_from([1, 1, 3, 64]))
    if draw(st.booleans()):
        values += rng.integers(0, 64, shape[1])
    if info.min == 0 and draw(st.booleans()):
        values += float(info.max // 2)
    wrapped = (
        values.astype("int64") if draw(st.booleans()) else np.clip(values, info.min, info.max)
    )
    array = wrapped.astype("int64").astype(dtype)
    for _ in range(draw(st.integers(0, 3))):
        t, c = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        array[t, c] = draw(hnp.from_dtype(dtype))
    return array
