# SPDX-License-Identifier: Apache-2.0
"""RS256 tokens, signed once and kept beside the results for a day: ten thousand take some seconds."""
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from subjects import AUDIENCE, ISSUER

LIFE = 86400
SPARE = 3600  # a run must end before the tokens do


def _key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def user(n):
    return f"user-{n:05}"


def _sign(key, n, **claims):
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": user(n), "iat": int(time.time()),
               "exp": int(time.time()) + LIFE, **claims}
    return jwt.encode(payload, key, algorithm="RS256")


def make(directory, count):
    """{"public": PEM, "good": [count tokens], "bad": {why: token}}; good[n] is of user(n)."""
    path = directory / "tokens.json"
    if path.exists():
        old = json.loads(path.read_text())
        if old["made"] + LIFE - SPARE > time.time() and len(old["good"]) == count:
            return old
    key = _key()
    new = {
        "made": time.time(),
        "public": key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
        "good": [_sign(key, n) for n in range(count)],
        "bad": {
            "expired": _sign(key, 0, exp=int(time.time()) - 3600),
            "another issuer": _sign(key, 0, iss="https://other.example.com/"),
            "another audience": _sign(key, 0, aud="other"),
            "another key": _sign(_key(), 0),
        },
    }
    path.write_text(json.dumps(new))
    return new
