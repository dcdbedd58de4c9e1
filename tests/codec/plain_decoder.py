"""A second decoder, written from FORMAT.md alone: plain, slow, and without our code."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import zstandard

TYPES = {1: "<i2", 2: "<u2", 3: "<i4"}


def signed(value: int, bits: int) -> int:
    """Keep the low bits, and read them as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def unpack(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


class Parameters:
    """Takes arrays off the parameters."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def take(self, count: int, kind: str, shuffled: bool = True) -> list[int]:
        size = np.dtype(kind).itemsize
        data = self.stream.read(count * size)
        assert len(data) == count * size
        if shuffled:
            data = bytes(data[j * count + i] for i in range(count) for j in range(size))
        return [int(each) for each in np.frombuffer(data, kind)]


def decode_file(data: bytes) -> np.ndarray:
    """Decode a whole `.ebin` file (FORMAT.md, section 1)."""
    assert data[:8] == bytes.fromhex("8946 5845 0D0A 1A0A".replace(" ", ""))
    version, size, channels, kind, _, samples, _, chunks = struct.unpack_from(
        "<HHIB7xdQII", data, 8
    )
    assert (version, size) == (1, 64)
    assert struct.unpack_from("<I", data, 60)[0] == zlib.crc32(data[:60])
    trailer = data[-32:]
    assert trailer[:8] == b"FXEINDEX"
    where, stored, plain, crc, own = struct.unpack("<QIIII", trailer[8:])
    assert own == zlib.crc32(trailer[:28])
    packed = data[where : where + stored]
    assert zlib.crc32(packed) == crc
    text = unpack(packed)
    assert len(text) == plain
    index = json.loads(text)
    assert index["shape"] == [samples, channels]
    length, start = index["chunk_length"], 64
    assert len(index["chunk_sizes"]) == len(index["chunk_crc32"]) == chunks
    whole = np.zeros((samples, channels), TYPES[kind])
    for number, size in enumerate(index["chunk_sizes"]):
        piece = data[start : start + size]
        assert zlib.crc32(piece) == index["chunk_crc32"][number]
        whole[number * length : (number + 1) * length] = decode_chunk(piece, number)
        start += size
    assert start == where
    return whole


def decode_chunk(data: bytes, number: int) -> np.ndarray:
    """Decode one chunk (FORMAT.md, section 1.2)."""
    magic, own, _, length, channels, meta, plain, body, raw, crc, mode, kind = struct.unpack_from(
        "<4sIQIIIIQIIBB", data
    )
    assert (magic, own) == (b"FXCK", number)
    assert zlib.crc32(data[:44] + bytes(4) + data[48:]) == crc
    assert len(data) == 64 + meta + body
    parameters, rest = data[64 : 64 + meta], data[64 + meta :]
    if mode == 0:
        samples = np.frombuffer(rest, TYPES[kind]).reshape(length, channels)
    else:
        parameters = unpack(parameters)
        assert len(parameters) == plain
        samples = decode_rows(parameters, rest, length, channels, TYPES[kind])
    assert zlib.crc32(samples.tobytes()) == raw
    return samples


def decode_rows(meta: bytes, body: bytes, T: int, C: int, kind_name: str) -> np.ndarray:
    """Decode a coded chunk (FORMAT.md, section 2)."""
    kind, flags, s, p, v, w, _, S, G, m, V, base = struct.unpack_from("<BBBBBBHIIIIq", meta)
    order, wide, by_class = (flags >> bit & 1 for bit in range(3))
    bits, iw = 8 * w, f"<i{w}"
    take = Parameters(meta[32:]).take
    table, sample_bits = take(V, kind_name), 8 * np.dtype(kind_name).itemsize
    for i in range(1, V):
        low = (table[i - 1] + table[i]) & ((1 << sample_bits) - 1)
        table[i] = low if "u" in kind_name else signed(low, sample_bits)
    baseline = take(C, iw)
    taps = np.array(take(p * C, "<i2"), object).reshape(p, C)
    counts = take(C, "u1")
    assert sum(counts) == m
    distances, weights = take(m, "u1"), take(m, "i1")
    parts = -(-T // 256) if by_class else 0
    classes = np.array(take(C * parts, "u1"), int).reshape(C, parts)
    if by_class:
        frames = [(c, k) for c in range(C) for k in range(classes[c].max() + 1)]
    else:
        frames = [(c, 0) for c in range(0, C, G)]
    shifts = take(len(frames), "u1")
    offsets = take(len(frames) if by_class else C, iw)
    sizes = take(len(frames), "<u4")
    exceptions = take(len(frames), "<u4")
    gaps, highs = take(sum(exceptions), "<u4"), take(sum(exceptions), "<u4")

    # 2.2 symbols
    residual = [[0] * T for _ in range(C)]
    start, low_start = 0, sum(sizes)
    for number, (first, which) in enumerate(frames):
        symbols = unpack(body[start : start + sizes[number]])
        start += sizes[number]
        if by_class:
            places = [
                (first, t)
                for part in range(parts)
                if classes[first][part] == which
                for t in range(part * 256, min(T, part * 256 + 256))
            ]
        else:
            places = [(c, t) for c in range(first, min(C, first + G)) for t in range(T)]
        n, k = len(places), shifts[number]
        assert len(symbols) == n
        lows = [0] * n
        for byte in range(k // 8):
            for i in range(n):
                lows[i] |= body[low_start + i] << (8 * byte)
            low_start += n
        for bit in range(k // 8 * 8, k):
            for i in range(n):
                lows[i] |= (body[low_start + i // 8] >> (i % 8) & 1) << bit
            low_start += -(-n // 8)
        high, position = [0] * n, 0
        for _ in range(exceptions[number]):
            position += gaps.pop(0)
            high[position] = highs.pop(0)
        for i, (c, t) in enumerate(places):
            value = (symbols[i] << k | lows[i]) + (high[i] << (k + 8))
            residual[c][t] = signed(value - offsets[number if by_class else c], bits)
    assert low_start == len(body)

    # 2.3 neighbours, 2.4 time, 2.5 values
    samples = np.zeros((T, C), object)
    for c in range(C):
        mine = [(distances.pop(0), weights.pop(0)) for _ in range(counts[c])]
        assert all(distance <= c % 48 for distance, _ in mine)
        if mine:
            for t in range(T):
                total = sum(weight * residual[c - distance][t] for distance, weight in mine)
                residual[c][t] = signed(residual[c][t] + (signed(total, bits) >> v), bits)
        for begin in range(0, T, S):
            head = residual[c][begin]
            samples[begin, c] = head
            past = [0 if order else head] * p
            now = head
            for t in range(begin + 1, min(T, begin + S)):
                total = sum(int(taps[i, c]) * past[-1 - i] for i in range(p))
                y = residual[c][t] + (signed(total, bits * (2 if wide else 1)) >> s if p else 0)
                y = signed(y, bits)
                if p:
                    past = [*past[1:], y]
                now = signed(now + y, bits) if order else y
                samples[t, c] = now
        samples[:, c] = [signed(x + baseline[c], bits) for x in samples[:, c]]
    if kind == 1:
        samples = samples + base
    elif kind == 2:
        assert all(-(V // 2) <= x < V - V // 2 for row in samples for x in row)
        samples = np.array([[table[x + V // 2] for x in row] for row in samples], object)
    elif kind_name == "<u2":
        samples = np.array([[x & 0xFFFF ^ 0x8000 for x in row] for row in samples], object)
    return samples.astype("i8").astype(kind_name)
