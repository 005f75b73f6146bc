#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""soak.py [-n CONTAINERS] [-j AT_ONCE]: many containers with runc, each of which reads its inputs and writes outputs, on
one host and with one server; then whether anything is left of them, and whether the server has grown."""

import argparse
import collections
import concurrent.futures
import os
import statistics
import sys
import time

from scene import CONTENT, MODES, Scene, skip_unless_possible

import runtimes
from host import BACKEND, Bundle, call

SCRIPT = f"""[ "$(cat /workspace/dir/file)" = "{CONTENT.strip()}" ]
if [ $MODE != readonly ]; then
  mkdir /workspace/out
  for i in 1 2 3 4 5 6 7 8; do cp /workspace/dir/file /workspace/out/$i; done
  cat /workspace/out/* | wc -l
fi
"""
WARM_UP = 32  # containers, before the server is measured: its caches and its allocator's are filled by then
MAX_GROWTH_KIB = 16384  # of the server, over all; a leak of 16 KiB a container is seen from a thousand on


class Soak:
    def __init__(self, at_once):
        self.scene = Scene()
        self.runc = runtimes.Runc(self.scene)
        # One root for all: what is measured is ours, not the copying of busybox. Each mode has its bundle.
        self.bundles = {}
        for mode in MODES:
            keys = {"dev.actiondfs.input-root": self.scene.root, "dev.actiondfs.mode": mode}
            self.bundles[mode], _ = self.scene.make_bundle(Bundle(keys, f"MODE={mode}\n{SCRIPT}", prepare_rootfs=lambda rootfs:
                                                                  os.mkdir(os.path.join(rootfs, "workspace"))))
        self.at_once = at_once
        self.live = self.scene.container("live")

    def run_one(self, number):
        """(how it failed or None, seconds)."""
        name = f"adfs-soak-{os.getpid()}-{number}"
        began = time.monotonic()
        done = call(self.runc.command("run", "--bundle", self.bundles[MODES[number % len(MODES)]], name))
        took = time.monotonic() - began
        return None if done.code == 0 else f"{name}: {done.code}: {done.err.strip()}", took

    def run(self, first, count):
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(self.run_one, range(first, first + count)))

    def server_kib(self, key="VmRSS"):
        if not self.scene.server:
            return 0
        with open(f"/proc/{self.scene.server.pid}/status", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key))

    def records(self):
        """Exits by how often they were recorded."""
        import json  # pylint: disable=import-outside-toplevel
        with open(self.scene.records, encoding="utf-8") as file:
            return collections.Counter(json.loads(line)["exit"] for line in file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000, help="containers (default: 1000)")
    parser.add_argument("-j", type=int, default=32, help="at a time (default: 32)")
    options = parser.parse_args()
    soak = Soak(options.j)
    scene = soak.scene
    try:
        scene.prestart(soak.live)
        soak.live.use()
        warm_up = min(WARM_UP, options.n)
        failures = [error for error, _ in soak.run(0, warm_up) if error]
        scene.gc()
        scene.settle_once()
        before, kib = scene.snapshot(), soak.server_kib()
        began = time.monotonic()
        done = soak.run(warm_up, options.n - warm_up)
        took = time.monotonic() - began
        failures += [error for error, _ in done if error]
        scene.gc()
        scene.settle(before)  # mounts, leases, stages, sessions, processes, the server's descriptors
        soak.live.use()
        growth = soak.server_kib() - kib
        records = soak.records()
    finally:
        scene.close()
    seconds = sorted(seconds for _, seconds in done) or [0.0]
    print(f"{options.n} containers, {options.j} at a time, backend {BACKEND}: {len(failures)} failed; "
          f"{(options.n - warm_up) / took if took else 0:.1f} containers/s; one took {statistics.median(seconds):.3f} s (median), "
          f"{seconds[int(len(seconds) * 0.99)]:.3f} s (99 %), {seconds[-1]:.3f} s (longest)\n"
          f"left: no mount, lease, stage, session, process or descriptor; the server grew from {kib} by {growth} KiB; "
          f"records: {dict(records)}")
    for error in failures[:20]:
        print(error)
    if failures or records != {"stopped": options.n} or growth > MAX_GROWTH_KIB:
        sys.exit("FAILED")


if __name__ == "__main__":
    skip_unless_possible("runc", "/bin/busybox")
    main()
