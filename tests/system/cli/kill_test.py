"""200 kill -9 at random moments, of programs, runs and parents whose children live on: what ps shows is what the living hold, to the
byte, and in the end nothing is left. Suite `long`."""
import os
import random
import signal

import place

KILLS = 200
AT_ONCE = 6
LIMIT = 1 << 20


class KillTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(1)
        # The search for leaks at an exit runs in a child; killed, it would leave its parent waiting for ever.
        self.env["ASAN_OPTIONS"] += ":detect_leaks=0"
        self.keeper = self.begin("run", "--gpu", "soft", "--tenant", "t", "--memory", str(LIMIT), self.client, "open", "charge=512",
                                 "wait")
        self.wait_line(self.keeper, "waiting")

    def start(self):
        charges = [f"charge={self.random.randrange(1, 2000)}" for _ in range(self.random.randrange(1, 60))]
        orphan = ["orphan"] if self.random.random() < 0.2 else []
        return self.begin("run", "--tenant", "t", self.client, "open", *charges, *orphan, "wait")

    def kill_one(self, process):
        """Kills the run or, where it has come so far, its program."""
        children = children_of(process.pid)
        target = self.random.choice([process.pid, *children])
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def agrees(self):
        total, by_pid = self.held("t")
        self.assertLessEqual(total, LIMIT)
        return total == sum(by_pid.values())

    def check(self):
        # Those that live charge on while ps reads; what a death has left behind would stay.
        place.until(self.agrees, "the total is what the living hold")

    def test_nothing_is_left(self):
        living = []
        for _ in range(KILLS):
            while len(living) < AT_ONCE:
                living.append(self.start())
            victim = living.pop(self.random.randrange(len(living)))
            if self.random.random() < 0.5:
                self.wait_line(victim, "waiting")
            self.kill_one(victim)
            victim.stdin.close()  # what lives on without its run ends, too
            if self.random.random() < 0.3:
                self.check()
        for process in living:
            self.kill_one(process)
            process.stdin.close()
        place.until(lambda: set(self.held("t")[1].values()) == {512}, "all but the keeper are gone")
        self.assertEqual(self.held("t")[0], 512)
        self.go_on(self.keeper)
        self.keeper.wait(place.PATIENCE_S)
        place.until(lambda: not self.ps(), "the tenant ends")
        self.assertEqual(list((self.dir / "tenants").iterdir()), [])
        daemon_files = len(os.listdir(f"/proc/{self.daemon_pid()}/fd"))
        self.assertLess(daemon_files, 32, "descriptors do not pile up")


def children_of(pid):
    """Pids of a process' children."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    place.main()
