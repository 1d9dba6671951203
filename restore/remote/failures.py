"""What goes wrong with a store: what may pass, and what it is called in one line."""

import errno
from typing import NoReturn

from restore.errors import InputError, OutputError, UsageError, one_line

__all__ = ["FULL", "code_of", "fail", "may_pass"]

_LASTING = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    NotImplementedError,
    PermissionError,
)
FULL = [getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name)]
"""Codes of a disk that is full, or of a share of it."""

_LOCAL = [*FULL, errno.EROFS, errno.ENAMETOOLONG]
_NOT_RETRIED = ("InvalidBucketName", "InvalidArgument", "KeyTooLongError", "InvalidRequest")
_NO_CREDENTIALS = (
    "CredentialRetrievalError",
    "DefaultCredentialsError",
    "NoAuthTokenError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "RefreshError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
)
_HOW_TO_SIGN_IN = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; a public bucket needs "
    "FSSPEC_S3_ANON=true",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and "
    "AZURE_STORAGE_ACCOUNT_KEY",
}
_SAME_AS = {"gcs": "gs", "abfs": "az"}


def fail(
    name: str, error: Exception, doing: str, *, attempts: int, is_one: bool = False
) -> NoReturn:
    """Raise what a failure of a store means.

    Args:
        name: The URL.
        error: The failure.
        doing: What could not be done: read, listed, written or removed.
        attempts: How often it was tried, if it was tried again.
        is_one: Whether it concerns one input, and others may be spared it.

    Raises:
        UsageError: no credentials, or no right to read.
        OutputError: it could not be written or removed.
        InputError: everything else.
    """
    scheme = name.partition("://")[0]
    is_change = doing in ("written", "removed")
    kind: type[Exception] = OutputError if is_change else InputError
    service = _SAME_AS.get(scheme, scheme)
    if any(each.__name__ in _NO_CREDENTIALS for each in type(error).__mro__):
        how = _HOW_TO_SIGN_IN.get(service, "sign in first")
        raise UsageError(f"{name}: no credentials; {how}") from error
    if isinstance(error, PermissionError) or getattr(error, "status", 0) in (401, 403):
        refused = kind if is_one or is_change else UsageError
        raise refused(
            f"{name}: may not be {doing} with these credentials ({one_line(str(error), 120)})"
        ) from error
    if isinstance(error, OSError) and error.errno in _LOCAL and error.filename:
        raise kind(
            f"{name}: cannot be kept on disk: {error.strerror}; let TMPDIR name a folder with room"
        ) from error
    reason = one_line(str(error) or type(error).__name__, 160)
    tried = f"; tried {attempts} times" if may_pass(error) else ""
    raise kind(f"{name}: cannot be {doing}: {reason}{tried}") from error


def code_of(error: BaseException) -> str:
    """Return S3's own word for an error; "" if it has none."""
    response = getattr(error.__cause__, "response", None) or getattr(error, "response", None)
    details = response.get("Error", {}) if isinstance(response, dict) else {}
    return str(details.get("Code", ""))


def may_pass(error: Exception) -> bool:
    """Return whether the same call may succeed later."""
    if any(each.__name__ in _NO_CREDENTIALS for each in type(error).__mro__):
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status == 429 or status >= 500
    if isinstance(error, _LASTING) or (isinstance(error, OSError) and error.errno in _LOCAL):
        return False
    return code_of(error) not in _NOT_RETRIED
