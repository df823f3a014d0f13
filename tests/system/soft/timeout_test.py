"""A tenant's --kernel-timeout. Breaks when an endless kernel goes on past it, when more than the context of that kernel ends, when
waiting for a turn counts, when `weft set` reaches only kernels to come, or when another tenant's work is lost or wrong. It is
device time, so a busy machine changes nothing."""
from rig import SUCCESS, TIMEOUT, Program, SoftTest, main

SHORT = "200us"


class TimeoutTest(SoftTest):
    def alice(self, *options):
        return Program(self, "--gpu", "soft", "--tenant", "alice", *options)

    def neighbour(self):
        program = Program(self, "--gpu", "soft", "--tenant", "bob")
        self.assertEqual(program.do("init", "make", "squares"), SUCCESS)
        return program

    def test_one_context_ends(self):
        bob, alice = self.neighbour(), self.alice("--kernel-timeout", SHORT)
        self.assertEqual(alice.do("init", "make", "second", "squares", "timeout"), 1)
        other = self.alice()
        self.assertEqual(other.do("init", "make", "squares"), SUCCESS)
        self.assertEqual(bob.do("timeout"), 0)
        alice.do("endless")
        alice.begin("sync")
        for _ in range(20):
            self.assertEqual(bob.do("squares"), SUCCESS)
        self.assertEqual(alice.result("sync"), TIMEOUT)
        self.assertEqual((alice.do("allocate"), alice.do("quick")), (TIMEOUT, TIMEOUT))
        self.assertEqual((alice.do("back"), alice.do("squares")), (SUCCESS, SUCCESS))
        self.assertEqual((other.do("squares"), bob.do("squares")), (SUCCESS, SUCCESS))
        self.assertEqual((alice.do("back"), alice.do("destroy", "make", "squares")), (SUCCESS, SUCCESS))
        alice.finish()
        self.assertIn("kernel endless: takes more than 0.0002 s of device time: its tenant's --kernel-timeout", alice.told)

    def test_a_kernel_that_sleeps_is_over_time_too(self):
        alice = self.alice("--kernel-timeout", SHORT)
        self.assertEqual(alice.do("init", "make", "sleepy", "sync"), TIMEOUT)

    def test_set_reaches_a_kernel_that_runs(self):
        bob, alice = self.neighbour(), self.alice()
        self.assertEqual(alice.do("init", "make", "timeout"), 0)
        self.assertEqual(alice.do("endless"), SUCCESS)
        alice.begin("sync")
        self.assertEqual(self.weft("set", "alice", "--kernel-timeout", SHORT).returncode, 0)
        self.assertEqual(alice.result("sync"), TIMEOUT)
        self.assertEqual(self.weft("set", "alice", "--kernel-timeout", "0").returncode, 0)
        self.assertEqual((alice.do("timeout"), bob.do("squares")), (0, SUCCESS))

    def test_it_waits_for_its_turn_without_harm(self):
        """Behind an endless kernel of a class above it, it runs in the 2 % that are left, and is not over its time."""
        alice = self.alice("--kernel-timeout", "1ms", "--priority", "idle")
        above = Program(self, "--gpu", "soft", "--priority", "critical", "--tenant", "above")
        self.assertEqual((above.do("init", "make", "endless"), alice.do("init", "make")), (SUCCESS, SUCCESS))
        for _ in range(20):
            self.assertEqual(alice.do("squares"), SUCCESS)

    def test_the_watchdog_holds_where_it_is_less(self):
        alice = Program(self, "--gpu", "soft", "--kernel-timeout", "4000s", env={"WEFT_SOFT_WATCHDOG": "0.0002"})
        self.assertEqual(alice.do("init", "make", "endless", "sync"), TIMEOUT)
        alice.finish()
        self.assertIn("the watchdog ends it", alice.told)


main()
