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
    bounds, offsets = index["chunk_bounds"], index["chunk_offsets"]
    assert len(bounds) == len(offsets) == chunks + 1
    whole = np.zeros((samples, channels), TYPES[kind])
    for number in range(chunks):
        piece = data[offsets[number] : offsets[number + 1]]
        assert zlib.crc32(piece) == index["chunk_crc32"][number]
        whole[bounds[number] : bounds[number + 1]] = decode_chunk(piece, number)
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
    elif mode == 2:
        assert (meta, plain) == (0, 0)
        steps = np.frombuffer(unpack(rest), TYPES[kind]).reshape(channels, length).tolist()
        samples = summed_up([list(row) for row in zip(*steps, strict=True)], TYPES[kind])
    else:
        parameters = unpack(parameters)
        assert len(parameters) == plain
        samples = decode_rows(parameters, rest, length, channels, TYPES[kind])
    assert zlib.crc32(samples.tobytes()) == raw
    return samples


def summed_up(steps: list[list[int]], kind: str) -> np.ndarray:
    """Sum steps up from sample to sample, in each channel (sections 1.2 and 2.5)."""
    samples = np.zeros((len(steps), len(steps[0])), kind)
    bits = 8 * samples.itemsize
    now = [0] * samples.shape[1]
    for t, row in enumerate(steps):
        now = [(x + step) & ((1 << bits) - 1) for x, step in zip(now, row, strict=True)]
        samples[t] = [x if "u" in kind else signed(x, bits) for x in now]
    return samples


def decode_rows(meta: bytes, body: bytes, T: int, C: int, kind_name: str) -> np.ndarray:
    """Decode a coded chunk (FORMAT.md, section 2)."""
    kind, flags, s, p, v, w, _, S, P, G, m, V, base = struct.unpack_from("<BBBBBBHIIIIIq", meta)
    order, wide, has_baseline, has_heads, is_warm = (flags >> bit & 1 for bit in (0, 1, 2, 4, 5))
    bits, iw = 8 * w, f"<i{w}"
    take = Parameters(meta[36:]).take
    lengths = take(C, "<u2") if kind == 3 else [V] * (kind in (2, 4))
    assert sum(lengths) == V
    firsts = take(V, kind_name)
    steps = firsts[len(lengths) :]
    sample_bits = 8 * np.dtype(kind_name).itemsize
    tables = []
    for first, values in zip(firsts, lengths, strict=False):
        table = [first]
        for _ in range(values - 1):
            low = (table[-1] + steps.pop(0)) & ((1 << sample_bits) - 1)
            table.append(low if "u" in kind_name else signed(low, sample_bits))
        tables.append(table)
    assert steps == []
    baseline = take(C if has_baseline else 0, iw)
    heads = take(C * -(-T // S) if has_heads else 0, iw)
    taps = np.array(take(p * C, "<i2"), object).reshape(p, C)
    early = p * (p - 1) // 2 if is_warm else 0
    warm = np.array(take(early * C, "<i2"), object).reshape(early, C)
    counts = take(C, "u1")
    assert sum(counts) == m
    distances, lags, weights = take(m, "<u2"), take(m, "i1", False), take(m, "i1", False)
    parts = -(-T // P) if P else 0
    classes = np.array(take(C * parts, "u1"), int).reshape(C, parts)
    if P:
        frames = [(c, k) for c in range(C) for k in range(classes[c].max() + 1)]
    else:
        frames = [(c, 0) for c in range(0, C, G)]
    scales = take(len(frames), "u1")
    offsets = take(len(frames) if P else C, iw)
    sizes = take(len(frames), "<u4")
    exceptions = take(len(frames), "<u4")
    gaps, highs = take(sum(exceptions), "<u4"), take(sum(exceptions), "<u4")

    # 2.2 symbols
    residual = [[0] * T for _ in range(C)]
    start, low_start = 0, sum(sizes)
    for number, (first, which) in enumerate(frames):
        symbols = unpack(body[start : start + sizes[number]])
        start += sizes[number]
        if P:
            places = [
                (first, t)
                for part in range(parts)
                if classes[first][part] == which
                for t in range(part * P, min(T, part * P + P))
            ]
        else:
            places = [(c, t) for c in range(first, min(C, first + G)) for t in range(T)]
        n, k, q = len(places), scales[number] & 63, scales[number] >> 6
        width = 8 >> q
        assert k == 0 or q == 0
        assert len(symbols) == -(-n // 2**q)
        symbols = [symbols[i >> q] >> (width * (i % 2**q)) & ((1 << width) - 1) for i in range(n)]
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
            value = (symbols[i] << k | lows[i]) + (high[i] << (k + width))
            residual[c][t] = signed(value - offsets[number if P else c], bits)
    assert low_start == len(body)

    # 2.3 neighbours, 2.4 time, 2.5 values
    samples = np.zeros((T, C), object)
    for c in range(C):
        mine = [(distances.pop(0), lags.pop(0), weights.pop(0)) for _ in range(counts[c])]
        if mine:
            row = list(residual[c])
            for t in range(T):
                total = sum(
                    weight * residual[c - distance][t + lag]
                    for distance, lag, weight in mine
                    if 0 <= t + lag < T
                )
                row[t] = signed(row[t] + (signed(total, bits) >> v), bits)
            residual[c] = row
        for begin in range(0, T, S):
            head = heads.pop(0) if has_heads else residual[c][begin]
            samples[begin, c] = head
            past = [0 if order else head] * p
            now = head
            for t in range(begin + 1, min(T, begin + S)):
                k = t - begin - order
                if is_warm and k < p:
                    at = k * (k - 1) // 2
                    total = sum(int(warm[at + i, c]) * past[-1 - i] for i in range(k))
                else:
                    total = sum(int(taps[i, c]) * past[-1 - i] for i in range(p))
                y = residual[c][t] + (signed(total, bits * (2 if wide else 1)) >> s if p else 0)
                y = signed(y, bits)
                if p:
                    past = [*past[1:], y]
                now = signed(now + y, bits) if order else y
                samples[t, c] = now
        if has_baseline:
            samples[:, c] = [signed(x + baseline[c], bits) for x in samples[:, c]]
    if kind == 1:
        samples = samples + base
    elif kind in (2, 3, 4):
        tables = tables if kind == 3 else tables * C
        assert all(
            -(len(table) // 2) <= x < len(table) - len(table) // 2
            for row in samples
            for x, table in zip(row, tables, strict=True)
        )
        samples = np.array(
            [
                [table[x + len(table) // 2] for x, table in zip(row, tables, strict=True)]
                for row in samples
            ],
            object,
        )
        if kind == 4:
            return summed_up(samples.tolist(), kind_name)
    elif kind_name == "<u2":
        samples = np.array([[x & 0xFFFF ^ 0x8000 for x in row] for row in samples], object)
    return samples.astype("i8").astype(kind_name)
