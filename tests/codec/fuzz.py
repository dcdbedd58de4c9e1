"""A million ways to damage a recording: `python -m tests.codec.fuzz --cases 1000000`.

Each case damages a valid chunk, file, sidecar or `.cbin` pair and reads it. Allowed are the
codec's own error, and the right samples; nothing else: no other exception, no hang, no wrong
sample, no allocation beyond a small multiple of what the valid recording needs. Half of the cases
forge the checksums too, so that the damage reaches the innermost parsers; then samples may differ
(whoever can forge a checksum can write any recording), but nothing else may happen.
"""

from __future__ import annotations

import argparse
import json
import struct
import tempfile
import time
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import zstandard

from shared import codec, recordings
from shared.codec import chunk, decoder, encoder, salvage
from shared.codec import header as file_header
from shared.codec import index as chunk_index
from shared.codec.levels import LEVELS
from shared.codec.opened import open_chunk
from shared.recordings import mtscomp as pairs
from tests.codec.arrays import bursts, faint, recording, stretched

SLOW = 5.0  # seconds after which a case counts as a hang
ROOMY = 64 << 20  # bytes that no case may allocate at once: the recordings are a thousandth


class Bytes:
    """Bytes in memory, as a file."""

    name, ahead = "fuzzed", 1 << 16

    def __init__(self, data: bytes) -> None:
        self.data = data

    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


