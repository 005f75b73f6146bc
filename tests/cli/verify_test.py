#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""verify names every fault that a store can have, and only those."""
import json
import os
import unittest

import reapi
from harness import CliTest


class VerifyTest(CliTest):
    def setUp(self):
        super().setUp()
        self.write("d/hello", b"hello")
        self.write("d/again", b"hello")
        self.write("other", b"other")
        self.digest = self.import_tree()
        self.hello = self.blob(reapi.text(reapi.digest_of(b"hello")))
        self.directory = self.blob(reapi.text(reapi.encode_tree(os.fsencode(os.path.join(self.src, "d")))))

    def overwrite(self, path, data):
        os.chmod(path, 0o644)
        with open(path, "wb") as file:
            file.write(data)

    def faults(self, digest=None):
        """(kind, path) of each, and the text output must have them too."""
        digest = digest or self.digest
        done = self.run_program("verify", digest, "--cas", self.cas, "--json")
        out = json.loads(done.stdout)
        self.assertEqual(out["ok"], not out["faults"])
        self.assertEqual(done.returncode, 0 if out["ok"] else 1)
        text = self.run_program("verify", digest, "--cas", self.cas)
        self.assertEqual(text.returncode, done.returncode)
        lines = text.stdout.decode().splitlines()
        self.assertEqual(len(lines), len(out["faults"]) + 1)
        for line, fault in zip(lines, out["faults"]):
            self.assertTrue(line.startswith(f"{fault['kind']}: /{fault['path']}: "), line)
            self.assertIn(fault["digest"], line)
        return [(fault["kind"], fault["path"]) for fault in out["faults"]]

    def test_good_tree(self):
        self.assertEqual(self.faults(), [])
        out = json.loads(self.succeed("verify", self.digest, "--cas", self.cas, "--json"))
        self.assertEqual((out["blobs"], out["directories"]), (4, 2), "the same content counts once")

    def test_missing(self):
        os.remove(self.hello)
        self.assertEqual(self.faults(), [("missing", "d/again")])

    def test_short(self):
        self.overwrite(self.hello, b"hell")
        self.assertEqual(self.faults(), [("short", "d/again")])

    def test_long(self):
        self.overwrite(self.hello, b"hello!")
        self.assertEqual(self.faults(), [("long", "d/again")])

    def test_wrong(self):
        self.overwrite(self.hello, b"jello")
        self.assertEqual(self.faults(), [("wrong", "d/again")])

    def test_symlink_instead_of_a_blob(self):
        os.rename(self.hello, self.path("elsewhere"))
        os.symlink(self.path("elsewhere"), self.hello)
        self.assertEqual(self.faults(), [("unreadable", "d/again")])

    def test_directory_instead_of_a_blob(self):
        os.remove(self.hello)
        os.mkdir(self.hello)
        self.assertEqual(self.faults(), [("unreadable", "d/again")])

    def test_several_at_once(self):
        os.remove(self.hello)
        self.overwrite(self.blob(reapi.text(reapi.digest_of(b"other"))), b"o")
        self.assertEqual(self.faults(), [("missing", "d/again"), ("short", "other")])

    def test_missing_directory(self):
        os.remove(self.directory)
        self.assertEqual(self.faults(), [("missing", "d")])

    def test_wrong_directory(self):
        with open(self.directory, "rb") as file:
            data = bytearray(file.read())
        data[-1] ^= 1
        self.overwrite(self.directory, bytes(data))
        self.assertEqual(self.faults(), [("wrong", "d")])

    def put(self, data):
        path = self.blob(reapi.text(reapi.digest_of(data)))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return reapi.digest_of(data)

    def test_malformed_directory(self):
        link = reapi.symlink_node(b"..", b"x")
        bad = self.put(reapi.directory([], [], [(b"..", link)]))
        root = self.put(reapi.directory([], [(b"bad", reapi.directory_node(b"bad", bad))], []))
        self.assertEqual(self.faults(reapi.text(root)), [("malformed", "bad")])

    def test_missing_root(self):
        self.assertEqual(self.faults("0" * 64 + "/1"), [("missing", "")])

    def test_layers_that_span_a_billion_paths_are_checked_once_each(self):
        digest = self.put(reapi.directory([], [], [(b"l", reapi.symlink_node(b"l", b"x"))]))
        for _ in range(30):
            digest = self.put(reapi.directory([], [(n, reapi.directory_node(n, digest)) for n in (b"a", b"b")], []))
        out = json.loads(self.succeed("verify", reapi.text(digest), "--cas", self.cas, "--json"))
        self.assertEqual((out["ok"], out["blobs"]), (True, 31))

    def test_names_are_printable(self):
        self.write("\x1b[31m", b"escape")
        digest = self.import_tree()
        os.remove(self.blob(reapi.text(reapi.digest_of(b"escape"))))
        done = self.run_program("verify", digest, "--cas", self.cas)
        self.assertNotIn(b"\x1b", done.stdout)
        self.assertIn(b"missing: /\\x1b[31m: ", done.stdout)


if __name__ == "__main__":
    unittest.main()
