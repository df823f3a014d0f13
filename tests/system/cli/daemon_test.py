"""The life of weftd: started once, found again, gone without a trace. Breaks when two serve one folder or a dead one is in the way."""
import os
import pathlib
import signal
import socket
import subprocess
import sys

import place

SOFT = ("run", "--gpu", "soft")


def daemons_of(folder):
    """Pids of weftd processes that were started for the folder."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"weftd") and str(folder).encode() in words and place.alive(int(path.parent.name)):
            found.append(int(path.parent.name))
    return found


class DaemonTest(place.PlaceTest):
    def test_many_first_runs_start_one(self):
        runs = [self.begin(*SOFT, "--tenant", f"t{i}", self.client, "open", "wait") for i in range(8)]
        for process in runs:
            self.wait_line(process, "waiting")
        self.assertEqual(len(self.ps()), 8)
        self.assertEqual(daemons_of(self.dir), [self.daemon_pid()])

    def test_a_daemon_keeps_nothing_of_who_started_it(self):
        ends = os.pipe()
        self.assertEqual(self.call(*SOFT, "true", pass_fds=[ends[1]]).returncode, 0)
        os.close(ends[1])
        self.assertEqual(os.read(ends[0], 1), b"", "the pipe has no writer any more")
        os.close(ends[0])
        self.assertTrue(self.daemon_pid())

    def test_closed_standard_descriptors(self):
        result = subprocess.run(["sh", "-c", f"{self.weft} run --gpu soft true <&- >&- 2>&-"], env=self.env)
        self.assertEqual(result.returncode, 0)

    def test_folder_is_private(self):
        self.assertEqual(self.call(*SOFT, "true").returncode, 0)
        self.assertEqual(self.dir.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.dir / "weftd.sock").stat().st_mode & 0o777, 0o600)

    def test_a_folder_of_others_is_refused(self):
        self.dir.mkdir(mode=0o755)
        os.chmod(self.dir, 0o755)
        result = self.call(*SOFT, "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("mode 0700", result.stderr)
        self.dir.rmdir()
        (self.root / "elsewhere").mkdir(mode=0o700)
        self.dir.symlink_to(self.root / "elsewhere")
        self.assertEqual(self.call(*SOFT, "true").returncode, 125)
        self.dir.unlink()

    def test_it_leaves_when_nobody_needs_it_and_leaves_nothing(self):
        self.assertEqual(self.call(*SOFT, "true").returncode, 0)
        pid = self.daemon_pid()
        place.until(lambda: not place.alive(pid), "weftd leaves")
        self.assertEqual({path.name for path in self.dir.iterdir()}, {"weftd.lock", "start.lock", "weftd.log"})
        self.assertEqual(self.call(*SOFT, "true").returncode, 0)

    def test_a_killed_daemon_is_not_in_the_way(self):
        self.assertEqual(self.call(*SOFT, "true").returncode, 0)
        (self.dir / "tenants" / "old.sock").touch()
        os.kill(self.daemon_pid(), signal.SIGKILL)
        place.until(lambda: not self.daemon_pid(), "weftd is gone")
        self.assertTrue((self.dir / "weftd.sock").exists())
        self.assertEqual(self.ps(), {})
        self.assertEqual(self.call(*SOFT, self.client, "open").stdout.split()[2:], ["devices", "1"])
        self.assertFalse((self.dir / "tenants" / "old.sock").exists())

    def test_programs_go_on_without_it(self):
        process = self.begin(*SOFT, "--memory", "1M", self.client, "open", "wait", "charge=1000", "charge=1048576", "exit=5")
        self.wait_line(process, "waiting")
        os.kill(self.daemon_pid(), signal.SIGKILL)
        self.go_on(process)
        out, errors = process.communicate(timeout=place.PATIENCE_S)
        self.assertEqual(process.returncode, 5)
        self.assertEqual(out, "charge 1000: ok\ncharge 1048576: refused\n")

    def test_a_program_is_refused_when_its_daemon_is_dead(self):
        process = self.begin(*SOFT, self.client, "wait", "open")
        self.wait_line(process, "waiting")
        os.kill(self.daemon_pid(), signal.SIGKILL)
        place.until(lambda: not self.daemon_pid(), "weftd is gone")
        self.go_on(process)
        self.assertIn("11: socket", self.wait_line(process, "open failed"))

    def test_a_program_without_a_socket_is_refused(self):
        result = subprocess.run([self.client, "open"], env=self.env, text=True, capture_output=True)
        self.assertIn("open failed 11: WEFT_SOCKET is not set", result.stdout)
        for path in ("/nonexistent", "/etc/passwd", "/", "relative", "x" * 200):
            result = subprocess.run([self.client, "open"], env={**self.env, "WEFT_SOCKET": path}, text=True, capture_output=True)
            self.assertIn("open failed 11: socket", result.stdout, path)

    def test_a_program_without_descriptors_is_refused(self):
        for count in range(3, 12):
            result = self.call(*SOFT, "sh", "-c", f"ulimit -n {count}; exec {self.client} open")
            if result.returncode == 127 or "shared libraries" in result.stderr:
                continue  # it could not even start
            self.assertRegex(result.stdout, r"^open (failed 11|run-\d+)", count)

    def test_two_do_not_serve_one_folder(self):
        self.assertEqual(self.call(*SOFT, "true").returncode, 0)
        result = subprocess.run([self.weftd, "--socket", str(self.dir)], env=self.env, text=True, capture_output=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("another weftd serves", result.stderr)

    def test_sigterm_ends_it_and_programs_keep_what_they_hold(self):
        process = self.begin(*SOFT, self.client, "open", "charge=1000", "wait", "limit")
        self.wait_line(process, "waiting")
        pid = self.daemon_pid()
        os.kill(pid, signal.SIGTERM)
        place.until(lambda: not place.alive(pid), "weftd ends")
        self.assertFalse((self.dir / "weftd.sock").exists())
        self.assertFalse((self.dir / "tenants").exists())
        self.go_on(process)
        self.assertEqual(process.wait(place.PATIENCE_S), 0)

    def test_it_goes_before_programs_where_it_may(self):
        result = self.call(*SOFT, sys.executable, "-c", "import os; print(os.sched_getscheduler(0))")
        self.assertEqual(result.stdout, f"{os.SCHED_OTHER}\n")
        if subprocess.run(["chrt", "--rr", "1", "true"], capture_output=True).returncode:
            self.skipTest("no real-time priority for this user")
        self.assertEqual(os.sched_getscheduler(self.daemon_pid()) & ~os.SCHED_RESET_ON_FORK, os.SCHED_RR)

    def test_options_of_weftd(self):
        for words, status in ((["--fly"], 2), (["word"], 2), (["--socket"], 2), (["--idle-exit", "soon"], 2),
                              (["--socket", "/nonexistent/folder"], 1)):
            result = subprocess.run([self.weftd, *words], env=self.env, text=True, capture_output=True)
            self.assertEqual(result.returncode, status, words)
            self.assertTrue(result.stderr.startswith("weft: weftd: "), result.stderr)

    def start_with_few_descriptors(self, count):
        """A daemon with so few descriptors; returns the environment that leads to it."""
        folder = self.root / "few"
        daemon = subprocess.Popen(["sh", "-c", f"ulimit -n {count}; exec {self.weftd} --socket {folder}"], env=self.env,
                                  stderr=subprocess.DEVNULL)
        self.started.append(daemon)
        place.until((folder / "weftd.sock").exists, "weftd listens")
        return {"WEFT_SOCKET": str(folder / "weftd.sock")}

    def test_who_says_nothing_makes_room_for_who_does(self):
        env = self.start_with_few_descriptors(80)
        peers = []
        for _ in range(100):
            peer = socket.socket(socket.AF_UNIX)
            self.addCleanup(peer.close)
            peer.settimeout(place.PATIENCE_S)
            peer.connect(env["WEFT_SOCKET"])
            peers.append(peer)
        self.assertEqual(peers[0].recv(1), b"", "the oldest is hung up on")
        result = self.call(*SOFT, self.client, "open", env=env)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("devices 1", result.stdout)

    def test_without_descriptors_a_program_is_refused_and_weftd_goes_on(self):
        env = self.start_with_few_descriptors(40)
        runs = [self.begin(*SOFT, self.client, "open", "wait", env=env) for _ in range(8)]
        outcomes = [process.stdout.readline().split(" ")[0:2] + [process] for process in runs]
        self.assertTrue([o for o in outcomes if o[0] != "open" or o[1] == "failed"], "40 descriptors are not enough for 8 runs")
        for process in runs:
            process.stdin.close()
            process.wait(place.PATIENCE_S)
        self.assertEqual(self.call(*SOFT, self.client, "open", env=env).returncode, 0)

    def test_a_runtime_folder_where_nothing_can_be_made_is_not_used(self):
        runtime, tmp = self.root / "runtime", self.root / "others"
        for folder, mode in ((runtime, 0o500), (tmp, 0o700)):
            folder.mkdir()
            folder.chmod(mode)
        user = {}
        if os.getuid() == 0:  # whom no mode keeps out
            user = {"user": 65534, "group": 65534, "extra_groups": []}
            self.root.chmod(0o755)
            for folder in (runtime, tmp):
                os.chown(folder, 65534, 65534)
        result = self.call(*SOFT, "true", env={"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(tmp)}, **user)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        folder = next(tmp.glob("weft-*"))
        os.kill(self.daemon_pid(folder), signal.SIGTERM)

    def test_paths_too_long_for_a_socket_are_told(self):
        deep = self.root / ("d" * 100)
        deep.mkdir(mode=0o700)
        result = self.call(*SOFT, "true", env={"TMPDIR": str(deep)})
        self.assertEqual(result.returncode, 125)
        self.assertIn("a socket can have 107", result.stderr)


if __name__ == "__main__":
    place.main()
