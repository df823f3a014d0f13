"""Native memory as the vendor's library tells of it, beside the ledgers. Breaks when what the driver takes for a process is charged to
nobody, stays charged, or is charged where nobody knows it, and when memory that other programs use counts as there."""
import json
import os
import signal

import place

MIB = 1 << 20
GIB = 1 << 30


class ReconcileTest(place.PlaceTest):
    library = "libfake_nvml.so"

    def setUp(self):
        super().setUp()
        self.state = self.root / "cards"
        self.env["WEFT_NATIVE_LIBNVML"] = str(place.BUILD / "tests" / "system" / "cli" / self.library)
        self.env["FAKE_NVML"] = str(self.state)

    def tell(self, *lines):
        fresh = self.root / "cards.new"
        fresh.write_text("".join(f"{line}\n" for line in lines))
        fresh.rename(self.state)

    def hold(self, tenant, *words, options=()):
        process = self.begin("run", "--gpu", "0", "--tenant", tenant, *options, self.client, "open", *words, "wait")
        return process, int(self.wait_line(process, "waiting"))

    def device(self, tenant="t"):
        return self.ps()[tenant]["devices"][0]

    def of_processes(self, tenant="t"):
        return {process["pid"]: process["devices"][0]["memory_driver_bytes"] for process in self.ps()[tenant]["processes"]}

    def outside(self):
        return [device["memory_outside_bytes"] for device in json.loads(self.call("ls", "--json").stdout)["devices"]]

    def until_used(self, expected, tenant="t"):
        place.until(lambda: self.device(tenant)["memory_used_bytes"] == expected, f"{tenant} holds {expected}")

    def log(self):
        return (self.dir / "weftd.log").read_text()

    def test_what_the_driver_takes_is_charged_and_comes_back(self):
        first, one = self.hold("t", f"charge={100 * MIB}")
        second, two = self.hold("t", f"charge={50 * MIB}")
        self.assertEqual(self.of_processes(), {one: None, two: None})
        self.tell(f"used 0 {1000 * MIB}", f"process 0 {one} {400 * MIB}", f"process 0 {two} {60 * MIB}")
        self.until_used(460 * MIB)
        self.assertEqual(self.device()["memory_driver_bytes"], 310 * MIB)
        self.assertEqual(self.of_processes(), {one: 300 * MIB, two: 10 * MIB})
        self.assertEqual(self.held("t")[1], {one: 100 * MIB, two: 50 * MIB})
        place.until(lambda: self.outside() == [540 * MIB, 0], "the rest is used outside")
        self.assertIn("300.0 MiB", self.call("ps").stdout)
        self.assertIn("540.0 MiB", self.call("ls").stdout)
        # Its context has ended, and what it asked for is still there.
        self.tell(f"used 0 {700 * MIB}", f"process 0 {one} {100 * MIB}", f"process 0 {two} {60 * MIB}")
        self.until_used(160 * MIB)
        # Dead, and all of it is back at once.
        os.kill(two, signal.SIGKILL)
        second.wait()
        self.assertEqual(self.held("t"), (100 * MIB, {one: 100 * MIB}))
        self.assertEqual(self.device()["memory_driver_bytes"], 0)

    def test_it_counts_against_the_limit(self):
        _, pid = self.hold("t", options=("--memory", "512M"))
        self.tell(f"used 0 {300 * MIB}", f"process 0 {pid} {300 * MIB}")
        self.until_used(300 * MIB)
        join = ("run", "--tenant", "t", self.client, "open")
        allowed, refused = (self.call(*join, f"charge={212 * MIB + more}").stdout for more in (0, 1))
        self.assertIn(": ok", allowed)
        self.assertIn(": refused", refused)

    def test_what_nobody_knows_is_charged_to_nobody(self):
        _, pid = self.hold("t", f"charge={100 * MIB}")
        self.tell(f"used 0 {900 * MIB}", f"process 0 {pid} -1", f"process 0 1 {200 * MIB}")
        place.until(lambda: self.outside() == [800 * MIB, 0], "all but what was asked for is outside")
        self.assertEqual(self.held("t"), (100 * MIB, {pid: 100 * MIB}))
        self.assertEqual(self.of_processes(), {pid: None})
        self.assertIn("?", self.call("ps").stdout)

    def test_a_new_weftd_charges_once(self):
        _, pid = self.hold("t", f"charge={100 * MIB}")
        self.tell(f"used 0 {500 * MIB}", f"process 0 {pid} {400 * MIB}")
        self.until_used(400 * MIB)
        before = self.daemon_pid()
        os.kill(before, signal.SIGKILL)
        place.until(lambda: not place.alive(before), "weftd is gone")
        self.assertEqual(self.call("run", "--gpu", "1", "true").returncode, 0)
        place.until(lambda: self.of_processes() == {pid: 300 * MIB}, "the new one has looked")
        self.assertEqual(self.device()["memory_used_bytes"], 400 * MIB)
        self.tell(f"used 0 {100 * MIB}", f"process 0 {pid} {100 * MIB}")
        self.until_used(100 * MIB)

    def test_guarantees_are_of_what_others_leave(self):
        self.tell(f"used 0 {6 * GIB}")
        _, pid = self.hold("t")
        place.until(lambda: self.outside() == [6 * GIB, 0], "others use 6 GiB")
        refused = self.call("set", "t", "--memory", "3G:4G")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("all but 2.0 GiB", refused.stderr)
        self.assertEqual(self.call("set", "t", "--memory", "2G:4G").returncode, 0)
        place.until(lambda: "6.0 GiB of its memory are used outside of weft" in self.log(), "it is told")
        told = self.log().count("used outside of weft")
        self.tell(f"used 0 {6 * GIB + 200 * MIB}", f"process 0 {pid} 0")
        place.until(lambda: self.outside() == [6 * GIB + 200 * MIB, 0], "a little more")
        self.assertEqual(self.log().count("used outside of weft"), told)

    def test_placement_leaves_room_for_others(self):
        self.call("run", "--gpu", "0", "true")
        place.until(lambda: self.outside() == [0, 0], "nobody uses the cards")
        self.tell(f"used 0 {7 * GIB}", f"used 1 {15 * GIB}")
        place.until(lambda: self.outside() == [7 * GIB, 15 * GIB], "others use them")
        refused = self.call("run", "--gpus", "1", "--memory", "2G", "true")
        self.assertEqual(refused.returncode, 125)
        self.assertIn("GPU 0 (Made-up card 0) has 1.0 GiB of 8.0 GiB left beside 0 tenants and 7.0 GiB used outside of weft", refused.stderr)
        self.tell(f"used 0 {7 * GIB}", f"used 1 {13 * GIB}")
        shown = self.call("run", "--gpus", "1", "--memory", "2G", self.client, "open", "devices")
        self.assertIn("device 0 kind 1 index 1 ", shown.stdout)


class OldReconcileTest(ReconcileTest):
    """The same with the first version of the library's list."""
    library = "libfake_nvml_old.so"


class BareTest(ReconcileTest):
    """A library that knows of no processes: what it tells of the device still counts."""
    library = "libfake_nvml_bare.so"

    def test_what_the_driver_takes_is_charged_and_comes_back(self):
        _, pid = self.hold("t", f"charge={100 * MIB}")
        self.tell(f"used 0 {500 * MIB}", f"process 0 {pid} {400 * MIB}")
        place.until(lambda: self.outside() == [400 * MIB, 0], "all but what was asked for is outside")
        self.assertEqual(self.held("t"), (100 * MIB, {pid: 100 * MIB}))
        self.assertEqual(self.of_processes(), {pid: None})

    test_it_counts_against_the_limit = test_a_new_weftd_charges_once = None


if __name__ == "__main__":
    place.main()
