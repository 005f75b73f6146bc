#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what actiondfs costs as ratios to the same thing without it. Base and measured run in turn, round by round;
a ratio is the median of the rounds' ratios, and above 1 is slower. Started by run.sh."""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
MIB = 1 << 20

FULL = {"width": 100, "files_each": 100, "small_folders": 200, "small_each": 100, "big": 256 * MIB, "rounds": 9,
        "mounts": 30, "containers": 30, "compiles": 3, "source": "googletest/src/gtest-all.cc"}
# Where a processor is emulated everything takes ten times as long.
EMULATED = {**FULL, "rounds": 7, "mounts": 10, "containers": 10, "compiles": 2,
            "source": "googletest/src/gtest-printers.cc"}
QUICK = {"width": 3, "files_each": 3, "small_folders": 3, "small_each": 5, "big": MIB, "rounds": 1,
         "mounts": 2, "containers": 1, "compiles": 1, "source": "googletest/samples/sample1.cc"}


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
        print(f"  measured: {name}: {result['ratio']:.2f}", file=sys.stderr, flush=True)

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

    def mounts(self):
        small = self.scratch / "ten"
        small.mkdir()
        for i in range(10):
            (small / f"file{i}").write_text(f"{i}\n")
        roots = {"ten": self.import_tree(small),
                 "million": output(sys.executable, HERE / "synthesise.py", self.cas, self.sizes["width"],
                                   self.sizes["files_each"]).strip()}
        count = self.sizes["width"] ** 2 * self.sizes["files_each"]
        points = {name: self.scratch / "mnt" / name for name in roots}

        def mount_and_look(name):
            def work():
                self.mount(roots[name], points[name])
                os.listdir(points[name])
            return work

        def once():
            row = [timed(mount_and_look(name)) for name in roots]
            for name in roots:
                self.umount(points[name])
            return row

        with self.server():
            once()
            rows = [once() for _ in range(self.sizes["mounts"])]
        self.add("mount + ls", rows, f"base: 10 files; measured: {count} files; Directories known from before")
        if self.backend == "kernel":
            return
        rows = []
        for _ in range(self.sizes["mounts"]):
            with self.server():
                once_for = {}
                # In turn, since the first request of a server pays for its start.
                for name in list(roots)[::1 if len(rows) % 2 else -1]:
                    once_for[name] = timed(mount_and_look(name))
                for name in roots:
                    self.umount(points[name])
            rows.append([once_for["ten"], once_for["million"]])
        self.add("first mount + ls", rows, f"base: 10 files; measured: {count} files; a new server each time")

    def hooks(self):
        source = self.scratch / "ten"
        root = self.import_tree(source)
        variants = {
            "none": [],
            "empty": ["--hook", self.empty_hook],
            "actiondfs": ["--hook", self.bin / "actiondfs-hook", "--hook-config", self.config,
                          "--annotation", f"dev.actiondfs.input-root={root}"],
            "strangers": ["--hook", self.bin / "actiondfs-hook", "--hook-config", self.config],
        }
        numbers = itertools.count()

        def container(name):
            def work():
                run("runc", "--root", self.scratch / "runc", "run", "--bundle", self.scratch / f"bundle-{name}",
                    f"bench-{os.getpid()}-{next(numbers)}", stdin=subprocess.DEVNULL)
            return work

        for name, options in variants.items():
            run(sys.executable, TOP / "tests/lib/bundle.py", self.scratch / f"bundle-{name}", *options, "--",
                "/bin/true")
        with self.server():
            rows = alternate(self.sizes["containers"], *(container(name) for name in variants))
        self.add("runc run, hook with a workspace", [(empty, ours) for _, empty, ours, _ in rows],
                 "base: an empty static program as prestart and poststop")
        self.add("runc run, hook without annotation", [(empty, other) for _, empty, _, other in rows], "the same base")
        medians = [statistics.median(column) / 1e6 for column in zip(*rows)]
        self.results.append({"name": "the hooks' own share", "base_ms": medians[1] - medians[0],
                             "measured_ms": medians[2] - medians[0],
                             "ratio": (medians[2] - medians[0]) / (medians[1] - medians[0])
                             if medians[1] > medians[0] else None, "rounds": len(rows),
                             "note": f"above a container without hooks ({medians[0]:.1f} ms); differences of medians"})

    def make_files(self):
        tree = self.scratch / "tree"
        for i in range(self.sizes["small_folders"]):
            folder = tree / "small" / f"{i:04}"
            folder.mkdir(parents=True)
            for j in range(self.sizes["small_each"]):
                (folder / f"file-{j:04}").write_bytes(b"%08d" % (i * 10000 + j) * 128)
        with open(tree / "big", "wb") as big:
            for i in range(self.sizes["big"] // MIB):
                big.write(os.urandom(MIB))
        shutil.copy("/bin/true", tree / "program")
        shutil.copytree("/usr/src/googletest/googletest", tree / "googletest")
        return tree

    @contextlib.contextmanager
    def overlay(self, tree):
        """The same files through overlayfs, which is what containers look at them through today."""
        places = [self.scratch / f"overlay-{name}" for name in ("upper", "work", "merged")]
        for place in places:
            place.mkdir()
        upper, work, merged = places
        run("mount", "-t", "overlay", "-o", f"lowerdir={tree},upperdir={upper},workdir={work}", "overlay", merged)
        try:
            yield merged
        finally:
            run("umount", merged)

    def compared(self, workload, *places, rounds=None, **options):
        words = [word for name, value in options.items() for word in
                 (["--" + name.replace("_", "-")] + ([] if value is True else [value]))]
        return json.loads(output(self.compare, workload, rounds or self.sizes["rounds"], *words, *places))

    def files(self):
        tree = self.make_files()
        count = self.sizes["small_folders"] * self.sizes["small_each"]
        root = self.import_tree(tree)
        with self.server(), self.mounted(root, "tree") as mountpoint, self.overlay(tree) as overlay:
            for name, workload, options in (
                    (f"sequential read of {self.sizes['big'] // MIB} MiB", "read", {}),
                    (f"mmap of {self.sizes['big'] // MIB} MiB, each page touched", "mmap", {}),
                    ("20 x exec of true", "exec", {}),
                    (f"stat of {count} files, warm", "stat", {}),
                    (f"stat of {count} files, dentries dropped", "stat", {"drop_dentries": True}),
                    (f"walk of {count} files, all dropped", "walk", {"drop_all": True}),
                    (f"open + read + close of {count} files", "open", {})):
                self.add(name, self.compared(workload, tree, mountpoint, overlay, **options))
            for name, options in (("warm", {}), ("dentries dropped", {"drop_dentries": True})):
                rows, base_rows = [], []
                for _ in range(self.sizes["rounds"]):
                    one, two = (self.compared("stat", tree, mountpoint, rounds=1, threads=threads, **options)[0]
                                for threads in (1, 2))
                    rows.append((one[1], two[1]))
                    base_rows.append(two[0] / one[0])
                self.add(f"stat by 2 threads, {name}", rows,
                         f"base: 1 thread, the same work; on {file_system(tree)}: {statistics.median(base_rows):.2f}")

            def compile_in(top):
                return lambda: run("g++", "-std=c++17", "-c", "-Igoogletest", "-Igoogletest/include", "-o",
                                   self.scratch / "out.o", self.sizes["source"], cwd=top)
            self.add(f"g++ -c {os.path.basename(self.sizes['source'])}",
                     alternate(self.sizes["compiles"], *(compile_in(top) for top in (tree, mountpoint, overlay))))
        if os.environ.get("ACTIONDFS_KO_WITHOUT_STATISTICS"):
            self.statistics_of_the_module(root)

    def statistics_of_the_module(self, root):
        """What they cost, by a module that was built without: each in turn is loaded anew."""
        modules = [os.environ["ACTIONDFS_KO_WITHOUT_STATISTICS"], os.environ["ACTIONDFS_KO"]]
        rows = []
        for i in range(self.sizes["rounds"]):
            row = [0, 0]
            for k in (i % 2, 1 - i % 2):
                run("rmmod", "actiondfs")
                run("insmod", modules[k])
                with self.mounted(root, "tree") as mountpoint:
                    row[k] = min(times[0] for times in self.compared("stat", mountpoint, rounds=5, drop_dentries=True))
            rows.append(row)
        self.add("statistics, in a lookup", rows, "base: the module built without; the least of 5 turns each")


def file_system(path):
    return output("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path).strip()


def show(results, where):
    print(f"Base is {where} unless the note says another thing; a ratio above 1 is slower.\n")
    print(f"{'':48} {'base ms':>10} {'measured':>10} {'ratio':>6} {'overlayfs':>9}  rounds")
    for r in results:
        ratio, overlay = (f"{r[key]:.2f}" if r.get(key) is not None else "-" for key in ("ratio", "overlayfs_ratio"))
        print(f"{r['name']:48} {r['base_ms']:10.2f} {r['measured_ms']:10.2f} {ratio:>6} {overlay:>9}  {r['rounds']:4}")
        if r["note"]:
            print(f"    {r['note']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--backend", choices=("fuse", "kernel"), default="fuse")
    parser.add_argument("--quick", action="store_true", help="tiny trees, one round: only that everything works")
    parser.add_argument("--emulated", action="store_true", help="fewer rounds, a smaller source to compile")
    parser.add_argument("--out", type=pathlib.Path, help="JSON file (default: bench.json in the build folder)")
    options = parser.parse_args()
    build = options.build.resolve()
    sizes = QUICK if options.quick else EMULATED if options.emulated else FULL
    out = options.out or build / ("bench-quick.json" if options.quick else "bench.json")
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="actiondfs-bench.", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        bench = Bench(build, sizes, scratch, options.backend)
        bench.mounts()
        bench.hooks()
        bench.files()
        where = f"the same files on {file_system(scratch)}"
    finally:
        for line in sorted(pathlib.Path("/proc/self/mounts").read_text().splitlines(), reverse=True):
            if line.split()[1].startswith(f"{scratch}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False)
        shutil.rmtree(scratch)
    report = {"kernel": platform.release(), "backend": options.backend, "cpus": os.cpu_count(), "base": where,
              "quick": options.quick, "results": bench.results}
    out.write_text(json.dumps(report, indent=1) + "\n")
    json.loads(out.read_text())
    show(bench.results, where)
    print(f"\nJSON: {out}")


if __name__ == "__main__":
    main()
