#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what actiondfs costs as ratios to the same thing without it. Base and measured run in turn, round by round;
a ratio is the median of the rounds' ratios, and above 1 is slower. Started by run.sh."""

import argparse
import json
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile

import files
import hooks
import mounts
from measure import MIB, Bench, file_system

FULL = {"width": 100, "files_each": 100, "small_folders": 200, "small_each": 100, "big": 256 * MIB, "rounds": 9,
        "mounts": 30, "containers": 30, "compiles": 3, "source": "googletest/src/gtest-all.cc"}
# Where a processor is emulated everything takes ten times as long.
EMULATED = {**FULL, "rounds": 7, "mounts": 10, "containers": 10, "compiles": 2,
            "source": "googletest/src/gtest-printers.cc"}
# Where the clock counts instructions one round is nearly as good as ten.
INSTRUCTIONS = {**FULL, "small_folders": 100, "big": 64 * MIB, "rounds": 3, "compiles": 0}
QUICK = {"width": 3, "files_each": 3, "small_folders": 3, "small_each": 5, "big": MIB, "rounds": 1,
         "mounts": 2, "containers": 1, "compiles": 1, "source": "googletest/samples/sample1.cc"}


def show(results, where, digits):
    print(f"Base is {where} unless the note says another thing; a ratio above 1 is slower.\n")
    print(f"{'':48} {'base ms':>10} {'measured':>10} {'ratio':>6} {'overlayfs':>9}  rounds")
    for r in results:
        ratio, overlay = (f"{r[key]:.{digits}f}" if r.get(key) is not None else "-"
                          for key in ("ratio", "overlayfs_ratio"))
        print(f"{r['name']:48} {r['base_ms']:10.2f} {r['measured_ms']:10.2f} {ratio:>6} {overlay:>9}  {r['rounds']:4}")
        if r["note"]:
            print(f"    {r['note']}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--backend", choices=("fuse", "kernel"), default="fuse")
    parser.add_argument("--quick", action="store_true", help="tiny trees, one round: only that everything works")
    parser.add_argument("--emulated", action="store_true", help="fewer rounds, a smaller source to compile")
    parser.add_argument("--instructions", action="store_true",
                        help="the clock counts instructions: files only, on one CPU, in few rounds")
    parser.add_argument("--threads", action="store_true", help="only what two threads do at once")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file (default: bench.json in the build folder)")
    options = parser.parse_args()
    if options.threads and os.cpu_count() < 2:
        parser.error("--threads: there is one processor")
    return options


def sizes_of(options):
    if options.quick:
        return QUICK
    if options.instructions:
        return INSTRUCTIONS
    return EMULATED if options.emulated else FULL


def main():
    options = arguments()
    build = options.build.resolve()
    kind = "-quick" if options.quick else "-threads" if options.threads else ""
    out = options.out or build / f"bench{kind}.json"
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="actiondfs-bench.", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        bench = Bench(build, sizes_of(options), scratch, options.backend)
        if options.threads:
            files.measure_threads(bench)
        else:
            # A container waits for much else than for instructions.
            for part in (files,) if options.instructions else (mounts, hooks, files):
                part.measure(bench)
        where = f"the same files on {file_system(scratch)}"
    finally:
        for line in sorted(pathlib.Path("/proc/self/mounts").read_text().splitlines(), reverse=True):
            if line.split()[1].startswith(f"{scratch}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(scratch)
    report = {"kernel": platform.release(), "backend": options.backend, "cpus": os.cpu_count(), "base": where,
              "quick": options.quick, "instructions": options.instructions, "results": bench.results}
    out.write_text(json.dumps(report, indent=1) + "\n")
    json.loads(out.read_text())
    show(bench.results, where, 3 if options.instructions else 2)
    print(f"\nJSON: {out}")


if __name__ == "__main__":
    main()
