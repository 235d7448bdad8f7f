"""Whether a folder is the user's own: nobody else can put a file, or another folder, in its place.

What lies in a cache is run as native code, so it must come from this user. A folder counts as
private when the user owns it and nobody else may write to it, and when no folder on the way to it
lets anybody but the user and root exchange the next one: those belong to the user or to root, and
are writable by others only with the sticky bit (as ``/tmp`` is). Symbolic links on the way belong
to the user or to root.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_LINKS = 40  # as Linux has it
_ANOTHER = "set KERNPROF_CACHE_DIR to a folder of your own (mode 700)"


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why a folder is not private, and what helps."""

    reason: str
    remedy: str


def distrust(directory: Path) -> Distrust | None:
    """Say why a folder is not the user's own; None where it is, or can be made so.

    Parameters
    ----------
    directory
        An absolute path. What isn't there yet is made by its owner-to-be, so only the folders above
        count.
    """
    try:
        for path, found, last in _way(directory):
            reason = _weakness(path, found, last)
            if reason:
                own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
                return Distrust(reason, f"chmod go-w {path}" if own else _ANOTHER)
    except OSError as error:
        return Distrust(f"{directory}: {error.strerror or error}", _ANOTHER)
    return None


def make_private(directory: Path) -> None:
    """Make a folder and those above it that aren't there, for the user alone whatever the umask.

    Raises
    ------
    OSError
        One can't be made.
    """
    missing = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def is_own(found: os.stat_result) -> bool:
    """Whether a file or folder belongs to the user and nobody else may write to it."""
    return found.st_uid == os.geteuid() and not _writable_by_others(found)


def _way(directory: Path) -> Iterator[tuple[Path, os.stat_result, bool]]:
    """Yield each folder and link on the way, as far as it exists, and whether it is the last."""
    here = Path("/")
    left = list(reversed(directory.parts[1:]))
    links = 0
    yield here, os.lstat(here), not left
    while left:
        name = left.pop()
        if name == "..":
            here = here.parent
            continue
        step = here / name
        try:
            found = os.lstat(step)
        except FileNotFoundError:
            return
        if not stat.S_ISLNK(found.st_mode):
            here = step
            yield here, found, not left
            continue
        yield step, found, False
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = Path(os.readlink(step))
        if target.is_absolute():
            here = Path("/")
        left.extend(reversed([part for part in target.parts if part != "/"]))


def _weakness(path: Path, found: os.stat_result, last: bool) -> str:
    """Say how somebody else could get at a folder; an empty string where nobody can."""
    trusted = {os.geteuid()} if last else {os.geteuid(), 0}
    if found.st_uid not in trusted:
        return f"{path} belongs to {_user(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):
        return ""
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is no folder"
    sticky = bool(found.st_mode & stat.S_ISVTX) and not last
    if _writable_by_others(found) and not sticky:
        return f"{path} is writable by others (mode {stat.S_IMODE(found.st_mode):o})"
    return ""


def _writable_by_others(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not _is_own_group(found.st_gid)


def _is_own_group(number: int) -> bool:
    """Whether a group is the user's alone, as many systems give one to each user."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(number)
    except KeyError:
        return False
    return (
        number == user.pw_gid
        and group.gr_name == user.pw_name
        and set(group.gr_mem) <= {user.pw_name}
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
