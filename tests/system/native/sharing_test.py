"""Two tenants of one native card. Breaks when what they get of its time is not as their weights or caps say, when a program that is
killed leaves something behind that holds others up, when a restart of weftd forgets what was used or who shares the card, or when
weftd refuses limits of time for native devices."""
import os
import pathlib
import signal
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sharing"))
from sharing import BUILD, SharingTest, main, until  # noqa: E402

# Long beside how late a busy host lets a program go on: who is late by more asks for less than its share.
KERNEL_US = 20_000
WINDOW_S = 2.0


class NativeSharingTest(SharingTest):
    device = "0"

    def setUp(self):
        super().setUp()
        clock = self.tmp / "card_time"
        clock.write_bytes(bytes(4096))
        self.env.update(CARD_TIME=str(clock), WEFT_NATIVE_LIBCUDA=sys.argv[2], WEFT_NATIVE_LIBNVML=sys.argv[3])

    def program(self, run):
        """The program's own pid, not that of its `weft run`."""
        def find():
            return subprocess.run(["ps", "-o", "pid=", "--ppid", str(run.pid)], capture_output=True, text=True).stdout.split()
        return int(until(find, "the program starts")[0])

    def usual_share(self, tenant):
        return statistics.median(self.window(WINDOW_S)[0].get(tenant, 0) for _ in range(3))

    def test_1_to_3(self):
        self.start("light", KERNEL_US, "--weight", "100")
        heavy = self.start("heavy", KERNEL_US, "--weight", "300")
        self.await_all("light", "heavy")
        self.assertAlmostEqual(self.usual_share("heavy"), 0.75, delta=0.05)
        # It dies with work on its way, and holds nobody up.
        used = self.used()["heavy"]
        os.kill(self.program(heavy), signal.SIGKILL)
        heavy.wait()
        until(lambda: "heavy" not in self.used(), "the tenant ends")
        self.assertGreater(used, 0)
        self.start("other", KERNEL_US, "--weight", "300")
        self.await_all("light", "other")
        self.assertAlmostEqual(self.usual_share("other"), 0.75, delta=0.05)

    def test_two_processes_have_one_share(self):
        for _ in range(2):
            self.start("light", KERNEL_US, "--weight", "100")
        self.start("heavy", KERNEL_US, "--weight", "100")
        self.await_all("light", "heavy")
        self.assertAlmostEqual(self.usual_share("heavy"), 0.5, delta=0.06)

    def test_a_change_holds(self):
        self.start("light", KERNEL_US)
        self.start("heavy", KERNEL_US)
        self.await_all("light", "heavy")
        self.assertAlmostEqual(self.usual_share("heavy"), 0.5, delta=0.05)
        result = self.weft("set", "heavy", "--priority", "high")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertGreater(self.usual_share("heavy"), 0.9)

    def test_it_outlives_weftd(self):
        folder = self.tmp / f"weft-{os.getuid()}"
        self.start("light", KERNEL_US, "--weight", "100")
        self.start("heavy", KERNEL_US, "--weight", "300")
        self.await_all("light", "heavy")
        used = self.used()
        killed = int((folder / "weftd.lock").read_text())
        os.kill(killed, signal.SIGKILL)
        until(lambda: not pathlib.Path(f"/proc/{killed}").exists(), "weftd is gone")
        daemon = subprocess.Popen([str(BUILD / "weftd"), "--socket", str(folder)], env=self.env, stderr=subprocess.DEVNULL,
                                  start_new_session=True)
        self.runs.append(daemon)
        until(lambda: self.weft("ps").returncode == 0 and len(self.used()) == 2, "weftd is back, with its tenants")
        for tenant, time_s in self.used().items():
            self.assertGreaterEqual(time_s, used[tenant])
        # Who comes now shares with those who were there.
        self.start("third", KERNEL_US, "--weight", "400")
        self.await_all("light", "heavy", "third")
        self.assertAlmostEqual(self.usual_share("third"), 0.5, delta=0.06)

    def test_cap(self):
        self.start("capped", KERNEL_US, "--compute", "30%")
        self.await_all("capped")
        self.assertAlmostEqual(self.usual_share("capped"), 0.3, delta=0.04)

    def test_a_time_limit_of_kernels_is_refused(self):
        result = self.weft("run", "--gpu", "0", "--kernel-timeout", "1s", "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("soft devices only", result.stderr)


main()
