"""The one place that changes files which must survive a crash.

A file is written beside its place, synced, renamed and its folder synced: a reader finds the old content or the new
one, never a part. Appends are synced before they count. Every primitive operation passes through `perform`, where
tests can kill the process (`fault`) and where the errors of the operating system get a code.
"""

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import fault

TEMPORARY = ".tmp"
"""How the name of an unfinished file ends; it begins with a dot."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_numbers = itertools.count(1)
_synced: set[Path] = set()


def perform(verb: str, path: Path, operation: Callable[[], object], half: Callable[[], object] | None = None) -> None:
    """Do one primitive operation on the disk.

    Args:
        verb: what is done, for the record of operations.
        path: what it is done to.
        operation: does it.
        half: does the first half of it, where a crash can tear it.

    Raises:
        StoreError: E-store-full where the disk is full, else E-store-unwritable.
    """
    try:
        fault.strike(verb, str(path), operation, half)
    except OSError as error:
        raise store_error(verb, path, error) from error


def append(handle: int, path: Path, content: bytes) -> None:
    """Append to an open file and sync it; on return the content is on the disk."""
    _write(handle, path, content, "append")
    sync(handle, path)


def sync(handle: int, path: Path) -> None:
    """Sync an open file."""
    perform("fsync", path, lambda: os.fsync(handle))


def truncate(handle: int, path: Path, size: int) -> None:
    """Cut an open file to `size` bytes and sync it."""
    perform("truncate", path, lambda: os.ftruncate(handle, size))
    sync(handle, path)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file by `content`: at every instant there is the old file or the new one."""
    temporary = _beside(path)
    try:
        _write_new(temporary, path, content)
        perform("rename", path, lambda: os.replace(temporary, path))
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_once(path: Path, content: bytes) -> bool:
    """Write a file unless it is there; of several writers at once one does. Returns whether this was the one."""
    temporary, there = _beside(path), list[FileExistsError]()

    def link() -> None:
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            there.append(error)

    try:
        _write_new(temporary, path, content)
        perform("link", path, link)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
    sync_folder(path.parent)
    return not there


def rename_folder(source: Path, path: Path) -> None:
    """Give a folder that is whole its name, which must be free."""
    perform("rename", path, lambda: os.rename(source, path))
    sync_folder(path.parent)


def copy_file(source: Path, path: Path) -> None:
    """Replace a file by a copy of `source`, without syncing: for what can be made again."""
    temporary = _beside(path)
    try:
        perform("copy", path, lambda: shutil.copyfile(source, temporary))
        perform("rename", path, lambda: os.replace(temporary, path))
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def make_folder(path: Path) -> None:
    """Make a folder and what is missing above it, each one synced into its parent.

    A folder that exists is synced, too, once in each process: who made it may have died before.
    """
    there = path.is_dir()
    if there and path in _synced:
        return
    if not there:
        make_folder(path.parent)
        perform("mkdir", path, lambda: path.mkdir(exist_ok=True))
    sync_folder(path.parent)
    _synced.add(path)


def remove(path: Path) -> None:
    """Remove a file; none is no error."""
    perform("remove", path, lambda: path.unlink(missing_ok=True))


def open_to_append(path: Path) -> int:
    """Open a file for reading and appending, and make it where there is none."""
    handles: list[int] = []
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
    existed = path.exists()
    perform("open", path, lambda: handles.append(os.open(path, flags, 0o644)))
    if not existed:
        sync_folder(path.parent)
    return handles[0]


def sync_folder(path: Path) -> None:
    """Sync a folder: the names in it are then on the disk."""
    perform("fsync-folder", path, lambda: _sync_folder(path))


def leftovers(folder: Path) -> Iterator[Path]:
    """Unfinished files below a folder, left by a process that died."""
    return folder.rglob(f".*{TEMPORARY}")


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}{TEMPORARY}")


def _write_new(temporary: Path, path: Path, content: bytes) -> None:
    handles: list[int] = []
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    perform("create", path, lambda: handles.append(os.open(temporary, flags, 0o644)))
    try:
        _write(handles[0], path, content, "write")
        sync(handles[0], path)
    finally:
        os.close(handles[0])


def _write(handle: int, path: Path, content: bytes, verb: str) -> None:
    middle = len(content) // 2
    perform(verb, path, lambda: _write_all(handle, content), lambda: _write_all(handle, content[:middle]))


def _write_all(handle: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def store_error(verb: str, path: Path, error: OSError) -> StoreError:
    """Give an error of the operating system its code."""
    if error.errno in _FULL:
        return StoreError(
            Diagnostic(
                code="E-store-full",
                message=f"no space is left for {path.name}",
                got=os.strerror(error.errno or 0),
                remedy="free some space, then run the same command again: what was recorded is kept",
            )
        )
    return StoreError(
        Diagnostic(
            code="E-store-unwritable",
            message=f"{verb} {path} failed: {error.strerror or error}",
            remedy="check that the workspace is on a disk that this user may write to",
        )
    )
