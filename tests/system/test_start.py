# SPDX-License-Identifier: Apache-2.0
"""
The data plane as a process: what its threads may still do, with huge pages and without, and its end
when an interface goes.
"""
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from sip import Message, Peer                                     # noqa: E402

CAP_NET_ADMIN = 1 << 12
PAGES_NEEDED = 140               # 256 MiB of memory, the call table and what EAL adds; 2 MiB each


def thread_status(thread):
    """/proc/PID/task/TID/status as a dictionary."""
    lines = (thread / "status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def huge_bytes(pid):
    """Bytes that a process has mapped of huge pages."""
    lines = Path(f"/proc/{pid}/smaps").read_text(encoding="ascii", errors="replace").splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines
               if line.startswith(("Private_Hugetlb:", "Shared_Hugetlb:")))


def huge_pages_free():
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("HugePages_Free:"):
            return int(line.split()[1])
    return 0


class Start(SystemTest):

    def asks(self):
        """An OPTIONS through the virtual address is answered, and `why` reads the call table."""
        with Peer(self.lab, "caller") as phone:
            asked = phone.options()
            answer = phone.final(asked, timeout=8)
        self.assertIsNotNone(answer, "no backend answers")
        why = self.lab.ctl("why", Message(asked).get("call-id"), json=True)[0]
        self.assertEqual(why["backend"], answer.get("server"))
        self.assertIsNotNone(why["call"], why)

    def restart_with(self, **dataplane):
        self.lab.dataplane.stop()
        self.lab.config["dataplane"].update(dataplane)
        self.lab.write_config()
        self.lab.dataplane.start()
        self.lab.wait_acknowledged()

    def test_1_every_thread(self):
        """Main keeps CAP_NET_ADMIN, no thread anything else; nobody is root; calls are filtered."""
        pid = self.lab.dataplane.pid
        threads = [Path(f"/proc/{pid}/task/{tid}") for tid in os.listdir(f"/proc/{pid}/task")]
        self.assertGreater(len(threads), len(self.lab.workers))    # workers are threads, too
        for thread in threads:
            found = thread_status(thread)
            with self.subTest(thread=found["Name"]):
                kept = CAP_NET_ADMIN if thread.name == str(pid) else 0
                for name, wanted in (("CapEff", kept), ("CapPrm", kept), ("CapInh", 0),
                                     ("CapAmb", 0)):
                    self.assertEqual(int(found[name], 16), wanted, name)
                self.assertEqual(found["NoNewPrivs"], "1")
                self.assertEqual(found["Seccomp"], "2")
                self.assertNotIn("0", found["Uid"].split())
        self.say(f"{len(threads)} threads")

    def test_2_without_huge_pages(self):
        self.restart_with(hugepages="off")
        self.assertEqual(huge_bytes(self.lab.dataplane.pid), 0)
        self.asks()

    def test_3_with_huge_pages(self):
        if huge_pages_free() < PAGES_NEEDED:
            self.skipTest(f"needs {PAGES_NEEDED} free huge pages: sysctl vm.nr_hugepages")
        try:
            self.restart_with(hugepages="on")
            used = huge_bytes(self.lab.dataplane.pid)
            self.say(f"{used >> 20} MiB of huge pages")
            self.assertGreater(used, 0)
            self.asks()
        finally:
            self.restart_with(hugepages="off")

    def test_4_tap_deleted(self):
        """It ends with one clear line, and the next start heals it."""
        self.lab.exec("appliance", "ip", "link", "delete", "tandem0")
        wait_for(lambda: not self.lab.dataplane.running(), 5, "its end")
        self.assertEqual(self.lab.dataplane.process.status, 1)
        self.assertIn("was deleted: only a restart heals that", self.lab.dataplane.log())
        self.lab.dataplane.start()
        self.lab.wait_acknowledged()
        self.asks()


if __name__ == "__main__":
    main()
