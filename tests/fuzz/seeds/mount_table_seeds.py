#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of mount_table_fuzz: lines of /proc/self/mountinfo and /proc/self/mountstats."""
import sys

import seed_corpus

INFO, STATS = b"\0", b"\1"
KERNEL = rb"36 35 0:52 / /run/actiondfs/c1/mnt rw,nosuid - actiondfs cas root=00/83,stage=/a\040b,uid=0" + b"\n"


def seeds():
    yield "entries.kernel", INFO + KERNEL
    yield "entries.tags", INFO + rb"36 35 98:0 /mnt1 /mnt2\134x rw shared:1 master:2 - ext3 /dev/root rw,errors=continue"
    yield "entries.odd-escapes", INFO + rb"1 2 0:1 / /a\04\0400\999\ rw - t s\ \,=,root=,\054"
    yield "entries.two", INFO + KERNEL + b"\n" + KERNEL
    yield "empty.nothing", INFO
    yield "empty.no-separator", INFO + b"36 35 98:0 / /a rw\n"
    yield "empty.too-few", INFO + b"36 35 - ext4 x rw\n36 35 98:0 / /a - t s\n"
    yield "found.counters", STATS + (b"device cas mounted on /workspace with fstype actiondfs statvers=1\n"
                                     b"\tlookups 7\n\treads 18446744073709551615\n\tbytes 9223372036854775807\n\n")
    yield "found.upper-counts", STATS + (b"device a mounted on /workspace with fstype actiondfs statvers=1\n\tx 1\n"
                                         b"device b mounted on /workspace with fstype actiondfs statvers=1\n\ty 2\n")
    yield "missing.version", STATS + b"device cas mounted on /workspace with fstype actiondfs statvers=2\n\tx 1\n"
    yield "missing.no-point", STATS + b"device cas mounted on with fstype actiondfs statvers=1\n\tx 1\n"
    yield "missing.other-point", STATS + b"device cas mounted on /workspace2 with fstype actiondfs statvers=1\n\tx 1\n"
    yield "missing.counters-of-none", STATS + b"\tx 1\n\t\n\t \n"


def files():
    return dict(seeds())


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
