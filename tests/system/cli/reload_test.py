"""The configuration read again while programs run. Breaks when a tenant's programs notice more than their limits, when a faulty file changes
anything or does not say where it is wrong, or when a tenant that was taken out stays behind."""
import os
import signal
import socket
import subprocess

import place

MIB = 1 << 20


class ReloadTest(place.PlaceTest):
    def serve(self, text):
        self.folder = self.root / "node"
        self.configuration = self.root / "weft.yaml"
        self.configuration.write_text(text)
        self.env["WEFT_SOCKET"] = str(self.folder / "weftd.sock")
        self.start()

    def start(self):
        self.daemon = subprocess.Popen([self.weftd, "--socket", str(self.folder), "--config", str(self.configuration)],
                                       env={**self.env, "WEFT_LOG": "info"}, text=True, stderr=subprocess.PIPE)
        self.started.append(self.daemon)
        self.wait_log(" serves ")

    def wait_log(self, words):
        for line in self.daemon.stderr:
            if words in line:
                return line
        raise AssertionError(f"weftd ended and never said {words!r}")

    def reload(self, text, words="is read again"):
        self.configuration.write_text(text)
        self.daemon.send_signal(signal.SIGHUP)
        return self.wait_log(words)

    def mount(self, name):
        return self.folder / "mount" / name / "tenant.sock"

    def inside(self, name, *steps):
        process = subprocess.Popen([self.client, "open", *steps], env={**self.env, "WEFT_SOCKET": str(self.mount(name))}, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def limit(self, name):
        return self.ps()[name]["devices"][0]["memory_limit_bytes"]

    def test_tenants_come_change_and_go(self):
        self.serve("tenants:\n  a: {gpu: soft, memory: 1M}\n  b: {gpu: soft}\n  c: {gpu: soft}\n")
        held = self.inside("a", "charge=1000", "wait", "limit", "charge=1000", "charge=1")
        pid = int(self.wait_line(held, "waiting"))
        stays = self.inside("c", "charge=5", "wait")
        other = int(self.wait_line(stays, "waiting"))
        self.reload("tenants:\n  a: {gpu: soft, memory: 2000, weight: 300}\n  d: {gpu: soft, memory: 3M}\n")
        self.assertEqual(set(self.ps()), {"a", "c", "d"})
        self.assertEqual((self.limit("a"), self.limit("d"), self.ps()["a"]["weight"]), (2000, 3 * MIB, 300))
        self.assertTrue(self.mount("d").exists())
        self.assertFalse(self.mount("b").parent.exists())
        self.assertEqual(self.held("c"), (5, {other: 5}), "it ends with its last process")
        self.go_on(held)
        self.assertEqual(self.wait_line(held, "limit"), "2000")
        self.assertEqual(self.wait_line(held, "charge"), "1000: ok")
        self.assertEqual(self.wait_line(held, "charge"), "1000: ok")
        self.assertEqual(self.wait_line(held, "charge"), "1: refused")
        self.go_on(stays)
        place.until(lambda: set(self.ps()) == {"a", "d"}, "the tenant that was taken out ends")
        place.until(lambda: self.held("a") == (0, {}), f"{pid} ends")
        self.reload("")
        self.assertEqual(self.ps(), {})
        self.assertFalse((self.folder / "mount").exists())
        self.assertEqual(list((self.folder / "state").iterdir()), [])

    def test_a_lowered_limit_takes_nothing_and_says_so(self):
        self.serve("tenants:\n  a: {gpu: soft, memory: 1M}\n")
        held = self.inside("a", "charge=5000", "wait", "charge=1")
        pid = int(self.wait_line(held, "waiting"))
        self.assertIn("a holds 4.9 KiB", self.reload("tenants:\n  a: {gpu: soft, memory: 1000}\n", "gets no more"))
        self.wait_log("is read again")
        self.assertEqual(self.held("a"), (5000, {pid: 5000}))
        self.go_on(held)
        self.assertEqual(self.wait_line(held, "charge"), "5000: ok")
        self.assertEqual(self.wait_line(held, "charge"), "1: refused")

    def test_set_holds_until_the_entry_changes(self):
        text = "tenants:\n  a: {gpu: soft, memory: 1M}\n"
        self.serve(text)
        self.assertEqual(self.call("set", "a", "--memory", "2M").returncode, 0)
        self.reload(text + "  b: {gpu: soft}\n")
        self.assertEqual(self.limit("a"), 2 * MIB)
        self.daemon.kill()
        self.daemon.wait()
        self.start()
        self.assertEqual(self.limit("a"), 2 * MIB, "over a restart, too")
        self.reload("tenants:\n  a: {gpu: soft, memory: 3M}\n")
        self.assertEqual(self.limit("a"), 3 * MIB)

    def test_a_faulty_file_changes_nothing(self):
        good = "tenants:\n  a: {gpu: soft, memory: 1M}\n  b: {gpu: soft}\n"
        self.serve(good)
        held = self.inside("a", "charge=1000", "wait")
        self.wait_line(held, "waiting")
        before = self.ps()
        head = "operators: [65533]\ntenants:\n  new: {gpu: soft}\n  a:\n    gpu: soft\n"
        for text, line, words in ((head + "    memmory: 1G\n", 6, "tenants.a.memmory: unknown key"),
                                  (head + "\tmemory: 1M\n", 6, "a tab"),
                                  (head + "    memory: 5G\n", 4, "tenants.a: --memory"),
                                  (head + "    memory: 2M\n  a: {}\n", 7, "\"a\" stands on line 4 already"),
                                  (head + "    weight: 0\n", 6, "tenants.a.weight"),
                                  ("tenants:\n  b: {gpu: soft}\n  a: {gpu: soft=t4}\n", 3, "tenants.a: it has processes")):
            told = self.reload(text, "stays as it was")
            self.assertIn(f"weft.yaml:{line}: ", told)
            self.assertIn(words, told)
            after = self.ps()
            self.assertEqual({name: {**entry, "devices": []} for name, entry in after.items()},
                             {name: {**entry, "devices": []} for name, entry in before.items()})
            self.assertEqual(self.limit("a"), MIB)
        self.configuration.unlink()
        self.daemon.send_signal(signal.SIGHUP)
        self.assertIn(str(self.configuration), self.wait_log("stays as it was"))
        self.assertEqual(set(self.ps()), {"a", "b"})
        self.reload(good)

    def test_devices_change_without_processes(self):
        self.serve("tenants:\n  a: {gpu: soft}\n")
        self.reload("tenants:\n  a: {gpu: soft=t4}\n")
        self.assertEqual(self.ps()["a"]["devices"][0]["name"], "weft soft t4")

    def test_promises_to_others_count(self):
        """What tenants of runs and commands are guaranteed, and what `weft set` has changed, is not given out a second time."""
        self.serve("tenants:\n  a: {gpu: soft, memory: '512M:1G'}\n")
        self.assertEqual(self.call("tenant", "add", "added", "--gpu", "soft", "--memory", "1G:1G").returncode, 0)
        run = self.begin("run", "--gpu", "soft", "--tenant", "run", "--memory", "1G:2G", self.client, "open", "wait")
        self.wait_line(run, "waiting")
        for guarantee, good in (("1537M", False), ("1536M", True), ("2G", False)):
            text = f"tenants:\n  a: {{gpu: soft, memory: '512M:1G'}}\n  b: {{gpu: soft, memory: '{guarantee}:2G'}}\n"
            told = self.reload(text, "is read again" if good else "stays as it was")
            if not good:
                self.assertIn("weft.yaml:3: tenants.b: --memory: with this guarantee", told)
            self.assertEqual("b" in self.ps(), guarantee != "1537M")
        self.reload("tenants:\n  a: {gpu: soft, memory: '512M:1G'}\n")
        self.assertEqual(self.call("set", "a", "--memory", "1G:1G").returncode, 0)
        text = "tenants:\n  a: {{gpu: soft, memory: '{}:1G'}}\n  b: {{gpu: soft, memory: '1536M:2G'}}\n"
        self.assertIn("weft.yaml:3: tenants.b", self.reload(text.format("512M"), "stays as it was"))
        self.reload(text.format("511M"))
        self.assertEqual(self.ps()["a"]["devices"][0]["memory_guarantee_bytes"], 511 * MIB, "a changed entry holds over what was set")

    def test_those_that_end_give_room(self):
        self.serve("tenants:\n  a: {gpu: 'soft=smallx2', gpus: 1, memory: '3G:4G'}\n  b: {gpu: 'soft=smallx2', gpus: 1, memory: '3G:4G'}\n")
        told = self.reload("tenants:\n  a: {gpu: 'soft=smallx2', gpus: 1, memory: '3G:4G'}\n  b: {gpu: 'soft=smallx2', gpus: 1, memory: '3G:4G'}\n"
                           "  c: {gpu: 'soft=smallx2', gpus: 1, memory: '2G:4G'}\n", "stays as it was")
        self.assertIn("weft.yaml:4: tenants.c: --gpus 1: not so many devices have 2.0 GiB left", told)
        held = self.inside("b", "wait")
        self.wait_line(held, "waiting")
        self.reload("tenants:\n  c: {gpu: 'soft=smallx2', gpus: 1, memory: '4G:4G'}\n")
        self.assertEqual(set(self.ps()), {"b", "c"})
        self.assertNotEqual(self.ps()["b"]["devices"][0]["device"], self.ps()["c"]["devices"][0]["device"])
        self.reload("tenants:\n  c: {gpu: 'soft=smallx2', gpus: 1, memory: '4G:4G'}\n  d: {gpu: soft, memory: '4G:4G'}\n",
                    "stays as it was")

    def test_operators_and_added_tenants(self):
        self.serve("tenants: {}\n")
        self.assertEqual(self.call("tenant", "add", "mine", "--gpu", "soft").returncode, 0)
        self.reload("tenants:\n  a: {gpu: soft}\n")
        self.assertEqual(set(self.ps()), {"mine", "a"}, "a reload leaves what was added by command")
        result = self.call("tenant", "remove", "a")
        self.assertEqual(result.returncode, 1)
        self.assertIn("configuration", result.stderr)
        if os.getuid() == 0:
            os.chmod(self.root, 0o755)
            operator = {"user": 65533, "group": 65533, "extra_groups": []}
            self.assertEqual(self.call("tenant", "add", "theirs", "--gpu", "soft", **operator).returncode, 1)
            self.reload("operators: [65533]\n")
            self.assertEqual(self.call("tenant", "add", "theirs", "--gpu", "soft", "--owner", "65533", **operator).returncode, 0)

    def test_what_was_used_is_told_on(self):
        """Reports of a tenant without processes go on after a restart."""
        self.serve("tenants:\n  a: {gpu: soft}\n")
        self.assertEqual(self.call("tenant", "add", "b", "--gpu", "soft").returncode, 0)
        for name in ("a", "b"):
            self.assertEqual(self.inside(name, "time=5000000").wait(place.PATIENCE_S), 0)
        place.until(lambda: all(not entry["processes"] for entry in self.ps().values()), "they end")
        before = self.ps()
        self.assertEqual([before[name]["devices"][0]["time_used_s"] for name in ("a", "b")], [0.005, 0.005])
        self.assertEqual(before["a"]["devices"][0]["device_time_s"], 0.01)
        for how in (signal.SIGKILL, signal.SIGTERM):
            self.daemon.send_signal(how)
            self.daemon.wait()
            self.start()
            self.assertEqual(self.ps(), before)

    def test_what_was_used_outlives_who_dies_while_nobody_is_there(self):
        """The device's page is gone with its last process."""
        self.serve("tenants:\n  a: {gpu: soft}\n  b: {gpu: 'soft,soft=t4'}\n")
        for turn, how in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
            programs = [self.inside(name, f"time={time_ns}", "wait") for name, time_ns in
                        (("a", 5000000), ("a", 7000000), ("b", 11000000))]
            for program in programs:
                self.wait_line(program, "waiting")
            before = {name: [{**device, "memory_used_bytes": 0} for device in entry["devices"]] for name, entry in self.ps().items()}
            self.daemon.send_signal(how)
            self.daemon.wait()
            if turn == 2:  # one is left that has the page
                programs.pop(0)
            for program in programs:
                program.kill()
                program.wait()
            self.start()
            after = {name: [{**device, "memory_used_bytes": 0} for device in entry["devices"]] for name, entry in self.ps().items()}
            self.assertEqual(after, before)
            self.assertEqual(after["a"][0]["time_used_s"], round(0.012 * (turn + 1), 6))
            self.assertEqual(after["b"][0]["device_time_s"], round(0.023 * (turn + 1), 6))


if __name__ == "__main__":
    place.main()