class Fuzzer:
    """Damages one recording after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.outcomes: Counter[str] = Counter()
        by_rank = (recording(900, 5) * 64).astype("int16")
        wide = recording(700, 4).astype("int32") * 100_000
        self.recordings = [
            recording(900, 6),
            recording(500, 33, seed=2),
            recording(2600, 2, seed=3),
            by_rank,
            wide,
            (recording(400, 3) + 30_000).astype("uint16"),
            np.zeros((300, 4), "int16"),
            self.rng.integers(-32768, 32767, (60, 5)).astype("int16"),
            stretched(recording(900, 6) // 4),
            faint(900, 3),
        ]
        self.files: list[tuple[np.ndarray, bytes, chunk_index.RecordingIndex]] = []
        self.pairs: list[tuple[np.ndarray, bytes, dict[str, object]]] = []
        with tempfile.TemporaryDirectory() as folder:
            for samples in self.recordings:
                path = Path(folder) / "a.ebin"
                level = ["default", "fast", "high"][len(self.files) % 3]
                index = recordings.compress(
                    samples, path, sample_rate=100, chunk_length=300, level=level, overwrite=True
                )
                self.files.append((samples, path.read_bytes(), index))
            for samples in self.recordings[:2]:
                path = Path(folder) / "a.cbin"
                header = pairs.compress(
                    recordings.open_source(samples), path, sample_rate=300, overwrite=True
                )
                self.pairs.append((samples, path.read_bytes(), json.loads(header.read_text())))
        self.chunks = [
            (samples, encoder.encode(samples, LEVELS[level]))
            for samples in self.recordings
            for level in ("default", "fast")
        ]
        for samples in (bursts(), faint()):  # in parts
            self.chunks.append((samples, encoder.encode(samples, LEVELS["default"])))

    def pick(self, items: list) -> object:  # type: ignore[type-arg]
        return items[int(self.rng.integers(len(items)))]

    def damage(self, data: bytes) -> bytes:
        """Flip, overwrite, cut, repeat or swap bytes."""
        rng = self.rng
        broken = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            size = len(broken)
            if size == 0:
                return b""
            # Headers and parameters are short: half of the damage goes there.
            end = size if rng.random() < 0.5 else min(size, 200)
            at = int(rng.integers(end))
            kind = int(rng.integers(6))
            if kind <= 1:
                broken[at] ^= 1 << int(rng.integers(8))
            elif kind == 2:
                value = self.pick([0, 1, 0x7F, 0x80, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 64])
                broken[at : at + 4] = struct.pack("<I", value)[: size - at]
            elif kind == 3:
                del broken[at:]
            elif kind == 4:
                stop = min(size, at + int(rng.integers(1, 100)))
                broken[at:stop] = rng.bytes(stop - at)
            else:
                piece = broken[at : at + int(rng.integers(1, 300))]
                other = int(rng.integers(size))
                broken[other:other] = piece
        return bytes(broken)

    def case(self) -> None:
        """Run one case, and see that it ends as it may."""
        kind = str(
            self.pick(["chunk", "window", "meta", "forged", "file", "rebuild", "sidecar", "pair"])
        )
        start = time.monotonic()
        try:
            outcome = getattr(self, kind)()
        except codec.CodecError as error:
            outcome = type(error).__name__
        assert time.monotonic() - start < SLOW, f"{kind}: hang"
        self.outcomes[f"{kind}: {outcome}"] += 1

    def same(self, got: np.ndarray, samples: np.ndarray) -> str:
        assert np.array_equal(got, samples), "wrong samples were returned"
        return "right samples"

    def chunk(self) -> str:
        """Damage a stored chunk; its checksums stand."""
        samples, data, index = self.pick(self.files)
        number = int(self.rng.integers(index.n_chunks))
        first, last = index.bounds[number : number + 2]
        stored = self.damage(data[index.offsets[number] : index.offsets[number + 1]])
        opened = open_chunk(stored, index.entry(number), index, "fuzzed")
        threads = int(self.rng.integers(1, 3))
        return self.same(opened.restore(threads=threads), samples[first:last])

    def window(self) -> str:
        """Damage a stored chunk, and read a piece of it."""
        samples, data, index = self.pick(self.files)
        number = int(self.rng.integers(index.n_chunks))
        first, last = index.bounds[number : number + 2]
        stored = data[index.offsets[number] : index.offsets[number + 1]]
        stored = self.damage(stored) if self.rng.random() < 0.7 else stored
        window = self.draw_window((last - first, samples.shape[1]))
        opened = open_chunk(stored, index.entry(number), index, "fuzzed")
        wanted = samples[first + window.start : first + window.stop]
        if window.channels is not None:
            wanted = wanted[:, window.channels]
        return self.same(opened.restore(window), wanted)

    def draw_window(self, shape: tuple[int, int]) -> decoder.Window:
        """Return any window of a chunk: of all its channels, or of some."""
        start, stop = np.sort(self.rng.integers(0, shape[0] + 1, 2)).tolist()
        some = np.flatnonzero(self.rng.random(shape[1]) < 0.3)
        return decoder.Window(start, stop, some if self.rng.random() < 0.5 else None)

    def forged(self) -> str:
        """Damage a stored chunk and forge its checksum."""
        _, data, index = self.pick(self.files)
        number = int(self.rng.integers(index.n_chunks))
        stored = bytearray(self.damage(data[index.offsets[number] : index.offsets[number + 1]]))
        if len(stored) >= chunk.HEADER.size:
            stored[44:48] = bytes(4)
            stored[44:48] = struct.pack("<I", chunk.crc32(bytes(stored)))
        entry = replace(index, crcs=[]).entry(number)
        open_chunk(bytes(stored), entry, index, "fuzzed").restore()
        return "forged samples"

    def meta(self) -> str:
        """Damage the parameters of a chunk before they are compressed, or its coded rows."""
        samples, coded = self.pick(self.chunks)
        length, channels = samples.shape
        if coded.mode == chunk.Mode.CODED:
            plain = zstandard.ZstdDecompressor().decompress(coded.meta)
            plain = self.damage(plain) if self.rng.random() < 0.8 else plain
            body = self.damage(coded.body) if self.rng.random() < 0.4 else coded.body
            coded = coded._replace(
                meta=zstandard.ZstdCompressor().compress(plain),
                meta_size=len(plain),
                body=body,
            )
        window = self.draw_window(samples.shape)
        if self.rng.random() < 0.5:
            window = decoder.Window(0, length)
        threads = int(self.rng.integers(1, 3))
        got = decoder.decode(coded, samples.shape, samples.dtype, window, threads=threads)
        width = channels if window.channels is None else len(window.channels)
        assert got.shape == (window.stop - window.start, width)
        assert got.dtype == samples.dtype
        return "forged samples"

    def file(self) -> str:
        """Damage a whole file, and read all of it by its footer."""
        samples, data, _ = self.pick(self.files)
        source = Bytes(self.damage(data))
        header = file_header.read_header(source.read(0, 64), "fuzzed")
        index = chunk_index.read_footer(source)
        assert header.n_channels == index.n_channels
        with codec.Reader(source, index) as reader:
            return self.same(reader[:], samples)

    def rebuild(self) -> str:
        """Damage a whole file, rebuild its index, and read what can be read."""
        samples, data, _ = self.pick(self.files)
        source = Bytes(self.damage(data))
        index, _ = salvage.rebuild_index(source)
        good = 0
        with codec.Reader(source, index) as reader:
            for number in range(index.n_chunks):
                first, last = index.bounds[number : number + 2]
                try:
                    got = reader.chunk(number)
                except codec.CodecError:
                    continue
                self.same(got, samples[first:last])
                good += 1
        return "some chunks" if good else "no chunks"

    def sidecar(self) -> str:
        """Damage a sidecar."""
        samples, data, index = self.pick(self.files)
        text = self.damage(index.to_json().encode())
        broken = chunk_index.RecordingIndex.from_json(text, "fuzzed")
        with codec.Reader(Bytes(data), broken) as reader:
            return self.same(reader[:], samples[: reader.shape[0]])

    def pair(self) -> str:
        """Damage a `.cbin` or its header; what zlib's checksum lets pass, `verify` must find."""
        samples, data, header = self.pick(self.pairs)
        if self.rng.random() < 0.5:
            broken = json.loads(json.dumps(header))
            key = str(self.pick(sorted(broken)))
            broken[key] = self.pick(
                [
                    None,
                    -1,
                    0,
                    7,
                    2**40,
                    "x",
                    [],
                    [0, 1],
                    [0, 2**40],
                    {},
                    1e300,
                    "F",
                    "float64",
                    True,
                ]
            )
            text = json.dumps(broken).encode()
        else:
            text, data = json.dumps(header).encode(), self.damage(data)
        index, options = pairs.read_header(text, "fuzzed")
        with pairs.MtscompReader(Bytes(data), index, options) as reader:
            got = reader[:]
        if text != json.dumps(header).encode():
            return "forged samples"
        if np.array_equal(got, samples):
            return "right samples"
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "x.cbin").write_bytes(data)
            Path(folder, "x.ch").write_bytes(text)
            assert recordings.verify(Path(folder, "x.cbin")), "wrong samples were returned"
        return "passed Adler-32, found by verify"


def run(cases: int, seed: int) -> Counter[str]:
    """Run so many cases; the seed makes them the same again."""
    fuzzer = Fuzzer(seed)
    for number in range(cases):
        # Each case has its own seed, so that one can be run again alone.
        fuzzer.rng = np.random.default_rng((seed, number))
        try:
            fuzzer.case()
        except BaseException:
            print(f"seed {seed}, case {number}", flush=True)
            raise
        if number % 50_000 == 49_999:
            print(f"{number + 1} cases", flush=True)
    return fuzzer.outcomes


def peak_of(cases: int, seed: int) -> int:
    """Return the most bytes Python held during these cases."""
    tracemalloc.start()
    try:
        run(cases, seed)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="run this case alone")
    arguments = parser.parse_args()
    if arguments.only is not None:
        fuzzer = Fuzzer(arguments.seed)
        fuzzer.rng = np.random.default_rng((arguments.seed, arguments.only))
        fuzzer.case()
        return
    for outcome, count in sorted(run(arguments.cases, arguments.seed).items()):
        print(f"{count:8d}  {outcome}")


if __name__ == "__main__":
    main()
