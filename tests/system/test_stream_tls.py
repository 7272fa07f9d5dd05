# SPDX-License-Identifier: Apache-2.0
"""
TLS as its listeners are configured: certificates by the name that is asked for, versions, clients
that must show who they are, tickets that outlive control, and reloads that close nothing.
"""
import ssl
import sys
import warnings

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main                              # noqa: E402
from lab.certificates import Authority                            # noqa: E402
from netns import tcp_connect                                     # noqa: E402
from phones.stream import drained, trusting                       # noqa: E402
from sip import Message, request                                  # noqa: E402

TRUNK_PORT = 5063


class Tls(SystemTest):

    options = {"streams": ("tcp", "tls")}

    @classmethod
    def prepare(cls, lab):
        issued = lab.authority.issue
        shown = [{"cert": str(cert), "key": str(key)} for cert, key in (
            lab.certificate, issued("server-rsa", [f"DNS:{lab.domain}"], "rsa"),
            issued("other", ["DNS:other.example", "DNS:*.wild.example"]))]
        listen = lab.config["services"][0]["listen"]
        for entry in listen:
            if entry["transport"] == "tls":
                entry["certificates"] = shown
        cls.others = Authority(lab.dir, lab.authority.owner, "others")
        cls.trunk = issued("trunk", ["DNS:trunk.example"])
        cls.stranger = issued("stranger", ["DNS:stranger.example"])
        cls.foreign = cls.others.issue("foreign", ["DNS:trunk.example"])
        listen.append({"transport": "tls", "address": lab.vip, "port": TRUNK_PORT,
                       "certificates": shown[:1], "client_certificates": "required",
                       "client_ca": str(lab.authority.cert), "client_names": ["trunk.example"]})

    def connect(self, name=None, port=5061, context=None, shown=None, session=None):
        """A TLS connection to the virtual address, for which this name is asked."""
        context = context or trusting(self.lab)
        if shown:
            context.load_cert_chain(*shown)
        name = name or self.lab.domain
        raw = tcp_connect(self.lab.host("caller").namespace, self.lab.vip, port)
        self.addCleanup(raw.close)
        made = context.wrap_socket(raw, server_hostname=name, session=session)
        self.addCleanup(made.close)
        made.settimeout(5)
        return made

    def answered(self, connection):
        """An OPTIONS goes to a backend, and its 200 comes back."""
        connection.sendall(request("OPTIONS", "sip:ping@example.net", connection.getsockname()[:2],
                                   transport="TLS"))
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            self.assertTrue(more, "it was closed")
            data += more
        self.assertEqual(Message(data).status, 200)

    def names(self, connection):
        return {name for kind, name in connection.getpeercert()["subjectAltName"] if kind == "DNS"}

    def test_1_names(self):
        """The certificate of the name; of an unknown one, the first; ECDSA and RSA as clients can."""
        unchecked = trusting(self.lab)
        unchecked.check_hostname = False
        self.assertEqual(self.names(self.connect()), {"example.net"})
        self.assertIn("other.example", self.names(self.connect("other.example")))
        self.assertIn("other.example", self.names(self.connect("a.wild.example")))
        self.assertEqual(self.names(self.connect("nobody.example", context=unchecked)),
                         {"example.net"})
        for kind in ("ECDSA", "RSA"):
            context = trusting(self.lab)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(f"ECDHE-{kind}-AES128-GCM-SHA256")
            made = self.connect(context=context)
            self.answered(made)
            self.assertIn(kind, made.cipher()[0])

    def test_2_versions(self):
        """TLS 1.2 and 1.3 are spoken, 1.1 is not; what is no TLS is closed."""
        for version, works in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True),
                               (ssl.TLSVersion.TLSv1_1, False)):
            context = trusting(self.lab)
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            with warnings.catch_warnings(action="ignore"):       # 1.1 is deprecated
                context.minimum_version = context.maximum_version = version
            if works:
                made = self.connect(context=context)
                self.assertEqual(made.version(), version.name.replace("_", "."))
                self.answered(made)
            else:
                with self.assertRaises(ssl.SSLError):
                    self.connect(context=context)
        with tcp_connect(self.lab.host("caller").namespace, self.lab.vip, 5061) as plain:
            plain.settimeout(5)
            plain.sendall(request("OPTIONS", "sip:ping@example.net", ("192.0.2.21", 5060)))
            drained(plain)                           # an alert
        counted = laws.streams(self.lab)
        self.assertEqual((counted["tls_failed_protocol_version"], counted["tls_failed_plain_text"]),
                         (1, 1))

    def test_3_clients(self):
        """Where it is required, a certificate of our authority with the trunk's name, and no other."""
        made = self.connect(port=TRUNK_PORT, shown=self.trunk)
        self.answered(made)
        before = laws.streams(self.lab)
        for shown in (None, self.stranger, self.foreign):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = trusting(self.lab)
                context.maximum_version = version
                with self.subTest(shown=shown and shown[0].stem, version=version.name):
                    with self.assertRaises(OSError):     # in 1.3 the client hears of it later
                        refused = self.connect(port=TRUNK_PORT, context=context, shown=shown)
                        if not refused.recv(1):
                            raise ConnectionResetError("closed")
        self.answered(made)
        after = laws.streams(self.lab)
        self.assertEqual({name: after[name] - before[name] for name in after
                          if name.startswith("tls_failed_") and after[name] != before[name]},
                         {"tls_failed_no_certificate": 2, "tls_failed_other_name": 2,
                          "tls_failed_unknown_ca": 2})

    def test_4_renewed(self):
        """Another certificate takes the old one's place; who was there before stays, and is served."""
        lab = self.lab
        before = self.connect()
        serial = before.getpeercert()["serialNumber"]
        lab.authority.issue("server", [f"DNS:{lab.domain}", f"IP:{lab.vip}", f"IP:{lab.vip6}"])
        lab.reload()
        self.assertNotEqual(self.connect().getpeercert()["serialNumber"], serial)
        self.answered(before)

    def test_5_refused(self):
        """A key that is not the certificate's: the reload says so, and what ran goes on."""
        lab = self.lab
        before = self.connect()
        entry = next(entry for entry in lab.config["services"][0]["listen"]
                     if entry["transport"] == "tls")
        good = entry["certificates"]
        entry["certificates"] = [{**good[0], "key": good[1]["key"]}]
        try:
            status, _, said = lab.reload(check=False)
            self.assertEqual(status, 1)
            self.assertIn("key", said)
        finally:
            entry["certificates"] = good
            lab.reload()
        self.answered(before)
        self.answered(self.connect())

    def test_6_resumed(self):
        """A ticket resumes a session, of a control that was restarted meanwhile too."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(self.lab)
            context.minimum_version = context.maximum_version = version
            first = self.connect(context=context)
            self.answered(first)                         # in 1.3 the ticket comes after it
            session = first.session
            again = self.connect(context=context, session=session)
            self.answered(again)
            self.assertTrue(again.session_reused, version.name)
            session = again.session
            self.lab.control.restart()
            self.lab.wait_acknowledged()
            again = self.connect(context=context, session=session)
            self.answered(again)
            self.assertTrue(again.session_reused, f"{version.name} after a restart")


if __name__ == "__main__":
    main()
