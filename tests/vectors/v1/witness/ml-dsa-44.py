#!/usr/bin/env python3
"""Asks another implementation of FIPS 204 for ML-DSA-44 cosignatures.

The other implementation is `dilithium-py` 1.5.1 from PyPI; the messages are written here from the
text of C2SP tlog-cosignature, without a look at our code. Nothing that ships depends on it.

    python3 -m venv venv && venv/bin/pip install dilithium-py==1.5.1
    venv/bin/python ml-dsa-44.py       writes ml-dsa-44.txt

Each block of ml-dsa-44.txt is a seed in hex, a vkey, and a note whose only line is the cosignature
with that key, signed deterministically.
"""

import base64
import hashlib
import pathlib
import struct

from dilithium_py.ml_dsa import ML_DSA_44

ROOT = hashlib.sha256(b"a root").digest()
EMPTY = hashlib.sha256(b"").digest()
CASES = [
    (bytes(range(32)), "witness.example/pq", 1_784_030_460, "log.example/2026", 4, ROOT, ""),
    (bytes([6] * 32), "w", 1, "l", 0, EMPTY, ""),
    (bytes([7] * 32), "n" * 255, 2**63 - 1, "o" * 255, 2**63 - 1, ROOT, ""),
    (bytes([8] * 32), "zeuge.example/\u00fc", 5, "log.example/\u00f6", 256, ROOT, "more\nlines\n"),
]


def message(name, time, origin, size, root):
    """The cosigned_message of a whole tree."""
    name, origin = name.encode(), origin.encode()
    return (
        b"subtree/v1\n\0"
        + struct.pack(">B", len(name)) + name
        + struct.pack(">Q", time)
        + struct.pack(">B", len(origin)) + origin
        + struct.pack(">QQ", 0, size)
        + root
    )


def block(seed, name, time, origin, size, root, extensions):
    public, secret = ML_DSA_44.key_derive(seed)
    key = b"\x06" + public
    key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    signature = ML_DSA_44.sign(secret, message(name, time, origin, size, root), deterministic=True)
    line = base64.b64encode(key_id + struct.pack(">Q", time) + signature).decode()
    vkey = f"{name}+{key_id.hex()}+{base64.b64encode(key).decode()}"
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n{extensions}"
    return f"{seed.hex()}\n{vkey}\n{text}\n\u2014 {name} {line}\n"


if __name__ == "__main__":
    target = pathlib.Path(__file__).resolve().with_suffix(".txt")
    target.write_text("====\n".join(block(*case) for case in CASES))
