#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""import, ls, tree, cat and export: digests that an independent encoder gets too, and trees that come back whole."""
import json
import os
import subprocess
import unittest

import reapi
from harness import CliTest


class TreeTest(CliTest):
    def everything(self):
        self.write("empty")
        self.write("tool", b"#!/bin/sh\n", 0o755)
        self.write("group-only-exec", b"x", 0o654)
        self.write("owner-exec", b"x", 0o700)
        self.write("a/b/c/deep", b"deep")
        self.write("a.b", b"sorts before a/ in some orders")
        self.write("a-b", b"-")
        self.write("gr\u00fc\u00df/\u65e5\u672c\u8a9e \U0001f600", b"names")
        self.write("line\nbreak", b"\n")
        self.write("Z", b"upper case sorts first")
        self.write("copy-of-tool", b"#!/bin/sh\n")
        self.write("large", os.urandom(3 << 20) + b"tail")
        self.write("exactly-1-MiB", b"m" * (1 << 20))
        os.mkdir(os.path.join(self.src, "empty-dir"))
        for name, target in (("link", "tool"), ("dangling", "no/where"), ("absolute", "/etc/passwd"),
                             ("dir-link", "a/b"), ("up", "../../.."), ("\u00fcber", "gr\u00fc\u00df//x/./")):
            os.symlink(target, os.path.join(self.src, name))

    def encoded(self, **kwargs):
        return reapi.text(reapi.encode_tree(os.fsencode(self.src), **kwargs))

    def test_digest_is_the_canonical_one(self):
        self.everything()
        self.assertEqual(self.import_tree(), self.encoded())

    def test_digest_with_node_properties_is_the_canonical_one(self):
        self.everything()
        os.utime(os.path.join(self.src, "tool"), ns=(0, 1_234_567_890_123_456_789))
        os.utime(os.path.join(self.src, "empty"), ns=(0, 0))
        os.utime(os.path.join(self.src, "link"), ns=(0, 10**18), follow_symlinks=False)
        os.chmod(os.path.join(self.src, "a-b"), 0o4751)
        os.chmod(os.path.join(self.src, "empty-dir"), 0o1700)
        self.assertEqual(self.import_tree("--node-properties"), self.encoded(node_properties=True))

    def test_empty_directory(self):
        self.assertEqual(self.import_tree(), reapi.text(reapi.digest_of(b"")))

    def test_ten_thousand_files(self):
        for i in range(10_000):
            self.write("d%02d/f%d" % (i % 37, i), b"%d" % (i % 5000))
        digest = self.encoded()
        for jobs in ("1", "4"):
            out = json.loads(self.succeed("import", self.src, "--cas", self.cas, "--json", "--jobs", jobs))
            self.assertEqual((out["digest"], out["files"], out["directories"]), (digest, 10_000, 38))
        self.assertEqual((out["new_blobs"], out["new_bytes"]), (0, 0))

    def test_five_thousand_levels(self):
        digest = reapi.digest_of(b"leaf")
        data = reapi.directory([(b"f", reapi.file_node(b"f", digest, False))], [], [])
        at = os.open(self.src, os.O_RDONLY)
        for _ in range(5000):
            os.mkdir("d", dir_fd=at)
            below = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        with open(os.open("f", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at), "wb") as file:
            file.write(b"leaf")
        os.close(at)
        for _ in range(5000):
            data = reapi.directory([], [(b"d", reapi.directory_node(b"d", reapi.digest_of(data)))], [])
        digest = self.import_tree()
        self.assertEqual(digest, reapi.text(reapi.digest_of(data)))
        out = json.loads(self.succeed("verify", digest, "--cas", self.cas, "--json"))
        self.assertEqual((out["ok"], out["blobs"]), (True, 5002))

    def test_each_layout_is_written_and_recognised(self):
        self.write("f", b"hello")
        name, size = reapi.digest_of(b"hello")
        for layout, path in (("sharded", f"{name[:2]}/{name}"), ("flat", name),
                             ("sharded-suffix", f"{name[:2]}/{name[2:]}"), ("hash-size", f"{name}-{size}")):
            self.cas = self.path(layout)
            digest = self.import_tree("--layout", layout)
            self.assertTrue(os.path.isfile(os.path.join(self.cas, path)), layout)
            self.assertEqual(self.succeed("cat", digest, "f", "--cas", self.cas), b"hello")

    def assert_same_tree(self, a, b, **kwargs):
        subprocess.run(["diff", "-r", "--no-dereference", a, b], check=True)
        self.assertEqual(reapi.encode_tree(os.fsencode(a), **kwargs),
                         reapi.encode_tree(os.fsencode(b), **kwargs))

    def test_export_gives_the_tree_back(self):
        self.everything()
        digest = self.import_tree()
        out = self.path("out")
        self.succeed("export", digest, out, "--cas", self.cas)
        self.assert_same_tree(self.src, out)
        st = os.lstat(os.path.join(out, "tool"))
        self.assertEqual((st.st_mode & 0o7777, st.st_mtime_ns), (0o555, 946_684_800 * 10**9))
        self.assertEqual(os.lstat(os.path.join(out, "empty")).st_mode & 0o7777, 0o444)
        self.assertEqual(os.lstat(os.path.join(out, "empty-dir")).st_mode & 0o7777, 0o755)
        self.assertEqual(os.lstat(out).st_mode & 0o7777, 0o755)

    def test_export_gives_node_properties_back(self):
        self.everything()
        os.utime(os.path.join(self.src, "a/b"), ns=(0, 1_000_000_000_000_000_001))
        os.chmod(os.path.join(self.src, "a/b"), 0o500)
        digest = self.import_tree("--node-properties")
        out = self.path("out")
        self.succeed("export", digest, out, "--cas", self.cas)
        self.assert_same_tree(self.src, out, node_properties=True)
        os.chmod(os.path.join(self.src, "a/b"), 0o700)

    def test_export_of_a_part(self):
        self.everything()
        out = self.path("out")
        os.mkdir(out)
        self.succeed("export", self.import_tree(), "/a/b/", out, "--cas", self.cas)
        self.assertEqual(os.listdir(out), ["c"])
        self.assert_same_tree(os.path.join(self.src, "a/b"), out)

    def test_export_refuses_what_is_not_empty(self):
        self.write("f", b"hello")
        out = self.path("out")
        os.mkdir(out)
        os.symlink("/nowhere", os.path.join(out, "f"))
        (line,) = self.fail_with(1, "export", self.import_tree(), out, "--cas", self.cas)
        self.assertIn("not empty", line)
        self.assertEqual(os.readlink(os.path.join(out, "f")), "/nowhere")

    def test_export_of_a_wrong_blob_leaves_no_file(self):
        self.write("f", b"hello")
        digest = self.import_tree()
        blob = self.blob(reapi.text(reapi.digest_of(b"hello")))
        os.chmod(blob, 0o644)
        with open(blob, "wb") as file:
            file.write(b"jello")
        out = self.path("out")
        (line,) = self.fail_with(1, "export", digest, out, "--cas", self.cas)
        self.assertIn("'f'", line)
        self.assertEqual(os.listdir(out), [])

    def test_export_of_nothing_makes_nothing(self):
        os.mkdir(self.cas)
        out = self.path("out")
        self.fail_with(1, "export", "0" * 64 + "/1", out, "--cas", self.cas)
        self.assertFalse(os.path.exists(out))

    def test_ls(self):
        self.everything()
        digest = self.import_tree()
        lines = self.succeed("ls", digest, "--cas", self.cas).decode().splitlines()
        self.assertIn("-r-xr-xr-x           10 tool", lines)
        self.assertIn("-r--r--r--            0 empty", lines)
        self.assertIn("lrwxrwxrwx            0 link -> tool", lines)
        self.assertIn("-r--r--r--            1 line\\nbreak", lines)
        self.assertEqual(len(lines), len(os.listdir(self.src)))
        listed = json.loads(self.succeed("ls", digest, "a", "--json", "--cas", self.cas))
        self.assertEqual([(e["name"], e["type"], e["mode"]) for e in listed], [("b", "directory", "0755")])
        (file,) = json.loads(self.succeed("ls", digest, "a/b/c", "--json", "--cas", self.cas))
        self.assertEqual(file, {
            "name": "deep", "type": "file", "mode": "0444", "mtime": "2000-01-01T00:00:00.000000000Z",
            "size": 4, "digest": reapi.text(reapi.digest_of(b"deep")), "executable": False})
        self.assertEqual(json.loads(self.succeed("ls", digest, "a/b/c/deep", "--json", "--cas", self.cas)), [file])

    def test_ls_shows_a_directory_s_own_mode(self):
        os.mkdir(os.path.join(self.src, "d"), 0o700)
        digest = self.import_tree("--node-properties")
        self.assertTrue(self.succeed("ls", digest, "--cas", self.cas).startswith(b"drwx------"))

    def test_tree(self):
        self.write("a/b/f", b"x", 0o755)
        os.symlink("a", os.path.join(self.src, "z"))
        digest = self.import_tree()
        self.assertEqual(self.succeed("tree", digest, "--cas", self.cas).decode(),
                         "a/\n  b/\n    f*\nz -> a\n\n2 directories, 1 files, 1 symlinks\n")
        self.assertEqual(self.succeed("tree", digest, "--depth", "1", "--cas", self.cas).decode(),
                         "a/\nz -> a\n\n1 directories, 0 files, 1 symlinks\n")

    def test_cat(self):
        self.everything()
        digest = self.import_tree()
        with open(os.path.join(self.src, "large"), "rb") as file:
            self.assertEqual(self.succeed("cat", digest, "large", "--cas", self.cas), file.read())
        self.assertEqual(self.succeed("cat", digest, "empty", "--cas", self.cas), b"")
        for path, text in (("a", "Is a directory"), ("link", "symlink"), ("no", "No such file"),
                           ("tool/x", "Not a directory"), ("../x", "No such file"), ("dir-link/c", "Not a directory")):
            (line,) = self.fail_with(1, "cat", digest, path, "--cas", self.cas)
            self.assertIn(text, line)

    def test_stores_by_name(self):
        self.write("f", b"hello")
        digest = self.import_tree("--layout", "hash-size")
        config = self.path("hook.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"cas": {"default": {"path": self.cas}, "x": {"path": self.path("none")}},
                       "stage_root": self.path("stage")}, file)
        os.chmod(config, 0o600)
        self.assertEqual(self.succeed("cat", digest, "f", "--config", config), b"hello")
        (line,) = self.fail_with(1, "cat", digest, "f", "--config", config, "--cas", "y")
        self.assertIn("'default', 'x'", line)
        (line,) = self.fail_with(1, "cat", digest, "f", "--config", config, "--cas", "x")
        self.assertIn("No such file", line)
        (line,) = self.fail_with(1, "import", self.src, "--config", config, "--cas", "x")
        self.assertFalse(os.path.exists(self.path("none")), "only a PATH is created")
        (line,) = self.fail_with(1, "cat", digest, "f", "--config", self.path("no.json"))
        self.assertIn("use --cas PATH", line)

    def test_usage_errors(self):
        os.mkdir(self.cas)
        good = "0" * 64 + "/0"
        for args in (["ls"], ["ls", "xyz"], ["ls", "A" * 64 + "/0"], ["ls", good, "--layout", "round"],
                     ["cat", good], ["export", good], ["verify", good, "extra"], ["import"],
                     ["import", self.src, "--jobs", "0"], ["import", self.src, "--jobs", "x"],
                     ["tree", good, "--depth", "0"], ["nonsense"], []):
            self.fail_with(2, *args, *(["--cas", self.cas] if args and args != ["nonsense"] else []))

    def test_bad_digest_says_what_is_wrong(self):
        lines = self.fail_with(2, "ls", "abc/1\n", "--cas", self.cas)
        self.assertIn("the hash has 3 characters (expected 64 lowercase hex digits)", lines[0])


if __name__ == "__main__":
    unittest.main()
