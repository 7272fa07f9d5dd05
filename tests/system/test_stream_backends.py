# SPDX-License-Identifier: Apache-2.0
"""
Backends that are reached by TCP and by TLS, over IPv4 and IPv6: calls of UDP and TLS phones in both
directions, requests that backends begin, what becomes of calls when one of them is killed, and of one
that is not who it should be.
"""
import sys

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import main, seen, wait_for                          # noqa: E402
from lab.base import LabError                                     # noqa: E402
from lab.certificates import Authority                            # noqa: E402
from lab.node import CONTROL_USER                                 # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import hang_up, talk                                   # noqa: E402
from test_stream import StreamTest                                # noqa: E402


class Backends:
    """What holds for each transport."""

    transport, port = "tcp", 5060

    @classmethod
    def equip(cls, lab, backend):
        """Has a backend listen, before it starts."""
        raise NotImplementedError

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0]["health"] = {"passive": False}
        add = lab.add_backend

        def add_equipped(name, *args, start=True, **more):
            backend = add(name, *args, start=False, **more)
            cls.equip(lab, backend)
            if start:
                backend.start()
            return backend
        lab.add_backend = add_equipped

    @property
    def six(self):
        return self.lab.backends6

    def phone(self, *args, **more):
        return super().phone(*args, six=self.six, **more)

    def datagrams(self, captures, call_ids):
        """What passed a backend by UDP for these calls: nothing may."""
        return [packet for capture in captures for packet in capture.packets(protocol=UDP)
                if any(call.encode() in packet.payload for call in call_ids)]

    def shown(self, name):
        """What tandemctl says of a backend."""
        return {entry["name"]: entry for entry in self.lab.ctl("show", "backends", json=True)}[name]

    def until(self, name, state, *reasons):
        """Waits for a state, and a reason with one of these words; who flapped waits longer."""
        def so():
            entry = self.shown(name)
            return entry["state"] == state and (
                not reasons or any(reason in (entry["reason"] or "") for reason in reasons))
        try:
            wait_for(so, 60, f"{name} to be {state}")
        except LabError as error:
            raise AssertionError(f"{error}: {reasons}: {self.shown(name)}") from error

    def talk_without(self, name, ann, bob, calls=6):
        """Calls that all succeed, of which a backend sees none."""
        for _ in range(calls):
            call, there = talk(ann, bob)
            hang_up(call, there)
            self.assertNotIn(name, set(seen(self.lab, lambda c, i=call.call_id: c == i)))

    def test_1_calls(self):
        """UDP and TLS phones call each other, either ends it; all by streams, each at one backend."""
        calls = []
        captures = [Capture(backend.host.namespace) for backend in self.lab.backends.values()]
        for capture in captures:
            capture.__enter__()
            self.addCleanup(capture.__exit__, None, None, None)
        for first, other in (("UDP", "UDP"), ("UDP", "TLS"), ("TLS", "UDP"), ("TLS", "TLS")):
            with self.subTest(first=first, other=other):
                name = f"{first}{other}".lower()
                ann = self.phone(f"ann{name}", first, "caller")
                bob = self.phone(f"bob{name}", other, "callee")
                for caller, callee, caller_ends in ((ann, bob, True), (bob, ann, False)):
                    call, there = talk(caller, callee)
                    hang_up(*((call, there) if caller_ends else (there, call)))
                    calls.append(call.call_id)
        self.at_one_backend(*calls)
        self.assertEqual(self.datagrams(captures, calls), [])
        self.nothing_left()

    def nothing_left(self):
        """No call is counted as going on, in either plane."""
        def none():
            return all(backend["calls"] == 0
                       for backend in self.lab.ctl("show", "backends", json=True))
        wait_for(none, 40, "no call to be counted any more")

    def connections(self, name):
        """Those that the appliance made to a backend, for requests."""
        backend, vip = self.lab.backends[name], self.lab.vip6 if self.six else self.lab.vip
        there = backend.address6 if self.six else backend.address
        return self.lab.net.shell(
            name, f"ss -Htn state established src '[{there}]' sport = :{self.port} "
                  f"dst '[{vip}]'").stdout.strip().splitlines()

    def connections_shown(self):
        return self.lab.ctl("show", "connections", json=True)["connections"]

    def test_2_one_connection(self):
        """What a phone asks goes by the connection that is there."""
        ann = self.phone("pooled", "UDP", "caller")
        for _ in range(5):
            ann.register()
        found = {name: self.connections(name) for name in self.lab.backends}
        self.assertLessEqual(max(map(len, found.values())), 1, found)
        self.assertTrue(any(found.values()), found)
        shown = [entry for entry in self.connections_shown() if entry["outgoing"]]
        self.assertEqual({entry["transport"].lower() for entry in shown}, {self.transport})
        if self.transport == "tls":
            self.assertTrue(all(entry["cipher"].startswith("TLSv1.") for entry in shown), shown)

    def test_3_killed(self):
        """Calls go to the others while one is dead; it comes back."""
        ann = self.phone("survivor", "UDP", "caller")
        bob = self.phone("witness", "UDP", "callee")
        victim = self.lab.backends["kam1"]
        victim.kill9()
        self.until("kam1", "down")
        self.talk_without("kam1", ann, bob)
        victim.start()
        self.until("kam1", "up")


