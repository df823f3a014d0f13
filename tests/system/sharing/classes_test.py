"""Classes. Breaks when a class is not served before those under it, when these lose their 2 %, or when `weft set` does not move a
tenant that runs."""
from sharing import LONG, MIDDLE, SharingTest, main


class ClassesTest(SharingTest):
    def test_the_upper_one_first_and_the_floor(self):
        self.start("critical", MIDDLE, "--priority", "critical", "--weight", "1")
        self.start("normal", LONG, "--weight", "10000")
        self.start("idle", MIDDLE, "--priority", "idle", "--weight", "10000")
        self.await_all("critical", "normal")
        shares, idle = self.usual()
        self.assertAlmostEqual(shares["critical"], 0.98, delta=0.01, msg=(shares, idle))
        self.assertAlmostEqual(shares["normal"] + shares["idle"], 0.02, delta=0.01, msg=(shares, idle))
        self.assertGreater(shares["normal"], 10 * shares["idle"])
        self.assertEqual(idle, 0)

    def test_a_change_holds(self):
        self.start("a", MIDDLE)
        self.start("b", MIDDLE)
        self.await_all("a", "b")
        self.assertAlmostEqual(self.usual()[0]["a"], 0.5, delta=0.02)
        self.assertEqual(self.weft("set", "a", "--priority", "low").returncode, 0)
        self.assertAlmostEqual(self.usual()[0]["a"], 0.02, delta=0.01)
        self.assertEqual(self.weft("set", "a", "--priority", "normal", "--weight", "300").returncode, 0)
        self.assertAlmostEqual(self.usual()[0]["a"], 0.75, delta=0.02)


main()
