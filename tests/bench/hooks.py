# SPDX-License-Identifier: Apache-2.0
"""What the hooks add to the life of a container."""

import itertools
import os
import statistics
import subprocess
import sys

from measure import TOP, alternate, run


def measure(bench):
    source = bench.scratch / "ten"
    root = bench.import_tree(source)
    variants = {
        "none": [],
        "empty": ["--hook", bench.empty_hook],
        "actiondfs": ["--hook", bench.bin / "actiondfs-hook", "--hook-config", bench.config,
                      "--annotation", f"dev.actiondfs.input-root={root}"],
        "strangers": ["--hook", bench.bin / "actiondfs-hook", "--hook-config", bench.config],
    }
    numbers = itertools.count()

    def container(name):
        def work():
            run("runc", "--root", bench.scratch / "runc", "run", "--bundle", bench.scratch / f"bundle-{name}",
                f"bench-{os.getpid()}-{next(numbers)}", stdin=subprocess.DEVNULL)
        return work

    for name, options in variants.items():
        run(sys.executable, TOP / "tests/lib/bundle.py", bench.scratch / f"bundle-{name}", *options, "--",
            "/bin/true")
    with bench.server():
        rows = alternate(bench.sizes["containers"], *(container(name) for name in variants))
    bench.add("runc run, hook with a workspace", [(empty, ours) for _, empty, ours, _ in rows],
             "base: an empty static program as prestart and poststop")
    bench.add("runc run, hook without annotation", [(empty, other) for _, empty, _, other in rows], "the same base")
    medians = [statistics.median(column) / 1e6 for column in zip(*rows)]
    bench.results.append({"name": "the hooks' own share", "base_ms": medians[1] - medians[0],
                         "measured_ms": medians[2] - medians[0],
                         "ratio": (medians[2] - medians[0]) / (medians[1] - medians[0])
                         if medians[1] > medians[0] else None, "rounds": len(rows),
                         "note": f"above a container without hooks ({medians[0]:.1f} ms); differences of medians"})
