"""age keys, and what age says when it cannot decrypt.

The file format is age's own (https://age-encryption.org/v1) to X25519 recipients: every chunk and the end of the file
are authenticated, and any machine with ``age`` can decrypt. The header does not name the recipients' public keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyrage

from services.errors import BackupsError, CorruptBackup, InputError, KeyMismatch

PUBLIC_EXAMPLE = "age1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3290gq"
_NO_KEY_FITS = "No matching keys found"


def generate_key() -> tuple[str, str]:
    """Return a new key pair: the secret key (``AGE-SECRET-KEY-1…``) and its public key (``age1…``)."""
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def public_key(secret: str) -> str:
    """Given a secret key, return its public key. Raise InputError, which never shows the text, when it is none."""
    return str(_parse_identity(secret).to_public())


def check_recipient(text: str) -> None:
    """Raise InputError unless the text is an age public key."""
    parse_recipients((text,))


def parse_recipients(texts: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    """Given public keys, return them as age wants them. Raise InputError for the first that is none."""
    recipients = []
    for text in texts:
        text = text.strip()
        if text.upper().startswith("AGE-SECRET-KEY-"):
            raise InputError(
                "This is an age secret key, where a public key is wanted.",
                hint="Public keys begin with age1; `age-keygen -y` shows the one that belongs to a secret key.",
            )
        try:
            recipients.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            shown = text if len(text) <= 70 else text[:67] + "…"
            raise InputError(
                f"{shown!r} is not an age public key ({error}).",
                hint=f"A public key looks like {PUBLIC_EXAMPLE}; `backups keygen` makes a pair.",
            ) from error
    return recipients


def parse_identities(texts: Sequence[str]) -> list[pyrage.x25519.Identity]:
    """Given secret keys, return them as age wants them. Raise InputError, which never shows the text."""
    return [_parse_identity(text) for text in texts]


def decryption_failure(error: BaseException, identities: Sequence[pyrage.x25519.Identity], what: str) -> BackupsError:
    """Given what pyrage raised on decrypting, return KeyMismatch or CorruptBackup, said about ``what``.

    pyrage has one exception for the header (DecryptError, told apart by its text) and OSError for the payload. A change
    inside a recipient's part of the header looks to age like a key that does not fit, so that message names both.
    """
    if isinstance(error, pyrage.DecryptError) and str(error) == _NO_KEY_FITS:
        keys = [str(identity.to_public()) for identity in identities]
        ours = f"this key is {keys[0]}" if len(keys) == 1 else f"these keys are {', '.join(keys)}"
        return KeyMismatch(
            f"{what} is encrypted to other keys; {ours}.",
            hint="Use the secret key of one of the public keys that the manifest lists. If it lists this very key, "
            "the beginning of the file was changed.",
        )
    if isinstance(error, pyrage.DecryptError):
        reason = f"Its age header cannot be read ({str(error).splitlines()[0].rstrip('.')})."
    else:
        reason = "age refuses its content: bytes were changed, cut off or appended."
    return CorruptBackup(f"{what} is damaged. {reason}", hint="Use another copy or another backup.")


def no_key(what: str) -> KeyMismatch:
    """Return the error for an encrypted file when no secret key is at hand."""
    return KeyMismatch(
        f"{what} is encrypted, and there is no secret key at hand.",
        hint="Set BACKUP_ENCRYPTION_KEY to the age secret key (AGE-SECRET-KEY-1…).",
    )


def _parse_identity(text: str) -> pyrage.x25519.Identity:
    try:
        return pyrage.x25519.Identity.from_str(text.strip())
    except pyrage.IdentityError:
        # `from None`: nothing that derives from the text may come near a log
        raise InputError(
            "The secret key cannot be read: it is not an age secret key.",
            hint="It is one line that begins with AGE-SECRET-KEY-1; `backups keygen` makes one.",
        ) from None
