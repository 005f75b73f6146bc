# SPDX-License-Identifier: Apache-2.0
"""Whole programs, run in the workspace and in an ordinary directory with the same tree: the same words, the same files."""
import os
import shutil
import subprocess

from backend_plain import PlainBackend
from rename_test import snapshot
from store import Executable, Link
from workspace import WithReference, main, variants

MAKEFILE = b"""
CFLAGS = -O1 -Iinclude
build/program: build/main.o build/part.o ; $(CC) -o $@ $^
build/%.o: src/%.c include/part.h | build ; $(CC) $(CFLAGS) -c -o $@ $<
build: ; mkdir build
"""
CMAKELISTS = b"""
cmake_minimum_required(VERSION 3.20)
project(tree C)
add_library(part STATIC src/part.c)
target_include_directories(part PUBLIC include)
add_executable(program src/main.c)
target_link_libraries(program part)
"""
TREE = {
    "Makefile": MAKEFILE,
    "CMakeLists.txt": CMAKELISTS,
    "src": {
        "main.c": b'#include "part.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", part(41)); return 0; }\n',
        "part.c": b'#include "part.h"\nint part(int x) { return x + 1; }\n',
    },
    "include": {"part.h": b"int part(int x);\n"},
    "package": {
        "__init__.py": b"from .values import VALUE\n",
        "values.py": b"VALUE = 'from a package'\n",
        "inner": {"__init__.py": b"", "deep.py": b"def f():\n    return 'deep'\n"},
    },
    "data": {"d%02d" % i: {"f%02d" % j: b"%d %d\n" % (i, j) * (j * 50) for j in range(8)} for i in range(8)},
    "run.sh": Executable(b"#!/bin/sh\necho \"$@\"\n"),
    "link": Link("data/d00/f01"),
    "dangling": Link("nowhere"),
    "empty": {},
    "nothing": b"",
}
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "SOURCE_DATE_EPOCH": "1000000000",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_PROGRESS_DELAY": "1000000", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "c", "GIT_COMMITTER_EMAIL": "c@example.com",
    "GIT_AUTHOR_DATE": "1000000000 +0000", "GIT_COMMITTER_DATE": "1000000000 +0000",
    "GIT_CONFIG_COUNT": "3", "GIT_CONFIG_KEY_0": "init.defaultBranch", "GIT_CONFIG_VALUE_0": "main",
    "GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*", "GIT_CONFIG_KEY_2": "gc.auto", "GIT_CONFIG_VALUE_2": "0",
}


