#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tidy.py BUILD: runs clang-tidy over every source under version control that BUILD compiles, in parallel. A source
that was clean is not looked at again until it, a header of ours that it includes, its flags, the checks, clang-tidy or a
development package of the system change, whichever checkout it is in: what is known to be clean is kept below
$XDG_CACHE_HOME/actiondfs/tidy. BUILD has been built by Ninja, which knows the headers."""

import collections
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from sources import TOP, sources

TIDY = "clang-tidy-19"
KEPT_DAYS = 30


def headers_by_object(build):
    """Object -> the headers of this tree, generated ones too, that Ninja saw it read."""
    headers = collections.defaultdict(list)
    current = None
    for line in subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        if line.startswith("    "):
            path = os.path.normpath(os.path.join(build, line.strip()))
            if path.startswith(str(TOP)):
                headers[current].append(path)
        else:
            current = line.split(":", 1)[0]
    return headers


def settings():
    """What holds for all sources: the tool, the system's headers and the checks."""
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    version += subprocess.run(["dpkg-query", "--show", "*-dev"], capture_output=True, check=True).stdout
    checks = [path.read_bytes() for path in sorted(TOP.rglob(".clang-tidy")) if "build" not in path.parts]
    return version + b"".join(checks)


def key(entry, headers, common):
    # Checkouts differ in where they are.
    digest = hashlib.sha256(common)
    digest.update(entry["command"].replace(str(TOP), ".").encode())
    for path in [entry["file"], *sorted(headers)]:
        digest.update(os.path.relpath(path, TOP).encode() + b"\0" + pathlib.Path(path).read_bytes())
    return digest.hexdigest()


def open_cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = pathlib.Path(home, "actiondfs", "tidy")
    cache.mkdir(parents=True, exist_ok=True)
    for mark in cache.iterdir():
        if time.time() - mark.stat().st_mtime > KEPT_DAYS * 86400:
            mark.unlink(missing_ok=True)
    return cache


def main(build):
    build = os.path.abspath(build)
    cache = open_cache()
    ours = {str(TOP / path) for path in sources((".c", ".cc"))}
    headers = headers_by_object(build)
    common = settings()
    pending = []
    for entry in json.loads(pathlib.Path(build, "compile_commands.json").read_text()):
        if entry["file"] in ours:
            ours.discard(entry["file"])
            output = re.search(r" -o (\S+)", entry["command"])[1]
            mark = cache / key(entry, headers[output], common)
            if mark.exists():
                mark.touch()
            else:
                pending.append((entry["file"], mark))

    def check(job):
        file, mark = job
        result = subprocess.run([TIDY, "-p", build, "--quiet", file], capture_output=True, text=True)
        if result.returncode == 0:
            mark.touch()
        return file, result

    failed = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, result in pool.map(check, pending):
            if result.returncode != 0:
                failed.append(os.path.relpath(file, TOP))
                print(result.stdout or result.stderr, flush=True)
    print(f"{len(pending)} checked, {len(failed)} with findings" + "".join(f"\n  {file}" for file in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
