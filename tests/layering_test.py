#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the shape of the tree: who may include whom, which room may make which system calls, licences, sizes, and
that no file is forgotten by the build. The rules are the tables at the top; design and reasons are in
docs/architecture.md. Each rule is first tried on a tree that breaks it: a check that cannot fail is none."""

import os
import pathlib
import re
import tempfile
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent

# Room -> rooms that it may include besides itself. What a room may reach indirectly is written out, too: an edge
# that is not here does not exist.
BELOW_CAS = {"base", "proto"}
BELOW_TREE = {"cas", "shared", "uapi"} | BELOW_CAS
MAY_INCLUDE = {
    "shared": {"uapi"},
    "uapi": set(),
    "proto": set(),
    "base": set(),
    "cas": BELOW_CAS,
    "tree": {"cas", "base", "shared", "uapi"},
    "oci": {"tree"} | BELOW_TREE,
    "plan": {"oci", "tree", "cas", "base"},
    "mount": {"plan", "oci", "tree"} | BELOW_TREE,
    "fuse": {"tree"} | BELOW_TREE,
    "record": {"tree"} | BELOW_TREE,
    "sandbox": {"base"},
    "apps": {"oci", "plan", "mount", "fuse", "record", "sandbox", "tree"} | BELOW_TREE,
}
# Tests of a room may include what the room may, and these (messages are the independent encoder).
TESTS_MAY_INCLUDE = {"base", "proto"}
# Folders of tests that belong to no single room.
TEST_FOLDERS = {
    "tests/unit/shared": {"shared"},
    "tests/unit/apps": {"apps"},
    "tests/fuzz": {"shared", "tree", "cas", "oci", "plan", "mount", "fuse", "record"},
    "tests/cli": set(),
    "tests/crash": set(),
    "tests/fuse": set(),
    "tests/runtime": set(),
    "tests/checklist": set(),
    "tests/bench": set(),
}

# A header of a library -> the only folders that may include it.
LIBRARY_HOMES = [
    (re.compile(r"fuse3/|fuse(_lowlevel|_opt|_common|_kernel)?\.h$|linux/fuse\.h$"),
     ("hook/fuse/", "tests/unit/fuse/", "tests/fuse/", "tests/fuzz/")),
    (re.compile(r"CLI/"), ("hook/apps/cli/",)),
    (re.compile(r"seccomp\.h$|sys/capability\.h$"), ("hook/sandbox/", "tests/unit/sandbox/")),
    (re.compile(r"openssl/"), ("hook/cas/", "tests/unit/", "tests/bench/")),
    (re.compile(r"grpc(pp)?/"), ()),
]

# System calls that change mounts or namespaces -> who may make them. hook/mount may make all; the FUSE server
# builds its own mounts, detached, and hands them out by descriptor; `actiondfs umount` is umount(2) with checks.
MOUNT_CALLS = ("mount", "umount", "umount2", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree",
               "mount_setattr", "pivot_root", "setns", "unshare", "chroot")
CALL_HOMES = {
    "hook/mount/": set(MOUNT_CALLS),
    "hook/fuse/": {"fsopen", "fsconfig", "fsmount", "open_tree", "mount_setattr"},
    "hook/apps/cli/umount.cc": {"umount2"},
    "tests/": set(MOUNT_CALLS),
}

MAX_LINES = 800
MAX_LINES_KERNEL = 1000

APACHE = "Apache-2.0"
GPL = "GPL-2.0-only"
LICENCES = [  # the first that fits
    ("kernel/shared/", f"{GPL} OR {APACHE}"),
    ("kernel/uapi/", f"{GPL} OR {APACHE}"),
    ("kernel/", GPL),
    ("", APACHE),
]

SKIPPED_FOLDERS = {".git", ".cache", "build", "__pycache__"}
C_SUFFIXES = {".c", ".cc", ".h"}
LISTED_SUFFIXES = {".c", ".cc", ".proto"}
LICENSED_SUFFIXES = C_SUFFIXES | {".proto", ".py", ".sh", ".cmake", ".S"}
SIZED_SUFFIXES = C_SUFFIXES | {".py", ".sh"}
# The kernel's headers and, for the parser outside of the kernel, the few that name types and memcmp().
FREESTANDING = re.compile(r"(linux|asm|asm-generic|crypto|uapi)/|(stdbool|stddef|stdint|string)\.h$")
# Made by kernel/Kbuild from what compiles: kernel/probes.
PROBES = "probes.h"

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
CALL = re.compile(
    r"\b(?:SYS_|__NR_)(?P<number>" + "|".join(MOUNT_CALLS) + r")\b"
    # Not a method, not a declaration such as `DetachedMount mount(...)`.
    r"|(?:(?<=[=(!,;{}&|?:])|(?<=return)|^)\s*(?:::)?(?P<name>" + "|".join(MOUNT_CALLS) + r")\s*\(",
    re.MULTILINE)


class Tree:
    """The files below one folder, read once."""

    def __init__(self, root):
        self.files = {}
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
            for name in sorted(names):
                path = pathlib.Path(folder, name)
                if path.is_symlink() or not path.is_file():
                    continue
                if path.suffix in LICENSED_SUFFIXES or name in ("CMakeLists.txt", "Kbuild") or os.access(path, os.X_OK):
                    self.files[path.relative_to(root).as_posix()] = path.read_text(errors="replace")

    def having(self, suffixes):
        return {p: t for p, t in self.files.items() if pathlib.PurePosixPath(p).suffix in suffixes}


def room_of(path):
    """The room that a file, or a quoted include, belongs to; None for none."""
    parts = path.split("/")
    if path.endswith(".pb.h") or parts[0] == "proto":
        return "proto"
    if parts[0] == "hook" and len(parts) > 2:
        return parts[1]
    if parts[0] == "kernel" and len(parts) > 2 and parts[1] in ("shared", "uapi"):
        return parts[1]
    if parts[0] == "kernel":
        return "module"
    return None


def allowed_for(path):
    """The rooms that the file may include, or None where the path belongs to nothing known."""
    room = room_of(path)
    if room == "module":
        return {"module", "shared", "uapi"}
    if room:
        return MAY_INCLUDE[room] | {room} if room in MAY_INCLUDE else None
    for folder, rooms in TEST_FOLDERS.items():
        if path.startswith(folder + "/"):
            return set().union(TESTS_MAY_INCLUDE, {"uapi"}, rooms, *(MAY_INCLUDE[r] for r in rooms))
    match = re.match(r"tests/unit/(\w+)/", path)
    if match and match[1] in MAY_INCLUDE:
        return MAY_INCLUDE[match[1]] | {match[1], "uapi"} | TESTS_MAY_INCLUDE
    return {"base"} if path.startswith("tests/") else None


def check_includes(tree):
    for path, text in tree.having(C_SUFFIXES).items():
        allowed = allowed_for(path)
        if allowed is None:
            yield f"{path}: is in no room that {pathlib.Path(__file__).name} knows"
            continue
        for quote, header in INCLUDE.findall(text):
            for pattern, homes in LIBRARY_HOMES:
                if pattern.match(header) and not path.startswith(homes):
                    yield f"{path}: only {', '.join(homes) or 'nobody'} may include <{header}>"
            if quote == "<":
                if path.startswith("kernel/") and not FREESTANDING.match(header):
                    yield f"{path}: kernel code may not include <{header}>"
                continue
            if path.startswith("kernel/"):  # Kbuild has no include path to the top of the tree
                beside = os.path.normpath(os.path.join(os.path.dirname(path), header))
                header = beside if beside in tree.files else header
            room = "module" if header == PROBES else room_of(header)
            if room is None:
                if not (path.startswith("tests/") and header.startswith("tests/")):
                    yield f'{path}: "{header}" is not a path from the top of the tree'
            elif room not in allowed:
                yield f'{path}: may not include "{header}" (room {room})'


def check_mount_calls(tree):
    for path, text in tree.having(C_SUFFIXES).items():
        if path.startswith("kernel/"):
            continue
        code = COMMENT_OR_STRING.sub('""', text)
        used = {m["name"] or m["number"] for m in CALL.finditer(code)}
        allowed = set().union(*(calls for home, calls in CALL_HOMES.items() if path.startswith(home)))
        for call in sorted(used - allowed):
            yield f"{path}: {call}() is for hook/mount"


def check_licences(tree):
    for path, text in tree.files.items():
        lines = text.split("\n", 2)
        first = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        expected = next(licence for folder, licence in LICENCES if path.startswith(folder))
        match = re.fullmatch(r"(?://|/\*|#) SPDX-License-Identifier: ([^*]+?)(?: \*/)?", first)
        if not match:
            yield f"{path}: the first line has no SPDX-License-Identifier"
        elif match[1] != expected:
            yield f"{path}: licence is {match[1]}, its folder demands {expected}"


def check_sizes(tree):
    for path, text in tree.having(SIZED_SUFFIXES).items():
        limit = MAX_LINES_KERNEL if path.startswith("kernel/") else MAX_LINES
        if text.count("\n") > limit:
            yield f"{path}: {text.count(chr(10))} lines, {limit} is the limit"


def check_orphans(tree):
    lists = {p: t for p, t in tree.files.items() if p.endswith(("CMakeLists.txt", ".cmake"))}
    words = {p: set(re.split(r'[\s()"]+', re.sub(r"#[^\n]*", "", t))) for p, t in lists.items()}
    # Kbuild lists objects, and takes each file of probes/.
    words |= {p: {w[:-2] + ".c" for w in t.split() if w.endswith(".o")}
              | {path.removeprefix("kernel/") for path in tree.files if path.startswith("kernel/probes/")}
              for p, t in tree.files.items() if p.endswith("Kbuild")}
    for path in tree.having(LISTED_SUFFIXES):
        names = ((str(pathlib.PurePosixPath(p).parent), w) for p, w in words.items())
        if not any(os.path.normpath(os.path.join(folder, word)) == path
                   for folder, found in names for word in found if word.endswith(pathlib.PurePosixPath(path).name)):
            yield f"{path}: no {'Kbuild' if room_of(path) == 'module' else 'CMakeLists.txt'} has it"
    included = {h for t in tree.files.values() for _, h in INCLUDE.findall(t)}
    in_kernel = {os.path.basename(h) for p, t in tree.files.items() if p.startswith("kernel/")
                 for _, h in INCLUDE.findall(t)}
    for path in tree.having({".h"}):
        if path not in included and not (path.startswith("kernel/") and os.path.basename(path) in in_kernel):
            yield f"{path}: nobody includes it"


def check_rooms(_tree):
    """The table itself: rooms that exist, and no circle."""
    for room, below in MAY_INCLUDE.items():
        for other in below:
            if other not in MAY_INCLUDE:
                yield f"MAY_INCLUDE: {room} -> {other}: no such room"
            elif room in MAY_INCLUDE[other]:
                yield f"MAY_INCLUDE: {room} <-> {other}: a circle"


CHECKS = (check_rooms, check_includes, check_mount_calls, check_licences, check_sizes, check_orphans)


def violations(root):
    tree = Tree(root)
    return [fault for check in CHECKS for fault in check(tree)]


SPDX = f"// SPDX-License-Identifier: {APACHE}\n"
SPDX_DUAL = f"// SPDX-License-Identifier: {GPL} OR {APACHE}\n"
CLEAN = {
    "hook/base/CMakeLists.txt": f"# SPDX-License-Identifier: {APACHE}\nadd_library(base a.cc)\n",
    "hook/base/a.h": SPDX,
    "hook/base/a.cc": SPDX + '#include "hook/base/a.h"\n',
}


class RulesTest(unittest.TestCase):
    """Each rule against a small tree that breaks it."""

    def faults(self, extra, clean=True):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in ({**CLEAN, **extra} if clean else extra).items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            return violations(folder)

    def expect(self, path, text, fault, lists=""):
        """One more file, which is in its CMakeLists.txt: exactly this fault."""
        extra = {path: text}
        if not path.endswith(".h"):
            folder, name = os.path.split(path)
            licence = next(licence for f, licence in LICENCES if path.startswith(f))
            extra[f"{folder}/CMakeLists.txt"] = f"# SPDX-License-Identifier: {licence}\nx({name} a.cc {lists})\n"
        self.assertEqual(self.faults(extra), [f"{path}: {fault}"])

    def test_clean_tree(self):
        self.assertEqual(self.faults({}), [])

    def test_upward_include(self):
        self.expect("hook/base/b.cc", SPDX + '#include "hook/cas/digest.h"\n',
                    'may not include "hook/cas/digest.h" (room cas)')

    def test_plan_includes_mount(self):
        self.expect("hook/plan/b.cc", SPDX + '#include "hook/mount/lease.h"\n',
                    'may not include "hook/mount/lease.h" (room mount)')

    def test_test_of_a_room_reaches_above_it(self):
        self.expect("tests/unit/cas/b.cc", SPDX + '#include "hook/plan/config.h"\n',
                    'may not include "hook/plan/config.h" (room plan)')

    def test_messages_in_plan(self):
        self.expect("hook/plan/b.cc", SPDX + '#include "actiondfs/serve.pb.h"\n',
                    'may not include "actiondfs/serve.pb.h" (room proto)')

    def test_unknown_room(self):
        self.expect("hook/misc/b.cc", SPDX, "is in no room that layering_test.py knows")

    def test_include_that_is_not_from_the_top(self):
        self.expect("hook/base/b.cc", SPDX + '#include "a.h"\n', '"a.h" is not a path from the top of the tree')

    def test_libfuse_elsewhere(self):
        self.expect("hook/mount/b.cc", SPDX + "#include <fuse_lowlevel.h>\n",
                    "only hook/fuse/, tests/unit/fuse/, tests/fuse/, tests/fuzz/ may include <fuse_lowlevel.h>")

    def test_kernel_includes_hook(self):
        self.expect("kernel/shared/b.c", SPDX_DUAL + '#include "hook/base/a.h"\n',
                    'may not include "hook/base/a.h" (room base)')

    def test_kernel_includes_libc(self):
        self.expect("kernel/shared/b.c", SPDX_DUAL + "#include <stdio.h>\n", "kernel code may not include <stdio.h>")

    def test_hook_includes_the_module(self):
        self.expect("hook/fuse/b.cc", SPDX + '#include "kernel/actiondfs.h"\n',
                    'may not include "kernel/actiondfs.h" (room module)')

    def test_mount_calls_elsewhere(self):
        for code, call in ((" if (umount2(path, 0) < 0) {}", "umount2"), ("  return ::mount(a, b, c, 0, 0);", "mount"),
                           ("  x = syscall(SYS_move_mount, 1);", "move_mount"), ("\tsetns(fd, 0);", "setns"),
                           ("{\n  mount(a, b);\n}", "mount")):
            with self.subTest(code):
                self.expect("hook/record/b.cc", SPDX + code + "\n", f"{call}() is for hook/mount")

    def test_no_mount_calls(self):
        code = "// mount(2)\nDetachedMount mount(fd);\nrequest.mount();\nmount::Lease lease;\nf(\"umount2(\");\n"
        self.assertEqual(self.faults({"hook/base/a.cc": SPDX + code + '#include "hook/base/a.h"\n'}), [])

    def test_fuse_attaches_a_mount(self):
        self.expect("hook/fuse/b.cc", SPDX + "  move_mount(a, b);\n  fsmount(c);\n", "move_mount() is for hook/mount")

    def test_no_licence(self):
        self.expect("hook/base/b.cc", "int x;\n", "the first line has no SPDX-License-Identifier")

    def test_wrong_licence(self):
        self.expect("kernel/shared/b.c", SPDX, "licence is Apache-2.0, its folder demands GPL-2.0-only OR Apache-2.0")

    def test_too_long(self):
        self.expect("hook/base/b.cc", SPDX + "\n" * MAX_LINES, f"{MAX_LINES + 1} lines, {MAX_LINES} is the limit")

    def test_source_that_is_not_built(self):
        self.assertEqual(self.faults({"hook/base/b.cc": SPDX}), ["hook/base/b.cc: no CMakeLists.txt has it"])

    def test_source_that_is_commented_out(self):
        lists = CLEAN["hook/base/CMakeLists.txt"] + "# b.cc\n"
        self.assertEqual(self.faults({"hook/base/b.cc": SPDX, "hook/base/CMakeLists.txt": lists}),
                         ["hook/base/b.cc: no CMakeLists.txt has it"])

    def test_header_that_nobody_includes(self):
        self.assertEqual(self.faults({"hook/base/b.h": SPDX}), ["hook/base/b.h: nobody includes it"])


class RepositoryTest(unittest.TestCase):
    def test_the_tree_keeps_the_rules(self):
        found = violations(REPOSITORY)
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_the_tree_was_found(self):
        self.assertIn("hook/base/result.cc", Tree(REPOSITORY).files)


if __name__ == "__main__":
    unittest.main()
