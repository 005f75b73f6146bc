# SPDX-License-Identifier: Apache-2.0
"""What all of the benchmark shares: how things are timed, where they are, and the results."""

import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
MIB = 1 << 20


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, **options)


def output(*command):
    return run(*command, stdout=subprocess.PIPE, text=True).stdout


def timed(function):
    begin = time.perf_counter_ns()
    function()
    return time.perf_counter_ns() - begin


def alternate(rounds, *functions):
    """Rows of nanoseconds, one column a function; the order turns from round to round. The first is not counted."""
    rows = []
    for i in range(rounds + 1):
        row = [0] * len(functions)
        for k in range(len(functions)):
            at = (i + k) % len(functions)
            row[at] = timed(functions[at])
        rows.append(row)
    return rows[1:]


class Bench:
    """The programs, a CAS and a configuration in `scratch`, and the results so far."""

    def __init__(self, build, sizes, scratch, backend):
        self.backend = backend
        self.bin = build / "bin"
        self.compare = next(build.rglob("bench_compare"))
        self.empty_hook = next(build.rglob("bench_empty_hook"))
        self.sizes = sizes
        self.scratch = scratch
        self.socket = scratch / "serve.sock"
        self.config = scratch / "hook.json"
        self.cas = scratch / "cas"
        self.results = []
        for name in ("cas", "stage", "state", "mnt"):
            (scratch / name).mkdir(mode=0o700)
        self.config.write_text(json.dumps({
            "cas": {"default": {"path": str(self.cas), "layout": "sharded"}}, "stage_root": str(scratch / "stage"),
            "state_root": str(scratch / "state"), "serve_socket": str(self.socket), "defaults": {"backend": backend}}))

    def add(self, name, rows, note=""):
        """Rows of (base, measured) or (base, measured, the same on overlayfs)."""
        base, measured, *overlay = zip(*rows)
        result = {"name": name, "base_ms": statistics.median(base) / 1e6,
                  "measured_ms": statistics.median(measured) / 1e6,
                  "ratio": statistics.median(m / b for b, m in zip(base, measured)), "rounds": len(rows), "note": note}
        if overlay:
            result["overlayfs_ratio"] = statistics.median(o / b for b, o in zip(base, overlay[0]))
        self.results.append(result)
        print(f"  measured: {name}: {result['ratio']:.3f}", file=sys.stderr, flush=True)

    def import_tree(self, path):
        return output(self.bin / "actiondfs", "import", path, "--cas", self.cas, "--layout", "sharded",
                      "--no-progress").split()[-1]

    @contextlib.contextmanager
    def server(self):
        if self.backend == "kernel":
            yield
            return
        with open(self.scratch / "serve.log", "ab") as log:
            process = subprocess.Popen([self.bin / "actiondfs", "serve", "--socket", self.socket, "--foreground"],
                                       stdout=log, stderr=log)
        try:
            for _ in range(2000):
                if self.socket.exists():
                    break
                if process.poll() is not None:
                    sys.exit("bench: the server ended: " + (self.scratch / "serve.log").read_text()[-1000:])
                time.sleep(0.005)
            yield
        finally:
            process.terminate()
            process.wait()
            self.socket.unlink(missing_ok=True)

    def mount(self, digest, mountpoint):
        mountpoint.mkdir(exist_ok=True)
        run(self.bin / "actiondfs", "mount", digest, mountpoint, "--cas", self.cas, "--mode", "readonly",
            "--backend", self.backend, *(["--socket", self.socket] if self.backend == "fuse" else []))

    def umount(self, mountpoint):
        run(self.bin / "actiondfs", "umount", mountpoint)

    @contextlib.contextmanager
    def mounted(self, digest, name):
        mountpoint = self.scratch / "mnt" / name
        self.mount(digest, mountpoint)
        try:
            yield mountpoint
        finally:
            self.umount(mountpoint)


def file_system(path):
    return output("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path).strip()
