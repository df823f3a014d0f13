"""Kernels that never end. Breaks when a signal, an exit, a destroyed context or a fork does not end the program at once, or when
what it held is not free for the next one."""
import os
import signal

from rig import SUCCESS, Program, SoftTest, main, until


class EndlessTest(SoftTest):
    def start(self, *steps):
        program = Program(self, "--gpu", "soft")
        self.assertEqual(program.do("init", "make", "endless", *steps), SUCCESS)
        return program

    def check_all_is_free(self):
        """Nobody holds anything, and every SM runs kernels again."""
        # A killed process is gone when the last of its threads is.
        until(lambda: self.weft("ps", "--json").stdout == '{"version":1,"tenants":[]}\n', "all is given back")
        program = Program(self, "--gpu", "soft")
        self.assertEqual(program.do("init", "make", "quick"), SUCCESS)
        program.end()

    def kill(self, waits_in, number, whom):
        program = self.start()
        pid = program.pid(self)
        program.begin(waits_in)
        os.kill(pid if whom == "program" else program.process.pid, number)
        if (whom, number) == ("run", signal.SIGKILL):
            # The program goes on without its `weft run`, until it is ended too.
            self.assertEqual(program.process.wait(), -signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
        else:
            self.assertEqual(program.process.wait(timeout=100), 128 + number)
        self.check_all_is_free()

    def test_signals_while_it_waits(self):
        for waits_in in ("sync", "copy"):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
                for whom in ("program", "run"):
                    with self.subTest(waits_in=waits_in, number=number, whom=whom):
                        self.kill(waits_in, number, whom)

    def test_exit(self):
        program = self.start()
        program.begin("end")
        self.assertEqual(program.process.wait(timeout=100), 0)
        self.check_all_is_free()

    def test_destroy_at_exit(self):
        program = self.start("later")
        program.begin("end")
        self.assertEqual(program.process.stdout.readline(), "destroyed 0\n")
        self.assertEqual(program.process.wait(timeout=100), 0)
        self.check_all_is_free()

    def test_destroy(self):
        program = self.start()
        self.assertEqual(program.do("destroy", "make", "quick", "endless", "destroy"), SUCCESS)

    def test_fork(self):
        program = self.start()
        self.assertEqual(program.do("fork", "destroy", "make", "quick"), SUCCESS)


main()
