# SPDX-License-Identifier: Apache-2.0
"""
What does a message cost when there is more of everything: backends, calls in the table, bytes in the
message, workers? Each against itself with little.
"""
import contextlib
import struct
from statistics import median

import machine
import plot
import tandem
from index import Contender
from lab.base import no_autogroups
from loaded import Loaded
from rows import at_least, at_most
from turns import Testpmd, take_turns

MESSAGES = 16384           # a lap; INVITEs, whose Call-IDs perf/laps changes from lap to lap
TURN_SECONDS = 0.3
MEMORY_MIB, TESTPMD_MIB = 512, 512
BACKENDS = [2, 100, 1000, 10000]
LAPS = [1, 61, 610]        # of 16,384 calls: to 10 million
SIZES = [350, 1300, 5000, 20000, 65000]
SIZED = 32                 # messages of each size


def added(bench, labs, pcap, laps):
    """[[ns a message besides I/O and the callback, by round] of each lab]; they are all there at
    once, and take turns."""
    with contextlib.ExitStack() as stack:
        for lab in labs:
            stack.enter_context(lab)
            fill(lab)
        testpmd = Testpmd(pcap, MESSAGES, labs[0].huge, laps)
        stack.callback(testpmd.close)
        *ours, io = take_turns(bench.rounds, [*labs, testpmd], TURN_SECONDS)
    return [[own - other for own, other in zip(times, io)] for times in ours]


def fill(lab):
    """Lets it run until each Call-ID was seen."""
    wanted, seen = lab.laps.laps * MESSAGES, 0
    while seen < wanted:
        lab.turn(machine.sleep_of(TURN_SECONDS))
        seen += lab.last["messages"]


def grown(bench, what, points, results, target):
    """Rows of each point against the first, the last with the target; and the curve."""
    for point, times in list(zip(points, results))[1:]:
        bench.rows(f"{point:,} {what}", times, "ns/message, without I/O",
                   against=f"{points[0]:,} {what}", others=results[0],
                   target=target if point == points[-1] else None)
    plot.curve(bench, f"growth-{what.split()[0]}", f"A message's cost by {what}", what,
               "ns a message, without I/O",
               {"Tandem, mode proxy": [(point, median(times))
                                       for point, times in zip(points, results)]})


def played(bench, pcap, huge, laps, **more):
    lab = Loaded(bench, pcap, memory=f"{MEMORY_MIB}MiB", laps=laps,
                 hugepages="on" if huge else "off", **more)
    lab.huge = huge
    return lab


def calls(bench):
    points = LAPS[:2] if bench.quick else LAPS
    table_mib = 256
    mib = TESTPMD_MIB + len(points) * (MEMORY_MIB + table_mib + 2)
    pcap = bench.dir / "calls.pcap"
    with machine.hugepages(mib) as free:
        labs = [played(bench, pcap, free >= mib, tandem.Laps(bench, MESSAGES, laps),
                       call_table=table_mib << 16) for laps in points]
        same_secret(labs)
        labs[0].make_messages(MESSAGES, "INVITE")
        results = added(bench, labs, pcap, tandem.Laps(bench, MESSAGES, 1))
    grown(bench, "calls in the table", [laps * MESSAGES for laps in points], results,
          at_most(1.25))


def backends(bench):
    points = BACKENDS[:3] if bench.quick else BACKENDS
    mib = TESTPMD_MIB + len(points) * (MEMORY_MIB + 32)
    pcap = bench.dir / "backends.pcap"
    laps = tandem.Laps(bench, MESSAGES, 16)
    with machine.hugepages(mib) as free, machine.neighbours(4 * points[-1]):
        labs = [played(bench, pcap, free >= mib, laps, backends=n) for n in points]
        labs[0].make_messages(MESSAGES, "INVITE")
        results = added(bench, labs, pcap, laps)
    grown(bench, "backends", points, results, at_most(1.05))
    few, many = (lab.main_percent[-bench.rounds:] for lab in (labs[0], labs[-1]))
    bench.rows(f"main, {points[-1]:,} backends", many, "% of a CPU",
               against=f"{points[0]:,} backends", others=few)


