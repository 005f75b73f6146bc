#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many at once: prestarts, poststops and gc, of the same names and of others."""

import concurrent.futures
import subprocess
import unittest

from scene import ACTIONDFS, BACKEND, MODES, Paused, Scene, skip_unless_possible

ROUNDS = 6
CONTAINERS = 10


class RaceTest(unittest.TestCase):
    def setUp(self):
        self.scene = Scene()
        self.addCleanup(self.scene.close)
        self.scene.begin()

    def start_gc(self):
        return subprocess.Popen([ACTIONDFS, "gc", "--config", self.scene.config_path], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def at_once(self, stage, containers, collectors=2):
        """Runs a stage of all containers, and gc as often, at once; [(exit status, stderr)] of the stages."""
        running = [self.start_gc() for _ in range(collectors)]
        with concurrent.futures.ThreadPoolExecutor(len(containers)) as pool:
            done = list(pool.map(lambda container: self.scene.hook(stage, container), containers))
        for collector in running:
            _, err = collector.communicate()
            self.assertEqual((collector.returncode, err), (0, ""))
        return done

    def containers(self, count=CONTAINERS):
        return [self.scene.container(f"c{n}", MODES[n % len(MODES)]) for n in range(count)]

    def test_two_gc_and_ten_prestarts(self):
        for _ in range(ROUNDS):
            containers = self.containers()
            self.assertEqual(self.at_once("prestart", containers), [(0, "")] * len(containers))
            for container in containers:
                container.use()
            for container in containers:
                container.kill()
            self.assertEqual(self.at_once("poststop", containers), [(0, "")] * len(containers))
            self.scene.check()

    def test_two_gc_and_ten_prestarts_of_names_whose_dead_are_there_still(self):
        previous = []
        for _ in range(ROUNDS):
            containers = self.containers()
            self.assertEqual(self.at_once("prestart", containers), [(0, "")] * len(containers))
            for container in containers:
                container.use()
            for container in containers:
                container.kill()
            previous = containers
        self.assertTrue(previous)
        self.scene.check()
        # A record each: nobody's end was told twice, or not at all.
        for container in previous:
            self.assertEqual(self.scene.record_count(container.name), ROUNDS)

    def test_two_gc_end_the_same_dead(self):
        for _ in range(ROUNDS):
            containers = self.containers()
            for container in containers:
                self.scene.prestart(container)
                container.write("dir/out")
                container.kill()
            # Also from poststop's side.
            self.assertEqual(self.at_once("poststop", containers[:3], collectors=4), [(0, "")] * 3)
            self.scene.check()
        for container in containers:
            self.assertEqual(self.scene.record_count(container.name), ROUNDS)

    def test_two_gc_remove_the_same_stages_without_an_owner(self):
        for _ in range(ROUNDS):
            containers = self.containers(4)
            for container in containers:
                self.scene.make_orphan(container.name)
                self.scene.make_orphan(container.name + "-gone")
            # Names whose stage is rubbish are given to new containers meanwhile.
            self.assertEqual(self.at_once("prestart", containers), [(0, "")] * len(containers))
            for container in containers:
                container.use()
                container.kill()
            self.at_once("poststop", containers)
            self.scene.check()

    def test_one_name_used_again_and_again_without_a_pause(self):
        for turn in range(30):
            container = self.scene.container("again", MODES[turn % len(MODES)])
            self.scene.prestart(container)
            container.use()
            container.kill()
            self.scene.poststop(container)
        self.scene.check()

    @unittest.skipIf(BACKEND != "fuse", "this backend has no server")
    def test_name_whose_last_mount_is_ending(self):
        threads = self.scene.server_threads()
        first = self.scene.container("again")
        self.scene.prestart(first)
        # One of the mount's threads does not get to see that it was unmounted.
        held = Paused(self.scene, 1, "--pid", min(self.scene.server_threads() - threads))
        with open(held.tell, "rb") as tell:
            self.assertEqual(tell.read(1), b"p")
        first.kill()
        self.scene.poststop(first)
        second = self.scene.container("again")
        self.scene.prestart(second)
        second.use()
        with open(held.wait, "wb"):
            pass
        held.process.terminate()
        held.process.communicate()
        second.use()
        second.kill()
        self.scene.poststop(second)
        self.scene.check()

    def test_ten_prestarts_of_one_name_give_one_workspace(self):
        containers = []
        for n in range(CONTAINERS):
            container = self.scene.container(f"same{n}")
            container.name = "same"
            containers.append(container)
        done = self.at_once("prestart", containers)
        winners = [container for container, (code, _) in zip(containers, done) if code == 0]
        self.assertEqual(len(winners), 1, done)
        for code, err in done:
            self.assertTrue(code == 0 or "live container" in err, err)
        winners[0].use()
        for container in containers:
            container.kill()
        self.scene.check()


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main(verbosity=2)
