# SPDX-License-Identifier: Apache-2.0
"""Looking at files: the same tree as it is on disk, through actiondfs, and through overlayfs."""

import contextlib
import json
import os
import shutil
import statistics

from measure import MIB, alternate, file_system, output, run


def make_tree(bench):
    tree = bench.scratch / "tree"
    for i in range(bench.sizes["small_folders"]):
        folder = tree / "small" / f"{i:04}"
        folder.mkdir(parents=True)
        for j in range(bench.sizes["small_each"]):
            (folder / f"file-{j:04}").write_bytes(b"%08d" % (i * 10000 + j) * 128)
    with open(tree / "big", "wb") as big:
        for i in range(bench.sizes["big"] // MIB):
            big.write(os.urandom(MIB))
    shutil.copy(bench.empty_hook, tree / "program")  # static: no library of another place has a part in it
    shutil.copytree("/usr/src/googletest/googletest", tree / "googletest")
    return tree


@contextlib.contextmanager
def overlayfs(bench, tree):
    """The same files through overlayfs, which is what containers look at them through today."""
    places = [bench.scratch / f"overlay-{name}" for name in ("upper", "work", "merged")]
    for place in places:
        place.mkdir()
    upper, work, merged = places
    run("mount", "-t", "overlay", "-o", f"lowerdir={tree},upperdir={upper},workdir={work}", "overlay", merged)
    try:
        yield merged
    finally:
        run("umount", merged)


def compared(bench, workload, *places, rounds=None, **options):
    """Rows of nanoseconds, one column a place."""
    words = [word for name, value in options.items() for word in
             (["--" + name.replace("_", "-")] + ([] if value is True else [value]))]
    return json.loads(output(bench.compare, workload, rounds or bench.sizes["rounds"], *words, *places))


def reading(bench, *places):
    count = bench.sizes["small_folders"] * bench.sizes["small_each"]
    big = bench.sizes["big"] // MIB
    for name, workload, options in (
            (f"sequential read of {big} MiB", "read", {}),
            (f"mmap of {big} MiB, each page touched", "mmap", {}),
            ("20 x exec of an empty static program", "exec", {}),
            (f"stat of {count} files, warm", "stat", {}),
            (f"stat of {count} files, dentries dropped", "stat", {"drop_dentries": True}),
            (f"walk of {count} files, all dropped", "walk", {"drop_all": True}),
            (f"open + read + close of {count} files", "open", {})):
        bench.add(name, compared(bench, workload, *places, **options))


def two_threads(bench, tree, mountpoint):
    for name, options in (("warm", {}), ("dentries dropped", {"drop_dentries": True})):
        rows, base_rows = [], []
        for _ in range(bench.sizes["rounds"]):
            one, two = (compared(bench, "stat", tree, mountpoint, rounds=1, threads=threads, **options)[0]
                        for threads in (1, 2))
            rows.append((one[1], two[1]))
            base_rows.append(two[0] / one[0])
        bench.add(f"stat by 2 threads, {name}", rows,
                  f"base: 1 thread, the same work; on {file_system(tree)}: {statistics.median(base_rows):.2f}")


def compiling(bench, *places):
    def compile_in(top):
        return lambda: run("g++", "-std=c++17", "-c", "-Igoogletest", "-Igoogletest/include", "-o",
                           bench.scratch / "out.o", bench.sizes["source"], cwd=top)
    bench.add(f"g++ -c {os.path.basename(bench.sizes['source'])}",
              alternate(bench.sizes["compiles"], *(compile_in(top) for top in places)))


def statistics_of_the_module(bench, root):
    """What they cost, by a module that was built without: each in turn is loaded anew."""
    modules = [os.environ["ACTIONDFS_KO_WITHOUT_STATISTICS"], os.environ["ACTIONDFS_KO"]]
    for name, options in (("warm stat", {}), ("stat, dentries dropped", {"drop_dentries": True})):
        rows = []
        for i in range(bench.sizes["rounds"]):
            row = [0, 0]
            for k in (i % 2, 1 - i % 2):
                run("rmmod", "actiondfs")
                run("insmod", modules[k])
                with bench.mounted(root, "tree") as mountpoint:
                    row[k] = min(times[0] for times in compared(bench, "stat", mountpoint, rounds=5, **options))
            rows.append(row)
        bench.add(f"statistics: {name}", rows, "base: the module built without; the least of 5 turns each")


def measure_threads(bench):
    tree = make_tree(bench)
    root = bench.import_tree(tree)
    with bench.server(), bench.mounted(root, "tree") as mountpoint:
        two_threads(bench, tree, mountpoint)


def measure(bench):
    tree = make_tree(bench)
    root = bench.import_tree(tree)
    with bench.server(), bench.mounted(root, "tree") as mountpoint, overlayfs(bench, tree) as overlay:
        reading(bench, tree, mountpoint, overlay)
        if os.cpu_count() > 1:
            two_threads(bench, tree, mountpoint)
        if bench.sizes["compiles"]:
            compiling(bench, tree, mountpoint, overlay)
    if os.environ.get("ACTIONDFS_KO_WITHOUT_STATISTICS"):
        statistics_of_the_module(bench, root)
