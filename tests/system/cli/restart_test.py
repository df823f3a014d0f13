"""weftd dies, or is stopped, and comes back. Breaks when a restart loses a tenant or a charge, counts one twice, or lets a program go on
under limits that nobody can change any more."""
import os
import random
import signal
import socket
import subprocess

import place

SOFT = ("run", "--gpu", "soft")
MIB = 1 << 20


class RestartTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.daemon = None

    def kill_daemon(self, how=signal.SIGKILL):
        pid = self.daemon_pid()
        os.kill(pid, how)
        if self.daemon:
            self.daemon.wait(place.PATIENCE_S)
        place.until(lambda: not place.alive(pid), "weftd is gone")

    def start_daemon(self):
        self.daemon = subprocess.Popen([self.weftd, "--socket", str(self.dir)], env=self.env, stderr=subprocess.DEVNULL)
        self.started.append(self.daemon)
        place.until(self.is_served, "weftd is back")

    def is_served(self):
        # The file of a killed daemon's socket is still there, and nobody listens at it.
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.dir / "weftd.sock")) == 0

    def restart(self, how=signal.SIGKILL):
        self.kill_daemon(how)
        self.start_daemon()

    def hold(self, charge=1000, *steps):
        process = self.begin(*SOFT, "--tenant", "alice", "--memory", "1M", self.client, "open", f"charge={charge}", "wait", *steps)
        return process, int(self.wait_line(process, "waiting"))

    def test_killed_and_stopped(self):
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            process, pid = self.hold(1000, "limit", f"charge={MIB - 2000}", "charge=1", "wait")
            self.restart(how)
            self.assertEqual(self.held("alice"), (1000, {pid: 1000}))
            self.assertEqual(self.ps()["alice"]["devices"][0]["memory_limit_bytes"], MIB)
            self.assertEqual(self.call("set", "alice", "--memory", str(MIB - 1000)).returncode, 0)
            self.go_on(process)
            self.assertEqual(self.wait_line(process, "limit"), str(MIB - 1000), "the program sees what is set after the restart")
            self.assertEqual(self.wait_line(process, "charge"), "1000: ok")
            self.assertEqual(self.wait_line(process, "charge"), f"{MIB - 2000}: ok")
            self.assertEqual(self.wait_line(process, "charge"), "1: refused")
            self.assertEqual(self.held("alice"), (MIB - 1000, {pid: MIB - 1000}))
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(process.wait(place.PATIENCE_S), 128 + signal.SIGKILL)
            place.until(lambda: not self.ps(), "the tenant ends with its last process")
            self.assertEqual(list((self.dir / "state").iterdir()), [])

    def test_a_second_program_joins_under_one_limit(self):
        self.hold(1000)
        self.restart()
        result = self.call("run", "--tenant", "alice", self.client, "open", "limit", f"charge={MIB - 1000}", "charge=1")
        self.assertIn(f"limit {MIB}\ncharge {MIB - 1000}: ok\ncharge 1: refused\n", result.stdout)

    def test_deaths_while_it_is_away(self):
        first, pid = self.hold(1000)
        second = self.begin("run", "--tenant", "alice", self.client, "open", "charge=500", "sm=3", "wait")
        other = int(self.wait_line(second, "waiting"))
        self.assertEqual(self.wait_line(second, "sm"), "3 taken")
        self.kill_daemon()
        second.kill()
        os.kill(other, signal.SIGKILL)
        place.until(lambda: not place.alive(other), "it is gone")
        self.start_daemon()
        self.assertEqual(self.held("alice"), (1000, {pid: 1000}))
        self.assertIn("sm 3 taken", self.call("run", "--tenant", "alice", self.client, "open", "sm=3").stdout)

    def test_all_die_while_it_is_away(self):
        process, pid = self.hold(1000)
        self.kill_daemon()
        process.kill()
        os.kill(pid, signal.SIGKILL)
        place.until(lambda: not place.alive(pid), "it is gone")
        self.start_daemon()
        place.until(lambda: not self.ps(), "nobody is left")
        self.assertEqual(list((self.dir / "state").iterdir()), [])
        self.assertEqual(self.call(*SOFT, "--tenant", "alice", self.client, "open", "charge=7").returncode, 0)

    def test_another_program_in_the_same_process(self):
        process = self.begin(*SOFT, "--tenant", "alice", self.client, "open", "charge=9", "wait", "exec=echo there; cat")
        self.wait_line(process, "waiting")
        self.kill_daemon()
        self.go_on(process)
        self.wait_line(process, "there")
        self.start_daemon()
        place.until(lambda: self.held("alice") == (0, {}), "what was held before exec comes back")

    def test_a_program_that_opens_after_the_restart(self):
        process = self.begin(*SOFT, "--tenant", "alice", "--memory", "1M", self.client, "wait", "open", "limit", "wait")
        self.wait_line(process, "waiting")
        self.restart()
        self.go_on(process)
        self.assertEqual(self.wait_line(process, "open"), "alice devices 1")
        self.assertEqual(self.wait_line(process, "limit"), str(MIB))

    def test_a_program_that_closed_all_its_descriptors_keeps_its_lease(self):
        process = self.begin(*SOFT, "--tenant", "alice", "--memory", "1M", self.client, "open", "charge=5", "closefrom", "wait",
                             "charge=7", "wait")
        pid = int(self.wait_line(process, "waiting"))
        self.restart()
        self.assertIn("alice", self.ps())
        self.go_on(process)
        self.wait_line(process, "waiting")
        self.assertTrue(place.alive(pid))

    def test_several_devices_and_tenants(self):
        first = self.begin("run", "--gpu", "soft=t4,soft=smallx2", "--tenant", "a", self.client, "open", "charge=5", "wait")
        self.wait_line(first, "waiting")
        second = self.begin(*SOFT, "--tenant", "b", self.client, "open", "charge=6", "touch=1048576", "wait", "drained")
        self.wait_line(second, "waiting")
        before = self.ps()
        self.restart()
        after = self.ps()
        self.assertEqual(after, before)
        self.assertEqual(list(after), list(before), "in the same order")

    def test_records_of_other_versions_and_rubbish_are_not_in_the_way(self):
        process, pid = self.hold()
        self.kill_daemon()
        state = self.dir / "state"
        (state / "short.tenant").write_bytes(b"weft")
        size = (state / "alice.tenant").stat().st_size
        (state / "zero.tenant").write_bytes(bytes(size))
        (state / "noise.tenant").write_bytes(random.Random(1).randbytes(size))
        (state / "other.tenant").write_bytes((state / "alice.tenant").read_bytes())
        (state / "link.tenant").symlink_to(state / "alice.tenant")
        self.start_daemon()
        self.assertEqual(self.held("alice"), (1000, {pid: 1000}))
        self.assertEqual([path.name for path in state.iterdir()], ["alice.tenant"])

    def test_under_load(self):
        """Programs charge and give way to each other while weftd is killed again and again."""
        chance = random.Random(2)
        keeper, pid = self.hold(512)
        living = []
        for turn in range(12):
            while len(living) < 4:
                charges = [f"charge={chance.randrange(1, 2000)}" for _ in range(30)]
                living.append(self.begin("run", "--tenant", "alice", self.client, "open", *charges, "wait"))
                self.wait_line(living[-1], "open")  # a run that finds no weftd would start one
            if turn % 2:
                self.wait_line(living[-1], "waiting")
            self.kill_daemon(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            victim = living.pop(chance.randrange(len(living)))
            victim.kill()
            victim.stdin.close()
            self.start_daemon()
            place.until(self.agrees, "the total is what the living hold")
        for process in living:
            process.stdin.close()
            process.wait(place.PATIENCE_S)
        place.until(lambda: self.held("alice")[0] == 512, "all but the keeper are gone")
        self.go_on(keeper)
        self.assertEqual(keeper.wait(place.PATIENCE_S), 0)
        place.until(lambda: not self.ps(), "the tenant ends")
        self.assertEqual(list((self.dir / "state").iterdir()), [])
        self.assertLess(len(os.listdir(f"/proc/{self.daemon_pid()}/fd")), 32, "descriptors do not pile up")

    def agrees(self):
        total, by_pid = self.held("alice")
        self.assertLessEqual(total, MIB)
        return total == sum(by_pid.values())


if __name__ == "__main__":
    place.main()
