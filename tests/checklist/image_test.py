#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Annotations of images. podman before 4.6 hands them to hooks as if the user had given them, so an image's author can do
what a pod's author can: this holds it to that, and to what the operator allows."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import unittest

import checklist
import runtimes
from host import BUSYBOX, call


def podman_version():
    return tuple(map(int, re.findall(r"\d+", call(["podman", "--version"]).out)[:2]))


HANDED_ON = shutil.which("podman") is not None and podman_version() < (4, 6)


class ImageTest(checklist.HostTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.podman = runtimes.Podman(cls.host)
        cls.count = 0

    def setUp(self):
        self.addCleanup(self.host.write_config)
        self.addCleanup(self.host.config.pop, "allow", None)

    def image(self, **annotations):
        """An image of busybox in podman's store; its id."""
        ImageTest.count += 1
        layout = self.host.path(f"image{self.count}")
        os.makedirs(os.path.join(layout, "blobs/sha256"))

        def put(data, media_type):
            name = hashlib.sha256(data).hexdigest()
            with open(os.path.join(layout, "blobs/sha256", name), "wb") as file:
                file.write(data)
            return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + name, "size": len(data)}

        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.add(BUSYBOX, "bin/busybox")
            for applet in ("sh", "cat", "ls"):
                link = tarfile.TarInfo("bin/" + applet)
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        layer = put(gzip.compress(plain.getvalue(), 1), "layer.v1.tar+gzip")
        config = put(json.dumps({
            "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()]},
        }).encode(), "config.v1+json")
        keys = {"dev.actiondfs." + key.replace("_", "-"): value for key, value in annotations.items()}
        manifest = put(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer],
                                   "annotations": keys}).encode(), "manifest.v1+json")
        for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}),
                              ("index.json", {"schemaVersion": 2, "manifests": [manifest]})):
            with open(os.path.join(layout, name), "w", encoding="utf-8") as file:
                json.dump(content, file)
        # podman makes a reference of the path that it is given, and refuses what is none: "test._x" is none.
        done = call(self.podman.command("pull", "--quiet", "oci:" + os.path.basename(layout)), cwd=self.host.dir)
        self.assertEqual(done.code, 0, done.err)
        return done.out.split()[-1]

    def run_image(self, image, script, *options):
        return call(self.podman.command(
            "run", "--rm", "--network=none", "--log-driver=none", "--attach=stdout", "--attach=stderr",
            "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", *options, image, "sh", "-ec", script))

    def refused(self, image, text, *options):
        done = self.run_image(image, "echo STARTED", *options)
        if HANDED_ON or options:
            self.assertNotEqual(done.code, 0, done.out)
            self.assertNotIn("STARTED", done.out)
            self.assertIn(text, done.err)
        else:
            self.assertEqual((done.code, done.out), (0, "STARTED\n"), done.err)
        self.host.check_clean()

    def test_image_gets_what_a_pod_gets(self):
        done = self.run_image(self.image(input_root=self.root), "cat /workspace/hello.txt 2>/dev/null || echo none")
        self.assertEqual((done.code, done.out), (0, "hello\n" if HANDED_ON else "none\n"), done.err)
        self.host.check_clean()

    def test_image_cannot_name_what_is_the_operators(self):
        for extra in ({"cas": "/etc"}, {"stage": "/etc"}, {"config": "/tmp/hook.json"}, {"destination": "/proc"},
                      {"destination": "/../etc"}):
            with self.subTest(**extra):
                self.refused(self.image(input_root=self.root, **extra), "dev.actiondfs.")

    def test_image_is_held_to_what_is_allowed(self):
        backend = self.host.config["defaults"]["backend"]
        self.host.config["allow"] = {"modes": ["strict"], "destinations": ["/workspace"], "backends": [backend]}
        self.host.write_config()
        for extra, text in (({"mode": "overlay"}, "overlay"), ({"destination": "/bin"}, "/bin"), ({"backend": "hardlink"}, "hardlink")):
            with self.subTest(**extra):
                self.refused(self.image(input_root=self.root, **extra), text)

    def test_user_has_the_last_word(self):
        image = self.image(input_root="0" * 64 + "/1", mode="overlay", destination="/bin")
        done = self.run_image(image, "cat /here/hello.txt", "--annotation", "dev.actiondfs.input-root=" + self.root,
                              "--annotation", "dev.actiondfs.mode=readonly", "--annotation", "dev.actiondfs.destination=/here")
        self.assertEqual((done.code, done.out), (0, "hello\n"), done.err)
        self.assertEqual(self.host.last_record()["mode"], "readonly")
        self.host.check_clean()


if __name__ == "__main__":
    checklist.main("podman", "runc")