class Programs(WithReference):
    tree = TREE

    def setUp(self):
        super().setUp()
        plain = PlainBackend("plain", None, self.store)
        plain.owner = (self.uid, self.uid)
        plain.write(TREE, self.reference)

    def need(self, *programs):
        for program in programs:
            if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
                self.skipTest("there is no %s here" % program)

    def same(self, script, but=()):
        """The script, in both: exit code and output are equal, and what it leaves; `but`: names it leaves that differ."""
        def run(directory):
            done = subprocess.run(["sh", "-euc", script], cwd=directory, env={**ENVIRONMENT, "HOME": directory},
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            left = {name: content for name, content in snapshot(directory).items()
                    if not any(name == prefix or name.startswith(prefix + "/") for prefix in but)}
            return done.returncode, done.stdout.replace(directory, "HERE"), left

        code, output, left = run(self.reference)
        self.assertEqual(code, 0, output)
        found = run(self.point)
        self.assertEqual(found[:2], (code, output))
        self.assertEqual(sorted(found[2]), sorted(left))
        self.assertEqual([name for name in left if found[2][name] != left[name]], [])


@variants("strict", "overlay")
class Reading(Programs):
    def test_find(self):
        self.same("find . | sort; find . -type f -size +1k | sort; find . -type l -printf '%p %l\\n' | sort;"
                  "find . -newermt 2000-01-02; find data -name 'f0[1-3]' | sort | xargs cat | cksum; find . -empty -type f | sort;"
                  "find . -perm /111 -type f | sort; find . ! -type d -printf '%p %m %s %n %T@\\n' | sort")

    def test_tar_makes_the_same_archive(self):
        self.same("tar --sort=name --format=gnu -cf /dev/stdout . | sha256sum; tar --sort=name -cf - data | tar -tvf - | sort")

    def test_diff_and_checksums(self):
        self.same("diff -r data data && find . -type f | sort | xargs sha256sum; cmp src/part.c src/part.c; wc -c data/*/*;"
                  "grep -rc '7 7' data | sort; du -sb --apparent-size data/d01/f01; ls -lR --time-style=full-iso data/d01 | grep -v ^total")


@variants("strict")
@variants("overlay", users=("root",))
class Copying(Programs):
    def test_cp(self):
        self.same("cp -a data copy; diff -r data copy; cp -r src include empty; cp --reflink=auto -p run.sh run2.sh; ./run2.sh a b;"
                  "cp -a link dangling empty; cp -aT copy copy2; find copy copy2 -type f -printf '%p %m %s %T@\\n' | sort")

    def test_cp_over_what_was_copied(self):
        self.same("cp -a data copy; cp -af data/. copy/; cp -au data/. copy/; cp --remove-destination data/d01/f02 copy/d00/f00;"
                  "ln copy/d02/f02 copy/hard; cp -al copy copy3; rm -rf copy; find copy3 -type f -printf '%p %n\\n' | sort")

    def test_tar(self):
        self.same("tar -cf data.tar data src; mkdir out; tar -C out -xpf data.tar; diff -r data out/data; tar -df data.tar;"
                  "tar -C out -xf data.tar; tar --delete -f data.tar src; tar -tf data.tar | sort; rm data.tar")

    def test_tar_among_inputs(self):
        # Only files: for a directory of the archive that is there already, tar changes its mode, and of inputs that is EROFS.
        self.same("mkdir -p t/data/d00; echo new > t/data/d00/new; tar -C t -cf t.tar data/d00/new; rm -rf t;"
                  "tar -xpf t.tar; cat data/d00/new; ls data/d00; tar -df t.tar; rm t.tar")

    def test_rsync(self):
        self.need("rsync")
        self.same("rsync -a data/ copy/; diff -r data copy; chmod -R u+w copy; echo changed > copy/d00/f03; rm copy/d01/f04; mkdir copy/more;"
                  "rsync -ac --delete --itemize-changes data/ copy/ | sort; diff -r data copy; rsync -aX --inplace data/ copy2/;"
                  "rsync -an --itemize-changes data/ copy/")

    def test_moving(self):
        self.same("cp -a data copy; mv copy data/copy; mv data/copy/d01/f02 empty/; mv -n empty/f02 nowhere; mv nowhere data/d05/moved;"
                  "mv -T data/copy/d02 data/copy/d03x; install -m 755 run.sh empty/installed; ln -s d00 data/here; ls -l data | wc -l;"
                  "mv data/here data/there; readlink data/there")


@variants("strict")
@variants("overlay", users=("root",))
class Removing(Programs):
    def test_rm(self):
        self.same("cp -a data copy; rm -rf copy/d0[0-3]; find copy -name 'f0[0-4]' -delete; find copy -type d -empty -delete;"
                  "find copy | sort; rm -r copy; cp -a src data/d00/below; rm -rf data/d00/below; mkdir -p a/b/c; rmdir -p a/b/c")

    def test_find_delete_among_inputs(self):
        self.same("for d in data/*; do for i in 1 2 3 4 5 6 7 8 9; do echo $i > $d/made$i; done; done; find data -name 'made*' | wc -l;"
                  "find data -name 'made*' -delete; find data | sort")


@variants("strict")
class Building(Programs):
    def test_make(self):
        self.need("make", "cc")
        self.same("make; ./build/program; make | sed 's/make[^:]*: //'; touch build/part.o; make | wc -l; ./build/program")

    def test_cmake(self):
        self.need("cmake", "make", "cc")
        self.same("cmake -S . -B out -DCMAKE_BUILD_TYPE=Release -G 'Unix Makefiles' > log && make -C out >> log;"
                  "./out/program; sha256sum out/program; make -C out | grep -c Built", but=("out", "log"))

    def test_python(self):
        self.same("python3 -m compileall -q -s \"$PWD\" --invalidation-mode timestamp package; find package | sort;"
                  "python3 -c 'import package, package.inner.deep as d; print(package.VALUE, d.f(), package.__cached__[-20:])'")

    def test_python_writes_its_cache_by_itself(self):
        self.same("python3 -c 'import package.inner.deep; print(package.VALUE)'; ls package/__pycache__ package/inner/__pycache__",
                  but=("package/__pycache__", "package/inner/__pycache__"))

    def test_sqlite(self):
        self.same("""python3 - <<'PY'
import sqlite3
for mode in ("delete", "wal", "truncate"):
    one = sqlite3.connect("data/db." + mode, isolation_level=None)
    print(one.execute("pragma journal_mode=" + mode).fetchall(), one.execute("pragma mmap_size=1000000").fetchall())
    one.execute("create table t (a integer primary key, b text)")
    two = sqlite3.connect("data/db." + mode, isolation_level=None, timeout=0)
    for i in range(20):
        one.execute("begin immediate")
        try:
            two.execute("begin immediate")
            print("both write")
        except sqlite3.OperationalError as error:
            assert "locked" in str(error)
        one.executemany("insert into t (b) values (?)", [("x" * 100,)] * 50)
        one.execute("commit")
        assert two.execute("select count(*) from t").fetchall() == [(50 * (i + 1),)]
    print(two.execute("pragma integrity_check").fetchall())
    one.close()
    two.close()
PY
rm data/db.*""")


@variants("strict")
@variants("overlay", users=("root",))
class Git(Programs):
    def test_commit_and_clone(self):
        self.need("git")
        self.same("git init -q .; git add -A .; git commit -qm first; git rev-parse HEAD; git status --porcelain; git ls-files -s | cksum;"
                  "git clone -q . empty/clone; diff -r src empty/clone/src; git -C empty/clone status --porcelain; git fsck --strict;"
                  "git repack -qad; git rev-parse HEAD^{tree}; git log --oneline; rm -rf empty/clone",
                  but=(".git",))

    def test_branches(self):
        self.need("git")
        self.same("mkdir repo; cd repo; git init -q .; cp -a ../data .; git add .; git commit -qm one; git checkout -qb other;"
                  "git mv data/d00 moved; git rm -qr data/d01; echo new > data/d02/new; git add .; git commit -qm two; git checkout -q main;"
                  "ls; ls data | wc -l; git merge -q other; git rev-parse HEAD; git stash list; echo dirty > data/d02/new; git stash -q;"
                  "git stash pop -q; git diff --stat; git clean -ndx; git worktree add -q ../tree other; git -C ../tree rev-parse HEAD",
                  but=("repo/.git", "tree/.git"))


@variants("overlay")
class ChangingInputs(Programs):
    def test_sed_patch_and_truncate(self):
        self.same("sed -i 's/x + 1/x + 2/' src/part.c; chmod u+w nothing; echo something > nothing; rm link; mv data/d00 data/d99;"
                  "rm -r data/d01; cp -f src/main.c src/part.c; git init -q .; git add .; git commit -qm x; git rev-parse HEAD",
                  but=(".git",))


if __name__ == "__main__":
    main()
