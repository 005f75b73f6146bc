#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What pod authors, image authors and a broken runtime can write, and what the operator's file has to be."""

import json
import os
import unittest

import checklist
from host import Bundle

PREFIX = "dev.actiondfs."
PATHS = ("/etc/passwd", "../../../etc", "..", ".", "/", "file:///etc", "/proc/self/mem", "a/../../b", "~root", "$(id)",
         "`id`", "-", " ", "x\n/etc/passwd", "x\0y", "\u202etxt", "%s%n")
# Of Directory and Action: nothing but a digest.
NEAR_DIGESTS = ("{h}", "{h}/", "{h}/-1", "{h}/0x10", "{h}/1 ", " {h}/1", "{h}/1\n", "{h}/1/2", "{H}/1", "md5:{h}/1",
                "sha256:sha256:{h}/1", "{h}a/1", "{h}/99999999999999999999", "{h}/+1", "{h}\0/1", "../{h}/1")
SETTINGS = ("cas-path", "path", "layout", "stage", "stage-root", "stage_root", "state-root", "upper", "lower", "work", "config",
            "socket", "serve-socket", "uid", "gid", "records", "keep-stage", "allow", "options", "selinux", "", ".", "Mode")


class AnnotationsTest(checklist.HostTest):
    def setUp(self):
        self.directory, self.container_id = self.host.make_bundle(Bundle({}))
        self.container = checklist.FakeContainer()
        self.addCleanup(self.container.kill)

    def tell(self, annotations, **changes):
        return self.hook("prestart", self.state(self.directory, self.container_id, self.container.pid,
                                                annotations=annotations, **changes))

    def assert_refused(self, done, *texts):
        self.assertEqual(done.code, 1, done.err)
        self.assertEqual(done.out, "")
        self.assertEqual(len(done.err.splitlines()), 1, done.err)
        self.assertTrue(done.err.rstrip("\n").isprintable(), repr(done.err))
        self.assertLess(len(done.err), 2000)
        for text in texts:
            self.assertIn(text, done.err)
        self.assertEqual(os.listdir(self.host.state_root) if os.path.isdir(self.host.state_root) else [], [])

    def test_good_one_is_taken(self):
        # All of the others differ from this one in what they are about.
        self.assertEqual(self.tell(self.annotations(cas="default", mode="strict")).err, "")
        self.container.kill()
        self.hook("poststop", self.state(self.directory, self.container_id, 0))
        self.host.check_clean()

    def test_paths_are_no_values(self):
        for key in ("input-root", "action", "mode", "mutates-inputs", "backend", "cas"):
            for value in PATHS:
                if key == "cas" and value == "-":
                    continue  # a name as any other, which is not configured
                with self.subTest(key=key, value=value):
                    keys = {} if key == "action" else self.annotations()
                    self.assert_refused(self.tell({**keys, PREFIX + key: value}), PREFIX + key)

    def test_destinations_stay_in_the_container(self):
        for value in PATHS:
            if value not in ("/etc/passwd",):  # a file there, as in any image
                with self.subTest(value=value):
                    self.assert_refused(self.tell(self.annotations(destination=value)), PREFIX + "destination")

    def test_digests_are_digests(self):
        name = self.root.split("/", maxsplit=1)[0]
        for form in NEAR_DIGESTS:
            with self.subTest(form=form):
                value = form.format(h=name, H=name.upper())
                self.assert_refused(self.tell(self.annotations(input_root=value)), PREFIX + "input-root")

    def test_settings_of_the_operator_are_unknown_keys(self):
        for key in SETTINGS:
            with self.subTest(key=key):
                self.assert_refused(self.tell({**self.annotations(), PREFIX + key: "/tmp"}), "unknown key")

    def test_values_have_a_limit(self):
        for size, refused in ((4096, "got"), (4097, "at most 4096 bytes"), (1 << 20, "at most 4096 bytes")):
            with self.subTest(size=size):
                self.assert_refused(self.tell(self.annotations(mode="x" * size)), PREFIX + "mode", refused)
                self.assert_refused(self.tell(self.annotations(destination="/" + "x" * (size - 1))), PREFIX + "destination")

    def test_terminals_are_safe(self):
        for text in ("\x1b[2J", "\x1b]0;title\x07", "\r", "\n", "\x9b31m", "\u2028", "\u202e", "\x7f", "\0"):
            with self.subTest(text=text):
                self.assert_refused(self.tell(self.annotations(mode="x" + text)), PREFIX + "mode")
                self.assert_refused(self.tell({**self.annotations(), PREFIX + "x" + text: "y"}), "unknown key")

    def test_states_have_limits(self):
        good = self.state(self.directory, self.container_id, self.container.pid)
        for name, text, expected in (
                ("size", good + " " * (16 << 20), "File too large"),
                ("depth", good[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested"),
                ("depth of objects", good[:-1] + ', "x": ' + '{"a":' * 65 + "1" + "}" * 66, "nested")):
            with self.subTest(name):
                self.assert_refused(self.hook("prestart", text), expected)

    def test_configurations_of_bundles_have_limits(self):
        path = os.path.join(self.directory, "config.json")
        with open(path, encoding="utf-8") as file:
            good = file.read()
        for name, text, expected in (("size", good + " " * (16 << 20), "File too large"),
                                     ("depth", good[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested")):
            with self.subTest(name):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assert_refused(self.tell(self.annotations()), "config.json", expected)

    def test_wrong_types(self):
        for value in (None, 1, True, ["x"], {"x": "y"}):
            with self.subTest(value=value):
                self.assert_refused(self.tell({PREFIX + "input-root": value}), "annotations")
        for annotations in ([], "x", 1):
            with self.subTest(annotations=annotations):
                self.assert_refused(self.tell(annotations), "annotations")

    def test_operator_says_what_is_allowed(self):
        self.addCleanup(self.host.write_config)
        self.addCleanup(self.host.config.pop, "allow")
        self.host.config["allow"] = {"modes": ["strict"], "backends": [self.host.config["defaults"]["backend"]],
                                     "destinations": ["/workspace", "/build"]}
        self.host.write_config()
        for extra, text in (({"mode": "overlay"}, "overlay"), ({"mode": "readonly"}, "readonly"),
                            ({"mutates_inputs": "1"}, "overlay"), ({"backend": "hardlink"}, "hardlink"),
                            ({"destination": "/usr"}, "/usr"), ({"destination": "/workspace2"}, "/workspace2"),
                            ({"destination": "/buil"}, "/buil")):
            with self.subTest(**extra):
                self.assert_refused(self.tell(self.annotations(**extra)), text)

    def test_configuration_is_the_operators(self):
        path = self.host.config_path
        self.addCleanup(self.host.write_config)
        kept = path + ".kept"

        def refuse(text):
            self.assert_refused(self.tell(self.annotations()), path, text)

        for mode in (0o620, 0o602, 0o666):
            self.host.write_config(mode)
            refuse("writable")
        self.host.write_config()
        os.chown(path, 1000, 0)
        refuse("uid 1000")
        os.chown(path, 0, 0)
        os.rename(path, kept)
        self.addCleanup(os.unlink, kept)
        os.symlink(kept, path)
        refuse("symlink")
        os.unlink(path)
        os.mkfifo(path, 0o600)  # is not waited for
        refuse("regular file")
        os.unlink(path)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.host.config, file)
            file.write(" " * (1 << 20))
        os.chmod(path, 0o600)
        refuse("File too large")

    def test_directory_of_stages_is_the_operators(self):
        # Whoever may write there could put a link in the place of a stage.
        path = self.host.stage_root
        os.makedirs(path, exist_ok=True)
        self.addCleanup(os.chmod, path, 0o700)
        for mode in (0o777, 0o1777, 0o770):
            os.chmod(path, mode)
            self.assert_refused(self.tell(self.annotations()), path, "not be writable by others")
        self.assertEqual(os.listdir(path), [])

    def test_ids_stay_in_their_directory(self):
        for container_id in ("", ".", "..", "../x", "a/b", "/etc", "a\0b", "a\nb", "x" * 256, "a b", "é"):
            for stage in ("prestart", "poststop"):
                with self.subTest(id=container_id, stage=stage):
                    state = self.state(self.directory, container_id, self.container.pid)
                    done = self.hook(stage, state)
                    self.assertIn("id: ", done.err)
                    self.assertEqual((done.code, len(done.err.splitlines())), (1 if stage == "prestart" else 0, 1))


if __name__ == "__main__":
    checklist.main("unshare")
