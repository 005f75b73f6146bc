# SPDX-License-Identifier: Apache-2.0
"""Where a backend, a mode or a user gets another answer than the table has: all that is accepted, and why.

A test names the entry (`differs=`); what is not here is a failure.
"""
from dataclasses import dataclass

FUSE = ("fuse", "fuse-no-passthrough")
EVERY = None


@dataclass(frozen=True)
class Difference:
    name: str
    answer: str
    why: str
    backends: tuple = EVERY
    modes: tuple = EVERY
    users: tuple = EVERY

    def applies(self, test):
        return all(allowed is EVERY or have in allowed for allowed, have in (
            (self.backends, test.backend.name), (self.modes, test.mode), (self.users, test.user)))


ACCEPTED = (
    Difference("write-open by mode", "EACCES", users=("user",), modes=("strict",),
               why="An input's mode is 0444: for its owner the kernel's own check of permissions has an answer before any "
                   "file system is asked. Root, who passes that check, gets EROFS."),
    Difference("device nodes", "OK", users=("root",), modes=("overlay", "plain"),
               why="What overlayfs, or any file system, does; the mount is nodev, so that they open nothing."),
    Difference("times of the top", "the stage's", modes=("overlay",),
               why="The top is the upper directory: it has its input's mtime, but its own ctime and atime."),
    Difference("numbers in listings", "those below", modes=("overlay",),
               why="There overlayfs lists directories by the inode numbers of its layers, which are on two file systems."),
    Difference("set-id bits after write", "0o6777", backends=("fuse",), modes=("strict",),
               why="With passthrough the kernel writes to the stage file as the server; mounts are nosuid."),
    Difference("one copy of inputs in memory", "two copies", backends=("fuse-no-passthrough",),
               why="Without passthrough the kernel caches what the server read, too."),
    Difference("one copy of staged files in memory", "two copies", backends=("fuse-no-passthrough",), modes=("strict",),
               why="As of inputs."),
    Difference("copy_file_range of an input", "EXDEV", modes=("overlay",),
               why="Below overlayfs inputs are on another file system than what is made; programs fall back to reading."),
    Difference("FICLONE of an input", "EXDEV", modes=("overlay",),
               why="Below overlayfs inputs are on another file system than what is made."),
    Difference("FICLONE of an input", "EOPNOTSUPP", backends=FUSE, modes=("strict",), why="As FICLONE."),
    Difference("fallocate COLLAPSE_RANGE", "EOPNOTSUPP", backends=FUSE, modes=("strict",),
               why="The kernel's FUSE knows only KEEP_SIZE, PUNCH_HOLE and ZERO_RANGE."),
    Difference("fallocate INSERT_RANGE", "EOPNOTSUPP", backends=FUSE, modes=("strict",), why="As COLLAPSE_RANGE."),
    Difference("fallocate UNSHARE_RANGE", "EOPNOTSUPP", backends=FUSE, modes=("strict",), why="As COLLAPSE_RANGE."),
    Difference("seek beyond the largest file", "OK", backends=FUSE, modes=("strict",),
               why="The kernel's FUSE has no limit of its own; a write there is EFBIG."),
    Difference("unaligned O_DIRECT", "OK", backends=("fuse-no-passthrough",), modes=("strict",),
               why="The server does the I/O, and not as O_DIRECT: any alignment is good."),
    Difference("FICLONE", "EOPNOTSUPP", backends=FUSE, modes=("strict",),
               why="The kernel's FUSE passes no clone on to a server; copy_file_range shares blocks where it can."),
)


def answer(name, test, expected):
    """What the test shall get: what the table has, `expected`, or what is accepted instead."""
    entries = [entry for entry in ACCEPTED if entry.name == name]
    if not entries:
        raise KeyError("differences.py has no entry %r" % name)
    for entry in entries:
        if entry.applies(test):
            return entry.answer
    return expected


def holds(name, test):
    """Whether the table's own word is to be held up: no difference of that name is accepted for the test."""
    return answer(name, test, None) is None
