"""Devices chosen by weftd. Breaks when a device is promised twice, when two that come at once get the same last place, when a program
does not see what was chosen in the list's order, or when a refusal does not say why for each device."""
import json
import subprocess

import place

FOUR = ("run", "--gpu", "soft=smallx4")


class PlacementTest(place.PlaceTest):
    def stay(self, tenant, *options):
        """A run that stays: which of the four its program sees, in its order."""
        process = self.begin(*FOUR, "--tenant", tenant, *options, self.client, "open", "wait")
        self.wait_line(process, "waiting")
        return [self.number(device["device"]) for device in self.ps()[tenant]["devices"]]

    def number(self, uuid):
        devices = json.loads(self.call("ls", "--json").stdout)["devices"]
        return [device["device"] for device in devices].index(uuid)

    def refusal(self, *words):
        result = self.call(*words)
        self.assertEqual((result.returncode, result.stdout), (125, ""))
        return result.stderr

    def test_spread_takes_the_least_loaded(self):
        seen = [self.stay(f"t{i}", "--gpus", "1")[0] for i in range(5)]
        self.assertEqual(seen, [0, 1, 2, 3, 0])

    def test_load_is_what_tenants_may_take(self):
        self.assertEqual(self.stay("a", "--gpus", "1", "--compute", "90%"), [0])
        self.assertEqual(self.stay("b", "--gpus", "1", "--sm", "50%"), [1])
        self.assertEqual(self.stay("c", "--gpus", "2", "--placement", "spread"), [2, 3])
        self.assertEqual(self.stay("d", "--gpus", "1"), [1])

    def test_pack_leaves_devices_free(self):
        seen = [self.stay(f"t{i}", "--gpus", "1", "--placement", "pack", "--memory", "1.5G") for i in range(3)]
        self.assertEqual(seen, [[0], [0], [1]])
        self.assertEqual(self.stay("rest", "--gpus", "1", "--placement", "pack", "--memory", "1G"), [0])
        self.assertEqual(self.stay("two", "--gpus", "2", "--placement", "pack", "--memory", "4G"), [2, 3])

    def test_pack_books_compute(self):
        pack = ("--gpus", "1", "--placement", "pack", "--compute", "40%")
        self.assertEqual([self.stay(f"t{i}", *pack) for i in range(4)], [[0], [0], [1], [1]])

    def test_only_the_chosen_are_seen(self):
        self.stay("a", "--gpus", "1")
        self.stay("b", "--gpus", "1", "--memory", "1G")
        result = self.call(*FOUR, "--gpus", "2", self.client, "open", "devices")
        self.assertEqual(result.stdout.count("device "), 2, result.stdout)

    def test_places_come_back(self):
        process = self.begin(*FOUR, "--gpus", "1", self.client, "open", "wait")
        self.wait_line(process, "waiting")
        self.go_on(process)
        process.wait()
        place.until(lambda: not self.ps(), "the tenant ends")
        self.assertEqual(self.stay("next", "--gpus", "1"), [0])

    def test_refusals_name_each_device(self):
        self.assertIn("there are 4 devices to choose from: soft small, soft small:1, soft small:2, soft small:3",
                      self.refusal(*FOUR, "--gpus", "5", "true"))
        self.assertIn("soft small has 4.0 GiB; soft small:1 has 4.0 GiB", self.refusal(*FOUR, "--gpus", "1", "--memory", "5G", "true"))
        self.stay("a", "--gpus", "3", "--memory", "3G")
        text = self.refusal(*FOUR, "--gpus", "2", "--memory", "2G", "true")
        self.assertIn("not so many devices have 2.0 GiB left", text)
        self.assertIn("soft small has 1.0 GiB of 4.0 GiB left beside 1 tenants", text)
        self.assertIn("soft small:3 would do", text)
        self.assertEqual(self.call(*FOUR, "--gpus", "4", "true").returncode, 0)

    def test_wrong_arguments(self):
        for words, text in ((("--gpus", "0"), "from 1 to 16"), (("--gpus", "17"), "from 1 to 16"), (("--gpus", "two"), "--gpus"),
                            (("--gpus", "-1"), "from 1 to 16"), (("--gpus", "1", "--placement", "tight"), "spread or pack"),
                            (("--placement", "pack"), "add --gpus N")):
            self.assertIn(text, self.refusal(*FOUR, *words, "true"))
        self.assertIn("no GPU", self.refusal("run", "--gpus", "1", "true"))
        self.assertIn("no GPU", self.refusal("run", "--gpu", "any", "true"))

    def test_joining_does_not_choose_anew(self):
        first = self.stay("a", "--gpus", "2")
        self.stay("b", "--gpus", "2")
        again = self.call(*FOUR, "--gpus", "2", "--tenant", "a", self.client, "open", "devices")
        self.assertEqual(again.stdout.count("device "), 2, again.stderr)
        self.assertEqual([self.number(device["device"]) for device in self.ps()["a"]["devices"]], first)
        self.assertIn("other devices", self.refusal(*FOUR, "--gpus", "3", "--tenant", "a", "true"))
        self.assertIn("other devices", self.refusal("run", "--gpu", "soft=t4x4", "--gpus", "2", "--tenant", "a", "true"))

    def test_nobody_gets_a_place_that_is_taken(self):
        """Twelve at once for the eight places that four devices have."""
        words = [self.weft, *FOUR, "--gpus", "1", "--placement", "pack", "--memory", "2G", "sh", "-c", "echo placed; cat"]
        runs = [subprocess.Popen(words, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                for _ in range(12)]
        self.started.extend(runs)
        placed = [run for run in runs if run.stdout.readline() == "placed\n"]
        self.assertEqual(len(placed), 8)
        used = {}
        for tenant in self.ps().values():
            for device in tenant["devices"]:
                used[device["device"]] = used.get(device["device"], 0) + 1
        self.assertEqual(sorted(used.values()), [2, 2, 2, 2])
        for run in runs:
            if run not in placed:
                self.assertEqual(run.wait(), 125)
                self.assertIn("--gpus 1: not so many devices have 2.0 GiB left", run.stderr.read())

    def test_any_native(self):
        self.env["WEFT_NATIVE_LIBNVML"] = str(place.BUILD / "tests" / "system" / "cli" / "libfake_nvml.so")

        def granted(*words):
            result = self.call("run", *words, self.client, "open", "devices")
            self.assertEqual(result.returncode, 0, result.stderr)
            return [int(line.split()[5]) for line in result.stdout.splitlines() if line.startswith("device ")]
        first = self.begin("run", "--gpu", "0", "--memory", "6G", self.client, "open", "wait")
        self.wait_line(first, "waiting")
        self.assertEqual(granted("--gpu", "any"), [1])
        self.assertEqual(granted("--gpus", "1", "--placement", "pack"), [0])
        self.assertEqual(granted("--gpu", "any", "--placement", "pack", "--memory", "2G"), [0])
        self.assertEqual(granted("--gpu", "any", "--placement", "pack", "--memory", "3G"), [1])
        self.assertEqual(granted("--gpu", "any,any"), [1, 0])
        self.assertEqual(granted("--gpu", "any", "--gpus", "2"), [0, 1])
        self.assertIn("GPU 0 (Made-up card 0) has 2.0 GiB of 8.0 GiB left", self.refusal("run", "--gpus", "2", "--memory", "3G", "true"))

    def test_by_configuration(self):
        config = self.root / "weft.yaml"
        config.write_text("tenants:\n  a:\n    gpu: soft=smallx4\n    gpus: 2\n    placement: pack\n    memory: 3G\n"
                          "  b:\n    gpus: 2\n    gpu: soft=smallx4\n    memory: 3G\n")
        checked = subprocess.run([self.weftd, "--config", str(config), "--check-config"], env=self.env, text=True, capture_output=True)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        control = self.root / "node" / "weftd.sock"
        self.started.append(subprocess.Popen([self.weftd, "--config", str(config), "--socket", str(control.parent)], env=self.env))
        place.until(control.exists, "weftd listens")
        self.env["WEFT_SOCKET"] = str(control)
        chosen = {name: [self.number(device["device"]) for device in tenant["devices"]] for name, tenant in self.ps().items()}
        self.assertEqual(chosen, {"a": [0, 1], "b": [2, 3]})
        with config.open("a") as more:
            more.write("  c:\n    gpus: 1\n    gpu: soft=smallx4\n    memory: 1G\n  d: {gpus: 1, gpu: soft=smallx4, memory: 3G}\n")
        checked = subprocess.run([self.weftd, "--config", str(config), "--check-config"], env=self.env, text=True, capture_output=True)
        self.assertEqual(checked.returncode, 1, "together they want more than there is, though each alone would fit")
        self.assertIn("weft.yaml:15: tenants.d: --gpus 1: not so many devices have 3.0 GiB left: soft small has 0 B of 4.0 GiB left", checked.stderr)
        for line, text in (("gpus: none", "weft.yaml:4: tenants.a.gpus"), ("placement: high", "weft.yaml:4: tenants.a.placement")):
            config.write_text(f"tenants:\n  a:\n    gpu: soft=smallx4\n    {line}\n")
            checked = subprocess.run([self.weftd, "--config", str(config), "--check-config"], env=self.env, text=True,
                                     capture_output=True)
            self.assertEqual(checked.returncode, 1)
            self.assertIn(text, checked.stderr)


place.main()