def same_secret(labs):
    """Nothing in an INVITE is signed; but tables that are alike are filled alike."""
    labs[0].make_messages(1, "INVITE")
    for lab in labs[1:]:
        (lab.dir / "secret").write_bytes((labs[0].dir / "secret").read_bytes())
        (lab.dir / "secret").chmod(0o600)


def workers(bench):
    pcap = bench.dir / "workers.pcap"
    cpus = machine.cpus()
    if len(cpus) < 2:
        bench.say("one CPU only: nothing about workers")
        return
    mib = 2 * (1280 + 32)
    with machine.hugepages(mib) as free:
        huge = "on" if free >= mib else "off"
        labs = [Loaded(bench, pcap, hugepages=huge, workers=workers)
                for workers in ([cpus[-1]], [cpus[0], cpus[-1]])]
        same_secret(labs)
        labs[0].make_messages(MESSAGES)
        with no_autogroups(), labs[0], labs[1]:
            one, two = take_turns(bench.rounds, labs, TURN_SECONDS)
    # A worker's CPU time a message: with two of them each second has two of it.
    bench.rows("2 workers", [2e3 / time for time in two], "messages/µs", against="1 worker",
               others=[1e3 / time for time in one], target=at_least(1.8))


def sized_message(number, size):
    """An INVITE of so many bytes: with more header fields the longer it is."""
    head = (f"INVITE sip:bob@example.net SIP/2.0\r\nVia: SIP/2.0/UDP 198.18.0.1;"
            f"branch=z9hG4bK{number:06}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:alice@example.net>;tag={number:06}\r\nTo: <sip:bob@example.net>\r\n"
            f"Call-ID: {number:06}-{size}\r\nCSeq: 1 INVITE\r\n")
    tail = "Content-Length: 0\r\n\r\n"
    fields, at = "", 0
    while (room := size - len(head) - len(fields) - len(tail)) > 0:
        length = min(room, 40 + 7 * ((number + at) % 11))
        if room - length < 40:
            length = room
        name = f"X-{number}-{at}: "
        fields += name + "x" * (length - len(name) - 2) + "\r\n"
        at += 1
    return (head + fields + tail).encode()


def write_pcap(path, payloads):
    """As perf-messages' files, for the parsers, which look at no header of a frame."""
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for payload in payloads:
            file.write(struct.pack("<IIII", 0, 0, len(payload) + 42, len(payload) + 42))
            file.write(bytes(42) + payload)


def sizes(bench):
    contenders = []
    try:
        for size in SIZES:
            pcap = bench.dir / f"{size}.pcap"
            payloads = [sized_message(number, size) for number in range(SIZED)]
            machine.need({len(payload) for payload in payloads} == {size}, f"not of {size} bytes")
            write_pcap(pcap, payloads)
            contenders.append(Contender(bench, "tandem", pcap))
            contenders[-1].calibrate(SIZED)
        for _ in range(bench.rounds):
            for contender in contenders:
                contender.round()
    finally:
        for contender in contenders:
            contender.close()
    bytewise = [[time / size for time in contender.times]
                for size, contender in zip(SIZES, contenders)]
    base = SIZES.index(1300)
    for at, size in enumerate(SIZES):
        if at != base:
            bench.rows(f"index {size:,} bytes", bytewise[at], "ns/byte",
                       against=f"{SIZES[base]:,} bytes", others=bytewise[base],
                       target=at_most(1.1) if size == SIZES[-1] else None)
    plot.curve(bench, "growth-bytes", "Indexing a message by its length", "bytes", "µs",
               {"sip_msg_index": [(size, median(contender.times) / 1000)
                                  for size, contender in zip(SIZES, contenders)]}, log=False)


def run(bench):
    backends(bench)
    calls(bench)
    sizes(bench)
    workers(bench)
