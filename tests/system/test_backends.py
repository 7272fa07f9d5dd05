# SPDX-License-Identifier: Apache-2.0
"""
Backends that are no plain proxies: back-to-back user agents, backends that call each other through
the virtual address, and proxies that name the virtual address as their own.
"""
import os
import sys

sys.dont_write_bytecode = True

from contextlib import ExitStack                                  # noqa: E402

from b2bua import B2bua                                           # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from lab.lab import INSIDE6                                       # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import Phone, hang_up, listed                          # noqa: E402
from sip import Message, host                                     # noqa: E402

PORT = 5080                        # of the service whose backends are user agents
AGENTS = {"ua1": "10.0.0.41", "ua2": "10.0.0.42"}
KINDS = [("uac", "uas"), ("uac_wait_bye", "uas_bye"), ("uac_cancel", "uas_cancel"),
         ("uac_busy", "uas_busy")]


class UserAgents(SystemTest):
    """A service of its own whose backends are user agents written here."""

    options = {"backends": 1}
    sipp = {}                      # SIPp's options at either end
    reach = ""                     # parameters of the URIs by which callees are reached

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"].append({"name": "agents", "key": "call-id", "backends": [
            {"name": name, "address": INSIDE6.format(address.rpartition(".")[2]) if cls.six
             else address, "port": 5060, "weight": 100} for name, address in AGENTS.items()]})
        lab.config["services"].append({
            "name": "agents", "mode": "proxy", "pool": "agents", "domains": [lab.domain],
            "listen": [{"transport": "udp", "address": address, "port": PORT}
                       for address in (lab.vip, lab.vip6)]})

    def setUp(self):
        for name, address in AGENTS.items():
            self.lab.host(name, address, "inside")

    def calls(self, prefix, port, users=(), six=False):
        """Ten calls of every kind through B2BUAs; {agent's name: B2bua} when all is over."""
        lab = self.lab
        caller, callee = lab.host("caller"), lab.host("callee")
        there = f"[{callee.address6}]" if six else callee.address
        with ExitStack() as stack:
            def dial(user):
                return f"sip:{user}@{there}:{port + 2 * int(user[len('kind')])}{self.reach}"
            agents = {name: stack.enter_context(B2bua(lab, name, dial, (self.vip, PORT),
                                                      self.address(name))) for name in AGENTS}
            servers = [lab.sipp(callee, uas, port=port + 2 * kind, hold_ms=100, **self.sipp,
                                address=callee.address6 if six else None)
                       for kind, (_, uas) in enumerate(KINDS)]
            clients = [lab.sipp(caller, uac, calls=10, rate=10, port=port + 2 * kind + 1,
                                hold_ms=100, users=[f"{prefix}kind{kind}"],
                                address=caller.address6 if six else None,
                                target=f"[{lab.vip6}]:{PORT}" if six else f"{lab.vip}:{PORT}",
                                call_id=f"%u-{prefix}{kind}-{os.getpid()}@b2b{port}",
                                **self.sipp)
                       for kind, (uac, _) in enumerate(KINDS)]
            said = []
            for client in clients:
                result = client.wait(40)
                if (result.successful, result.failed) != (10, 0):
                    said.append(f"{client.name}: {result} {client.errors()}")
            for server in servers:
                result = server.finish()
                if result.failed:
                    said.append(f"{server.name}: {result} {server.errors()}")
            faults = {name: agent.faults for name, agent in agents.items() if agent.faults}
            self.assertEqual((said, faults), ([], {}), "\n".join(said))
        return agents

    def complete(self, agents, legs_each):
        """Every Call-ID at one agent alone; each call has so many Call-IDs, and is complete."""
        by_call = {}
        for name, agent in agents.items():
            for call_id, whats in agent.seen.items():
                by_call.setdefault(call_id, {})[name] = whats
        strayed = {call: list(found) for call, found in by_call.items() if len(found) != 1}
        # A leg between two agents is seen by both of its ends; an outside leg by one.
        if legs_each == 2:
            self.assertEqual(strayed, {}, "legs seen by more than one agent")
        self.assertEqual(len(by_call), legs_each * 10 * len(KINDS))
        self.assertTrue(all(agent.seen for agent in agents.values()), "an agent had no calls")
        self.say(f"{len(by_call)} legs: { {n: len(a.seen) for n, a in agents.items()} }")

    def test_1_b2bua(self):
        """Both legs of a B2BUA's calls complete: hung up by either side, cancelled, busy."""
        if not self.six:
            self.complete(self.calls("", 6100), 2)
        self.complete(self.calls("", 6120, six=True), 2)

    def test_2_b2bua_calls_b2bua(self):
        """The second leg goes to the cluster's domain: to a B2BUA again, which calls the phone."""
        self.complete(self.calls("via-", 6140, six=self.six), 3)

    def test_3_agent_calls_agent(self):
        """
        A backend's phone calls another through the virtual address, by the domain (which the hash
        may bring back to itself) and by the other's address; either hangs up.
        """
        lab = self.lab
        reached = set()
        with ExitStack() as stack:
            agents = {name: stack.enter_context(Phone(lab, name, name, 5060, self.address(name),
                                                      target=(self.vip, PORT)))
                      for name in AGENTS}
            one, two = agents.values()
            wires = {name: stack.enter_context(Capture(lab.namespace(name))) for name in AGENTS}
            for number in range(16):
                caller = (one, two)[number % 2]
                other = two if caller is one else one
                direct = number >= 8
                call = caller.invite(other.contact if direct else f"sip:desk@{lab.domain}")
                callee = self.who_rings(agents.values(), call)
                if direct:
                    self.assertIs(callee, other)
                reached.add((caller.user, callee.user))
                asked = callee.wait("INVITE", call)
                callee.reply(asked, 200, "OK", "desk")
                call.learn(caller.wait(200, call)).ack()
                callee.wait("ACK", call)
                there = callee.dialog_of(asked, "desk")
                for here, far in ((call, there), (there, call)):
                    data = here.request("INFO")
                    here.phone.send(data)
                    far.phone.serve("INFO", call)
                    here.phone.wait(200, call, wanted=lambda m: "INFO" in m.get("cseq"))
                hang_up(*((call, there) if number % 4 < 2 else (there, call)))
            sources = {packet.source for wire in wires.values()
                       for packet in wire.packets(protocol=UDP, outgoing=False)}
        self.assertEqual(sources, {self.vip}, "agents saw each other's own address")
        self.say(f"who reached whom: {sorted(reached)}")
        self.assertIn(("ua1", "ua2"), reached)
        self.assertIn(("ua2", "ua1"), reached)

    def who_rings(self, phones, call):
        """The phone that has this call's INVITE, left in its inbox."""
        def rings():
            for phone in phones:
                found = phone.find(0, lambda m: m.method == "INVITE"
                                   and m.get("call-id") == call.call_id)
                if found:
                    phone.inbox.append(found)
                    return phone
            return None
        return wait_for(rings, 5, "somebody to be called")


