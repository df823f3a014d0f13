"""kill_test.py BUILD [KILLS [SEED]]: kill -9 of programs, of their runs and of weftd, at random moments under load. Breaks when a survivor
computes anything wrong, when what ps shows is not what the living hold, to the byte, or when in the end a charge, a socket, a folder, a
record, a page or device memory is left."""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cli"))
import place

KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
AT_ONCE = 6
PAUSE_MAX_S = 0.05
ADDED, OTHERS = "kill-added", ("kill-b", "kill-c")
LIMIT = 24 << 20
NOT_READY, RUN_FAILED, KILLED = 7, 125, 128 + signal.SIGKILL


class Worker:
    """A run and its program. The program has the run's stdin and stdout, and goes on when the run is killed."""

    def __init__(self, run, tenant):
        self.run, self.tenant = run, tenant
        self.program = 0
        self.run_killed = self.program_killed = False

    def find_program(self):
        """Its pid where it is known; before its exec it is a copy of the run."""
        try:
            children = pathlib.Path(f"/proc/{self.run.pid}/task/{self.run.pid}/children").read_text().split()
        except OSError:
            children = []
        if children:
            self.program = int(children[0])
        return self.program

    def end(self):
        """Lets it end and returns what it said."""
        try:
            self.run.stdin.write("\n")
            self.run.stdin.close()
        except BrokenPipeError:
            pass
        said = self.run.stdout.read()
        told = self.run.stderr.read()
        self.run.wait(place.PATIENCE_S)
        return said, told


class KillTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.install_libraries()
        self.worker = str(place.BUILD / "tests" / "system" / "kill" / "kill_worker")
        self.folder = self.root / "node"
        self.env["WEFT_SOCKET"] = str(self.folder / "weftd.sock")
        self.env["ASAN_OPTIONS"] += ":detect_leaks=0"
        self.dice = random.Random(SEED)
        self.log = open(self.root / "weftd.log", "w")
        self.addCleanup(self.log.close)
        self.kills = {"program": 0, "run": 0, "weftd": 0}
        self.daemon_kills = 0
        self.start_daemon()
        self.assertEqual(self.call("tenant", "add", ADDED, "--gpu", "soft", "--memory", LIMIT).returncode, 0)

    # -- weftd

    def is_served(self):
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(self.env["WEFT_SOCKET"]) == 0

    def start_daemon(self):
        self.daemon = subprocess.Popen([self.weftd, "--socket", str(self.folder)], env=self.env, stderr=self.log)
        self.started.append(self.daemon)
        place.until(lambda: self.daemon.poll() is not None or self.is_served(), "weftd serves")
        self.assertIsNone(self.daemon.poll(), "weftd ended by itself")

    def kill_daemon(self, living):
        self.daemon.kill()
        self.daemon.wait()
        while living and self.dice.random() < 0.4:
            self.kill_worker(living, self.dice.choice(("program", "run")))
        self.pause()
        self.start_daemon()

    # -- programs

    def pause(self):
        time.sleep(self.dice.random() * PAUSE_MAX_S)

    def start(self):
        tenant = self.dice.choice((ADDED, *OTHERS))
        options = ["--gpu", "soft", "--memory", LIMIT] if tenant in OTHERS else []
        run = self.begin("run", *options, "--tenant", tenant, self.worker, self.dice.randrange(1 << 30))
        worker = Worker(run, tenant)
        worker.daemon_kills = self.kills["weftd"]
        return worker

    def kill_worker(self, living, what):
        worker = self.dice.choice(living)
        program = worker.find_program()
        target = worker.run.pid if what == "run" else program
        if what == "run" and worker.run.returncode is not None or not target or not place.alive(target):
            return
        os.kill(target, signal.SIGKILL)
        self.kills[what] += 1
        if what == "run":
            # Else it had ended just before, having found no weftd.
            worker.run_killed = worker.run.wait(place.PATIENCE_S) == -signal.SIGKILL
        else:
            worker.program_killed = True
            living.remove(worker)
            self.bury(worker)

    def bury(self, worker):
        """A worker that was killed, or is told to end."""
        said, told = worker.end()
        status = worker.run.returncode
        words = f"run {worker.run.pid}: status {status}, said {said!r}, told {told!r}"
        self.assertNotIn("wrong", told, words)
        if worker.run_killed:
            self.assertEqual(status, -signal.SIGKILL, words)
        elif worker.program_killed:
            self.assertIn(status, (KILLED, 0), words)
        right = "right " in said
        begun = "begun " in said
        if worker.program_killed or right:
            return
        # It never began: its run was killed before, or no weftd was there then.
        self.assertFalse(begun, words)
        if not worker.run_killed:
            self.assertIn(status, (NOT_READY, RUN_FAILED), words)
            self.assertNotEqual(worker.daemon_kills, self.kills["weftd"], "weftd was there all the time: " + words)

    # -- what must always hold

    def agrees(self, living):
        """All stand still meanwhile, so that the numbers are of one moment."""
        programs = [worker.program for worker in living if worker.find_program()]
        # A run that sees its program stop stops itself, for the shell. One that stands still sees nothing.
        runs = [worker.run.pid for worker in living if not worker.run_killed]
        self.send(signal.SIGSTOP, runs + programs)
        try:
            return all(self.tenant_agrees(tenant) for tenant in self.ps().values())
        finally:
            self.send(signal.SIGCONT, programs + runs)

    def send(self, number, pids):
        for pid in pids:
            if place.alive(pid):
                os.kill(pid, number)

    def tenant_agrees(self, tenant):
        total = tenant["devices"][0]["memory_used_bytes"]
        self.assertLessEqual(total, LIMIT, tenant)
        return total == sum(process["devices"][0]["memory_used_bytes"] for process in tenant["processes"])

    def test_random_kills_leave_nothing(self):
        print(f"{KILLS} kills, seed {SEED}", flush=True)
        living, turns = [], 0
        while sum(self.kills.values()) < KILLS:
            while len(living) < AT_ONCE:
                living.append(self.start())
            self.pause()
            what = self.dice.choices(("program", "run", "weftd"), (5, 3, 2))[0]
            if what == "weftd":
                self.kills["weftd"] += 1
                self.kill_daemon(living)
            else:
                self.kill_worker(living, what)
            turns += 1
            if self.dice.random() < 0.15 and living:
                self.bury(living.pop(self.dice.randrange(len(living))))
            if turns % 10 == 0:
                place.until(lambda: self.agrees(living), "the total is what the living hold")
        for worker in living:
            self.bury(worker)
        self.check_nothing_is_left()
        self.assertIn("right ", self.last_words(), "the device computes on")
        self.check_nothing_is_left()
        self.assertEqual(self.call("tenant", "remove", ADDED).returncode, 0)
        self.assertEqual(self.ps(), {})
        self.check_files()
        print(self.kills, flush=True)

    def last_words(self):
        worker = Worker(self.begin("run", "--tenant", ADDED, self.worker, "1"), ADDED)
        self.wait_line(worker.run, "begun")
        return worker.end()[0]

    def check_nothing_is_left(self):
        place.until(lambda: list(self.ps()) == [ADDED] and self.held(ADDED) == (0, {}), "all are gone, and nothing is charged")
        devices = json.loads(self.call("soft", "list", "--json").stdout)["devices"]
        self.assertEqual([device["memory_used_bytes"] for device in devices], [0], devices)

    def check_files(self):
        """Nobody else has our memory, and weftd the device's page alone; then weftd ends, and leaves its lock."""
        for name in ("tenants", "state"):
            self.assertEqual(list((self.folder / name).iterdir()), [])
        self.assertFalse((self.folder / "mount").exists())
        place.until(lambda: all("weft-device" in name for name in self.memories(self.daemon.pid)), "weftd has the device's page alone")
        self.assertLess(len(os.listdir(f"/proc/{self.daemon.pid}/fd")), 32, "descriptors do not pile up")
        self.assertEqual(self.family(), {self.daemon.pid})
        self.daemon.terminate()
        self.assertEqual(self.daemon.wait(place.PATIENCE_S), 0)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["weftd.lock"])
        text = (self.root / "weftd.log").read_text()
        self.assertNotIn("Sanitizer", text)
        self.assertNotIn("runtime error", text)

    def memories(self, pid):
        names = []
        for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            try:
                names.append(os.readlink(path))
            except OSError:
                continue
        return [name for name in names if name.startswith("/memfd:weft-")]

    def family(self):
        """All processes that were started with our folder in their environment."""
        found = set()
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self.tmp).encode() in path.read_bytes() and place.alive(int(path.parent.name)):
                    found.add(int(path.parent.name))
            except OSError:
                continue
        return found


if __name__ == "__main__":
    place.main()
