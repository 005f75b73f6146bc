#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of plan_fuzz: a plan of each mode, and a refusal of each stage on the way there. See plan_fuzz.cc for the
form."""
import json
import sys

import seed_corpus

DIGEST = "0123456789abcdef" * 4 + "/83"
STRICT_OPERATOR, KERNEL, FUSE, MUTATES, SAYS_SO, BLAKE3 = 1, 2, 4, 8, 16, 32


def state(**members):
    return {"ociVersion": "1.0.2", "id": "c1", "status": "created", "pid": 4711, "bundle": "/run/bundle",
            "annotations": {"dev.actiondfs.input-root": DIGEST}} | members


def config(*namespaces, **linux):
    return {"root": {"path": "rootfs", "readonly": True}, "process": {"user": {"uid": 1000, "gid": 100}, "cwd": "/"},
            "linux": {"namespaces": [{"type": "mount"}, *namespaces], **linux}}


def seed(choice=FUSE, state=state(), config=config(), annotations="", id_map=""):
    parts = [part if isinstance(part, str) else json.dumps(part) for part in (state, config)] + [annotations, id_map]
    return bytes([choice]) + b"\xff".join(part.encode() for part in parts)


def only(**annotations):
    return state(annotations={"dev.actiondfs." + key.replace("_", "-"): value for key, value in annotations.items()})


def plans():
    maps = {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 65536}]}
    yield "strict.plain", seed()
    yield "strict.kernel", seed(FUSE | KERNEL)
    yield "strict.rootfs-absolute", seed(config=config() | {"root": {"path": "/srv/rootfs"}})
    yield "strict.user-namespace", seed(config=config({"type": "user"}, **maps))
    yield "strict.user-namespace-kernel", seed(KERNEL, config=config({"type": "user"}, **maps))
    yield "strict.joined-user-namespace", seed(config=config({"type": "user", "path": "/proc/1/ns/user"}),
                                               id_map="         0     100000      65536\n")
    yield "strict.mount-label", seed(config=config(mountLabel="system_u:object_r:container_file_t:s0:c1,c2"))
    yield "strict.operator", seed(STRICT_OPERATOR | FUSE, annotations="mode=strict\ndestination=/home/build/a")
    yield "readonly.operators-default", seed(STRICT_OPERATOR | FUSE)
    yield "readonly.annotation", seed(annotations="mode=readonly\nbackend=fuse\ncas=default")
    yield "overlay.annotation", seed(annotations="mutates-inputs=yes\nmode=overlay")
    yield "overlay.action", seed(FUSE | SAYS_SO | MUTATES, only(action="sha256:" + DIGEST))
    yield "strict.action", seed(FUSE | SAYS_SO, only(action=DIGEST))
    yield "strict.blake3", seed(FUSE | BLAKE3, only(input_root="blake3:" + DIGEST, cas="b3"))
    yield "none.other-annotations", seed(state=state(annotations={"io.podman": "x"}))
    yield "none.no-annotations", seed(state=state(annotations=None))


def refusals():
    yield "state.malformed", seed(state="{")
    yield "state.id-is-a-path", seed(state=state(id="../c1"))
    yield "state.bundle-relative", seed(state=state(bundle="bundle"))
    yield "state.pid-negative", seed(state=state(pid=-1))
    yield "state.deep", seed(state="[" * 100)
    yield "config.malformed", seed(config='{"root": \u0001}')
    yield "config.no-root", seed(config=config() | {"root": None})
    yield "config.uid-too-large", seed(config=config() | {"process": {"user": {"uid": 4294967295}, "cwd": "/"}})
    yield "config.label-not-printable", seed(config=config(mountLabel="a\u009b31mb"))
    yield "request.unknown-key", seed(annotations="x\u2028=1")
    yield "request.both", seed(annotations="action=" + DIGEST)
    yield "request.neither", seed(state=only(mode="strict"))
    yield "request.digest", seed(state=only(input_root=DIGEST.upper()))
    yield "request.contradiction", seed(annotations="mode=strict\nmutates-inputs=1")
    yield "request.no-mount-namespace", seed(config=config() | {"linux": {}})
    for name, destination in (("root", "/"), ("proc", "/proc/self"), ("dots", "/a/../b"), ("relative", "a"),
                              ("control", "/a\u0007"), ("long", "/" + "a" * 4095)):
        yield "request.destination-" + name, seed(annotations="destination=" + destination)
    yield "request.not-mapped", seed(config=config({"type": "user"}))
    yield "id-map.words", seed(config=config({"type": "user", "path": "/x"}), id_map="a b c")
    yield "id-map.not-mapped", seed(config=config({"type": "user", "path": "/x"}), id_map="0 0 1")
    yield "plan.mode-not-allowed", seed(STRICT_OPERATOR | FUSE, annotations="mode=overlay")
    yield "plan.destination-not-allowed", seed(STRICT_OPERATOR | FUSE, annotations="destination=/workspaces")
    yield "plan.backend-not-allowed", seed(STRICT_OPERATOR | FUSE | KERNEL, annotations="backend=kernel")
    yield "plan.no-backend", seed(0)
    yield "plan.no-such-cas", seed(annotations="cas=other")
    yield "plan.digest-function", seed(state=only(input_root="blake3:" + DIGEST))


def files():
    return dict(plans()) | dict(refusals())


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
