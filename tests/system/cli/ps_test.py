"""What ps and ls tell, to the byte, also right after a death. Breaks when a process leaves something behind, or takes too much along."""
import json
import os
import pathlib
import re
import signal

import place

SOFT = ("run", "--gpu", "soft", "--tenant", "t")


class PsTest(place.PlaceTest):
    def test_empty_without_a_daemon_and_none_started(self):
        self.assertEqual(json.loads(self.call("ps", "--json").stdout), {"version": 1, "tenants": []})
        self.assertEqual(json.loads(self.call("ls", "--json").stdout), {"version": 1, "devices": []})
        self.assertEqual(self.call("ps").returncode, 0)
        self.assertFalse(self.dir.exists())

    def test_shape(self):
        process = self.begin(*SOFT, "--memory", "1M", self.client, "open", "charge=4096", "wait")
        pid = int(self.wait_line(process, "waiting"))
        tenant = self.ps()["t"]
        self.assertEqual((tenant["class"], tenant["weight"]), ("normal", 100))
        device, = tenant["devices"]
        self.assertEqual((device["memory_used_bytes"], device["memory_limit_bytes"]), (4096, 1 << 20))
        self.assertEqual((device["time_used_s"], device["share"]), (0.0, 1.0))
        entry, = tenant["processes"]
        self.assertEqual(entry["pid"], pid)
        self.assertEqual(entry["command"], f"{self.client} open charge=4096 wait")
        self.assertEqual([(d["device"], d["memory_used_bytes"]) for d in entry["devices"]], [(device["device"], 4096)])
        listed, = json.loads(self.call("ls", "--json").stdout)["devices"]
        self.assertEqual((listed["device"], listed["gpu"], listed["memory_bytes"]), (device["device"], "soft=small", 4 << 30))
        self.assertIn("4.0 KiB", self.call("ps").stdout)

    def test_without_a_limit_the_device_is_the_limit(self):
        process = self.begin("run", "--gpu", "soft=t4,soft", "--tenant", "t", self.client, "open", "devices", "wait")
        lines = [self.wait_line(process, "device") for _ in range(2)]
        self.assertEqual(lines, [f"0 kind 2 index 0 profile 't4' arena {16 << 30} page 1",
                                 f"1 kind 2 index 0 profile 'small' arena {4 << 30} page 1"])
        self.assertEqual([d["memory_limit_bytes"] for d in self.ps()["t"]["devices"]], [16 << 30, 4 << 30])

    def test_devices_are_shared_by_name_and_keep_their_uuid(self):
        first = self.begin("run", "--gpu", "soft=smallx2", "--tenant", "a", self.client, "open", "wait")
        second = self.begin("run", "--gpu", "soft", "--tenant", "b", self.client, "open", "wait")
        for process in (first, second):
            self.wait_line(process, "waiting")
        shown = self.ps()
        uuids = [device["device"] for device in shown["a"]["devices"]]
        self.assertEqual(len(set(uuids)), 2)
        self.assertEqual(shown["b"]["devices"][0]["device"], uuids[0])
        self.assertEqual(self.call("run", "--gpu", uuids[1], "true").returncode, 0)
        os.kill(self.daemon_pid(), signal.SIGKILL)
        place.until(lambda: not self.daemon_pid(), "weftd is gone")
        self.assertEqual(self.call("run", "--gpu", "soft", "true").returncode, 0)
        self.assertEqual(json.loads(self.call("ls", "--json").stdout)["devices"][0]["device"], uuids[0])

    def test_exact_right_after_kill(self):
        holders = [self.begin(*SOFT, "--memory", "1M", self.client, "open", f"charge={1000 + i}", "wait") for i in range(3)]
        pids = [int(self.wait_line(process, "waiting")) for process in holders]
        held = {pid: 1000 + i for i, pid in enumerate(pids)}
        self.assertEqual(self.held("t"), (3003, held))
        os.kill(pids[1], signal.SIGKILL)
        self.assertEqual(holders[1].wait(place.PATIENCE_S), 128 + signal.SIGKILL)
        del held[pids[1]]
        self.assertEqual(self.held("t"), (2002, held))

    def test_a_child_that_lives_on_holds_nothing_of_its_parent(self):
        process = self.begin(*SOFT, self.client, "open", "charge=5000", "orphan", "wait")
        child = int(self.wait_line(process, "child"))
        self.wait_line(process, "waiting")
        self.assertEqual(process.wait(place.PATIENCE_S), 0)
        self.assertEqual(self.held("t"), (0, {}))
        self.assertTrue(place.alive(child))
        self.go_on(process)

    def test_pages_come_back_though_a_child_has_them_open(self):
        process = self.begin(*SOFT, self.client, "open", f"touch={16 << 20}", "orphan", "drained")
        self.wait_line(process, "child")
        self.wait_line(process, "drained")

    def test_what_this_host_can_back_is_shared_out(self):
        available = int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) << 10

        def ceilings(gpu):
            words = self.call("run", "--gpu", gpu, self.client, "open", "ceilings").stdout.split()
            return [int(words[at + 1]) for at, word in enumerate(words) if word == "ceiling"]

        alone, = ceilings("soft=h100-80g")
        both = ceilings("soft=h100-80gx2")
        self.assertTrue(0 < alone <= min(available, 80 << 30), alone)
        self.assertTrue(0 < min(both) and sum(both) <= min(available, 160 << 30), both)
        small, = ceilings("soft=small")
        self.assertEqual(small, min(4 << 30, alone))
        process = self.begin(*SOFT[:1], "--gpu", "soft=h100-80g", self.client, "open", "ceilings", "wait", "ceilings")
        self.wait_line(process, "waiting")
        before = int(self.wait_line(process, "ceiling").split()[0])
        other, = ceilings("soft=a100-80g")
        self.assertEqual(len(self.ps()), 1)
        self.go_on(process)
        after = int(self.wait_line(process, "ceiling").split()[0])
        self.assertTrue(other < before and after > other, (before, other, after))

    def test_another_program_in_the_same_process_starts_empty(self):
        process = self.begin(*SOFT, self.client, "open", "charge=5000", f"exec=exec {self.client} open charge=7 wait")
        pid = int(self.wait_line(process, "waiting"))
        place.until(lambda: self.held("t") == (7, {pid: 7}), "what was held before exec comes back")

    def test_another_program_without_weft_holds_nothing(self):
        process = self.begin(*SOFT, self.client, "open", "charge=5000", "exec=echo there; cat")
        self.wait_line(process, "there")
        place.until(lambda: self.held("t") == (0, {}), "what was held before exec comes back")

    def test_a_closed_session_is_shown_until_the_process_ends_only_if_it_holds(self):
        process = self.begin(*SOFT, self.client, "open", "charge=5000", "close", "open", "charge=1", "wait")
        pid = int(self.wait_line(process, "waiting"))
        place.until(lambda: self.held("t")[1] == {pid: self.held("t")[0]}, "one entry a process")

    def test_sms_of_the_dead_are_free(self):
        process = self.begin(*SOFT, self.client, "open", "sm=3", "wait")
        self.assertEqual(self.wait_line(process, "sm"), "3 taken")
        self.assertIn("sm 3 busy", self.call("run", "--gpu", "soft", self.client, "open", "sm=3").stdout)
        process.kill()
        os.kill(int(self.wait_line(process, "waiting")), signal.SIGKILL)
        place.until(lambda: not self.ps(), "the tenant ends")
        self.assertIn("sm 3 taken", self.call("run", "--gpu", "soft", self.client, "open", "sm=3").stdout)

    def test_64_at_once(self):
        limit = 64 * 1000
        script = f"for i in $(seq 64); do {self.client} open charge=1000 charge={limit} wait <&3 & done; wait"
        process = self.begin(*SOFT, "--memory", str(limit), "sh", "-c", f"exec 3<&0; {script}")
        for _ in range(64):
            self.wait_line(process, "waiting")
        total, by_pid = self.held("t")
        self.assertEqual((total, len(by_pid), set(by_pid.values())), (limit, 64, {1000}))
        for pid in list(by_pid)[:32]:
            os.kill(pid, signal.SIGKILL)
        place.until(lambda: self.held("t")[0] == limit // 2, "half of it is back")


if __name__ == "__main__":
    place.main()
