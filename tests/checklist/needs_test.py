#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each capability that docs/security.md grants is needed: without it something fails, with one line that says why, and
leaves nothing behind. And no other is."""

import os
import re
import stat

import programs
from host import call, wait_for
from programs import TABLE, status

USER = 1000  # whom the action runs as, where it is not root


def without(capability):
    """A prefix that starts a program without one capability."""
    return ["setpriv", "--bounding-set=-" + capability.removeprefix("CAP_").lower()] if capability else []


def only(names):
    return ["setpriv", "--bounding-set=" + ",".join(["-all", *("+" + name.removeprefix("CAP_").lower() for name in names)])]


def as_user(*command):
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def hidden_proc(*command):
    """In a mount namespace whose /proc hides the processes that one may not trace, but from a group."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
            'mount -t proc -o hidepid=2,gid=12345 proc /proc; exec "$@"', "sh", *command]


class NeedsTest(programs.ProgramsTest):
    def check_line(self, text, capability):
        """One line, which says what was not permitted and why."""
        self.assertEqual(len(text.splitlines()), 1, text)
        self.assertRegex(text, "Operation not permitted|Permission denied")
        if capability:
            self.assertIn("started without " + capability + ":", text)

    def refuse_prestart(self, capability, **container):
        self.start_server()
        self.start_container(**container)
        done = self.hook("prestart", without(capability))
        self.assertEqual(done.code, 1)
        self.check_line(done.err, capability)
        self.host.check_clean()
        self.assertEqual(os.listdir(os.path.join(self.directory, "rootfs/tmp")), [])
        self.assertFalse(os.path.exists(os.path.join(self.directory, "rootfs/workspace")))
        self.prestart()

    def test_prestart_needs_sys_admin(self):
        self.refuse_prestart("CAP_SYS_ADMIN")

    def test_prestart_needs_sys_chroot(self):
        self.refuse_prestart("CAP_SYS_CHROOT")

    def test_prestart_needs_sys_ptrace(self):
        self.refuse_prestart("CAP_SYS_PTRACE")

    def test_prestart_needs_dac_override_where_the_root_is_another_users(self):
        self.refuse_prestart("CAP_DAC_OVERRIDE", root_owner=USER)

    def test_prestart_needs_chown_for_a_users_overlay(self):
        self.refuse_prestart("CAP_CHOWN", mode="overlay", uid=USER, gid=USER)

    def test_prestart_needs_fowner_for_a_users_overlay(self):
        self.refuse_prestart("CAP_FOWNER", mode="overlay", uid=USER, gid=USER)

    def set_group_id(self, where):
        """Whether the action's user can give its own directory the bit."""
        done = call(as_user("sh", "-ec", "mkdir made; chmod 2755 made"), cwd=where)
        self.assertEqual(done.code, 0, done.err)
        return os.stat(os.path.join(where, "made")).st_mode & stat.S_ISGID != 0

    def test_prestart_needs_fsetid_for_what_overlayfs_does_later(self):
        self.start_server()
        for capability, kept in (("CAP_FSETID", False), (None, True)):
            self.start_container(mode="overlay", uid=USER, gid=USER)
            self.assertEqual(self.set_group_id(self.prestart(without(capability))), kept)

    def end_with(self, end, capability, stage_script):
        """The action has left `stage_script`'s doing; ending it without the capability fails, and then with it does not."""
        self.start_server()
        self.start_container()
        pin = self.prestart()
        self.assertEqual(call(["sh", "-ec", stage_script], cwd=pin).code, 0)
        self.end_container(self.init)
        done = end(without(capability))
        self.assertRegex(done.err, "Operation not permitted|Permission denied")
        self.assertNotEqual(self.host.leftovers(), [])
        self.assertEqual(end().err, "")
        self.host.check_clean()
        return done

    STICKY = f"mkdir d; touch d/f; chown {USER + 1} d/f; chmod 1777 d; chown {USER} d"
    CLOSED = f"mkdir -m 700 d; touch d/f; chown {USER} d/f d"

    def test_poststop_needs_sys_admin(self):
        self.check_line(self.end_with(self.poststop, "CAP_SYS_ADMIN", "true").err, "CAP_SYS_ADMIN")

    def test_poststop_needs_dac_override_for_what_an_action_closed(self):
        self.check_line(self.end_with(self.poststop, "CAP_DAC_OVERRIDE", self.CLOSED).err, "CAP_DAC_OVERRIDE")

    def test_poststop_needs_fowner_for_sticky_directories(self):
        self.check_line(self.end_with(self.poststop, "CAP_FOWNER", self.STICKY).err, "CAP_FOWNER")

    def test_poststop_needs_sys_ptrace_to_see_who_lives(self):
        self.start_server()
        self.start_container()
        self.prestart()
        state = self.state()
        done = call(hidden_proc(*self.command("poststop")), input=state)
        self.assertIn("live container", done.err)
        unseeing = hidden_proc(*without("CAP_SYS_PTRACE"), *self.command("poststop"))
        self.assertRegex(call(unseeing, input=state).err, "whether it lives: .*: /proc shows nothing of it")
        # It is dead, and not yet waited for.
        self.init.kill()
        wait_for("it to be a zombie", lambda: "zombie" in status(f"/proc/{self.init.pid}/status")["State"])
        self.assertIn("/proc shows nothing of it", call(unseeing, input=state).err)
        self.assertEqual(call(hidden_proc(*self.command("poststop")), input=state).err, "")
        self.host.check_clean()

    def test_gc_needs_sys_admin(self):
        self.end_with(self.gc, "CAP_SYS_ADMIN", "true")

    def test_gc_needs_dac_override_for_what_an_action_closed(self):
        self.end_with(self.gc, "CAP_DAC_OVERRIDE", self.CLOSED)

    def test_gc_needs_fowner_for_sticky_directories(self):
        self.end_with(self.gc, "CAP_FOWNER", self.STICKY)

    def test_gc_needs_sys_ptrace_to_see_who_lives(self):
        self.start_server()
        self.start_container()
        self.prestart()
        seeing, unseeing = hidden_proc(), hidden_proc(*without("CAP_SYS_PTRACE"))
        done = self.gc(seeing)
        self.assertEqual((done.code, done.out, done.err), (0, "", ""))
        done = self.gc(unseeing)
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertIn("/proc shows nothing of it", done.err)
        self.init.kill()
        wait_for("it to be a zombie", lambda: "zombie" in status(f"/proc/{self.init.pid}/status")["State"])
        self.assertEqual(self.gc(unseeing).code, 1)
        self.assertIn(self.id, self.gc(seeing).out)
        self.host.check_clean()

    def serve(self, capability, script):
        """The outcome of the script, run by the action's user on a server that lacks the capability."""
        self.start_server(without(capability))
        point = self.host.path("point")
        os.makedirs(point, exist_ok=True)
        self.host.actiondfs("mount", self.root, point, "--cas", self.host.cas, "--backend", "fuse", "--mode", "strict",
                            "--stage", self.host.path(f"stage{capability}"), "--socket", self.host.socket,
                            "-o", f"uid={USER},gid={USER}")
        try:
            return call(as_user("sh", "-ec", script), cwd=point)
        finally:
            self.host.actiondfs("umount", point)
            self.host.stop_server()

    def refuse_on_server(self, capability, script):
        done = self.serve(capability, script)
        self.assertNotEqual(done.code, 0)
        self.assertRegex(done.err, "Operation not permitted|Permission denied")
        self.assertEqual(self.serve(None, script).code, 0)

    def test_server_needs_sys_admin(self):
        self.start_server(without("CAP_SYS_ADMIN"))
        self.start_container()
        done = self.hook("prestart")
        self.assertEqual(done.code, 1)
        self.check_line(done.err, None)
        self.host.check_clean()

    def test_server_needs_chown(self):
        self.refuse_on_server("CAP_CHOWN", "echo x > new")

    def test_server_needs_dac_override(self):
        self.refuse_on_server("CAP_DAC_OVERRIDE", "mkdir -m 700 d; echo x > d/new")

    def test_server_needs_fowner(self):
        self.refuse_on_server("CAP_FOWNER", "echo x > new; chmod 640 new")

    def test_server_needs_fsetid(self):
        script = "mkdir d; chmod 2755 d; stat -c %a d"
        self.assertEqual(self.serve("CAP_FSETID", script).out, "755\n")
        self.assertEqual(self.serve(None, script).out, "2755\n")

    def test_every_documented_capability_has_its_test(self):
        names = [name for name in dir(self) if re.match(r"test_\w+_needs_", name)]
        tests_of = {"prestart": "prestart", "poststop": "poststop", "gc": "gc", "serve": "server"}
        for profile, program in tests_of.items():
            for capability in TABLE[profile]:
                prefix = f"test_{program}_needs_{capability.removeprefix('CAP_').lower()}"
                self.assertTrue(any(name.startswith(prefix) for name in names), prefix)
        self.assertEqual(TABLE["attached"], set())

    # And no other.

    def test_nothing_else_is_needed(self):
        self.start_server(only(TABLE["serve"]))
        for mode in ("readonly", "strict", "overlay"):
            self.start_container(mode=mode, uid=USER, gid=USER, root_owner=USER)
            pin = self.prestart(only(TABLE["prestart"]))
            if mode != "readonly":
                self.assertTrue(self.set_group_id(pin))
            self.end_container(self.init)
            done = self.poststop(only(TABLE["poststop"]))
            self.assertEqual((done.code, done.err), (0, ""))
            self.host.check_clean()
        self.start_container()
        self.prestart()
        self.end_container(self.init)
        done = self.gc(only(TABLE["gc"]))
        self.assertEqual((done.code, done.err), (0, ""))
        self.host.check_clean()


if __name__ == "__main__":
    programs.main("setpriv")
