"""Rules: what users may give tenants that they make themselves. Breaks when one gets more than his rule permits by any of the ways there
are, when somebody is bound by the wrong rule, when what nobody asked for is more than what may be asked for, when a refusal does not name
the rule, or when a tenant loses what it has."""
import json
import os
import signal
import subprocess
import unittest

import place

MIB = 1 << 20
LAB = {"user": 65534, "group": 65534, "extra_groups": []}
GROUP = {"user": 65531, "group": 65531, "extra_groups": [65532]}
OTHER = {"user": 65530, "group": 65530, "extra_groups": []}
OPERATOR = {"user": 65533, "group": 65533, "extra_groups": []}

RULES = """operators: [65533]
rules:
  lab:
    for: [65534, "@65532"]
    gpu: soft=smallx2,soft=t4
    gpus: 2
    tenants: 2
    memory: 16M:64M
    compute: 30%
    weight: 200
    priority: normal
    kernel-timeout: 2s
  admins: {for: 65533, memory: 1G}
  everybody: {gpu: soft, memory: 32M, tenants: 1}
tenants:
  given: {gpu: soft, memory: 512M, owner: 65534}
"""


@unittest.skipUnless(os.getuid() == 0, "only root can be two users")
class RulesTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.folder = self.root / "node"
        self.configuration = self.root / "weft.yaml"
        self.configuration.write_text(RULES)
        self.log = open(self.root / "log", "w+")
        self.addCleanup(self.log.close)
        os.chmod(self.root, 0o755)

    def serve(self, **env):
        control = self.folder / "weftd.sock"
        control.unlink(missing_ok=True)
        self.daemon = subprocess.Popen([self.weftd, "--socket", str(self.folder), "--config", str(self.configuration)],
                                       env={**self.env, "WEFT_LOG": "info", **env}, stderr=self.log)
        self.started.append(self.daemon)
        place.until(lambda: self.daemon.poll() is not None or control.exists(), "weftd listens or ends")
        self.env["WEFT_SOCKET"] = str(control)

    def reload(self, text, words="is read again"):
        count = (self.root / "log").read_text().count(words)
        self.configuration.write_text(text)
        self.daemon.send_signal(signal.SIGHUP)
        place.until(lambda: (self.root / "log").read_text().count(words) > count, words)

    def refused(self, who, rule, text, *words, status=125):
        result = self.call(*words, **who)
        self.assertEqual((result.returncode, result.stdout), (status, ""), (words, result.stderr))
        self.assertIn(text, result.stderr, words)
        self.assertIn(f"rule {rule} of weftd's configuration", result.stderr, words)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def stay(self, who, *words):
        process = self.begin("run", *words, self.client, "open", "wait", **who)
        self.wait_line(process, "waiting")
        return process

    def test_more_is_refused(self):
        self.serve()
        for who in (LAB, GROUP):
            for words, text in ((("--memory", "65M"), "64.0 MiB"), (("--memory", "17M:20M"), "a guarantee of 16.0 MiB"),
                                (("--compute", "31%"), "30%"), (("--weight", "201"), "200"), (("--priority", "high"), "normal"),
                                (("--kernel-timeout", "3s"), "2000000 us"), (("--kernel-timeout", "0"), "no limit")):
                self.refused(who, "lab", f"{words[0]}: ", "run", "--gpu", "soft", *words, "true")
                self.refused(who, "lab", text, "run", "--gpu", "soft", *words, "true")
            for gpu in ("soft=slow", "soft=smallx3", "soft=t4x2", "soft=small,soft=small,soft=small"):
                self.refused(who, "lab", "permits", "run", "--gpu", gpu, "true")
            self.refused(who, "lab", "2 devices at most", "run", "--gpu", "soft=smallx2,soft=t4", "true")
            self.refused(who, "lab", "2 devices at most", "run", "--gpu", "soft=smallx2,soft=t4", "--gpus", "3", "true")
            result = self.call("run", "--gpu", "soft=smallx2,soft=t4", "--gpus", "2", "--memory", "16M:64M", self.client, "open", **who)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.refused(OTHER, "everybody", "--memory: ", "run", "--gpu", "soft", "--memory", "33M", "true")
        self.refused(OTHER, "everybody", "a guarantee of 0 B", "run", "--gpu", "soft", "--memory", "1M:32M", "true")
        self.refused(OTHER, "everybody", "weft soft small:1", "run", "--gpu", "soft=smallx2", "true")
        self.assertEqual(self.call("run", "--gpu", "soft=slow", "--weight", "9999", "true").returncode, 0, "root is bound by none")
        devices = {device["name"] for device in self.ls()}
        self.assertEqual(devices, {"weft soft small", "weft soft t4", "weft soft slow"})
        self.assertEqual(len(self.ls()), 4, "what is refused is not made")

    def ls(self):
        return json.loads(self.call("ls", "--json").stdout)["devices"]

    def test_what_nobody_asks_for_is_what_is_permitted(self):
        self.serve()
        self.stay(LAB, "--gpu", "soft", "--tenant", "a")
        tenant = self.ps()["a"]
        self.assertEqual((tenant["devices"][0]["memory_limit_bytes"], tenant["weight"], tenant["class"]), (64 * MIB, 100, "normal"))
        self.refused(LAB, "lab", "--compute", "set", "a", "--compute", "31%", status=1)
        self.assertEqual(self.call("run", "--tenant", "a", "--memory", "64M", "--compute", "30%", "true", **LAB).returncode, 0)
        self.stay(OTHER, "--gpu", "soft", "--tenant", "b", "--memory", "1M")
        self.assertEqual(self.ps()["b"]["devices"][0]["memory_limit_bytes"], MIB)

    def test_a_ceiling_over_all_that_a_device_has_is_none(self):
        self.configuration.write_text("rules:\n  all: {memory: 1T}\n")
        self.serve()
        self.stay(LAB, "--gpu", "soft", "--tenant", "a")
        self.assertEqual(self.ps()["a"]["devices"][0]["memory_limit_bytes"], 4 << 30)

    def test_set(self):
        self.serve()
        self.stay(LAB, "--gpu", "soft", "--tenant", "a", "--memory", "1M")
        self.assertEqual(self.call("set", "a", "--memory", "64M", **LAB).returncode, 0)
        self.refused(LAB, "lab", "--memory", "set", "a", "--memory", "65M", status=1)
        self.refused(LAB, "lab", "--priority", "set", "a", "--memory", "1M", "--priority", "critical", status=1)
        self.assertEqual(self.ps()["a"]["devices"][0]["memory_limit_bytes"], 64 * MIB, "all of a set or none")
        self.assertEqual(self.call("set", "a", "--memory", "1G", "--priority", "critical").returncode, 0)
        self.assertEqual(self.call("set", "a", "--memory", "500M", **LAB).returncode, 0, "less is never refused")
        self.refused(LAB, "lab", "--memory", "set", "a", "--memory", "501M", status=1)
        self.assertEqual(self.call("set", "a", "--priority", "critical", **LAB).returncode, 0, "it is that already")
        # What an administrator gave is the tenant's own.
        self.assertEqual(self.call("set", "given", "--memory", "100M", **LAB).returncode, 0)
        self.assertEqual(self.call("set", "given", "--memory", "512M", **LAB).returncode, 0)
        self.refused(LAB, "lab", "--memory", "set", "given", "--memory", "513M", status=1)
        self.assertEqual(self.call("tenant", "add", "added", "--gpu", "soft", "--owner", "65534", "--memory", "300M",
                                   "--weight", "300").returncode, 0)
        self.assertEqual(self.call("set", "added", "--memory", "1M", "--weight", "1", **LAB).returncode, 0)
        self.assertEqual(self.call("set", "added", "--memory", "300M", "--weight", "300", **LAB).returncode, 0)
        self.refused(LAB, "lab", "--weight", "set", "added", "--weight", "301", status=1)
        # Who may change another's tenant may do so as far as his own rule goes.
        self.assertEqual(self.call("set", "given", "--allow-change", "65530").returncode, 0)
        self.assertEqual(self.call("set", "given", "--memory", "1M", **OTHER).returncode, 0)
        self.refused(OTHER, "everybody", "--memory", "set", "given", "--memory", "513M", status=1)

    def test_operators_add_what_their_rule_permits(self):
        self.serve()
        add = ("tenant", "add", "x", "--gpu", "soft")
        self.refused(OPERATOR, "admins", "--memory", *add, "--memory", "2G", status=1)
        self.assertEqual(self.call(*add, **OPERATOR).returncode, 0)
        self.assertEqual(self.ps()["x"]["devices"][0]["memory_limit_bytes"], 1 << 30)
        self.refused(OPERATOR, "admins", "--memory", "set", "x", "--memory", "2G", status=1)
        self.assertEqual(self.call("set", "x", "--memory", "1M", **OPERATOR).returncode, 0)
        self.assertEqual(self.call("set", "x", "--memory", "1G", **OPERATOR).returncode, 0)
        self.refused(OPERATOR, "admins", "--memory", "set", "x", "--memory", "2G", status=1)

    def test_so_many_tenants_at_once(self):
        self.serve()
        first = self.stay(LAB, "--gpu", "soft", "--tenant", "a")
        self.stay(LAB, "--gpu", "soft", "--tenant", "b")
        self.refused(LAB, "lab", "2 tenants at once", "run", "--gpu", "soft", "--tenant", "c", "true")
        self.refused(LAB, "lab", "2 tenants at once", "run", "--gpu", "soft", "true")
        self.assertEqual(self.call("run", "--tenant", "a", "true", **LAB).returncode, 0, "a second run joins")
        self.assertEqual(self.call("run", "--tenant", "given", "true", **LAB).returncode, 0, "the configuration's is none of his own")
        self.assertEqual(self.call("run", "--gpu", "soft", "true", **GROUP).returncode, 0, "each user has his own count")
        first.stdin.close()
        first.wait(place.PATIENCE_S)
        self.assertEqual(self.call("run", "--gpu", "soft", "--tenant", "c", "true", **LAB).returncode, 0)

    def test_reload_and_restart(self):
        self.serve()
        self.stay(LAB, "--gpu", "soft", "--tenant", "a")
        for turn in range(2):
            self.reload(RULES.replace("16M:64M", "1M"))
            self.assertEqual(self.ps()["a"]["devices"][0]["memory_limit_bytes"], 64 * MIB, "nothing is taken away")
            self.refused(LAB, "lab", "--memory", "run", "--gpu", "soft", "--memory", "2M", "true")
            self.reload(RULES.replace("for: [65534", "fro: [65534"), "stays as it was")
            self.refused(LAB, "lab", "--memory", "run", "--gpu", "soft", "--memory", "2M", "true")
            self.reload(RULES)
            self.assertEqual(self.call("run", "--gpu", "soft", "--memory", "2M", "true", **LAB).returncode, 0)
            self.daemon.kill()
            self.daemon.wait()
            self.serve()
            self.assertEqual(self.ps()["a"]["devices"][0]["memory_limit_bytes"], 64 * MIB)
            self.refused(LAB, "lab", "--memory", "set", "a", "--memory", "65M", status=1)
        self.reload("tenants: {}\n")
        self.assertEqual(self.call("set", "a", "--memory", "1G", **LAB).returncode, 0)

    def test_native_devices(self):
        self.configuration.write_text("rules:\n  one: {for: 65534, gpu: 1}\n"
                                      "  second: {for: 65530, gpu: GPU-00000000-0000-0000-0000-000000000002, gpus: 1}\n"
                                      "  both: {for: 65531, gpu: any, gpus: 1}\n  none: {gpu: soft}\n")
        self.serve(WEFT_NATIVE_LIBNVML=str(place.BUILD / "tests" / "system" / "cli" / "libfake_nvml.so"))
        for who in (LAB, OTHER):
            for gpu in ((), ("--gpu", "any"), ("--gpu", "1"), ("--gpus", "1")):
                result = self.call("run", *gpu, self.client, "open", "devices", **who)
                self.assertEqual([line.split()[5] for line in result.stdout.splitlines() if line.startswith("device ")], ["1"],
                                 (gpu, result.stderr))
        self.refused(LAB, "one", "it permits 1", "run", "--gpu", "0", "true")
        self.refused(LAB, "one", "it permits 1", "run", "--gpu", "0,1", "true")
        self.refused(LAB, "one", "it permits 1", "run", "--gpu", "soft", "true")
        self.refused(GROUP, "both", "--gpus 1 would choose", "run", "true")
        self.assertEqual(self.call("run", "--gpus", "1", self.client, "open", **GROUP).returncode, 0)
        self.refused(OPERATOR, "none", "it permits soft", "run", "true")
        self.refused(OPERATOR, "none", "it permits soft", "run", "--gpu", "any", "true")


if __name__ == "__main__":
    place.main()
