#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of record_fuzz: the counters so far, and a run record."""
import json
import sys

import seed_corpus

RECORD = {
    "schema": 1, "container_id": "c1", "input_root": "0123456789abcdef" * 4 + "/83", "mode": "strict",
    "backend": "fuse", "destination": "/workspace", "started_unix_ms": 1700000000000,
    "finished_unix_ms": 1700000001000, "steps": [{"name": "prestart.plan", "microseconds": 17}],
    "counters": {"lookups": 7}, "staged": {"files": 1, "bytes": 4096, "incomplete": False}, "exit": "gone",
}
TEXT = """# HELP actiondfs_lookups_total Counter of the mounts, summed over all containers.
# TYPE actiondfs_lookups_total counter
actiondfs_lookups_total 41
actiondfs_prestart_seconds_sum 1.000017
actiondfs_containers_total{mode="strict",backend="fuse"} 2
"""
LARGEST = 2**64 - 1


def seed(text="", **members):
    return text.encode() + b"\xff" + json.dumps(RECORD | members).encode()


def seeds():
    yield "added.first", seed()
    yield "added.to-text", seed(TEXT)
    yield "added.largest-counter", seed(counters={"lookups": LARGEST})
    yield "added.largest-sum", seed("actiondfs_lookups_total 9223372036854775807\n")
    yield "added.largest-seconds", seed(steps=[{"name": "prestart.x", "microseconds": LARGEST}])
    yield "added.most-seconds-before", seed("actiondfs_prestart_seconds_sum 9223372036854775807.999999\n")
    yield "added.odd-words", seed(mode="a\"b", backend="")
    yield "added.later-schema", seed(schema=9, later={"a": [1]})
    yield "added.nothing", b"\xff{}"
    yield "text.foreign", seed("node_load1 0.1\n")
    yield "text.words", seed("actiondfs_lookups_total many\n")
    yield "text.counter-name", seed(counters={"a b": 1})
    yield "record.malformed", b"\xff{"
    yield "record.empty", b""
    yield "record.wrong-type", seed(counters=[])
    yield "record.negative", seed(started_unix_ms=-1)
    yield "record.not-whole", seed(counters={"a": 1.5})


def files():
    return dict(seeds())


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
