#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of lease_fuzz: a lease, and what a lease may not be."""
import json
import sys

import seed_corpus

LEASE = {
    "version": 1, "container_id": "c1", "boot_id": "b", "init_pid": 42, "init_start_time": 123456789,
    "pid_namespace": 4026531836, "mount_namespace": 4026531840, "input_root": "0123456789abcdef" * 4 + "/83", "action": "", "cas": "default",
    "mode": "strict", "backend": "fuse", "destination": "/workspace", "stage_dir": "/srv/stage/c1",
    "serve_socket": "/run/actiondfs/serve.sock", "keep_stage": False, "records_path": "", "prometheus_textfile": "",
    "attached": True, "recorded": False, "started_unix_ms": 1700000000000, "steps": [["prestart.plan", 17]],
}


def seeds():
    yield "accepted.whole", LEASE
    yield "accepted.more-members", LEASE | {"later": [1]}
    yield "accepted.largest", LEASE | {"mount_namespace": 2**64 - 1, "init_pid": 2**31 - 1}
    yield "refused.version", LEASE | {"version": 2}
    yield "refused.member-missing", {key: value for key, value in LEASE.items() if key != "stage_dir"}
    yield "refused.text-for-number", LEASE | {"init_pid": "42"}
    yield "refused.pid-too-large", LEASE | {"init_pid": 2**32 + 42}
    yield "refused.pid-not-whole", LEASE | {"init_pid": 42.5}
    yield "refused.pid-is-a-flag", LEASE | {"init_pid": True}
    yield "refused.start-negative", LEASE | {"init_start_time": -1}
    yield "refused.time-too-large", LEASE | {"started_unix_ms": 2**63}
    yield "refused.step-of-three", LEASE | {"steps": [["a", 1, 2]]}
    yield "refused.step-negative", LEASE | {"steps": [["a", -1]]}
    yield "refused.array", []


def files():
    found = {name: json.dumps(value).encode() for name, value in seeds()}
    return found | {"refused.cut": found["accepted.whole"][:200], "refused.empty": b""}


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
