# SPDX-License-Identifier: Apache-2.0
"""Listing directories: merged, each name once, offsets that stay; names that come and go while somebody reads."""
import os

import differences
from calls import errno_name, getdents, touch
from store import Link
from workspace import Workspace, main, variants

INPUTS = {"i%03d" % i: b"x" for i in range(200)}
TREE = {"dir": {**INPUTS, "sub": {}, "link": Link("i000")}, "empty": {}, "file": b"x"}
STAGED = ("strict", "overlay", "plain")
SMALL = 512  # bytes of a getdents buffer: a handful of names


class Listing(Workspace):
    tree = TREE

    def names(self, fd, size=SMALL):
        """The rest of the stream, name by name, with each entry's offset of the next."""
        while entries := getdents(fd, size):
            for _, offset, _, name in entries:
                yield name.decode(), offset


@variants("readonly", "strict", "overlay", "plain")
class Reading(Listing):
    def test_each_name_once(self):
        for size in (SMALL, 4096, 1 << 20):
            found = [name for name, _ in self.names(self.open("dir"), size)]
            self.assertEqual(sorted(found), sorted([".", "..", *TREE["dir"]]))

    def test_an_empty_directory(self):
        fd = self.open("empty")
        self.assertEqual(sorted(name for name, _ in self.names(fd)), [".", ".."])
        self.assertEqual(getdents(fd), [])

    def test_dots_are_the_directory_and_the_one_above(self):
        for name, above in (("dir/sub", "dir"), ("dir", "")):
            numbers = {entry[3]: entry[0] for entry in getdents(self.open(name))}
            self.assertEqual(os.stat(self.path(name, "..")).st_ino, os.stat(self.path(above)).st_ino)
            if differences.holds("numbers in listings", self):
                self.assertEqual((numbers[b"."], numbers[b".."]),
                                 (os.stat(self.path(name)).st_ino, os.stat(self.path(above)).st_ino))

    def test_rewinding(self):
        fd = self.open("dir")
        first = [name for name, _ in self.names(fd)]
        os.lseek(fd, 0, os.SEEK_SET)
        self.assertEqual([name for name, _ in self.names(fd)], first)

    def test_seeking_to_where_one_was(self):
        """telldir and seekdir: an entry's offset is where the stream goes on after it."""
        fd = self.open("dir")
        whole = list(self.names(fd))
        for at in (0, 1, 2, 7, 100, len(whole) - 2, len(whole) - 1):
            os.lseek(fd, whole[at][1], os.SEEK_SET)
            self.assertEqual([name for name, _ in self.names(fd)], [name for name, _ in whole[at + 1:]])
        other = self.open("dir")
        os.lseek(other, whole[50][1], os.SEEK_SET)
        self.assertEqual(next(self.names(other))[0], whole[51][0])

    def test_two_streams_are_apart(self):
        one, two = self.open("dir"), self.open("dir")
        first = next(self.names(one))
        self.assertEqual(len(list(self.names(two))), len(TREE["dir"]) + 2)
        self.assertEqual(next(self.names(two), None), None)
        self.assertNotEqual(next(self.names(one)), first)

    def test_what_is_no_directory(self):
        self.answers("ENOTDIR", os.listdir, self.path("file"))
        self.answers("EINVAL", getdents, self.open("dir"), 8)
        self.answers("EISDIR", os.read, self.open("dir"), 10)

    def test_a_thousand_times_the_same(self):
        first = os.listdir(self.path("dir"))
        for _ in range(20):
            self.assertEqual(os.listdir(self.path("dir")), first)


