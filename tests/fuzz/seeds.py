"""Turns recorded connections, and queries of every form, into what the fuzz targets begin with."""

import json
import pathlib
import struct
import sys

vectors, corpus = map(pathlib.Path, sys.argv[1:3])


def said(path, who="worker->master"):
    """All bytes that the worker of a recording sent, or its master."""
    chunks = (json.loads(line) for line in path.read_text().splitlines())
    return b"".join(bytes.fromhex(chunk["hex"]) for chunk in chunks if chunk["dir"] == who)


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


def job(*strings):
    return b"".join(b"%d:%s," % (len(string), string) for string in strings)


for version, fields in enumerate((5, 7, 8, 9), 1):
    names = [b"id", b"main", b"12", b"1", b"--- a", b"repository", b"project", b"ann", b"why"]
    seed("job", f"v{version}", job(b"%d" % version, *names[:fields], b"b1", b"b2"))
body = {"jobid": "id", "branch": "main", "baserev": "b'12'", "patch_level": 1, "repository": "r", "project": "p",
        "who": "ann", "comment": None, "builderNames": ["b"], "properties": {"a": [1, "x", None]}}
seed("job", "v5", job(b"5", json.dumps(body | {"patch_body": "+a"}).encode()))
seed("job", "v6", job(b"6", json.dumps(body | {"patch_body_base64": "K2H/"}).encode()))

queries = """
limit=3&offset=1
limit=-1
order=-id&order=name&field=id&field=name
field=id&order=name
id=1&id=2&complete=false&name=a%20b
id__in=1&id__in=2&id__ne=2&id__notin=7
id__lt=1&id__le=2&id__gt=-3&id__ge=9223372036854775807
name__contains=%25&slug=s-1&slug__eq=1a
tags__contains=x&ids__contains=2
complete=on&complete__ne=NO
property=*&property=owner
info=1
x__foo=1&foo=1
"""
for number, query in enumerate(queries.split()):
    # Whether a list is asked is taken from the first byte, a text is all that follows.
    for collection in (b"\0", b"\1"):
        seed("query", f"{number}-{collection[0]}", collection + query.encode())

for path in sorted(vectors.glob("*.jsonl")):
    stream = said(path)
    if path.name.startswith("pb-"):
        for target in ("banana", "jelly", "pb"):
            # What decides about pieces is taken from the end.
            seed(target, path.stem, stream)
        seed("caller", path.stem, said(path, "master->worker"))
    elif path.name.startswith("mp-"):
        messages = [message for message in frames(stream) if len(message) < 65536]
        seed("msgpack", path.stem, b"".join(struct.pack(">H", len(m)) + m for m in messages))
