"""weft run --restart on-fault. Breaks when a program that failed after a fault of the device is not started again, or too often;
or when one is that failed by itself, ended well, or was told to end."""
import signal

from rig import DEVICE_UNAVAILABLE, ECC, ILLEGAL_ADDRESS, PATIENCE_S, SUCCESS, Program, SoftTest, main


class RestartTest(SoftTest):
    def start(self, *options):
        program = Program(self, "--gpu", "soft", "--tenant", "alice", *options)
        self.assertEqual(program.do("init", "make", "squares"), SUCCESS)
        return program

    def break_it(self, program, *kind, error=ECC):
        self.soft("inject", "small", *kind, "--tenant", "alice")
        self.assertEqual(program.do("allocate"), error)

    def ends(self, program, step, status):
        """Its last step; it is not started again."""
        program.begin(step)
        program.finish()
        self.assertEqual(program.process.returncode, status, program.told)

    def test_at_most_so_often(self):
        program = self.start("--restart", "on-fault:2")
        for _ in range(2):
            self.break_it(program, "ecc")
            program.begin("fail")
            self.assertEqual(program.do("init", "make", "squares"), SUCCESS)
        self.break_it(program, "ecc")
        self.ends(program, "fail", 3)
        self.assertIn("starting it again, 1 of 2", program.told)
        self.assertIn("starting it again, 2 of 2", program.told)
        self.assertIn("now it is over", program.told)

    def test_it_may_end_well_afterwards(self):
        program = self.start("--restart", "on-fault")
        self.break_it(program, "xid", "94")
        program.begin("fail")
        self.assertEqual(program.do("init", "make", "squares"), SUCCESS)
        self.ends(program, "end", 0)
        self.assertEqual(program.told.count("again"), 1, program.told)

    def test_not_for_what_it_did_itself(self):
        program = self.start("--restart", "on-fault")
        self.assertEqual(program.do("wild"), ILLEGAL_ADDRESS)
        self.ends(program, "fail", 3)
        self.assertNotIn("again", program.told)
        program = self.start("--restart", "on-fault")
        self.break_it(program, "xid", "31", error=ILLEGAL_ADDRESS)
        self.ends(program, "fail", 3)
        self.assertNotIn("again", program.told)

    def test_not_without_a_fault_or_a_failure(self):
        self.ends(self.start("--restart", "on-fault"), "fail", 3)
        program = self.start("--restart", "on-fault")
        self.break_it(program, "ecc")
        self.assertEqual(program.do("destroy", "make", "squares"), SUCCESS)
        self.ends(program, "end", 0)
        for options in ((), ("--restart", "never")):
            program = self.start(*options)
            self.break_it(program, "ecc")
            self.ends(program, "fail", 3)
            self.assertNotIn("again", program.told)

    def test_not_when_it_is_told_to_end(self):
        program = self.start("--restart", "on-fault")
        self.break_it(program, "ecc")
        program.process.send_signal(signal.SIGTERM)
        program.process.wait(PATIENCE_S)  # by the signal: its input is still open
        program.finish()
        self.assertEqual(program.process.returncode, 128 + signal.SIGTERM)
        self.assertNotIn("again", program.told)

    def test_a_lost_device_is_tried_once(self):
        program = self.start("--restart", "on-fault:5")
        self.soft("inject", "small", "fallen-off-the-bus")
        self.assertEqual(program.do("allocate"), DEVICE_UNAVAILABLE)
        program.begin("fail")
        self.assertEqual(program.do("init", "make"), DEVICE_UNAVAILABLE)
        self.ends(program, "fail", 3)
        self.assertEqual(program.told.count("again"), 1, program.told)

    def test_refusals(self):
        for text in ("always", "on-fault:", "on-fault:0", "on-fault:1001", "on-fault:x", "on-faults", "on-fault:-1", ""):
            result = self.weft("run", "--gpu", "soft", "--restart", text, "true")
            self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (125, "", 1), text)
            self.assertIn(f'--restart "{text}"', result.stderr)


main()
