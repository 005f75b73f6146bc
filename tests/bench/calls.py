#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Where the instructions go: what the kernel's functions cost when the same files are read on ext4 and through actiondfs.
For a guest whose clock counts instructions: tests/kernel/vm.sh --qemu --icount -- tests/bench/calls.py [FUNCTION...]"""

import os
import pathlib
import re
import statistics
import subprocess
import sys

from measure import TOP, output, run

TRACING = pathlib.Path("/sys/kernel/tracing")
FILES = 20

# Each is measured in a turn of its own: the tracer's own cost would be counted to whoever calls what is traced.
FUNCTIONS = """
    do_sys_openat2 link_path_walk.part.0.constprop.0 inode_permission adfs_input_dir_permission lookup_fast alloc_empty_file
    do_dentry_open ext4_file_open adfs_open adfs_blob_open
    ksys_read security_file_permission ext4_file_read_iter adfs_read_iter backing_file_read_iter touch_atime
    __x64_sys_close filp_flush adfs_flush __fput ext4_release_file adfs_release
""".split()


def set_tracer(name, value):
    (TRACING / name).write_text(value, encoding="ascii")


def make_places():
    """Two directories with the same files; all in memory, since waiting for a disk would let the clock run."""
    run("modprobe", "brd", "rd_nr=1", "rd_size=200000")
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "/dev/ram0")
    top = pathlib.Path("/mnt/ext4")
    run("mount", "-t", "ext4", "/dev/ram0", top)
    plain, mountpoint = top / "plain", top / "mnt"
    for folder in (plain, mountpoint):
        folder.mkdir()
    for i in range(FILES):
        (plain / f"file-{i:04}").write_bytes(b"%08d" % i * 128)
    program = os.environ.get("ACTIONDFS", TOP / "build/dev/bin/actiondfs")
    digest = output(program, "import", plain, "--cas", top / "cas", "--layout", "sharded", "--no-progress").split()[-1]
    root, size = digest.split("/")
    run("mount", "-t", "actiondfs", "-o", f"root={root},root_size={size},cas={top / 'cas'}", "none", mountpoint)
    return plain, mountpoint


def use_files():
    for i in range(FILES):
        file = os.open(f"file-{i:04}", os.O_RDONLY)
        while os.read(file, 4096):
            pass
        os.close(file)


def costs_here(function):
    """How often a file, and the median of the instructions, in the current directory."""
    use_files()
    set_tracer("set_ftrace_filter", function)
    set_tracer("current_tracer", "function_graph")
    set_tracer("trace", "")
    set_tracer("tracing_on", "1")
    use_files()
    set_tracer("tracing_on", "0")
    text = (TRACING / "trace").read_text(encoding="utf-8")
    set_tracer("current_tracer", "nop")
    found = [float(us) * 1000 for us in re.findall(r"([0-9.]+) us +\|", text)]
    return (round(len(found) / FILES), statistics.median(found)) if found else (0, 0)


def main():
    subprocess.run(["mount", "-t", "tracefs", "none", TRACING], check=False, stderr=subprocess.DEVNULL)
    known = {line.split()[0] for line in (TRACING / "available_filter_functions").read_text(encoding="ascii").splitlines()}
    plain, mountpoint = make_places()
    set_tracer("set_ftrace_pid", str(os.getpid()))
    set_tracer("max_graph_depth", "1")
    print(f"{'instructions a file, with the tracer’s (some 730 a call)':58} {'ext4':>12} {'actiondfs':>12} {'more':>7}")
    for function in sys.argv[1:] or FUNCTIONS:
        if function not in known:
            print(f"{function:58} not in this kernel, or not to be traced")
            continue
        costs = []
        for place in (plain, mountpoint):
            os.chdir(place)
            costs.append(costs_here(function))
        columns = (f"{calls} x {cost:.0f}" if calls else "-" for calls, cost in costs)
        more = costs[1][0] * costs[1][1] - costs[0][0] * costs[0][1]
        print(f"{function:58} {' '.join(f'{column:>12}' for column in columns)} {more:+7.0f}")
    os.chdir("/")


if __name__ == "__main__":
    main()
