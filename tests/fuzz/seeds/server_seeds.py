#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of server_fuzz: requests of proto/actiondfs/serve.proto, with descriptors of all kinds."""
import sys

import seed_corpus

msg, num = seed_corpus.wire.msg, seed_corpus.wire.num

MOUNT, STATS, LIST, PING = 1, 2, 3, 4
ID, CAS_NAME, LAYOUT, ROOT_HASH, ROOT_SIZE, HAS_STAGE, MANY_ROOTS, LIST_ROOTS, CONTEXT = 1, 2, 3, 4, 5, 6, 11, 12, 13
DIRECTORY, PATH, FILE, DEVICE, PIPE, SOCKET = range(6)
# The empty Directory, which needs no blob.
EMPTY = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def packet(request, *descriptors):
    return bytes([len(descriptors), *descriptors]) + len(request).to_bytes(2, "little") + request


def mount(id_=b"c1", layout=b"sharded", hash_=EMPTY, *more):
    fields = msg(ID, id_) + msg(CAS_NAME, b"default") + msg(LAYOUT, layout) + msg(ROOT_HASH, hash_)
    return msg(MOUNT, fields + b"".join(more))


def seeds():
    strict = mount(b"c1", b"sharded", EMPTY, num(HAS_STAGE, 1), num(7, 1000), num(8, 100))
    yield "ping", packet(msg(PING, b""))
    yield "list", packet(msg(LIST, b""))
    yield "stats-of-none", packet(msg(STATS, msg(1, b"c1\x1b[2J")))
    yield "no-kind", packet(num(99, 1))
    yield "malformed", packet(b"\xff\xff\xff")
    yield "empty-packet", packet(b"")
    yield "two-kinds", packet(msg(PING, b"") + msg(LIST, b""))
    yield "mount-readonly", packet(mount(), DIRECTORY)
    yield "mount-strict-twice-and-stats", (packet(strict, DIRECTORY, DIRECTORY) + packet(strict, PATH, PATH) +
                                           packet(msg(STATS, msg(1, b"c1"))) + packet(msg(LIST, b"")))
    yield "mount-many-roots", packet(mount(b"r", b"flat", b"", num(MANY_ROOTS, 1), num(LIST_ROOTS, 1)), DIRECTORY)
    yield "mount-many-roots-with-stage", packet(mount(b"r", b"flat", b"", num(MANY_ROOTS, 1), num(HAS_STAGE, 1)),
                                                DIRECTORY, DIRECTORY)
    yield "mount-without-descriptors", packet(mount())
    yield "mount-too-many-descriptors", packet(mount(), *[DIRECTORY] * 8)
    yield "mount-more-than-fit", packet(mount(), *[DIRECTORY] * 10)
    for name, kind in (("file", FILE), ("device", DEVICE), ("pipe", PIPE), ("socket", SOCKET), ("path", PATH)):
        yield "cas-is-a-" + name, packet(mount(), kind)
        yield "stage-is-a-" + name, packet(strict, DIRECTORY, kind)
    yield "mount-id-empty", packet(mount(b""), DIRECTORY)
    yield "mount-id-long", packet(mount(b"x" * 257), DIRECTORY)
    yield "mount-id-control", packet(mount(b"a\nb"), DIRECTORY)
    yield "mount-layout", packet(mount(b"c1", b"auto"), DIRECTORY)
    yield "mount-hash-short", packet(mount(b"c1", b"sharded", EMPTY[1:]), DIRECTORY)
    yield "mount-hash-missing", packet(mount(b"c1", b"sharded", bytes(32), num(ROOT_SIZE, 7)), DIRECTORY)
    yield "mount-size-negative", packet(mount(b"c1", b"sharded", EMPTY, num(ROOT_SIZE, -1)), DIRECTORY)
    yield "mount-context", packet(mount(b"c1", b"sharded", EMPTY, msg(CONTEXT, "u:o\"r,\\: \x01")), DIRECTORY)
    yield "descriptors-with-ping", packet(msg(PING, b""), *range(6)) + packet(msg(PING, b""))


def files():
    return {"served." + name: data for name, data in seeds()}


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
