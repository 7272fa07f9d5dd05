# SPDX-License-Identifier: Apache-2.0
"""
The laws of dataplane/counters.h, checked on what `tandemctl show stats --json` says. They hold for
one start of the data plane (an epoch), whenever no frame is on its way: two reads agree.
"""
import time

# Left side, right side: names to be added; a name that ends in * stands for all that begin so.
LAWS = [
    (["rx_frames", "reassembled"], ["to_tap", "fragments", "messages", "drop_frame_*"]),
    (["fragments"], ["fragments_joined", "fragments_waiting", "drop_fragment_*"]),
    (["messages"], ["forwarded", "replied", "dropped", "punted"]),
    (["messages"], ["requests_*", "responses_*", "messages_unreadable"]),
    (["forwarded"], ["verdict_forwarded_*"]),
    (["dropped"], ["verdict_drop_*"]),
    (["punted"], ["verdict_punt_*"]),
    (["services_forwarded_request"], ["verdict_forwarded_request"]),
    (["services_forwarded_response"], ["verdict_forwarded_response"]),
    (["services_replied"], ["replied"]),
    (["services_dropped"], ["dropped"]),
    (["services_punted"], ["punted"]),
    (["forwarded", "replied"],
     ["sip_tx", "sip_tx_drop", "sip_mtu_drop", "sip_no_route", "sip_held"]),
    (["punted"], ["punt_sent", "punt_lost_room", "punt_lost_ring", "punt_lost_control"]),
    (["sip_tx_drop"], ["sip_tx_drop_room", "sip_tx_drop_driver"]),
    (["sip_held"], ["held_released", "held_dropped", "held_now"]),
    (["held_released"], ["held_tx", "held_tx_drop"]),
    (["to_tap"], ["tap_delivered", "tap_ring_full", "tap_write_drop"]),
    (["from_tap"], ["tap_tx", "tap_tx_drop", "from_tap_ring_full"]),
]
# Those of control/stream/counts.h, while no message waits for a name; `handed_…` came from the data plane.
STREAM_LAWS = [
    (["accepted", "connected"], ["connections", "closed_*"]),
    (["messages_stream", "messages_datagram"], ["forwarded", "replied", "waiting", "heard", "dropped_*"]),
    (["forwarded", "replied", "handed_forwarded", "handed_replied", "retried", "told"],
     ["sent_stream", "sent_datagram", "lost_*"]),
]
# Replies have no prefix of their own: verdict_<status>_<why>.
REPLY_DIGITS = "23456"


class Stats:
    """One reading: epoch, and counters by name."""

    def __init__(self, node):
        said = node.stats()
        self.epoch = said["epoch"]
        self.counters = {name: value for name, value in said["counters"].items()
                         if not name.endswith("cycles")}       # time, which never stands still
        # What became of messages, summed over the services.
        self.counters.update({f"services_{outcome}": value
                              for outcome, value in said["services"].items()})
        self.stable = said["stable"]       # control's own two reads, a millisecond apart, agreed

    def __getitem__(self, name):
        return self.counters[name]

    def same(self, other):
        return self.epoch == other.epoch and self.counters == other.counters

    def since(self, before):
        """What moved since another reading of the same epoch: name → difference."""
        return {name: value - before.counters.get(name, 0)
                for name, value in self.counters.items()
                if value != before.counters.get(name, 0)}


def settled(node, timeout=10):
    """Stats of which two readings 60 ms apart agree; the last one when none did."""
    deadline = time.monotonic() + timeout
    now = Stats(node)
    while time.monotonic() < deadline:
        time.sleep(0.06)
        before, now = now, Stats(node)
        if now.same(before):
            return now
    return now


def side(counters, names):
    total = 0
    for name in names:
        if name.endswith("*"):
            found = [value for other, value in counters.items() if other.startswith(name[:-1])]
            if not found:
                raise KeyError(f"no counter is called {name}")
            total += sum(found)
        else:
            total += counters[name]
    return total


def broken(counters):
    """A line for each law that does not hold."""
    found = []
    for left, right in LAWS:
        a, b = side(counters, left), side(counters, right)
        if a != b:
            parts = {name: side(counters, [name]) for name in left + right}
            found.append(f"{' + '.join(left)} = {a}, but {' + '.join(right)} = {b}: {parts}")
    replies = sum(value for name, value in counters.items()
                  if name.startswith("verdict_") and name[8] in REPLY_DIGITS)
    if counters["replied"] != replies:
        found.append(f"replied = {counters['replied']}, but its verdicts sum up to {replies}")
    return found


def streams(node):
    """What control counted of streams and of what it was handed, and the connections that there are."""
    said = node.ctl("show", "connections", json=True)
    handed = node.ctl("show", "names", json=True)["counters"]
    return {**said["counters"], "connections": said["total"],
            **{f"handed_{result}": handed[result] for result in ("forwarded", "replied")}}


def broken_streams(node, timeout=10):
    """The same of STREAM_LAWS, once no message is under way."""
    deadline = time.monotonic() + timeout
    now = streams(node)
    while time.monotonic() < deadline:
        time.sleep(0.06)
        before, now = now, streams(node)
        if now == before:
            break
    return [f"{' + '.join(left)} = {side(now, left)}, but {' + '.join(right)} = "
            f"{side(now, right)}: {now}"
            for left, right in STREAM_LAWS if side(now, left) != side(now, right)]


def check(node):
    """Stats when settled; AssertionError with the laws that are broken."""
    now = settled(node)
    lines = broken(now.counters) + (broken_streams(node) if node.lab.streams else [])
    if lines:
        raise AssertionError("conservation laws broken:\n  " + "\n  ".join(lines))
    return now