class TcpBackends(Backends, StreamTest):

    options = {"streams": ("tcp", "tls")}

    @classmethod
    def equip(cls, lab, backend):
        backend.tcp = True

    @classmethod
    def prepare(cls, lab):
        for entry in lab.pool():
            entry["transport"] = cls.transport
        super().prepare(lab)


class TcpBackends6(TcpBackends):

    options = {**TcpBackends.options, "backends6": True}


class TlsBackends(Backends, StreamTest):
    """
    The cluster has an authority of its own: backends show what it signed and let in nobody else, so
    that the listeners' certificate is of no use there.
    """

    options = {"streams": ("tls",)}
    transport, port = "tls", 5061

    @classmethod
    def secure(cls, lab):
        """Has the configuration say so."""
        lab.inside_authority = Authority(lab.dir, CONTROL_USER, "inside")
        cert, key = lab.inside_authority.issue("node", ["DNS:lab"])
        for entry in lab.pool():
            entry.update(transport=cls.transport, port=cls.port)
        lab.config["pools"][0]["tls"] = {"ca": str(lab.inside_authority.cert),
                                         "certificate": {"cert": str(cert), "key": str(key)}}

    @classmethod
    def prepare(cls, lab):
        cls.secure(lab)
        super().prepare(lab)

    @classmethod
    def equip(cls, lab, backend):
        backend.tls = cls.identity(lab, backend)

    @classmethod
    def identity(cls, lab, backend, authority=None, name=None, trusts=None):
        """What a backend shows and whom it lets in; by default all is as it should be."""
        own = [f"IP:{address}" for address in (backend.address, backend.address6) if address]
        shown = (authority or lab.inside_authority).issue(backend.name, [name] if name else own)
        return (*shown, (trusts or lab.inside_authority).cert)

    def again(self, backend, **identity):
        """Starts a backend again, with another identity."""
        backend.stop()
        backend.tls = self.identity(self.lab, backend, **identity)
        backend.start()

    def test_4_another(self):
        """Who has a certificate of another name or authority gets no calls, and it is said why."""
        ann = self.phone("careful", "UDP", "caller")
        bob = self.phone("bystander", "UDP", "callee")
        backend = self.lab.backends["kam2"]
        stranger = Authority(self.lab.dir, CONTROL_USER, "stranger")
        for identity, *reasons in (
                ({"name": "DNS:kam2.example.net"}, "its certificate is of another name"),
                ({"authority": stranger}, "its certificate is of an unknown CA"),
                ({"trusts": stranger}, "it does not trust our certificate", "alert")):
            with self.subTest(reasons=reasons):
                self.again(backend, **identity)
                self.until("kam2", "down", *reasons)
                self.talk_without("kam2", ann, bob, 3)
        self.again(backend)
        self.until("kam2", "up")

    def test_5_refused(self):
        """A CA that cannot be read is refused with line and key, and nothing changes."""
        ann = self.phone("unmoved", "UDP", "caller")
        tls = self.lab.config["pools"][0]["tls"]
        good = tls["ca"]
        tls["ca"] = str(self.lab.dir / "none.pem")
        try:
            status, out, err = self.lab.reload(check=False)
        finally:
            tls["ca"] = good
        self.assertEqual(status, 1)
        self.assertIn("pools[0].tls.ca: ", out + err)
        self.assertIn("No such file", out + err)
        ann.register()

    def forget(self, pool):
        """What was known of them: who went away shortly before is not let in again at once."""
        del pool["health"]
        self.lab.reload()
        wait_for(lambda: all(self.shown(name)["slow_start"] is None for name in self.lab.backends),
                 5, "all to be forgotten")

    def test_6_unprobed(self):
        """Without probes who is not who it should be answers with 503, counted; all can be healed."""
        ann = self.phone("unprobed", "UDP", "caller")
        pool = self.lab.config["pools"][0]
        healthy = pool["health"]
        self.forget(pool)
        before = laws.streams(self.lab)["tls_failed_other_name"]
        pool["health"] = {"probe": "none", "passive": False}
        pool["tls"]["name"] = "proxies.example.net"
        self.lab.reload()
        ann.register(status=503)
        self.assertGreater(laws.streams(self.lab)["tls_failed_other_name"], before)
        pool["health"] = healthy
        self.lab.reload()
        for name in self.lab.backends:
            self.until(name, "down", "its certificate is of another name")
        for backend in self.lab.backends.values():
            self.again(backend, name="DNS:proxies.example.net")
        for name in self.lab.backends:
            self.until(name, "up")
        ann.register()


class TlsBackends6(TlsBackends):

    options = {**TlsBackends.options, "backends6": True}


if __name__ == "__main__":
    main()
