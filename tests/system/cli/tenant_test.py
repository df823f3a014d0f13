"""Who is a tenant, who may join and change it, and how long it lives. Breaks when limits can be escaped or outlive their tenant."""
import os
import signal
import subprocess
import unittest

import place

SOFT = ("run", "--gpu", "soft")
MIB = 1 << 20


class TenantTest(place.PlaceTest):
    def open_tenant(self, *options):
        process = self.begin(*SOFT, *options, "--tenant", "alice", "--memory", "64M", self.client, "open", "charge=1000", "wait")
        return process, int(self.wait_line(process, "waiting"))

    def test_name_is_run_and_pid_by_default(self):
        process = self.begin(*SOFT, self.client, "open", "wait")
        self.assertEqual(self.wait_line(process, "open"), f"run-{process.pid} devices 1")

    def test_a_second_run_joins_under_the_same_limit(self):
        first, pid = self.open_tenant()
        for words in (["--memory", "64M"], ["--memory", "65536K"], []):
            result = self.call(*SOFT, "--tenant", "alice", *words, self.client, "open", "limit", f"charge={64 * MIB - 1000}",
                               "charge=1")
            self.assertIn(f"limit {64 * MIB}\n", result.stdout)
            self.assertIn(f"charge {64 * MIB - 1000}: ok\ncharge 1: refused\n", result.stdout)
        self.assertEqual(self.call("run", "--tenant", "alice", "true").returncode, 0)

    def test_other_limits_are_refused_and_point_to_set(self):
        first, pid = self.open_tenant()
        result = self.call(*SOFT, "--tenant", "alice", "--memory", "65M", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("weft set alice --memory", result.stderr)
        result = self.call("run", "--gpu", "soft=t4", "--tenant", "alice", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("other devices", result.stderr)

    def test_set_is_live(self):
        process = self.begin(*SOFT, "--tenant", "alice", "--memory", "64M", self.client, "open", "wait", "limit", "charge=5000",
                             "wait", "charge=1")
        self.wait_line(process, "waiting")
        self.assertEqual(self.call("set", "alice", "--memory", "5000").returncode, 0)
        self.go_on(process)
        self.assertEqual(self.wait_line(process, "limit"), "5000")
        self.assertEqual(self.wait_line(process, "charge"), "5000: ok")
        self.wait_line(process, "waiting")
        self.assertEqual(self.ps()["alice"]["devices"][0]["memory_limit_bytes"], 5000)
        result = self.call("set", "--memory", "4K", "alice")
        self.assertEqual(result.returncode, 0)
        self.assertIn("gets no more", result.stderr)
        self.go_on(process)
        self.assertEqual(self.wait_line(process, "charge"), "1: refused")

    def test_set_refuses_what_cannot_be(self):
        first, pid = self.open_tenant()
        for words, text in ((["nobody", "--memory", "1M"], "no tenant nobody"), (["alice", "--memory", "5G"], "4.0 GiB")):
            result = self.call("set", *words)
            self.assertEqual(result.returncode, 1)
            self.assertIn(text, result.stderr)
        self.assertEqual(self.ps()["alice"]["devices"][0]["memory_limit_bytes"], 64 * MIB)

    def test_what_runs_inside_cannot_leave(self):
        for words in ("run --gpu soft true", "set alice --memory 1G"):
            result = self.call(*SOFT, "--tenant", "alice", "--memory", "1M", "sh", "-c", f"{self.weft} {words}")
            self.assertIn(result.returncode, (1, 125), words)
            self.assertIn("inside a tenant", result.stderr)

    def test_ps_inside_shows_the_tenant_alone(self):
        first, pid = self.open_tenant()
        result = self.call(*SOFT, "--tenant", "bob", "sh", "-c", f"{self.weft} ps")
        self.assertIn("bob", result.stdout)
        self.assertNotIn("alice", result.stdout)

    def test_granted_memory_is_sealed(self):
        result = self.call(*SOFT, self.client, "open", "tamper")
        self.assertIn("tamper policy safe arena safe", result.stdout)

    def test_program_and_tenant_outlive_a_killed_run(self):
        process, pid = self.open_tenant()
        process.kill()
        process.wait()
        self.assertEqual(self.held("alice"), (1000, {pid: 1000}))
        self.assertEqual(self.call("run", "--tenant", "alice", self.client, "open").stdout, "open alice devices 1\n")
        os.kill(pid, signal.SIGKILL)
        place.until(lambda: not self.ps(), "the tenant ends with its last process")
        self.assertEqual(list((self.dir / "tenants").iterdir()), [])

    def test_a_program_that_opens_late_outlives_a_killed_run(self):
        process = self.begin(*SOFT, "--tenant", "alice", self.client, "wait", "open", "charge=7", "wait")
        pid = int(self.wait_line(process, "waiting"))
        process.kill()
        process.wait()
        self.assertEqual(self.held("alice"), (0, {}))
        self.go_on(process)
        self.wait_line(process, "waiting")
        self.assertEqual(self.held("alice"), (7, {pid: 7}))

    def test_orphans_of_a_run_keep_the_tenant(self):
        script = f"{self.client} wait open charge=9 wait <&3 & echo orphan $!"
        process = self.begin(*SOFT, "--tenant", "alice", "sh", "-c", f"exec 3<&0; {script}")
        pid = int(self.wait_line(process, "orphan"))
        self.assertEqual(process.wait(place.PATIENCE_S), 0)
        self.assertIn("alice", self.ps())
        self.wait_line(process, "waiting")
        self.go_on(process)
        self.wait_line(process, "waiting")
        self.assertEqual(self.held("alice"), (9, {pid: 9}))
        os.kill(pid, signal.SIGKILL)
        place.until(lambda: not self.ps(), "the tenant ends with its orphan")

    def test_a_program_that_closes_all_and_becomes_another_holds_once(self):
        become = f"exec=exec {self.client} open charge=5 wait"
        process = self.begin(*SOFT, "--tenant", "alice", self.client, "open", "charge=7", "closefrom", "wait", become)
        pid = int(self.wait_line(process, "waiting"))
        self.assertEqual(self.held("alice"), (7, {pid: 7}), "what is mapped is held")
        self.go_on(process)
        self.wait_line(process, "waiting")
        self.assertEqual(self.held("alice"), (5, {pid: 5}))

    @unittest.skipUnless(os.getuid() == 0, "only root can be two users")
    def test_another_user_gets_nothing(self):
        daemon = subprocess.Popen([self.weftd, "--socket", str(self.root / "node")], env=self.env)
        self.started.append(daemon)
        os.chmod(self.root, 0o755)
        control = self.root / "node" / "weftd.sock"
        place.until(control.exists, "weftd listens")
        env = {"WEFT_SOCKET": str(control)}
        process = self.begin(*SOFT, "--tenant", "alice", self.client, "open", "wait", env=env)
        self.wait_line(process, "waiting")
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        for words in (["run", "--tenant", "alice", "true"], ["set", "alice", "--memory", "1G"]):
            result = self.call(*words, env=env, **nobody)
            self.assertIn(result.returncode, (1, 125))
            self.assertIn("belongs to uid 0", result.stderr)
        inner = {**self.env, "WEFT_SOCKET": str(self.root / "node" / "tenants" / "alice.sock")}
        result = subprocess.run([self.client, "open"], env=inner, text=True, capture_output=True, **nobody)
        self.assertIn("not allowed", result.stdout)
        own = self.call(*SOFT, "--tenant", "bob", self.client, "open", env=env, **nobody)
        self.assertEqual((own.returncode, own.stdout), (0, "open bob devices 1\n"))


if __name__ == "__main__":
    place.main()
