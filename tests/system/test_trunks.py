# SPDX-License-Identifier: Apache-2.0
"""
STUN on the SIP port; a service whose trunks are chosen by dialled number and domain, and whose
sources are named.
"""
import socket
import struct
import sys

sys.dont_write_bytecode = True

from harness import SystemTest, main                              # noqa: E402
from netns import udp_socket                                      # noqa: E402
from sip import Peer, response                                    # noqa: E402

PORT = 5080                        # of the service with trunks
TRUNKS = {"gw1": "10.0.0.51", "box1": "10.0.0.52", "desk": "10.0.0.53"}
MALLORY, CARRIER = "192.0.2.67", "192.0.2.68"
COOKIE = 0x2112A442


class Trunks(SystemTest):
    """Backends are sockets: what reaches them is looked at, and answered."""

    options = {"backends": 1}

    @classmethod
    def prepare(cls, lab):
        for name, pool in (("gw1", "gateways"), ("box1", "tenant"), ("desk", "desks")):
            lab.config["pools"].append({"name": pool, "key": "call-id", "backends": [
                {"name": name, "address": TRUNKS[name], "port": 5060, "weight": 100}]})
        lab.config["services"].append({
            "name": "trunks", "mode": "proxy", "pool": "desks",
            "sources": [f"{CARRIER}/32"],
            "match": [{"prefix": "0049", "pool": "gateways"},
                      {"domain": "tenant.example.net", "pool": "tenant"}],
            "listen": [{"transport": "udp", "address": lab.vip, "port": PORT}]})

    def setUp(self):
        for name, address in TRUNKS.items():
            self.lab.host(name, address, "inside")
        self.lab.host("carrier", CARRIER)
        self.lab.host("mallory", MALLORY)

    def ask(self, peer, uri, call_id, backends):
        """The name of the backend that a request reaches, and the status of its answer."""
        peer.send(peer.request("OPTIONS", uri, call_id=call_id), (self.lab.vip, PORT))
        for name, backend in backends.items():
            try:
                asked = backend.receive(0.6, lambda message: message.get("call-id") == call_id)
            except (TimeoutError, AssertionError):
                continue
            if asked is None:
                continue
            backend.send(response(asked, 200, "OK", tag="b"), (self.lab.vip, PORT))
            return name, peer.receive(3)
        return None, peer.receive(3)

    def test_1_pools(self):
        """The first rule that fits, and the answers back."""
        with Peer(self.lab, "carrier") as carrier, Peer(self.lab, "gw1", 5060) as gw1, \
                Peer(self.lab, "box1", 5060) as box1, Peer(self.lab, "desk", 5060) as desk:
            backends = {"gw1": gw1, "box1": box1, "desk": desk}
            for number, (uri, wanted) in enumerate((
                    ("sip:004930@example.net", "gw1"), ("tel:+0049-30", "gw1"),
                    ("sip:bob@Tenant.example.net", "box1"), ("sip:bob@example.net", "desk"))):
                name, answer = self.ask(carrier, uri, f"pools{number}", backends)
                self.assertEqual((name, answer.status), (wanted, 200), uri)

    def test_2_sources(self):
        """Who is not named gets 403."""
        with Peer(self.lab, "mallory") as mallory:
            mallory.send(mallory.request("OPTIONS", "sip:004930@example.net", call_id="m1"),
                         (self.lab.vip, PORT))
            self.assertEqual(mallory.receive(3).status, 403)

    def test_3_stun(self):
        """A Binding request to the SIP port says where it came from."""
        lab = self.lab
        for vip, host in ((lab.vip, CARRIER), (lab.vip6, None)):
            address = host or lab.host("carrier").address6
            with udp_socket(lab.namespace("carrier"), address) as asking:
                asking.settimeout(3)
                ident = b"0123456789ab"
                asking.sendto(struct.pack("!HHI", 1, 0, COOKIE) + ident, (vip, 5060))
                answer, source = asking.recvfrom(2048)
                port = struct.unpack_from("!H", answer, 26)[0] ^ COOKIE >> 16
                mask = struct.pack("!I", COOKIE) + ident
                mapped = bytes(a ^ b for a, b in zip(answer[28:], mask))
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                self.assertEqual(answer[:2], b"\x01\x01")
                self.assertEqual(source[1], 5060)
                self.assertEqual((socket.inet_ntop(family, mapped), port),
                                 asking.getsockname()[:2])


if __name__ == "__main__":
    main()
