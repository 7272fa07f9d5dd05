# SPDX-License-Identifier: Apache-2.0
"""
What both daemons may still do once they run, by each thread's status; what control says of files that
belong to root, at its start and in a reload; and control as systemd starts it.
"""
import os
import pwd
import shutil
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402

CAP_NET_BIND_SERVICE, CAP_NET_ADMIN = 1 << 10, 1 << 12


def statuses(pid):
    """{thread: /proc/PID/task/TID/status as a dictionary}"""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        lines = Path(f"/proc/{pid}/task/{thread}/status").read_text(encoding="ascii").splitlines()
        found[int(thread)] = {name: value.strip()
                              for name, _, value in (line.partition(":") for line in lines)}
    return found


class Privileges(SystemTest):

    def check(self, pid, user, kept, bounding=0):
        """Each thread of a process; kept(thread) is its effective and permitted set."""
        threads = statuses(pid)
        uid = str(pwd.getpwnam(user).pw_uid)
        for thread, found in threads.items():
            with self.subTest(thread=found["Name"]):
                wanted = {"CapEff": kept(thread), "CapPrm": kept(thread), "CapInh": 0, "CapAmb": 0,
                          "CapBnd": bounding}
                self.assertEqual({name: int(found[name], 16) for name in wanted}, wanted)
                self.assertEqual(found["NoNewPrivs"], "1")
                self.assertEqual(found["Seccomp"], "2")
                self.assertEqual(found["Uid"].split(), [uid] * 4)
        self.say(f"{threads[pid]['Name']}: {len(threads)} thread(s) of {user}")

    def check_control(self):
        pid = self.lab.control.pid
        self.check(pid, "daemon", lambda _: CAP_NET_BIND_SERVICE, CAP_NET_BIND_SERVICE)
        # The filter without programs is everybody's but of the one thread that runs the successor;
        # they do not pile up.
        self.assertEqual(sorted(int(found["Seccomp_filters"]) for found in statuses(pid).values()),
                         [1] + [2] * (len(statuses(pid)) - 1))
        # What cannot be dumped is root's in /proc: nobody else of that user looks into it.
        self.assertEqual(os.stat(f"/proc/{pid}/mem").st_uid, 0)
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_1_every_thread(self):
        pid = self.lab.dataplane.pid
        self.check(pid, "nobody", lambda thread: CAP_NET_ADMIN if thread == pid else 0)
        self.check_control()

    def test_1_successors(self):
        """They may do what the first one may."""
        for _ in range(3):
            self.lab.control.replace()
            self.lab.wait_acknowledged()
            self.check_control()

    def test_2_files(self):
        """Who they are for, after the start and after a rotation of keys."""
        uid = pwd.getpwnam("daemon").pw_uid
        self.assertEqual(self.lab.ctl("rotate-secret")[0], 0)
        for name, mode in (("secret", 0o600), ("state", 0o700), ("control.sock", 0o600),
                           ("dataplane.sock", 0o600)):
            found = (self.lab.dir / name).stat()
            self.assertEqual((name, found.st_uid, oct(found.st_mode & 0o777)),
                             (name, uid, oct(mode)))

    def test_3_secret_of_root(self):
        """A reload and a hand-over refuse it and go on with what runs; a start refuses it."""
        lab, secret = self.lab, self.lab.dir / "secret"
        shutil.chown(secret, "root")
        try:
            status, _, said = lab.reload(check=False)
            self.assertEqual(status, 1)
            self.say(said.strip())
            self.assertRegex(said, r"tandem\.yaml:\d+: secret_file: .*secret: user 1, .*may not read")
            lab.control.replace(wait=False)
            lab.control.process.wait_line(r"does not start anew: ", 30)
            self.assertRegex(lab.control.log(),
                             r"tandem\.yaml:\d+: secret_file: user daemon may not read")
            self.assertTrue(lab.control.running())
            lab.control.stop()
            lab.control.start(wait=False)
            wait_for(lambda: not lab.control.running(), 5, "control's end")
            self.assertRegex(lab.control.log(),
                             r"tandem\.yaml:\d+: secret_file: user daemon may not read")
        finally:
            shutil.chown(secret, "daemon")
        lab.control.start()
        lab.wait_acknowledged()

    def test_4_as_the_unit_starts_it(self):
        """Another user than root, with CAP_NET_BIND_SERVICE in the ambient set: User=,
        AmbientCapabilities=, CapabilityBoundingSet= and NoNewPrivileges= of the unit."""
        process = self.lab.control.process
        self.lab.control.stop()
        before, at = process.argv, process.argv.index(str(self.lab.program("control")))
        process.argv = [*before[:at], "setpriv", "--reuid=daemon", "--regid=daemon", "--init-groups",
                        "--inh-caps=-all,+net_bind_service", "--ambient-caps=+net_bind_service",
                        "--bounding-set=-all,+net_bind_service", "--no-new-privs", *before[at:]]
        try:
            self.lab.control.start()
            self.lab.wait_acknowledged()
            self.check_control()
            self.assertEqual(self.lab.reload()[0], 0)
            self.lab.control.replace()
            self.lab.wait_acknowledged()
            self.check_control()
            self.lab.control.stop()
        finally:
            process.argv = before
        self.lab.control.start()
        self.lab.wait_acknowledged()


if __name__ == "__main__":
    main()
