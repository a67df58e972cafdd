#!/usr/bin/env python3
"""Asks another implementation of C2SP tlog-witness to work with ours, in both directions.

The other implementation is `aics-witness` 0.1.0 with `aics-tlog` 0.2.1 from PyPI (Apache-2.0). It is
installed, never copied, and nothing that ships depends on it. It says that it wants Python 3.12; what is
used of it here runs on 3.11.

    python3 -m venv venv && venv/bin/pip install cryptography==50.0.2
    venv/bin/pip install --no-deps --ignore-requires-python aics-witness==0.1.0 aics-tlog==0.2.1
    venv/bin/python witness.py FOLDER     where FOLDER holds the programs `ledger` and `ledger-node`

Exit code 0 when all is as the specification says; else the first difference is on standard error.
"""

import hashlib
import json
import pathlib
import sys
import tempfile
import urllib.error
import urllib.request

from aics_tlog import (
    Checkpoint,
    HttpTileReader,
    MerkleTree,
    consistency_proof_from_tiles,
    format_vkey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    sign_checkpoint,
    verify_checkpoint,
    vkey_from_ed25519,
)
from aics_witness.feeder import WitnessClient, WitnessRejected, merge_cosignatures
from aics_witness.protocol import format_add_checkpoint_request, origin_hash
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from programs import SOON, Difference, Program, check, run

OURS = "ledger.example/2026"
THEIRS = "foreign.example/log"


class Bench:
    """A folder to work in, and the programs of both sides."""

    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder

    def run(self, *command):
        return run(self.folder, *command)

    def ledger(self, *arguments):
        return self.run(self.programs / "ledger", *arguments)

    def their_witness(self, *arguments):
        return self.run(sys.executable, "-m", "aics_witness", *arguments)

    def serve_their_witness(self):
        command = [sys.executable, "-m", "aics_witness", "serve", "--config", "witness.json"]
        command[-1] = str(self.folder / command[-1])
        says = "listening on "
        return Program(
            [*command, "--listen", "127.0.0.1:0"],
            "stderr",
            lambda line: line.split(says)[1].split()[0] if says in line else None,
        )

    def serve_our_node(self):
        command = [self.programs / "ledger-node", "--json", "serve", "--dir", self.folder / "log"]
        any_port = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        return Program([*command, *any_port], "stdout", json.loads)

    def found(self, log_vkey, policy):
        """A log of ours under this policy, which witnesses with a key of its own."""
        (self.folder / "policy").write_text(policy)
        lab = self.ledger("keygen", "lab.example", "--out", "lab.key")
        ours = self.ledger("keygen", "witness.example/w1", "--use", "witness", "--out", "w1.key")
        charter = self.ledger(
            *("charter", "new", "--log", log_vkey, "--policy", "policy"),
            *("--consortium", "Interop", "--issuer", "lab.example"),
            *("--member", f"lab.example={lab}:publisher,reviewer,steward"),
        )
        (self.folder / "charter.json").write_text(charter + "\n")
        self.ledger("record", "sign", "charter.json", "--key", "lab.key")
        self.run(
            *(self.programs / "ledger-node", "init", "--dir", "log", "--charter"),
            *("charter.record", "--log-key", "log.key", "--witness-key", "w1.key"),
        )
        return ours

    def submit(self, node, number):
        """Logs a record; the proof that comes back has to verify under the policy."""
        name = f"decision-{number}"
        draft = self.ledger(
            *("record", "new", "decision", "--issuer", "lab.example", "--log", OURS),
            *("--set", f"title=Number {number}", "--set", "summary=One of several."),
            *("--set", "status=accepted", "--set", "context=A test.", "--set", 'options=["a"]'),
            *("--set", "outcome=a", "--set", "rationale=b", "--set", 'decided_by=["lab.example"]'),
        )
        (self.folder / f"{name}.json").write_text(draft + "\n")
        self.ledger("record", "sign", f"{name}.json", "--key", "lab.key")
        self.ledger("submit", f"{name}.record", "--node", node["grpc"], "--policy", "policy")
        return get(f"{node['http']}/checkpoint")[2]


# all is on this machine, whatever proxy the environment names
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(url, body=None):
    """Status, content type and body of an answer."""
    try:
        with OPENER.open(url, body, timeout=SOON) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("Content-Type", ""), answer.read()


