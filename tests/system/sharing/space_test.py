"""Shares of the SMs. Breaks when a tenant's kernels run on more SMs than its share, when two halves overlap, when a cooperative grid of
the size that the program is told does not fit or does not end, or when tenants on different SMs wait for each other."""
import json
import signal
import subprocess

import sharing


class SpaceTest(sharing.SharingTest):
    device = "soft"

    def begin(self, tenant, *options):
        words = [str(sharing.BUILD / "weft"), "run", "--gpu", self.device, "--tenant", tenant, *options, "--",
                 str(sharing.BUILD / "tests/system/sharing/sms")]
        run = subprocess.Popen(words, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               start_new_session=True)
        self.runs.append(run)
        return run, self.line(run, "shown")

    def line(self, run, start):
        line = run.stdout.readline().split()
        self.assertEqual(line[:1], [start], run.stderr.read() if not line else line)
        return [int(word) for word in line[1:]]

    def meet(self, run, rounds=3):
        """On which SMs a cooperative grid as large as the program is told ran."""
        seen = set()
        for _ in range(rounds):
            run.stdin.write("\n")
            run.stdin.flush()
            most, *sms = self.line(run, "sms")
            self.assertEqual(most, 8)
            seen.update(sms)
        return seen

    def held(self, tenant):
        tenants = json.loads(self.weft("ps", "--json").stdout)["tenants"]
        return next(entry["devices"][0]["sm_count"] for entry in tenants if entry["name"] == tenant)

    def test_rounding(self):
        for percent, sms in (("50%", 4), ("49", 3), ("13%", 1), ("1%", 1), ("100%", 8)):
            _, shown = self.begin("t" + percent.strip("%"), "--sm", percent)
            self.assertEqual(shown, [sms, sms])
            self.assertEqual(self.held("t" + percent.strip("%")), sms)

    def test_two_halves(self):
        one, shown = self.begin("one", "--sm", "50%")
        other, other_shown = self.begin("other", "--sm", "50%", "--weight", "10000")
        self.assertEqual((shown, other_shown), ([4, 4], [4, 4]))
        sms, other_sms = self.meet(one), self.meet(other)
        self.assertLessEqual(sms, {0, 1, 2, 3})
        self.assertLessEqual(other_sms, {4, 5, 6, 7})
        self.end(one)
        sharing.until(lambda: "one" not in self.used(), "the tenant ends")
        third, _ = self.begin("third", "--sm", "25%")
        self.assertLessEqual(self.meet(third), {0, 1})

    def test_processes_of_a_tenant_have_one_share(self):
        one, _ = self.begin("one", "--sm", "1%")
        other, shown = self.begin("one")
        self.assertEqual(shown, [1, 1])
        self.assertEqual(self.meet(one) | self.meet(other), {0})

    def test_set_is_live(self):
        run, shown = self.begin("one")
        self.assertEqual(shown, [8, 8])
        self.meet(run)
        changed = self.weft("set", "one", "--sm", "12.5%")
        self.assertEqual(changed.returncode, 2)
        changed = self.weft("set", "one", "--sm", "13%")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertIn("from now on", changed.stderr)
        self.assertEqual(self.held("one"), 1)
        # A grid of the size that it was told still fits, and all of its blocks still meet.
        self.assertEqual(len(self.meet(run)), 1)
        self.assertEqual(self.begin("one")[1], [1, 1])
        self.assertEqual(self.weft("set", "one", "--sm", "100%").returncode, 0)
        self.assertEqual(self.begin("one")[1], [8, 8])

    def test_a_part_survives_a_restart(self):
        one, _ = self.begin("one", "--sm", "50%")
        other, _ = self.begin("other", "--sm", "50%")
        lock = next(self.tmp.glob("**/weftd.lock"))
        pid = int(lock.read_text())
        sharing.os.kill(pid, signal.SIGKILL)
        sharing.until(lambda: not sharing.pathlib.Path(f"/proc/{pid}/fd/0").exists(), "weftd is gone")
        third, shown = self.begin("third", "--sm", "50%")
        self.assertEqual(shown, [4, 4])
        self.assertEqual((self.held("one"), self.held("other")), (4, 4))
        self.assertLessEqual(self.meet(one), {0, 1, 2, 3})
        self.assertLessEqual(self.meet(other), {4, 5, 6, 7})

    def test_different_sms_do_not_wait_for_each_other(self):
        self.device = "soft=slow"
        self.start("light", sharing.MIDDLE, "--weight", "1", "--sm", "50%")
        self.start("heavy", sharing.MIDDLE, "--weight", "10000", "--sm", "50%")
        self.await_all("light", "heavy")
        shares, _ = self.window(0.3)
        # By weights it would be a ten-thousandth; what is left is how the host shares its processors.
        self.assertGreater(shares["light"], 0.05)
        self.assertGreater(shares["heavy"], 0.05)

    def test_a_cap_holds_beside_another_half(self):
        self.device = "soft=slow"
        self.start("capped", sharing.SHORT, "--compute", "10%", "--sm", "50%")
        self.start("free", sharing.SHORT, "--sm", "50%")
        self.await_all("capped", "free")
        shares, _ = self.window(0.5)
        self.assertLessEqual(shares["capped"], 0.10 + 0.02 + 0.01)

    def test_classes_on_the_same_sms_hold(self):
        self.device = "soft=slow"
        self.start("first", sharing.SHORT, "--priority", "high", "--sm", "50%")
        self.start("all", sharing.SHORT, "--priority", "low")
        self.await_all("first", "all")
        shares, _ = self.window(0.5)
        self.assertGreater(shares["first"], 0.9)


sharing.main()
