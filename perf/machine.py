# SPDX-License-Identifier: Apache-2.0
"""The machine: which CPU is measured on, huge pages, how disturbed a run was."""
import contextlib
import os
import subprocess
import time
from pathlib import Path

from lab.base import LabError, run

PAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
PAGE_MIB = 2
QUIET = 0.05               # share of the CPUs that others may take


def cpus():
    return sorted(os.sched_getaffinity(0))


def measured_cpu():
    """The one that is measured on; whatever else there is runs on the first."""
    return cpus()[-1]


def service_cpu():
    return cpus()[0]


def _stat():
    """Of all CPUs: ticks in all, idle, stolen by the hypervisor."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(ticks[:8]), ticks[3] + ticks[4], ticks[7]


_begin = _stat()


def describe():
    model = next((line.split(":", 1)[1].strip()
                  for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "?")
    compiler = run("gcc", "--version").stdout.splitlines()[0]
    return f"{model}, {len(cpus())} CPUs, Linux {os.uname().release}, {compiler}"


def describe_others():
    """What others take of the CPUs right now, before anything is measured."""
    begin = _stat()
    time.sleep(0.5)
    total, idle, stolen = (now - then for now, then in zip(_stat(), begin))
    share = (total - idle) / max(total, 1)
    warning = ": figures not to be quoted" if share > QUIET else ""
    return f"others take {100 * share:.0f}% of the CPUs{warning}"


def describe_noise():
    total, idle, stolen = (now - begin for now, begin in zip(_stat(), _begin))
    total = max(total, 1)
    return (f"CPUs busy {100 * (total - idle) / total:.0f}%, stolen by the host "
            f"{100 * stolen / total:.1f}%, load {os.getloadavg()[0]:.1f}")


def start_pinned(argv, cpu, env=None, **more):
    """A child on one CPU with pipes for its commands and answers, line by line."""
    words = ["taskset", "-c", str(cpu)]
    if env:
        words += ["env", *(f"{key}={value}" for key, value in env.items())]
    return subprocess.Popen([*words, *(str(word) for word in argv)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, bufsize=1, **more)


def sleep_of(seconds):
    """What a turn waits for."""
    return lambda: time.sleep(seconds)


def cpu_seconds(pid):
    """CPU time of a process, all threads, to the nanosecond: clock_getcpuclockid(3)."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def thread_seconds(pid, name):
    """CPU time of those of its threads whose name begins so."""
    found = [task for task in Path(f"/proc/{pid}/task").iterdir()
             if (task / "comm").read_text().startswith(name)]
    need(found, f"no thread {name} in process {pid}")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in found) / 1e9


def package_version(package):
    done = run("dpkg-query", "-W", "-f", "${Version}", package, check=False)
    return done.stdout.strip() or "?"


def available_mib():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


@contextlib.contextmanager
def hugepages(mib):
    """Has so many MiB of free huge pages, as far as memory allows; puts the number back at the end.
    Yields the MiB that are free."""
    total, free = PAGES / "nr_hugepages", PAGES / "free_hugepages"
    if not os.access(total, os.W_OK):
        yield 0
        return
    before = int(total.read_text())
    missing = max(0, mib // PAGE_MIB - int(free.read_text()))
    missing = min(missing, max(0, available_mib() - 2048) // PAGE_MIB)
    try:
        if missing:
            total.write_text(str(before + missing))
        yield int(free.read_text()) * PAGE_MIB
    finally:
        if missing:
            total.write_text(str(before))


def need(condition, reason):
    """A benchmark whose inputs are wrong measures nothing."""
    if not condition:
        raise LabError(reason)


@contextlib.contextmanager
def neighbours(number):
    """Has the kernel keep so many neighbours (all namespaces together); puts its limits back."""
    limits = {path: path.read_text() for path in
              Path("/proc/sys/net/ipv4/neigh/default").glob("gc_thresh[123]")}
    try:
        for path, before in limits.items():
            path.write_text(str(max(number, int(before))))
        yield
    finally:
        for path, before in limits.items():
            path.write_text(before)
