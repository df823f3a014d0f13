"""Caps. Breaks when a tenant uses more of a second of device time than its cap and 10 ms, alone or beside others, in one launch or
many; when it gets less than its cap although nobody else wants the device; or when a changed cap does not hold."""
from sharing import LONG, MIDDLE, SHORT, SharingTest, main, until

SLACK = 0.012  # of a window of a second: the 10 ms, and what `weft ps` saw late


class CapsTest(SharingTest):
    def check(self, tenant, cap):
        windows = [self.window()[0][tenant] for _ in range(3)]
        self.assertLessEqual(max(windows), cap + SLACK, windows)
        self.assertGreaterEqual(sorted(windows)[1], cap - SLACK, windows)

    def test_alone(self):
        for cap in (30, 70):
            with self.subTest(cap=cap):
                run = self.start(f"cap{cap}", MIDDLE, "--compute", f"{cap}%")
                self.await_all(f"cap{cap}")
                self.check(f"cap{cap}", cap / 100)
                self.end(run)
                until(lambda: not self.used(), "the tenant ends")

    def test_together(self):
        self.start("low", SHORT, "--compute", "30%")
        self.start("high", LONG, "--compute", "60%", "--weight", "10")
        self.await_all("low", "high")
        self.check("low", 0.3)
        self.check("high", 0.6)

    def test_the_others_get_what_is_left(self):
        self.start("capped", MIDDLE, "--compute", "30%", "--weight", "900")
        self.start("free", MIDDLE)
        self.await_all("capped", "free")
        self.check("capped", 0.3)
        _, idle = self.usual()
        self.assertEqual(idle, 0)

    def test_four_processes_have_one_cap(self):
        for _ in range(4):
            self.start("four", SHORT, "--compute", "30%")
        self.await_all("four")
        self.check("four", 0.3)

    def test_one_launch_of_2_seconds(self):
        run = self.start("one", 2_000_000, "--compute", "30%", count=1)
        self.await_all("one")
        self.check("one", 0.3)
        self.assertEqual(run.communicate(timeout=200)[0], "done\n")

    def test_a_change_holds(self):
        self.start("changed", MIDDLE, "--compute", "70%")
        self.await_all("changed")
        self.check("changed", 0.7)
        result = self.weft("set", "changed", "--compute", "30%")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check("changed", 0.3)
        self.assertEqual(self.weft("set", "changed", "--compute", "100%").returncode, 0)
        shares, idle = self.usual()
        self.assertAlmostEqual(shares["changed"], 1, delta=SLACK, msg=(shares, idle))


main()
