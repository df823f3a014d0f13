"""kill_test.py BUILD [KILLS]: what `weft ps --json` tells after kill -9, to the byte. Breaks when a dead process leaves a byte behind, or
takes one of a living process along: of a parent's child, of another process of the tenant, or of another tenant.
"""
import os
import pathlib
import random
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import place

KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 10
FAMILY = 10
CHURNERS = 8
LIMIT = 300 << 20


class KillTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.install_libraries()
        self.holders = str(place.BUILD / "tests" / "system" / "quota" / "holders")

    def family(self, tenant):
        """Ten processes that hold memory: {pid: bytes} as they tell it, and {pid: parent}."""
        run = self.begin("run", "--gpu", "soft", "--memory", LIMIT, "--tenant", tenant, self.holders)
        held, parents = {}, {}
        for _ in range(FAMILY):
            pid, parent, bytes_held = map(int, self.wait_line(run, "held ").split())
            held[pid], parents[pid] = bytes_held, parent
        return run, held, parents

    def expect(self, tenant, held):
        """The dead are known to be dead when ps no longer names them; whatever it says then must be exact."""
        place.until(lambda: set(self.held(tenant)[1]) == set(held), "ps names the living")
        self.assertEqual(self.held(tenant), (sum(held.values()), held))

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        place.until(lambda: not place.alive(pid), f"{pid} dies")

    def test_family_loses_some(self):
        run, held, parents = self.family("a")
        neighbours = self.family("b")[1]
        self.assertEqual(len(set(held.values())), FAMILY)
        self.expect("a", held)
        orphaned = next(pid for pid in held if pid in parents.values())
        child = next(pid for pid, parent in parents.items() if parent == orphaned)
        others = [pid for pid in held if pid not in (orphaned, child)]
        for victim in (orphaned, *others[:2]):
            self.kill(victim)
            del held[victim]
            self.expect("a", held)
        self.assertIn(child, held)
        self.expect("b", neighbours)
        for victim in list(held):
            self.kill(victim)
            del held[victim]
            self.expect("a", held)
        self.expect("b", neighbours)

    def free_bytes(self):
        run = self.call("run", "--gpu", "soft", "--tenant", "onlooker", self.holders, "free")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        return int(run.stdout)

    def test_random_kills_leave_nothing(self):
        before = self.free_bytes()
        run = self.begin("run", "--gpu", "soft", "--memory", LIMIT, "--tenant", "t", self.holders, "churn", CHURNERS)
        dice = random.Random(1)
        for _ in range(KILLS):
            processes = place.until(lambda: self.held("t")[1] if "t" in self.ps() else None, "somebody uses the GPU")
            self.assertLessEqual(self.held("t")[0], LIMIT)
            victim = dice.choice(sorted(processes))
            if place.alive(victim):
                self.kill(victim)
        self.go_on(run)
        self.wait_line(run, "stopped")
        self.expect("t", {})
        self.assertEqual(self.free_bytes(), before)
        run.stdin.close()
        self.assertEqual(run.wait(place.PATIENCE_S), 0)


if __name__ == "__main__":
    place.main()
