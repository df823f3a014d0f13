"""Memory pressure. Breaks when a level is not told, when growth above a guarantee goes on at 85 % while another tenant has one, when
somebody without such a neighbour is restricted, or when the class idle runs at 95 % beside another class, or never again after it."""
import json
import subprocess

from sharing import BUILD, SharingTest, main, until

MIB = 1 << 20
DEVICE = 256 * MIB  # the profile `slow`


class PressureTest(SharingTest):
    def hold(self, tenant, *steps, memory=None):
        """A process of the tenant that charges its memory and uses no time."""
        words = [str(BUILD / "weft"), "run", "--gpu", self.device, "--tenant", tenant, *(["--memory", memory] if memory else []), "--",
                 str(BUILD / "tests/system/cli/cli_client"), "open", *steps]
        run = subprocess.Popen(words, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
        self.runs.append(run)
        return run

    def answer(self, run):
        for line in run.stdout:
            if line.startswith("charge "):
                return line.strip().split(": ")[1]
        raise AssertionError(f"no answer; stderr: {run.stderr.read()}")

    def go_on(self, run):
        run.stdin.write("\n")
        run.stdin.flush()

    def device_entry(self):
        return json.loads(self.weft("ls", "--json").stdout)["devices"][0]

    def stopped(self, tenant):
        tenants = json.loads(self.weft("ps", "--json").stdout)["tenants"]
        return next(entry for entry in tenants if entry["name"] == tenant)["devices"][0]["stopped"]

    def test_levels_are_told(self):
        run = self.hold("alice", *(step for size in (120, 8, 64, 32, 20) for step in ("wait", f"charge={size * MIB}")), "wait")
        for percent in (0, 50, 75, 85, 95):
            self.go_on(run)
            self.assertEqual(self.answer(run), "ok", "who has no neighbour with a guarantee is never restricted")
            entry = self.device_entry()
            self.assertEqual(entry["pressure_percent"], percent)
        self.assertEqual(entry["memory_used_bytes"], 244 * MIB)
        self.assertIn(" 95% ", self.weft("ls").stdout)
        log = next(self.tmp.glob("*/weftd.log")).read_text()
        for words in ("three quarters", "nobody grows above", "the class idle waits"):
            self.assertIn(words, log)
        self.end(run)
        until(lambda: self.device_entry()["pressure_percent"] == 0, "the level falls with what is held")

    def test_growth_is_restricted_for_guarantees_only(self):
        alice = self.hold("alice", "charge=1", "wait", f"charge={16 * MIB - 1}", "charge=1", "wait", memory=f"{16 * MIB}:{DEVICE}")
        self.assertEqual(self.answer(alice), "ok", "she is there, and her guarantee, before bob grows")
        bob = self.hold("bob", f"charge={216 * MIB}", "wait", f"charge={4 * MIB}", "wait", "charge=1", "wait")
        self.assertEqual(self.answer(bob), "ok")
        self.go_on(bob)
        self.assertEqual(self.answer(bob), "refused", "216 MiB and 4 are more than 85 % of 256")
        self.go_on(alice)
        self.assertEqual(self.answer(alice), "ok", "her own")
        self.assertEqual(self.answer(alice), "ok", "nobody else has a guarantee")
        self.assertEqual(self.weft("set", "alice", "--memory", f"0:{DEVICE}").returncode, 0)
        self.go_on(bob)
        self.assertEqual(self.answer(bob), "ok")

    def test_idle_class_waits(self):
        self.start("batch", 400, "--priority", "idle")
        self.await_all("batch")
        full = self.hold("serve", f"charge={244 * MIB}", "wait")
        self.assertEqual(self.answer(full), "ok")
        until(lambda: self.stopped("batch"), "batch is stopped")
        self.assertIn("stopped", self.weft("ps").stdout)
        # What was on the device when it was stopped has ended before the first of these has.
        self.start("serve", 400, count=200).communicate()
        before = self.used()
        self.start("serve", 400, count=500).communicate()
        after = self.used()
        self.assertGreater(after["serve"] - before["serve"], 0.15)
        self.assertEqual(after["batch"], before["batch"])
        self.end(full)
        until(lambda: not self.stopped("batch"), "nobody is there that it would wait for")
        self.await_all("batch")


if __name__ == "__main__":
    main()