def our_log_under_their_witness(bench, node, log_key, witness_key):
    """Their witness alone is the quorum of our log's policy."""
    heads = [bench.submit(node, number) for number in (1, 2, 3)]
    for at, head in enumerate(heads):
        result = verify_checkpoint(parse_note(head), log_key, [witness_key], quorum=1)
        check(result.ok, f"their code finds the cosignature of their witness on our head {at + 2}")
    return heads


def our_head_at_our_witness(node, client, heads):
    """Their client carries heads of our log to our witness, with proofs out of our tiles."""
    reader = HttpTileReader([f"{node['http']}/"], proxies={})
    for head in heads:
        size = parse_checkpoint(parse_note(head).text).size

        def proof(old, new, size=size):
            return consistency_proof_from_tiles(reader, old, new, size)

        client.submit(head, proof)
    check(True, "our witness cosigns our log's heads for their client, with their proofs")


def their_log_at_our_witness(bench, node, ours):
    """Their client asks our witness about a log that they made and signed."""
    key = Ed25519PrivateKey.generate()
    log_key = vkey_from_ed25519(THEIRS, key.public_key())
    bench.ledger("witness", "add", "--dir", "log", format_vkey(log_key))
    tree = MerkleTree([f"leaf {number}\n".encode() for number in range(9)])
    other = MerkleTree([b"another first leaf\n", *(b"leaf\n" for _ in range(8))])

    def head(size, of=tree):
        checkpoint = Checkpoint(THEIRS, size, of.root(size))
        return sign_checkpoint(checkpoint, key, THEIRS).to_bytes()

    prefix = f"{node['http']}/witness"
    with WitnessClient(prefix, format_vkey(ours)) as client:
        line = client.submit(head(4), tree.consistency_proof)
        result = verify_checkpoint(
            parse_note(merge_cosignatures(head(4), line)), log_key, [ours], quorum=1
        )
        check(result.ok, "their code verifies our cosignature on their head of size 4")
        request = format_add_checkpoint_request(0, [], head(5))
        status, kind, body = get(f"{prefix}/add-checkpoint", request)
        conflict = (status, kind, body)
        check(
            conflict == (409, "text/x.tlog.size", b"4\n"),
            f"from a wrong size our witness answers 409 and its own: {conflict}",
        )
        wrong = (4, [hashlib.sha256(b"no proof").digest()])
        check(refused(client, head(5), wrong, 4) == 422, "a proof that is none: 422")
    with WitnessClient(prefix, format_vkey(ours)) as forgetful:
        forgetful.submit(head(7), tree.consistency_proof)
        check(
            forgetful.known_sizes == {THEIRS: 7},
            "a client of theirs that knows nothing finds its way by the 409",
        )
        shown = get(f"{prefix}/{origin_hash(THEIRS)}/checkpoint")[2]
        result = verify_checkpoint(parse_note(shown), log_key, [ours], quorum=1)
        is_it = result.ok and parse_checkpoint(parse_note(shown).text).size == 7
        check(is_it, "monitors find the head of size 7 at our witness, cosigned")
        fork = head(7, other)
        check(refused(forgetful, fork, (7, []), 7) == 422, "the same size and another root: 422")


def refused(client, head, proof, old_size):
    """The status with which a head is refused."""
    try:
        client.submit(head, proof, old_size=old_size)
    except WitnessRejected as rejected:
        return rejected.status
    return 200


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(programs, pathlib.Path(folder))
        log_vkey = bench.ledger("keygen", OURS, "--use", "log", "--out", "log.key")
        theirs = bench.their_witness(
            *("init", "--config", "witness.json", "--name", "foreign.example/w1")
        )
        bench.their_witness(
            *("add-log", "--config", "witness.json", "--origin", OURS, "--vkey", log_vkey)
        )
        with bench.serve_their_witness() as witness:
            policy = f"log {log_vkey}\nwitness foreign {theirs} {witness.wait()}\nquorum foreign\n"
            ours = parse_vkey(bench.found(log_vkey, policy))
            with bench.serve_our_node() as running:
                node = running.wait()
                keys = parse_vkey(log_vkey), parse_vkey(theirs)
                heads = our_log_under_their_witness(bench, node, *keys)
                with WitnessClient(f"{node['http']}/witness", format_vkey(ours)) as client:
                    our_head_at_our_witness(node, client, heads)
                their_log_at_our_witness(bench, node, ours)


if __name__ == "__main__":
    try:
        main()
    except Difference as difference:
        sys.exit(f"error: {difference}")
