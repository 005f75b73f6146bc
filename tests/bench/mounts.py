# SPDX-License-Identifier: Apache-2.0
"""Mounting: what the size of a tree costs, which should be nothing."""

import os
import sys

from measure import HERE, output, timed


def measure(bench):
    small = bench.scratch / "ten"
    small.mkdir()
    for i in range(10):
        (small / f"file{i}").write_text(f"{i}\n")
    roots = {"ten": bench.import_tree(small),
             "million": output(sys.executable, HERE / "synthesise.py", bench.cas, bench.sizes["width"],
                               bench.sizes["files_each"]).strip()}
    count = bench.sizes["width"] ** 2 * bench.sizes["files_each"]
    points = {name: bench.scratch / "mnt" / name for name in roots}

    def mount_and_look(name):
        def work():
            bench.mount(roots[name], points[name])
            os.listdir(points[name])
        return work

    def once():
        row = [timed(mount_and_look(name)) for name in roots]
        for name in roots:
            bench.umount(points[name])
        return row

    with bench.server():
        once()
        rows = [once() for _ in range(bench.sizes["mounts"])]
    bench.add("mount + ls", rows, f"base: 10 files; measured: {count} files; Directories known from before")
    if bench.backend == "kernel":
        return
    rows = []
    for _ in range(bench.sizes["mounts"]):
        with bench.server():
            once_for = {}
            # In turn, since the first request of a server pays for its start.
            for name in list(roots)[::1 if len(rows) % 2 else -1]:
                once_for[name] = timed(mount_and_look(name))
            for name in roots:
                bench.umount(points[name])
        rows.append([once_for["ten"], once_for["million"]])
    bench.add("first mount + ls", rows, f"base: 10 files; measured: {count} files; a new server each time")
