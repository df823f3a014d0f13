"""Programs that weftd's next life took over have faults, too. Breaks when one of them is not audited, is audited twice, is not told to who
started the program, or does not start it again; also where it happened while no weftd was there."""
import json
import os
import signal
import socket
import subprocess

from rig import BUILD, ECC, ILLEGAL_ADDRESS, PATIENCE_S, SUCCESS, Program, SoftTest, main, until


class TakeoverTest(SoftTest):
    def setUp(self):
        super().setUp()
        self.folder = self.tmp / f"weft-{os.getuid()}"
        self.daemon = None
        self.said = {}
        self.addCleanup(self.end_daemon)

    def end_daemon(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait()

    def kill_daemon(self, how=signal.SIGKILL):
        pid = int((self.folder / "weftd.lock").read_text())
        os.kill(pid, how)
        if self.daemon:
            self.daemon.wait(PATIENCE_S)
        until(lambda: not self.is_served(), "weftd is gone")

    def is_served(self):
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.folder / "weftd.sock")) == 0

    def start_daemon(self):
        self.daemon = subprocess.Popen([str(BUILD / "weftd"), "--socket", str(self.folder)], env=self.env, stderr=subprocess.DEVNULL)
        until(self.is_served, "weftd is back")

    def restart_daemon(self, how=signal.SIGKILL):
        self.kill_daemon(how)
        self.start_daemon()

    def start(self, tenant, *options):
        program = Program(self, "--gpu", "soft", "--tenant", tenant, *options)
        self.assertEqual(program.do("init", "make", "squares"), SUCCESS)
        return program

    def audit(self):
        path = self.folder / "state" / "faults.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [(line["tenant"], line["pid"], line["error"], line["xid"]) for line in lines if line["event"] == "context-ended"]

    def wait_told(self, program, text, count):
        """Until its `weft run` has said so, `count` times. Past Python's buffer, which communicate does not know of."""
        words = self.said.setdefault(program, "")
        while words.count(text) < count:
            more = os.read(program.process.stderr.fileno(), 4096).decode()
            self.assertTrue(more, words)
            words = self.said[program] = words + more

    def ends(self, program, step, status):
        program.begin(step)
        program.finish()
        program.told = self.said.get(program, "") + program.told
        self.assertEqual(program.process.returncode, status, program.told)

    def test_each_fault_is_audited_and_told(self):
        for how in (signal.SIGKILL, signal.SIGTERM):
            alice, bob = self.start("alice"), self.start("bob")
            pids = alice.pid(self), bob.pid(self)
            before = len(self.audit())
            self.restart_daemon(how)
            self.assertEqual(alice.do("wild"), ILLEGAL_ADDRESS)
            self.soft("inject", "small", "xid", "94", "--tenant", "bob")
            self.assertEqual(bob.do("allocate"), ECC)
            expected = [("alice", pids[0], ILLEGAL_ADDRESS, None), ("bob", pids[1], ECC, 94)]
            until(lambda: self.audit()[before:] == expected, "both are in the audit")
            for program in (alice, bob):
                self.wait_told(program, "weftd is back", 1)
            # Over the socket that they have now, and after one more life.
            self.assertEqual(alice.do("destroy", "make", "wild"), ILLEGAL_ADDRESS)
            for program in (alice, bob):
                self.wait_told(program, "Xid 94" if program is bob else "not allocated", 1 if program is bob else 2)
            self.restart_daemon(how)
            self.assertEqual(bob.do("destroy", "make", "wild"), ILLEGAL_ADDRESS)
            self.ends(alice, "end", 0)
            self.ends(bob, "end", 0)
            expected += [("alice", pids[0], ILLEGAL_ADDRESS, None), ("bob", pids[1], ILLEGAL_ADDRESS, None)]
            self.assertEqual(self.audit()[before:], expected)
            self.assertEqual(alice.told.count("used an address that is not allocated"), 2, alice.told)
            self.assertEqual(bob.told.count("used an address that is not allocated"), 1, bob.told)
            self.assertEqual([program.told.count("weftd is gone") for program in (alice, bob)], [2, 2])

    def test_what_happens_while_nobody_is_there(self):
        alice = self.start("alice")
        pid = alice.pid(self)
        self.soft("inject", "small", "ecc", "--tenant", "alice")
        self.kill_daemon()
        self.assertEqual(alice.do("allocate"), ECC)
        self.assertEqual(alice.do("destroy", "make", "wild"), ILLEGAL_ADDRESS)
        self.assertEqual(self.audit(), [])
        self.start_daemon()
        expected = [("alice", pid, ECC, 48), ("alice", pid, ILLEGAL_ADDRESS, None)]
        until(lambda: self.audit() == expected, "both are in the audit")
        self.ends(alice, "end", 0)
        self.assertEqual(self.audit(), expected)
        self.assertIn("used an address that is not allocated", alice.told)

    def test_the_last_moment_to_say_so(self):
        """weftd is back, the program has not looked yet, and ends."""
        for _ in range(5):
            alice = self.start("alice")
            pid = alice.pid(self)
            count = len(self.audit())
            self.kill_daemon()
            self.assertEqual(alice.do("wild"), ILLEGAL_ADDRESS)
            self.start_daemon()
            self.ends(alice, "end", 0)
            self.assertEqual(self.audit()[count:], [("alice", pid, ILLEGAL_ADDRESS, None)])
            self.assertEqual(alice.told.count("used an address that is not allocated"), 1, alice.told)

    def test_it_is_started_again(self):
        for away in (False, True):
            alice = self.start("alice", "--restart", "on-fault:2")
            for turn in range(2):
                if not away:
                    self.restart_daemon()
                self.soft("inject", "small", "xid", "94", "--tenant", "alice")
                if away:
                    self.kill_daemon()
                self.assertEqual(alice.do("allocate"), ECC)
                if away:
                    count = len(self.audit())
                    self.start_daemon()
                    until(lambda: len(self.audit()) > count, "the fault is told")
                alice.begin("fail")
                self.assertEqual(alice.do("init", "make", "squares"), SUCCESS, alice.process.stderr)
            self.ends(alice, "end", 0)
            self.assertEqual(alice.told.count("starting it again"), 2, alice.told)

    def test_weftd_comes_back_after_the_program_has_failed(self):
        alice = self.start("alice", "--restart", "on-fault")
        self.soft("inject", "small", "xid", "94", "--tenant", "alice")
        self.assertEqual(alice.do("allocate"), ECC)
        until(lambda: self.audit(), "the fault is told")
        self.kill_daemon()
        alice.begin("fail")
        self.start_daemon()
        self.assertEqual(alice.do("init", "make", "squares"), SUCCESS)
        self.ends(alice, "end", 0)

    def test_a_weftd_that_knows_nothing(self):
        alice = self.start("alice")
        self.kill_daemon()
        for record in (self.folder / "state").glob("*.tenant"):
            record.unlink()
        self.start_daemon()
        self.assertEqual(alice.do("wild"), ILLEGAL_ADDRESS)
        self.ends(alice, "end", 0)
        self.assertEqual(self.audit(), [])
        self.assertNotIn("weftd is back", alice.told)


main()
