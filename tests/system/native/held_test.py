"""Launches that a native device's gate holds back. Breaks when cuLaunchKernel waits for the device's time instead of its stream, when
held work goes on before its debts are paid, out of order, or not at all once it may: after a change of the cap, a restart of weftd, at the
end of its context or program, or while the program waits for it inside of a driver that lets no other call in."""
import os
import pathlib
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "sharing"))
from sharing import BUILD, PATIENCE_S, SharingTest, main, until  # noqa: E402

COUNT = 12


class HeldTest(SharingTest):
    device = "0"

    def setUp(self):
        super().setUp()
        self.card = self.tmp / "card_time"
        self.card.write_bytes(bytes(4096))
        self.env.update(CARD_TIME=str(self.card), WEFT_NATIVE_LIBCUDA=sys.argv[2], WEFT_NATIVE_LIBNVML=sys.argv[3])

    def begun(self):
        """Kernels that the card was given by their streams."""
        return struct.unpack_from("=Q", self.card.read_bytes(), 8)[0]

    def held(self, *words, compute="1%", count=COUNT):
        """Until all of it is launched: two seconds of one hundredth are a debt of three minutes."""
        run = subprocess.Popen([str(BUILD / "weft"), "run", "--gpu", "0", "--tenant", "held", "--compute", compute, "--",
                                sys.argv[4], str(count), *words], env=self.env, text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.runs.append(run)
        self.assertEqual(run.stdout.readline(), "returned\n")
        return run

    def finish(self, run, expected):
        self.assertEqual((*run.communicate(timeout=PATIENCE_S), run.returncode), (expected, "", 0))

    def free(self):
        result = self.weft("set", "held", "--compute", "100%")
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_launches_return_while_they_are_held(self):
        run = self.held()
        self.assertEqual(self.begun(), 1)
        self.assertEqual(run.poll(), None)
        self.free()
        self.finish(run, "done\n")
        self.assertEqual(self.begun(), 1 + 2 * COUNT)

    def test_a_restart_of_weftd_lets_nothing_through(self):
        run = self.held()
        folder = self.tmp / f"weft-{os.getuid()}"
        killed = int((folder / "weftd.lock").read_text())
        os.kill(killed, signal.SIGKILL)
        until(lambda: not pathlib.Path(f"/proc/{killed}").exists(), "weftd is gone")
        daemon = subprocess.Popen([str(BUILD / "weftd"), "--socket", str(folder)], env=self.env, stderr=subprocess.DEVNULL,
                                  start_new_session=True)
        self.runs.append(daemon)
        until(lambda: self.weft("ps").returncode == 0 and "held" in self.used(), "weftd is back, with its tenant")
        self.assertEqual(self.begun(), 1)
        self.free()
        out, err = run.communicate(timeout=PATIENCE_S)
        self.assertEqual((out, run.returncode), ("done\n", 0))
        self.assertIn("goes on under its last limits", err)

    def test_it_ends_with_its_program(self):
        self.finish(self.held("exit"), "")

    def test_it_ends_with_its_context(self):
        self.finish(self.held("destroy"), "")
        self.assertEqual(self.begun(), 1 + 2 * COUNT)

    def test_a_killed_program_leaves_nothing(self):
        run = self.held()
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        until(lambda: not self.used(), "the tenant ends")
        self.assertEqual(self.begun(), 1)

    def test_it_goes_on_while_the_driver_is_stuck(self):
        self.env["CARD_STUBBORN"] = "1"
        run = self.held(compute="60%")
        self.finish(run, "done\n")

    def test_without_waits_of_streams_callers_wait(self):
        self.env["CARD_CANNOT_WAIT"] = "1"
        self.finish(self.held(compute="60%"), "done\n")


main()
