#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of config_fuzz: hook.json as it may be, and one for each thing that it may not be."""
import json
import sys

import seed_corpus

LEAST = {"cas": {"default": {"path": "/srv/cas"}}, "stage_root": "/srv/stage"}
ALL = {
    "cas": {"default": {"path": "/srv/cas", "layout": "sharded", "digest_function": "sha256"},
            "b": {"path": "/srv/b", "layout": "auto", "digest_function": "blake3"}},
    "stage_root": "/srv/stage", "state_root": "/run/actiondfs", "serve_socket": "/run/actiondfs/serve.sock",
    "defaults": {"destination": "/workspace", "mode": "strict", "backend": "auto"},
    "allow": {"modes": ["strict", "readonly"], "backends": ["kernel", "fuse"], "destinations": ["/workspace"]},
    "records": {"path": "/var/log/runs.jsonl", "prometheus_textfile": "/var/lib/actiondfs.prom"},
    "keep_stage": True,
}


def accepted():
    yield "least", LEAST
    yield "all", ALL
    for layout in ("flat", "sharded-suffix", "hash-size"):
        yield "layout-" + layout, LEAST | {"cas": {"a.b-c_9": {"path": "/srv/cas", "layout": layout}}}


def refused():
    yield "no-cas", {"stage_root": "/srv/stage"}
    yield "cas-empty", LEAST | {"cas": {}}
    yield "cas-name", LEAST | {"cas": {"a/b": {"path": "/srv"}}}
    yield "cas-below-stage", LEAST | {"cas": {"default": {"path": "/srv/stage/cas"}}}
    yield "path-relative", LEAST | {"stage_root": "srv"}
    yield "path-dots", LEAST | {"stage_root": "/srv/../stage"}
    yield "path-root", LEAST | {"stage_root": "/"}
    yield "path-control", LEAST | {"state_root": "/a\u001b[2Jb"}
    yield "one-root-for-both", LEAST | {"state_root": "/srv/stage"}
    yield "unknown-key", LEAST | {"stage\u202eroot": 1}
    yield "null", LEAST | {"keep_stage": None}
    yield "wrong-type", LEAST | {"keep_stage": 1}
    yield "layout", LEAST | {"cas": {"default": {"path": "/srv/cas", "layout": "round"}}}
    yield "default-mode-not-allowed", LEAST | {"allow": {"modes": ["readonly"]}}
    yield "default-destination-not-allowed", LEAST | {"allow": {"destinations": ["/work"]}}
    yield "allow-auto", LEAST | {"allow": {"backends": ["auto"]}}
    yield "allow-nothing", LEAST | {"allow": {"modes": []}}


def files():
    found = {"accepted." + name: json.dumps(value).encode() for name, value in accepted()}
    found |= {"refused." + name: json.dumps(value).encode() for name, value in refused()}
    return found | {"refused.malformed": b'{"cas": \xfe', "refused.empty": b"", "refused.array": b"[]"}


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
