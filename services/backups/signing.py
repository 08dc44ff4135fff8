"""Signatures of manifests and check records: Ed25519 over canonical JSON.

Canonical means: UTF-8, keys sorted, no spaces (``json.dumps(sort_keys=True, separators=(",", ":"))``), without the
``signature`` member. Anybody with the public key can check it with standard tools.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from services.catalog.model import Trust
from services.settings.model import Settings

_DERIVATION = b"proven-backups manifest signing key v1"


def is_ed25519_key(text: str) -> bool:
    """Say whether the text is the base64 of 32 bytes: an Ed25519 seed or public key."""
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def signing_key(settings: Settings) -> Ed25519PrivateKey | None:
    """Return the key to sign with: the setting's, or one derived (HKDF-SHA256) from the age secret key, or None."""
    if settings.signing_key is not None:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.signing_key.get_secret_value().strip()))
    if settings.encryption_key is not None:
        return _derived_from(settings.encryption_key)
    return None


def _derived_from(secret: SecretStr) -> Ed25519PrivateKey:
    text = secret.get_secret_value().strip().encode()
    seed = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_DERIVATION).derive(text)
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key_text(key: Ed25519PublicKey) -> str:
    """Return a public key as base64, as ``trusted_signers`` takes it."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def sign_document(settings: Settings, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with a ``signature`` member; unchanged where there is no key to sign with."""
    key = signing_key(settings)
    if key is None:
        return document
    signature = key.sign(_canonical(document))
    return document | {
        "signature": {
            "algorithm": "ed25519",
            "public_key": public_key_text(key.public_key()),
            "value": base64.b64encode(signature).decode(),
        }
    }


def own_trust(settings: Settings) -> Trust:
    """Return how far a document that we write here and now will be believed here."""
    return "signed" if signing_key(settings) is not None else "unsigned"


def check_document(settings: Settings, document: dict[str, Any]) -> Trust:
    """Say how far a document from a storage can be believed.

    *signed*: by our own key or a trusted one, and unchanged. *unsigned*: without signature, where we have no key that
    could have signed it. *untrusted*: everything else.
    """
    own = signing_key(settings)
    trusted = set(settings.trusted_signers)
    if own is not None:
        trusted.add(public_key_text(own.public_key()))
    for old in settings.old_encryption_keys:  # what was signed before a rotation
        trusted.add(public_key_text(_derived_from(old).public_key()))
    signature = document.get("signature")
    if signature is None:
        return "untrusted" if trusted else "unsigned"
    try:
        key_text = signature["public_key"]
        if signature["algorithm"] != "ed25519" or (trusted and key_text not in trusted):
            return "untrusted"
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(key_text, validate=True))
        key.verify(base64.b64decode(signature["value"], validate=True), _canonical(document))
    except (InvalidSignature, KeyError, TypeError, ValueError):
        return "untrusted"
    # Without any trusted key a good signature proves only that nothing changed since somebody signed it.
    return "signed" if trusted else "unsigned"


def _canonical(document: dict[str, Any]) -> bytes:
    unsigned = {key: value for key, value in document.items() if key != "signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
