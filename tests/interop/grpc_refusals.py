#!/usr/bin/env python3
"""Asks a node of ours wrongly with gRPC's own library for Python, and compares what the caller sees.

The library is `grpcio` from PyPI (Apache-2.0). It is installed, never copied, and nothing that ships
depends on it. Messages are written by hand, so no compiled interface is needed.

    python3 -m venv venv && venv/bin/pip install grpcio==1.85.3
    venv/bin/python grpc_refusals.py FOLDER     where FOLDER holds the programs `ledger` and `ledger-node`

Exit code 0 when each call is refused with the code and message that the node gave; else the first
difference is on standard error.
"""

import json
import pathlib
import re
import sys
import tempfile

import grpc
from grpc import StatusCode as Code
from programs import SOON, Difference, Program, check, run

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto/ledger/v1"
RPC = re.compile(r"rpc (\w+)\((stream )?\w+\) returns \((stream )?\w+\)")
# No message of protobuf begins so.
UNDECODABLE = b"\xff\xff\xff"


def text(number, value):
    """A field of bytes."""
    return bytes([number << 3 | 2, len(value)]) + value


def small(number, value):
    """A field with a number below 128."""
    return bytes([number << 3, value])


NO_LEAF = (Code.INVALID_ARGUMENT, "no leaf was named\nhint: set one of index, leaf_hash and statement")
NO_REQUEST = (Code.INVALID_ARGUMENT, "hint: ")
SHORT_HASH = (Code.INVALID_ARGUMENT, "statement has 1 bytes\nhint: a SHA-256 hash has 32 raw bytes")
ORIGIN = "\nhint: is the origin spelled as in its checkpoints?"

# What each call is refused for beyond what cannot be decoded: message, code, and the text or a part.
CASES = {
    "Ledger/Submit": [
        (text(1, b"x"), Code.INVALID_ARGUMENT, "not a signed note: "),
        (b"\x0a\x80\xc0\x0c" + bytes(200 << 10), Code.OUT_OF_RANGE, "message length too large"),
    ],
    "Ledger/GetInclusionProof": [
        (b"", *NO_LEAF),
        (small(1, 99), Code.OUT_OF_RANGE, "the log has 1 entries; there is none at that index"),
        (text(3, bytes(32)), Code.NOT_FOUND, "no published entry has this statement or leaf hash"),
    ],
    "Ledger/GetConsistencyProof": [
        (small(1, 1) + small(2, 99), Code.OUT_OF_RANGE, "size 99 is larger than the published size 1"),
    ],
    "Ledger/GetEntries": [
        (
            small(1, 99),
            Code.OUT_OF_RANGE,
            "start is 99, but the log has 1 entries\nhint: start within the log",
        ),
    ],
    "Ledger/GetAuthority": [(b"", *NO_LEAF)],
    "Ledger/Lookup": [
        (b"", Code.INVALID_ARGUMENT, "no key was given\nhint: set one of statement and leaf_hash"),
    ],
    "Ledger/Propose": [(b"", *NO_REQUEST)],
    "Ledger/ListPending": [(b"", *NO_REQUEST), (text(2, b"x"), *SHORT_HASH)],
    "Ledger/Cosign": [(text(2, b"x"), *SHORT_HASH)],
    "Ledger/Decline": [(b"", *NO_REQUEST)],
    "Ledger/Withdraw": [(text(2, b"x"), *SHORT_HASH)],
    "Mirror/GetConsistency": [
        (text(1, b"x"), Code.NOT_FOUND, f"this node holds no copy of such a log{ORIGIN}"),
    ],
    "Witness/GetWitnessedCheckpoint": [
        (text(1, b"x"), Code.NOT_FOUND, f"this node has cosigned no checkpoint of such a log{ORIGIN}"),
    ],
    "Gossip/GetEvidence": [
        (
            b"",
            Code.INVALID_ARGUMENT,
            "this is no id of evidence\nhint: an id is the SHA-256 of the file: 32 bytes",
        ),
        (text(1, bytes(32)), Code.NOT_FOUND, "there is no evidence "),
    ],
}


def calls():
    """Each call of the interface: its name, whether it takes a stream, whether it answers with one."""
    for file in sorted(PROTO.glob("*.proto")):
        service = None
        for line in file.read_text().splitlines():
            if line.startswith("service "):
                service = line.split()[1]
            if found := RPC.search(line):
                yield f"{service}/{found[1]}", bool(found[2]), bool(found[3])


def ask(channel, name, takes_stream, gives_stream, message):
    """The code and text with which a call is refused."""
    path = f"/ledger.v1.{name}"
    try:
        if takes_stream:
            answer = channel.stream_stream(path)(iter([message]), timeout=SOON)
        elif gives_stream:
            answer = channel.unary_stream(path)(message, timeout=SOON)
        else:
            answer = channel.unary_unary(path)(message, timeout=SOON)
        if gives_stream:
            answer = list(answer)
    except grpc.RpcError as refused:
        return refused.code(), refused.details()
    raise Difference(f"{name} is not refused: {answer}")


def serve(programs, folder):
    """A new log without witnesses, and its node."""
    log = run(folder, programs / "ledger", "keygen", "log.example", "--use", "log", "--out", "log.key")
    lab = run(folder, programs / "ledger", "keygen", "lab.example", "--out", "lab.key")
    charter = run(
        *(folder, programs / "ledger", "charter", "new", "--log", log, "--consortium", "Refusals"),
        *("--issuer", "lab.example", "--member", f"lab.example={lab}:publisher,reviewer,steward"),
    )
    (folder / "charter.json").write_text(charter + "\n")
    run(folder, programs / "ledger", "record", "sign", "charter.json", "--key", "lab.key")
    run(
        *(folder, programs / "ledger-node", "init", "--dir", "log", "--charter", "charter.record"),
        *("--log-key", "log.key"),
    )
    command = [programs / "ledger-node", "--json", "serve", "--dir", folder / "log"]
    any_port = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    return Program([*command, *any_port], "stdout", json.loads)


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    known = list(calls())
    check(len(known) >= 21, f"the interface has {len(known)} calls")
    strangers = set(CASES) - {name for name, _, _ in known}
    check(not strangers, "each case is about a call of the interface")
    with tempfile.TemporaryDirectory() as folder, serve(programs, pathlib.Path(folder)) as node:
        address = node.wait()["grpc"].removeprefix("http://")
        # all is on this machine, whatever proxy the environment names
        options = [("grpc.enable_http_proxy", 0)]
        with grpc.insecure_channel(address, options) as channel:
            for name, *streams in known:
                code, said = ask(channel, name, *streams, UNDECODABLE)
                is_told = code in (Code.INTERNAL, Code.INVALID_ARGUMENT) and said
                check(is_told, f"{name}: {code.name}: {said!r}")
                for message, expected, part in CASES.get(name, []):
                    code, said = ask(channel, name, *streams, message)
                    check(code is expected and part in said, f"{name}: {code.name}: {said!r}")
            code, said = ask(channel, "Ledger/Nothing", False, False, b"")
            check(code is Code.UNIMPLEMENTED, f"a call that is none: {code.name}: {said!r}")
            code, said = ask(channel, "Nobody/Nothing", False, True, b"")
            check(code is Code.UNIMPLEMENTED, f"a service that is none: {code.name}: {said!r}")


if __name__ == "__main__":
    try:
        main()
    except Difference as difference:
        sys.exit(f"error: {difference}")