class UserAgents6(UserAgents):
    """They speak IPv6, and so do callers and callees."""

    six = True


class Advertised(SystemTest):
    """Kamailios with `advertise`: Via and Record-Route of theirs name the virtual address."""

    options = {"advertise": True}

    def test_1_calls(self):
        """Full calls, ended by either side; NAT, IPv4 and IPv6; cancelled, busy, modified."""
        lab = self.lab
        pairs = [*KINDS, ("uac_modify", "uas_modify"), ("uac_prack", "uas_prack")]
        lab.nat("phone")
        with Capture(lab.namespace("kam1")) as wire:
            here = {"address": self.address("caller"), "callee_address": self.address("callee")}
            runs = [self.place(pairs, calls=60, rate=60, users=4, hold_ms=100, tag="adv", **here),
                    self.place(pairs[:2], calls=20, rate=20, users=2, hold_ms=100, tag="advmix",
                               port=6120, address=lab.host("caller").address6),
                    self.place(pairs[:2], calls=10, rate=20, users=2, hold_ms=100, tag="advnat",
                               port=6130, callee="phone", address=self.address("caller"),
                               callee_address=self.address("phone"))]
            for calls in runs:
                calls.finish()
        for calls in runs:
            self.assert_one_backend(calls.seen(), ("INVITE", "ACK"))
        self.named(wire)

    def named(self, wire):
        """What kam1 sent named the virtual address, and not its own: else nothing was tested."""
        invites = [Message(packet.payload) for packet in wire.packets(protocol=UDP, outgoing=True)
                   if packet.payload.startswith(b"INVITE ") and packet.destination == self.vip]
        self.assertTrue(invites)
        for invite in invites:
            top = listed(invite.all("via"))[0]
            self.assertTrue(top.startswith(f"SIP/2.0/UDP {host(self.vip)}"), top)
            for route in listed(invite.all("record-route")):
                self.assertNotIn(self.address("kam1"), route)


class Advertised6(Advertised):
    """IPv6 from end to end."""

    six = True
    options = {"advertise": True, "backends6": True}


if __name__ == "__main__":
    main()
