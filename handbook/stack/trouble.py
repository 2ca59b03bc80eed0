"""What the system refuses, as one message with a next step."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from handbook import paths
from handbook.errors import StackError

FULL = 16 * 2**20  # below this no server starts: one segment of PostgreSQL's log


@contextlib.contextmanager
def readable_errors(place: Path) -> Iterator[None]:
    """Turn what the system refuses into one message with a next step."""
    try:
        yield
    except StackError as error:
        if not _is_full(place):
            raise
        raise _full(place) from error
    except OSError as error:
        raise _explained(error, place) from error


def _explained(error: OSError, place: Path) -> StackError:
    where = error.filename or place
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return _full(where)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StackError(
            f"No permission to write {where}.",
            "make the checkout and your cache folder writable, or set HANDBOOK_STACK_HOME and"
            " HANDBOOK_CACHE to folders of your own",
        )
    return StackError(f"{where}: {error.strerror or error}", "run `handbook doctor`")


def _is_full(place: Path) -> bool:
    with contextlib.suppress(OSError):
        return min(shutil.disk_usage(p).free for p in (place, paths.cache_home())) < FULL
    return False


def _full(where: object) -> StackError:
    return StackError(
        f"The disk is full: {where} cannot be written.",
        "free some space and run `handbook up` again; what was acknowledged is kept",
    )
