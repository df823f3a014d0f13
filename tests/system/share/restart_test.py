"""weftd dies while it pays for memory of a dead process that a living one has. Breaks when its next life counts that memory not at
all, or twice, or for ever."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
PATIENCE_S = 60
BYTES = 8 << 20


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


class RestartTest(unittest.TestCase):
    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="weft-share-"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("XDG_RUNTIME_DIR", "WEFT_SOCKET", "LD_PRELOAD", "LD_LIBRARY_PATH")}
        self.env["TMPDIR"] = str(self.tmp)
        self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.dir = self.tmp / f"weft-{os.getuid()}"
        self.dir.mkdir(mode=0o700)
        self.daemon = None
        self.addCleanup(self.end_daemon, signal.SIGTERM)
        self.start_daemon()

    def begin(self, *arguments):
        words = [BUILD / "weft", "run", "--gpu", "soft=small", "--tenant", "alice", "--memory", "64M", "--",
                 BUILD / "tests/system/share/share_survive", *arguments]
        self.run_ = subprocess.Popen(words, env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     start_new_session=True)
        self.addCleanup(self.end_run)
        self.exporter, self.importer = map(int, self.run_.stdout.readline().split())
        self.await_held({self.exporter: BYTES, self.importer: 0})

    def end_run(self):
        try:
            os.killpg(self.run_.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.run_.communicate()

    def weft(self, *words):
        result = subprocess.run([str(BUILD / "weft"), *words, "--json"], env=self.env, text=True, capture_output=True,
                                timeout=PATIENCE_S)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def start_daemon(self):
        self.daemon = subprocess.Popen([BUILD / "weftd", "--socket", self.dir], env=self.env, text=True, stderr=subprocess.PIPE)
        until(self.is_served, "weftd serves")

    def is_served(self):
        # The file of a killed daemon's socket is still there, and nobody listens at it.
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.dir / "weftd.sock")) == 0

    def end_daemon(self, how):
        if self.daemon.poll() is None:
            self.daemon.send_signal(how)
        said = self.daemon.communicate()[1]
        self.assertNotIn("Sanitizer", said)
        self.assertNotIn("runtime error", said)

    def held(self):
        """Of the tenant, of the device, and by pid."""
        tenant = self.weft("ps")["tenants"][0]
        device = next(device for device in self.weft("soft")["devices"] if device["name"] == "small")
        return (tenant["devices"][0]["memory_used_bytes"], device["memory_used_bytes"],
                {process["pid"]: process["devices"][0]["memory_used_bytes"] for process in tenant["processes"]})

    def await_held(self, by_pid, total=None):
        total = sum(by_pid.values()) if total is None else total

        def is_so():
            tenant, device, found = self.held()
            return (tenant, device) == (total, total) and all(found.get(pid, 0) == bytes for pid, bytes in by_pid.items())
        try:
            until(is_so, "")
        except AssertionError:
            self.assertEqual(self.held(), (total, total, by_pid))

    def stop_importer(self):
        """Its threads stop one after the other, and one of them looks whether somebody pays."""
        os.kill(self.importer, signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.importer}/task")
        until(lambda: all(stat.read_text().rsplit(")", 1)[1].split()[0] == "T" for stat in tasks.glob("*/stat")),
              "the importer stops")

    def kill_exporter(self):
        os.kill(self.exporter, signal.SIGKILL)
        self.assertEqual(self.run_.stdout.readline(), "dead\n")

    def step(self):
        self.run_.stdin.write("\n")
        self.run_.stdin.flush()

    def end_importer(self, how="ended"):
        self.step()
        self.assertEqual(self.run_.stdout.readline(), f"{how}\n")

    def go_on(self):
        """The importer notices the death, pays, and ends."""
        os.kill(self.importer, signal.SIGCONT)
        self.await_held({self.importer: BYTES})
        self.end_importer()
        self.await_held({}, 0)

    def check_held_before_and_after(self, how):
        self.begin()
        self.stop_importer()
        self.kill_exporter()
        self.await_held({self.importer: 0}, BYTES)
        for _ in range(2):
            self.end_daemon(how)
            self.start_daemon()
            self.assertEqual(self.held()[:2], (BYTES, BYTES))
        self.go_on()

    def test_killed(self):
        self.check_held_before_and_after(signal.SIGKILL)

    def test_stopped(self):
        self.check_held_before_and_after(signal.SIGTERM)

    def test_death_while_it_is_away(self):
        self.begin()
        self.stop_importer()
        self.end_daemon(signal.SIGKILL)
        self.kill_exporter()
        self.start_daemon()
        self.assertEqual(self.held()[:2], (BYTES, BYTES))
        self.go_on()

    def test_paid_while_it_is_away(self):
        self.begin()
        self.stop_importer()
        self.kill_exporter()
        self.await_held({self.importer: 0}, BYTES)
        self.end_daemon(signal.SIGKILL)
        os.kill(self.importer, signal.SIGCONT)
        self.start_daemon()
        self.go_on()

    def test_nobody_is_left_when_it_comes_back(self):
        self.begin()
        self.stop_importer()
        self.kill_exporter()
        self.await_held({self.importer: 0}, BYTES)
        self.end_daemon(signal.SIGKILL)
        os.kill(self.importer, signal.SIGKILL)
        self.end_importer("killed")
        self.start_daemon()
        self.assertEqual(self.held(), (0, 0, {}))

    def test_nothing_but_a_descriptor_is_left(self):
        self.begin("keep")
        self.kill_exporter()
        self.await_held({self.importer: 0}, BYTES)
        self.end_daemon(signal.SIGKILL)
        self.start_daemon()
        self.assertEqual(self.held(), (BYTES, BYTES, {self.importer: 0}))
        self.end_importer()
        self.await_held({}, 0)


unittest.main(argv=sys.argv[:1], verbosity=2)
