"""Shares by weight. Breaks when a tenant with work waiting gets more or less than its weight says, whatever the lengths of its
kernels and the number of its processes; when the device stands still meanwhile; or when who is alone does not get all of it."""
from sharing import LONG, MIDDLE, SHORT, SharingTest, main


class WeightsTest(SharingTest):
    def check(self, light, heavy, weights, processes):
        for _ in range(processes[0]):
            self.start("light", light, "--weight", str(weights[0]))
        for _ in range(processes[1]):
            self.start("heavy", heavy, "--weight", str(weights[1]))
        self.await_all("light", "heavy")
        shares, idle = self.usual()
        self.assertAlmostEqual(shares["heavy"], weights[1] / sum(weights), delta=0.02, msg=(shares, idle))
        self.assertAlmostEqual(shares["light"], weights[0] / sum(weights), delta=0.02, msg=(shares, idle))
        self.assertLessEqual(idle, 0.01)

    def test_1_to_3(self):
        self.check(MIDDLE, MIDDLE, (100, 300), (1, 1))

    def test_1_to_9(self):
        self.check(SHORT, SHORT, (100, 900), (1, 1))

    def test_long_beside_short(self):
        self.check(LONG, SHORT, (100, 900), (1, 1))

    def test_many_processes_do_not_get_more(self):
        self.check(SHORT, LONG, (100, 300), (4, 1))

    def test_four_processes_each(self):
        self.check(LONG, MIDDLE, (1, 9), (4, 4))

    def test_alone(self):
        self.start("alone", MIDDLE, "--weight", "1")
        self.await_all("alone")
        shares, idle = self.window()
        self.assertEqual((shares["alone"], idle), (1, 0))


main()
