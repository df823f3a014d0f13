"""The watchdog by configuration. Breaks when a kernel may run for ever although it is set, when its error does not stay, when the
attribute does not tell, or when it ends a kernel that was quick. It counts device time, so a busy machine changes nothing."""
import os
import subprocess

import rig
from rig import BUILD, SUCCESS, TIMEOUT, Program, SoftTest, main, until

SHORT = "0.0002"


class WatchdogTest(SoftTest):
    def check(self, program):
        self.assertEqual(program.do("init", "make", "quick"), SUCCESS)
        self.assertEqual(program.do("timeout"), 1)
        self.assertEqual(program.do("endless", "sync"), TIMEOUT)
        self.assertEqual((program.do("allocate"), program.do("quick")), (TIMEOUT, TIMEOUT))
        self.assertEqual(program.do("destroy", "make", "quick"), SUCCESS)
        program.finish()
        self.assertIn("kernel endless", program.told)
        self.assertIn("0.0002 s of device time", program.told)

    def test_by_the_environment(self):
        self.check(Program(self, "--gpu", "soft", env={"WEFT_SOFT_WATCHDOG": SHORT}))

    def test_a_kernel_that_sleeps_is_over_time_too(self):
        program = Program(self, "--gpu", "soft", env={"WEFT_SOFT_WATCHDOG": SHORT})
        self.assertEqual(program.do("init", "make", "sleepy", "sync"), TIMEOUT)

    def test_by_the_daemon(self):
        folder = self.tmp / f"weft-{os.getuid()}"
        folder.mkdir(mode=0o700)
        daemon = subprocess.Popen([str(BUILD / "weftd"), "--socket", str(folder), "--soft-watchdog", SHORT], env=self.env)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        until(lambda: (folder / "weftd.sock").exists(), "weftd listens")
        self.check(Program(self, "--gpu", "soft"))
        without = Program(self, "--gpu", "soft", env={"WEFT_SOFT_WATCHDOG": "0"})
        self.assertEqual((without.do("init", "make", "quick"), without.do("timeout")), (SUCCESS, 0))

    def test_none_by_itself(self):
        program = Program(self, "--gpu", "soft")
        self.assertEqual((program.do("init", "make", "quick"), program.do("timeout")), (SUCCESS, 0))

    def test_refusals(self):
        program = Program(self, "--gpu", "soft", env={"WEFT_SOFT_WATCHDOG": "soon"})
        self.assertNotEqual(program.do("init"), SUCCESS)
        program.finish()
        self.assertIn('WEFT_SOFT_WATCHDOG: "soon"', program.told)
        result = subprocess.run([str(BUILD / "weftd"), "--soft-watchdog", "-1"], env=self.env, text=True, capture_output=True,
                                timeout=rig.PATIENCE_S)
        self.assertEqual(result.returncode, 2)
        self.assertIn('--soft-watchdog: "-1"', result.stderr)


main()
