"""Processes that are killed or stopped while tenants take turns. Breaks when anybody waits for one that is gone, when what it used is
forgotten, or when shares are not what they were afterwards."""
import os
import random
import signal
import subprocess

from sharing import MIDDLE, SHORT, SharingTest, main, until

KILLS = 30


class DeathTest(SharingTest):
    def program(self, run):
        """The program's own pid, not that of its `weft run`."""
        def find():
            return subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True).stdout.split()
        return int(until(find, "the program starts")[0])

    def check_shares(self):
        shares, idle = self.usual()
        self.assertAlmostEqual(shares["light"], 0.25, delta=0.02, msg=(shares, idle))
        self.assertAlmostEqual(shares["heavy"], 0.75, delta=0.02, msg=(shares, idle))
        self.assertLessEqual(idle, 0.01)

    def test_kill_at_any_instruction(self):
        draw = random.Random(5)
        self.start("light", SHORT, "--weight", "100")
        self.start("heavy", MIDDLE, "--weight", "300")
        self.await_all("light", "heavy")
        for _ in range(KILLS):
            tenant = draw.choice(("light", "heavy"))
            victim = self.start(tenant, draw.choice((SHORT, MIDDLE)))
            pid = self.program(victim)
            before = self.clock()
            until(lambda: self.clock() > before + draw.random() * 0.05, "the device goes on")
            used = self.used()
            os.kill(pid, signal.SIGKILL)
            victim.wait()
            for name, time_s in self.used().items():
                self.assertGreaterEqual(time_s, used[name])
        self.check_shares()

    def test_who_is_stopped_holds_nobody_up(self):
        self.start("light", SHORT, "--weight", "100")
        heavy = self.start("heavy", MIDDLE, "--weight", "300")
        self.await_all("light", "heavy")
        pid = self.program(heavy)
        for _ in range(3):
            os.kill(pid, signal.SIGSTOP)
            shares, _ = self.window()
            self.assertGreater(shares["light"], 0.95)
            os.kill(pid, signal.SIGCONT)
            self.await_all("heavy")
            self.check_shares()


main()
