#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of client_fuzz: what may answer to the hook at the FUSE server's socket."""
import sys

import seed_corpus

msg, num = seed_corpus.wire.msg, seed_corpus.wire.num

MOUNT, STATS, LIST, PROBE = range(4)
ERROR, MESSAGE, MOUNT_REPLY, STATS_REPLY, LIST_REPLY = 1, 2, 3, 4, 5
COUNTERS, STAGE_ERROR = 1, 2
DIRECTORY, PATH, FILE, DEVICE, PIPE, SOCKET = range(6)


def seed(what, reply, *descriptors):
    return bytes([what, len(descriptors), *descriptors]) + reply


def stats(*counters, stage_error=0):
    fields = b"".join(msg(COUNTERS, msg(1, name) + num(2, value)) for name, value in counters)
    return msg(STATS_REPLY, fields + num(STAGE_ERROR, stage_error))


def mounts(**members):
    info = {"id": "c1", "root": "0123456789abcdef" * 4 + "/83", "cas_name": "default"} | members
    return msg(LIST_REPLY, msg(1, b"".join(msg(i + 1, text) for i, text in enumerate(info.values()))))


def seeds():
    yield "accepted.mount", seed(MOUNT, msg(MOUNT_REPLY, num(1, 1)), DIRECTORY)
    yield "accepted.stats", seed(STATS, stats(("lookups", 7), ("reads", 2**64 - 1), stage_error=28))
    yield "accepted.list", seed(LIST, mounts() + mounts(id="c2", root="roots"))
    yield "accepted.empty-list", seed(LIST, msg(LIST_REPLY, b""))
    yield "accepted.probe", seed(PROBE, b"")
    yield "refused.mount-without-descriptor", seed(MOUNT, msg(MOUNT_REPLY, b""))
    yield "refused.mount-with-two", seed(MOUNT, msg(MOUNT_REPLY, b""), DIRECTORY, DEVICE)
    yield "refused.more-than-fit", seed(MOUNT, msg(MOUNT_REPLY, b""), *[FILE] * 10)
    yield "refused.no-answer", seed(STATS, b"")
    yield "refused.malformed", seed(STATS, b"\xff\xff\xff")
    yield "refused.another-kind", seed(STATS, mounts())
    yield "refused.error", seed(STATS, num(ERROR, 2) + msg(MESSAGE, "no mount 'c1'"))
    yield "refused.error-with-descriptors", seed(MOUNT, num(ERROR, 5), FILE, PIPE, SOCKET)
    yield "refused.error-negative", seed(LIST, num(ERROR, -5) + msg(MESSAGE, "x"))
    yield "refused.error-huge", seed(LIST, num(ERROR, 2**31 - 1))
    yield "refused.message-control", seed(LIST, num(ERROR, 22) + msg(MESSAGE, "\x1b[2J\n" * 400))
    yield "refused.stage-error-negative", seed(STATS, stats(stage_error=-28))
    yield "refused.counter-name", seed(STATS, stats(("a\x1b[2J", 1)))
    yield "refused.mount-id-control", seed(LIST, mounts(id="c1\n"))


def files():
    return dict(seeds())


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
