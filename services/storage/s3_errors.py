"""What S3 and the way to it say, in plain words and as our errors.

Messages are our own: those of the server are not repeated, since a server may echo what it was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.exceptions import HTTPError

from services.errors import (
    AccessDenied,
    BackupsError,
    NoStorageClass,
    NoSuchBucket,
    NotThawed,
    ObjectMissing,
    StorageError,
    StorageFull,
    StorageUnavailable,
)

_DENIED_CODES = {
    "AccessDenied",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "Unauthorized",
}
_FULL_CODES = {"EntityTooLarge", "QuotaExceeded", "StorageFull", "XMinioStorageFull", "InsufficientCapacity"}
_BUSY_CODES = {"SlowDown", "RequestTimeout", "ServiceUnavailable", "InternalError", "Throttling", "TooManyRequests"}
_CLASS_CODES = {"InvalidStorageClass"}
_SKEWED_CODES = {"RequestTimeTooSkewed"}


@dataclass(frozen=True)
class Place:
    """Names for messages: the storage's name, its bucket, and where it is reached."""

    storage: str
    bucket: str
    endpoint: str

    def __str__(self) -> str:
        return f"The storage {self.storage!r} (bucket {self.bucket} at {self.endpoint})"


@contextmanager
def said_plainly(place: Place, doing: str) -> Iterator[None]:
    """Turn what boto3 raises in the block into a StorageError: "The storage … did not … while DOING".

    A storage class that the server does not have becomes NoStorageClass.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(error, place, doing) from error
    except (BotoCoreError, HTTPError, OSError) as error:
        raise _of_transport(error, place, doing) from error


def status_of(error: ClientError) -> int:
    """Return the HTTP status of a refusal, 0 where there was none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """Return S3's code of a refusal (``NoSuchKey``), or the HTTP status as text where the answer had no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(error: ClientError, place: Place, doing: str) -> BackupsError:
    status, code = status_of(error), code_of(error)
    answer = f"{code} (HTTP {status})" if code and code != str(status) else f"HTTP {status}"
    refused = f"{place} refused {doing}: {answer}."
    if code in _SKEWED_CODES:
        return AccessDenied(refused, hint="The clock of this machine is wrong by more than 15 minutes; set it.")
    if code == "NoSuchBucket":
        return NoSuchBucket(
            f"{place} has no such bucket; seen while {doing}.",
            hint="Create the bucket, or correct its name, region or endpoint in the settings.",
        )
    if code == "NoSuchUpload":
        return StorageError(refused, hint="The unfinished upload was removed by somebody else; run the backup again.")
    if code == "InvalidObjectState":
        return NotThawed(refused, hint="It lies in cold storage: thaw it first with `backups thaw`.")
    if code in _CLASS_CODES or (status == 501 and "storage class" in doing):
        return NoStorageClass(refused, hint="This server does not have that class. Nothing was changed.")
    if status == 507 or code in _FULL_CODES:
        return StorageFull(refused, hint="Free space there (old backups), raise its quota, or use another storage.")
    if status in (401, 403) or code in _DENIED_CODES:
        return AccessDenied(
            refused,
            hint="Check the access key and that it may get, put, list and delete in this bucket, and the region.",
        )
    if status == 404:
        return ObjectMissing(f"{place} has no such object; seen while {doing}.", hint="It was deleted or never stored.")
    if status == 412:
        return StorageError(refused, hint="The object was replaced meanwhile; begin again.")
    if status == 429 or status >= 500 or code in _BUSY_CODES:
        return StorageUnavailable(refused, hint="The server has a problem of its own; look at its status, try again.")
    return StorageError(refused, hint="The server does not do what was asked; check endpoint and bucket.")


def _of_transport(error: Exception, place: Place, doing: str) -> StorageError:
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AccessDenied(
            f"{place} needs an access key, and none is set.",
            hint="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the keys in the storage's settings.",
        )
    if isinstance(error, SSLError):
        return StorageUnavailable(
            f"{place} could not be reached safely while {doing}: its TLS certificate was refused.",
            hint="Check that the endpoint's name fits its certificate, and this machine's clock.",
        )
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError | TimeoutError):
        return StorageUnavailable(
            f"{place} did not answer in time while {doing}.",
            hint="Check the network; for a slow storage raise `timeout` in its settings.",
        )
    if isinstance(error, EndpointConnectionError):
        return StorageUnavailable(
            f"{place} cannot be reached; seen while {doing}.",
            hint="Check the endpoint's address and port, the network and the firewall.",
        )
    if isinstance(error, HTTPClientError | IncompleteReadError | HTTPError | OSError):
        return StorageUnavailable(
            f"{place} broke the connection while {doing} ({type(error).__name__}).",
            hint="Check the network and the server, then try again.",
        )
    return StorageError(
        f"{place} cannot be used while {doing} ({type(error).__name__}).",
        hint="Check bucket, region and endpoint in the settings.",
    )
