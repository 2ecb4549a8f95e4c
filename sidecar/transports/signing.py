"""Signatures of Standard Webhooks: by them a receiver knows that a request is ours, new and unchanged.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

from sidecar.settings import SigningSettings


def keys_of(signing: SigningSettings | None) -> Sequence[bytes]:
    """Return the keys to sign with, the newest first; none where nothing is to be signed."""
    if signing is None:
        return ()
    secrets = (signing.secret, *signing.previous)
    return [base64.b64decode(secret.get_secret_value().removeprefix("whsec_")) for secret in secrets]


def signature_headers(
    keys: Sequence[bytes], delivery_id: str, body: bytes, *, now: datetime
) -> Mapping[str, str]:
    """Return the headers that sign a body under every key: whoever knows one of them can verify it."""
    if not keys:
        return {}
    seconds = int(now.timestamp())
    content = f"{delivery_id}.{seconds}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
