# SPDX-License-Identifier: Apache-2.0
"""
What Prometheus fetches, while calls are placed and after the data plane was killed: the same numbers
as `tandemctl show` has, in a form that promtool finds nothing wrong with.
"""
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from laws import settled                                          # noqa: E402
from netns import tcp_connect, udp_socket                         # noqa: E402
from sip import request                                           # noqa: E402

PORT = 9060
TRUNK_PORT = 5070
STRANGER = "192.0.2.66"
OUTCOMES = ("forwarded_request", "forwarded_response", "replied", "dropped", "punted")
SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


class Metrics(SystemTest):
    options = {"backends": 2}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["metrics"] = f"127.0.0.1:{PORT}"
        lab.config["pools"][0]["health"] = {"probe": "options", "interval": "500ms"}
        lab.config["services"].append({
            "name": "trunk", "mode": "proxy", "pool": "proxies", "sources": ["203.0.113.0/24"],
            "listen": [{"transport": "udp", "address": lab.vip, "port": TRUNK_PORT}]})

    def ask(self, request):
        """What is answered to some bytes: head and body."""
        with tcp_connect(self.lab.namespace("appliance"), "127.0.0.1", PORT) as connection:
            connection.sendall(request)
            answer = b""
            while True:
                more = connection.recv(65536)
                if not more:
                    break
                answer += more
        head, _, body = answer.decode().partition("\r\n\r\n")
        return head, body

    def fetch(self):
        head, body = self.ask(b"GET /metrics HTTP/1.1\r\nHost: lab\r\n\r\n")
        self.assertTrue(head.startswith("HTTP/1.1 200 OK\r\n"), head)
        self.assertIn(f"Content-Length: {len(body)}", head)
        return body

    @staticmethod
    def read(body):
        """(name, {label: value}) of each sample as a list, and its value."""
        found = []
        for line in body.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.fullmatch(line).groups()
                found.append((name, dict(LABEL.findall(labels or "")), float(value)))
        return found

    @staticmethod
    def total(samples, wanted, **labels):
        """The sum of a family's samples with these labels; None: there is none."""
        values = [value for name, found, value in samples
                  if name == wanted and labels.items() <= found.items()]
        return sum(values) if values else None

    def still(self):
        """Counters and samples of the same moment, when nothing moves."""
        for _ in range(60):
            before = settled(self.lab)
            backends = self.lab.ctl("show", "backends", json=True)
            samples = self.read(self.fetch())
            if settled(self.lab).same(before):
                return before, backends, samples
        raise AssertionError("counters never stood still")

    def check_promtool(self, body):
        done = subprocess.run(["promtool", "check", "metrics"], input=body, text=True,
                              capture_output=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def check_probes(self, samples):
        """Every backend was probed, and its answers took as long as the histogram's buckets say."""
        for name in self.lab.backends:
            answered = self.total(samples, "tandem_backend_probes_total", backend=name,
                                  outcome="answered")
            family = "tandem_backend_probe_latency_seconds"
            buckets = [(found["le"], value) for sample, found, value in samples
                       if sample == f"{family}_bucket" and found["backend"] == name]
            self.assertGreater(answered, 2)
            self.assertEqual(buckets[-1], ("+Inf", answered))
            self.assertEqual([value for _, value in buckets],
                             sorted(value for _, value in buckets))
            self.assertGreater(self.total(samples, f"{family}_sum", backend=name), 0)
            self.assertEqual(self.total(samples, f"{family}_count", backend=name), answered)

    def check_backends(self, backends, samples):
        for backend in backends:
            labels = {"pool": backend["pool"], "backend": backend["name"]}
            for family, key in (("calls", "calls"), ("calls_started_total", "started"),
                                ("requests_total", "requests"), ("new_requests_total", "new"),
                                ("responses_total", "responses"), ("weight", "weight"),
                                ("calls_ended_total", "ended")):
                self.assertEqual(self.total(samples, f"tandem_backend_{family}", **labels),
                                 backend[key], (labels, key))
            self.assertAlmostEqual(self.total(samples, "tandem_backend_share_ratio", **labels),
                                   backend["share_expected"])
            states = {found["state"] for name, found, value in samples
                      if name == "tandem_backend_state" and value and labels.items() <= found.items()}
            self.assertEqual(states, {backend["state"]})

    def test_1_numbers_under_calls(self):
        """Fetched all the while, without a call lost; afterwards each number is show's."""
        calls = self.place([("uac", "uas")], calls=200, rate=40, hold_ms=500, tag="metrics")
        fetched, slowest, most = 0, 0, 0
        while calls.created() < 200:
            begun = time.monotonic()
            body = self.fetch()
            slowest = max(slowest, time.monotonic() - begun)
            most = max(most, self.total(self.read(body), "tandem_backend_calls"))
            fetched += 1
            self.check_promtool(body)
        calls.finish()
        self.assertGreater(most, 0, "no call was ever in progress")
        stats, backends, samples = self.still()
        for verdict in ("forwarded", "replied", "dropped", "punted"):
            self.assertEqual(self.total(samples, "tandem_verdicts_total", verdict=verdict),
                             stats[verdict])
        for name, value in stats.counters.items():
            if name.startswith("verdict_drop_"):
                self.assertEqual(self.total(samples, "tandem_verdicts_total", verdict="dropped",
                                            reason=name[len("verdict_drop_"):]), value, name)
        for family, name in (("messages_total", "messages"), ("sent_messages_total", "sip_tx"),
                             ("received_frames_total", "rx_frames"),
                             ("to_kernel_frames_total", "to_tap")):
            self.assertEqual(self.total(samples, f"tandem_{family}"), stats[name], name)
        self.assertGreaterEqual(stats["forwarded"], 200 * 6)
        self.check_backends(backends, samples)
        self.check_probes(samples)
        self.assertEqual(sum(backend["started"] for backend in backends), 200)
        self.say(f"{fetched} fetches of {len(body)} bytes, {len(samples)} samples, the slowest "
                 f"{1000 * slowest:.0f} ms; at most {most:.0f} calls at once")

    def test_2_other_requests(self):
        """Nothing else is there, and what is odd is answered."""
        for request, status in ((b"GET / HTTP/1.1\r\n\r\n", "404"),
                                (b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\nx", "413"),
                                (b"DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
                                (b"INVITE sip:x SIP/2.0\r\n\r\n", "400"),
                                (b"GET /metrics HTTP/1.1\r\nX: " + 5000 * b"x", "400")):
            head, _ = self.ask(request)
            self.assertEqual(head.split()[1], status, request[:40])

    def by_service(self, samples):
        """{service: {outcome: number of messages}}."""
        found = {}
        for name, labels, value in samples:
            if name == "tandem_service_messages_total":
                found.setdefault(labels["service"], {})[labels["outcome"]] = value
        return found

    def knock(self, requests, junk):
        """So many of each to the trunk, from who may not use it: they are answered and dropped."""
        lab = self.lab
        with udp_socket(lab.namespace("stranger"), STRANGER) as asking:
            asking.settimeout(3)
            for number in range(junk):        # first: with the answers to what follows it was read
                asking.sendto(b"\r\n\r\n", (lab.vip, TRUNK_PORT))
            for number in range(requests):
                asking.sendto(request("OPTIONS", "sip:bob@example.net", asking.getsockname(),
                                      call_id=f"knock{number}"), (lab.vip, TRUNK_PORT))
                self.assertIn(b" 403 ", asking.recv(65536).split(b"\r\n")[0])

    def test_3_services(self):
        """Reloads that put services in another order, take one away and back move no count."""
        lab = self.lab
        calls, trunk = lab.config["services"]
        other = {"name": "a-third", "mode": "proxy", "pool": "proxies",
                 "listen": [{"transport": "udp", "address": lab.vip, "port": 5080}]}
        lab.host("stranger", STRANGER)
        before, _, samples = self.still()
        first = self.by_service(samples)
        self.assertEqual(first["trunk"], dict.fromkeys(OUTCOMES, 0))
        placed = self.place([("uac", "uas")], calls=200, rate=50, hold_ms=500, tag="services")
        replied = dropped = 0
        for number, services in enumerate(([trunk, calls], [other, calls, trunk], [other, calls],
                                           [trunk, other, calls], [calls, trunk]), 1):
            if trunk in lab.config["services"]:
                self.knock(3 * number, number)
                replied += 3 * number
                dropped += number
            lab.config["services"] = services
            lab.reload()
        placed.finish()
        stats, _, samples = self.still()
        now = self.by_service(samples)
        self.check_promtool(self.fetch())
        self.assertEqual(now["trunk"], {"forwarded_request": 0, "forwarded_response": 0,
                                        "replied": replied, "dropped": dropped, "punted": 0})
        self.assertEqual(sorted(now), ["calls", "trunk"])
        self.assertEqual(stats["messages"] - before["messages"],
                         sum(now["calls"].values()) - sum(first["calls"].values())
                         + replied + dropped)
        for service in lab.ctl("show", "services", json=True):
            self.assertEqual({outcome: service[outcome] for outcome in OUTCOMES},
                             now[service["name"]])
            self.assertEqual(service["messages"], sum(now[service["name"]].values()))
        text = lab.ctl("show", "services")[1]
        self.say(text)
        self.assertRegex(text, rf"trunk .* {replied + dropped} +0 +0 +{replied} +{dropped} +0 ")

    def test_4_data_plane_goes_and_comes(self):
        """Absent, its numbers are missing; back, they begin at 0 in another epoch."""
        lab = self.lab

        def epoch():
            return [found["epoch"] for name, found, _ in self.read(self.fetch())
                    if name == "tandem_dataplane_info"]
        before = epoch()
        lab.dataplane.kill9()
        wait_for(lambda: not epoch(), 10, "control to see that the data plane is gone")
        body = self.fetch()
        samples = self.read(body)
        self.check_promtool(body)
        self.assertEqual(self.total(samples, "tandem_dataplane_connected"), 0)
        self.assertEqual(self.total(samples, "tandem_backend_weight"), 200)
        for family in ("messages_total", "service_messages_total", "backend_calls", "dataplane_start_time_seconds"):
            self.assertIsNone(self.total(samples, f"tandem_{family}"), family)
        lab.dataplane.start()
        lab.wait_acknowledged()
        samples = self.read(self.fetch())
        self.assertEqual(len(before + epoch()), 2)
        self.assertNotEqual(before, epoch())
        self.assertEqual(self.total(samples, "tandem_messages_total"), 0)
        self.assertAlmostEqual(self.total(samples, "tandem_dataplane_start_time_seconds"),
                               time.time(), delta=60)
        self.assertEqual(self.total(samples, "tandem_snapshot_workers_generation"),
                         self.total(samples, "tandem_snapshot_generation"))


if __name__ == "__main__":
    main()