@variants(*STAGED)
class Merged(Listing):
    def test_both_kinds_once(self):
        self.fill("dir", 300)
        found = os.listdir(self.path("dir"))
        self.assertEqual(sorted(found), sorted([*TREE["dir"], *("f%d" % i for i in range(300))]))

    def test_offsets_stay(self):
        self.fill("dir", 100)
        fd = self.open("dir")
        whole = list(self.names(fd))
        for at in range(0, len(whole), 13):
            os.lseek(fd, whole[at][1], os.SEEK_SET)
            self.assertEqual([name for name, _ in self.names(fd)], [name for name, _ in whole[at + 1:]])

    def test_a_listing_sees_what_was_made_before(self):
        for i in range(30):
            touch(self.path("dir/n%d" % i))
            self.assertIn("n%d" % i, os.listdir(self.path("dir")))
            if i % 2:
                os.unlink(self.path("dir/n%d" % i))
                self.assertNotIn("n%d" % i, os.listdir(self.path("dir")))

    def test_rewinding_sees_what_came_and_went(self):
        fd = self.open("empty")
        list(self.names(fd))
        touch(self.path("empty/new"))
        os.lseek(fd, 0, os.SEEK_SET)
        self.assertEqual(sorted(name for name, _ in self.names(fd)), [".", "..", "new"])
        os.unlink(self.path("empty/new"))
        os.lseek(fd, 0, os.SEEK_SET)
        self.assertEqual(sorted(name for name, _ in self.names(fd)), [".", ".."])


@variants(*STAGED)
class WhileReading(Listing):
    def test_deleting_each_entry_skips_none(self):
        for directory in ("many", "dir"):
            os.makedirs(self.path(directory), exist_ok=True)
            self.fill(directory, 600)
            fd = self.open(directory)
            deleted = 0
            for name, _ in self.names(fd):
                if name.startswith("f"):
                    os.unlink(self.path(directory, name))
                    deleted += 1
            self.assertEqual(deleted, 600)
        os.rmdir(self.path("many"))

    def test_deleting_what_was_just_read_a_block_at_a_time(self):
        os.mkdir(self.path("many"))
        self.fill("many", 600)
        fd = self.open("many")
        while entries := getdents(fd, 4096):
            for entry in entries:
                if entry[3] not in (b".", b".."):
                    os.unlink(self.path("many", entry[3].decode()))
        os.rmdir(self.path("many"))

    def test_deleting_others_skips_none_that_stay(self):
        self.fill("dir", 600)
        fd = self.open("dir")
        seen = []
        for name, _ in self.names(fd):
            seen.append(name)
            if len(seen) % 10 == 0 and len(seen) < 600:  # from the end, and what was seen already
                for victim in (599 - len(seen) // 10, len(seen) // 10):
                    if os.path.exists(self.path("dir/f%d" % victim)):
                        os.unlink(self.path("dir/f%d" % victim))
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(set(os.listdir(self.path("dir"))), set(seen))

    def test_names_that_come_do_not_repeat_others(self):
        self.fill("dir", 600)
        seen = []
        for name, _ in self.names(self.open("dir")):
            seen.append(name)
            if len(seen) % 50 == 0:
                touch(self.path("dir/late%d" % len(seen)))
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual({*TREE["dir"], *("f%d" % i for i in range(600))}, set(seen))

    def test_renaming_each_entry(self):
        os.mkdir(self.path("many"))
        self.fill("many", 500)
        old = [name for name, _ in self.names(self.open("many")) if name.startswith("f")]
        for name in old:
            os.rename(self.path("many", name), self.path("many", "x" + name))
        self.assertEqual(sorted(os.listdir(self.path("many"))), sorted("xf%d" % i for i in range(500)))

    def test_two_readers_and_a_deleter(self):
        os.mkdir(self.path("many"))
        self.fill("many", 400)
        one, two = self.names(self.open("many")), self.names(self.open("many"))
        seen = [next(two)[0] for _ in range(20)]
        for name, _ in one:
            if name.startswith("f"):
                os.unlink(self.path("many", name))
        seen += [name for name, _ in two]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(os.listdir(self.path("many")), [])

    def test_a_directory_that_goes_while_it_is_read(self):
        os.mkdir(self.path("d"))
        self.fill("d", 3)
        fd = self.open("d")
        for i in range(3):
            os.unlink(self.path("d/f%d" % i))
        os.rmdir(self.path("d"))
        self.assertIn(errno_name(getdents, fd), ("OK", "ENOENT"))
        self.assertEqual(os.listdir(fd), [])


if __name__ == "__main__":
    main()
