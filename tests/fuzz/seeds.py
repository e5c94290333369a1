"""Turns recorded connections into what the fuzz targets begin with."""

import json
import pathlib
import struct
import sys

vectors, corpus = map(pathlib.Path, sys.argv[1:3])


def said(path):
    """All bytes that the worker of a recording sent."""
    chunks = (json.loads(line) for line in path.read_text().splitlines())
    return b"".join(bytes.fromhex(chunk["hex"]) for chunk in chunks if chunk["dir"] == "worker->master")


def frames(stream):
    """The unmasked payloads of a WebSocket's binary messages, after its handshake."""
    _, _, rest = stream.partition(b"\r\n\r\n")
    while len(rest) >= 6:
        length, at = rest[1] & 127, 2
        if length == 126:
            (length,), at = struct.unpack(">H", rest[2:4]), 4
        elif length == 127:
            (length,), at = struct.unpack(">Q", rest[2:10]), 10
        mask, data = rest[at : at + 4], rest[at + 4 : at + 4 + length]
        if rest[0] & 15 == 2:
            yield bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        rest = rest[at + 4 + length :]


def seed(target, name, data):
    folder = corpus / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data[:65536])


for path in sorted(vectors.glob("*.jsonl")):
    stream = said(path)
    if path.name.startswith("pb-"):
        for target in ("banana", "jelly", "pb"):
            # What decides about pieces is taken from the end.
            seed(target, path.stem, stream)
    elif path.name.startswith("mp-"):
        messages = [message for message in frames(stream) if len(message) < 65536]
        seed("msgpack", path.stem, b"".join(struct.pack(">H", len(m)) + m for m in messages))
