#!/usr/bin/env python3
"""Asks another implementation of RFC 9901 for its opinion on sealed members.

The other implementation is `sd-jwt` 0.10.4 from PyPI (OpenWallet Foundation, the reference
implementation of the specification; Apache-2.0). Nothing that ships depends on it.

    python3 -m venv venv && venv/bin/pip install sd-jwt==0.10.4
    venv/bin/python make.py            writes theirs.json and ours-opened.json
    venv/bin/python make.py --check    compares both with what lies here; exit code 1 if they differ

theirs.json: records that it sealed, with salts as our format wants them, and how it opens them.
ours-opened.json: how it opens the sealed records of ours.json, which the Rust test writes.
"""

import base64
import hashlib
import itertools
import json
import pathlib
import random
import sys

from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

HERE = pathlib.Path(__file__).resolve().parent
KEY = JWK.generate(kty="EC", crv="P-256")  # signs for a moment; no signature is kept
IDS = (f"019f60a9-0c00-7000-8000-0000000000{number:02x}" for number in itertools.count(0x10))


def binding(claims):
    """What binds a salt to one record: its id, and a digest over its log, issuer and id."""
    log, issuer, record = claims["log"], claims["issuer"], claims["id"]
    text = f"ledger-sealed/v1\n{log}\n{issuer}\n{record}\n"
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
    return f"{record}.{digest.decode().rstrip('=')}"


class Issuer(SDJWTIssuer):
    """Theirs, with the record's binding in front of each salt, and the same salts every time."""

    def __init__(self, claims, decoys=False):
        self.count = itertools.count()
        self.record = binding(claims)
        random.seed(9901)  # how many decoys
        super().__init__(claims, KEY, add_decoy_claims=decoys)

    def _generate_salt(self):
        seed = f"{self.record} {next(self.count)}".encode()
        return f"{self.record}.{self._base64url_encode(hashlib.sha256(seed).digest()[:16])}"


def opened(payload, disclosures):
    """What their verifier makes of a payload; raises ValueError where it refuses."""
    jws = JWS(payload=json.dumps(payload))
    jws.add_signature(KEY, alg="ES256", protected=json.dumps({"alg": "ES256"}))
    presentation = "~".join([jws.serialize(compact=True), *disclosures, ""])
    return SDJWTVerifier(presentation, lambda issuer, header: KEY).get_verified_payload()


def envelope(kind, **members):
    return {
        "log": "log.example/2026",
        "kind": kind,
        "id": next(IDS),
        "issuer": "lab.example",
        "issued_at": "2026-07-14T12:00:20Z",
        "summary": {"en": "Sealed by another implementation."},
        **members,
    }


def records():
    """Names, records with what is to be sealed marked, and whether decoys are wanted."""
    yield "flat", {
        **envelope("review", title={"en": "Flat"}),
        "body": "Board",
        "review_stage": "pre_deployment",
        "outcome": "approve",
        SDObj("public_summary"): {"en": "Fine.", "fr": "Tr\u00e8s bien. \U0001f44d"},
        SDObj("panel"): ["Ada", "Gr\u00e2ce \"Amazing\" H.\n\tRear admiral"],
        SDObj("next_review"): "2027-01-31",
    }, False
    yield "structured", {
        **envelope("incident", title={"en": "Structured", SDObj("de"): "Verschachtelt"}),
        "stage": "interim",
        SDObj("class"): "near_miss",
        "severity": "hazard",
        "aware_at": "2026-07-14T12:00:00Z",
        "ai_relation": "misuse",
        "harm_types": [SDObj("physical"), "rights", SDObj("other")],
        "triggers": [],
        "system": {"name": "X", SDObj("developer"): "Ada Ltd", SDObj("version"): "7"},
        "ext": {"x.example": [[SDObj(1), 2, [SDObj(None)]], {SDObj("y"): {"z": True}}]},
    }, False
    yield "recursive", {
        **envelope("incident"),
        SDObj("title"): {SDObj("en"): "Recursive", "fr": "R\u00e9cursif"},
        "stage": "final",
        "class": "incident",
        "severity": "incident",
        "aware_at": "2026-07-14T12:00:00Z",
        "ai_relation": "use",
        "harm_types": [],
        "triggers": ["misuse"],
        SDObj("system"): {SDObj("name"): "X", SDObj("developer"): "Ada Ltd"},
        SDObj("affected"): [SDObj("pupils"), "teachers", SDObj("parents")],
        SDObj("ext"): {"deep": [SDObj([SDObj({SDObj("a"): -9007199254740991})])]},
    }, True


def their_cases():
    for name, claims, decoys in records():
        issuer = Issuer(claims, decoys)
        disclosures = [disclosure.b64 for disclosure in issuer.ii_disclosures]
        payload = issuer.sd_jwt_payload
        yield {
            "name": name,
            "payload": payload,
            "disclosures": disclosures,
            "digests": [disclosure.hash for disclosure in issuer.ii_disclosures],
            "decoys": len(issuer.decoy_digests),
            "opened": opened(payload, disclosures),
            "closed": opened(payload, []),
        }


def their_refusals(case):
    """Changes of one case that their verifier refuses."""
    payload, disclosures = case["payload"], case["disclosures"]
    digests = payload["_sd"]
    changes = {
        "a name that stands there already": ({**payload, "panel": ["x"]}, disclosures),
        "a digest that stands twice": ({**payload, "_sd": digests + digests[:1]}, disclosures),
        "a disclosure that is given twice": (payload, disclosures + disclosures[:1]),
        "another hash": ({**payload, "_sd_alg": "sha-512"}, disclosures),
    }
    for why, (payload, disclosures) in changes.items():
        try:
            opened(payload, disclosures)
        except ValueError:
            yield {"why": why, "payload": payload, "disclosures": disclosures}
        else:
            raise SystemExit(f"their verifier took {why}")


def our_cases():
    for case in json.loads((HERE / "ours.json").read_text()):
        payload, disclosures = case["payload"], case["disclosures"]
        for disclosure in disclosures:
            salt = json.loads(base64.urlsafe_b64decode(disclosure + "=" * (-len(disclosure) % 4)))[0]
            if not salt.startswith(f"{binding(payload)}.") or len(salt) != 103:
                raise SystemExit(f"a salt of {case['name']} is not bound to its record: {salt}")
        yield {
            "name": case["name"],
            "opened": opened(payload, disclosures),
            "closed": opened(payload, []),
            "without_each": [
                opened(payload, disclosures[:at] + disclosures[at + 1:])
                for at in range(len(disclosures))
            ],
        }


def main():
    theirs = list(their_cases())
    made = {
        "theirs.json": {"cases": theirs, "refused": list(their_refusals(theirs[0]))},
        "ours-opened.json": list(our_cases()),
    }
    for name, value in made.items():
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
        path = HERE / name
        if sys.argv[1:] != ["--check"]:
            path.write_text(text)
        elif path.read_text() != text:
            raise SystemExit(f"{path} is not what sd-jwt makes now")
    print("sd-jwt sealed theirs.json and opened ours.json")


if __name__ == "__main__":
    main()
