# SPDX-License-Identifier: Apache-2.0
"""
How long does it take to index one message, beside the parsers of libosip2, libre, sofia-sip and
Kamailio, and beside looking for its newlines? Each is a process (perf/parsers) on the same CPU with
the same messages; they take turns, one at a time.
"""
import itertools

import machine
import tandem
from rows import at_least, at_most

MESSAGES = 1024            # distinct ones: more than a branch predictor learns, less than L2 holds
ROUND_SECONDS = 0.03       # of each parser in each round
KINDS = ["INVITE", "200-INVITE", "BYE", "REGISTER", "mix"]
JUDGED = "INVITE"
FASTEST, OTHERS, KAMAILIO, NEWLINES = at_least(40), at_least(100), at_least(10), at_most(4)
PEERS = {"osip": ("libosip2", "libosip2-dev"), "re": ("libre", "libre-dev"),
         "sofia": ("sofia-sip", "libsofia-sip-ua-dev"), "kamailio": ("Kamailio", "kamailio")}
LIBRARIES = ["osip", "re", "sofia"]


class Contender:
    """One parser's process."""

    def __init__(self, bench, name, pcap):
        program, env = bench.build / f"perf/parse-{name}", None
        if name == "kamailio":
            env = {"LD_PRELOAD": bench.build / "perf/libparse-kamailio.so"}
            program = "/usr/sbin/kamailio"
        self.name = name
        self.child = machine.start_pinned([program, pcap], machine.measured_cpu(), env)
        self.times = []

    def ask(self, command, answer):
        self.child.stdin.write(command + "\n")
        self.child.stdin.flush()
        words = self.child.stdout.readline().split()
        machine.need(words[:1] == [answer], f"{self.name}: {command}: {' '.join(words) or 'died'}")
        return words[1:]

    def calibrate(self, messages=MESSAGES):
        """How many passes over so many messages a round takes."""
        nanoseconds = float(self.ask("run 1", "ns")[0]) * messages
        self.passes = max(1, round(ROUND_SECONDS * 1e9 / nanoseconds))

    def round(self):
        self.times.append(float(self.ask(f"run {self.passes}", "ns")[0]))

    def close(self):
        self.child.stdin.close()
        self.child.wait(10)


def check_facts(contenders):
    """All parsers must have found the same Call-ID, branch and CSeq in each message."""
    facts = {c.name: c.ask("facts", "facts") for c in contenders if c.name != "newlines"}
    machine.need(len({tuple(found) for found in facts.values()}) == 1 and
                 facts["tandem"][1] == str(MESSAGES),
                 f"the parsers do not agree about the messages: {facts}")


def measure(bench, kind, pcap):
    """{name: ns a message, by round}."""
    names = ["tandem", *PEERS, "newlines"]
    contenders = [Contender(bench, name, pcap) for name in names]
    try:
        check_facts(contenders)
        for contender in contenders:
            contender.calibrate()
        turns = itertools.cycle(range(len(contenders)))
        for _ in range(bench.rounds):
            first = next(turns)
            for contender in contenders[first:] + contenders[:first]:
                contender.round()
        return {c.name: c.times for c in contenders}
    finally:
        for contender in contenders:
            contender.close()


def report(bench, case, times, judged):
    from statistics import median
    fastest = min(LIBRARIES, key=lambda name: median(times[name]))
    for name, (title, package) in PEERS.items():
        target = KAMAILIO if name == "kamailio" else FASTEST if name == fastest else OTHERS
        version = machine.package_version(package).split("-")[0].split("+")[0]
        bench.rows(case, times["tandem"], "ns/message", against=f"{title} {version}",
                   others=times[name], better="times less", target=target if judged else None)
    bench.rows(case, times["tandem"], "ns/message", against="newline scan",
               others=times["newlines"], target=NEWLINES if judged else None)


def run(bench):
    config = tandem.write_config(bench.dir)
    for kind in KINDS[:1] if bench.quick else KINDS:
        pcap = bench.dir / f"{kind}.pcap"
        made = tandem.make_messages(bench, config, MESSAGES, kind, pcap)
        bench.say(f"{kind}: {made.describe()}")
        report(bench, f"{kind}, {made.mean_bytes:,.0f} bytes", measure(bench, kind, pcap),
               kind == JUDGED)
