"""Peers that are not ours, not of our version, or not in order. Breaks when one of them can hang or fell the other side."""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading

import place

SOFT = ("run", "--gpu", "soft")
ERROR, HELLO, REPORT, RUN_BEGIN, RUN_SYNC, QUERY, ANSWER, FAULT, RESUME = 1, 2, 4, 5, 8, 10, 11, 13, 17
MINOR = 7  # of the protocol that weftd speaks


def frame(kind, payload=b"", magic=b"WEFT", major=1, minor=0, fds=0, length=None):
    return magic + struct.pack("<HHHHI", major, minor, kind, fds, len(payload) if length is None else length) + payload


def text(words):
    return struct.pack("<H", len(words)) + words


RUNNER = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(sys.argv[1])
peer.sendall(bytes.fromhex(sys.argv[2]))
peer.recv(65536)
print("begun", flush=True)
sys.stdin.readline()
peer.sendall(bytes.fromhex(sys.argv[3]))
print("synced", flush=True)
sys.stdin.readline()
"""
SOFT_ITEM = struct.pack("<BII", 4, 0, 1) + bytes(16) + text(b"")
BEGIN = frame(RUN_BEGIN, text(b"u") + struct.pack("<QI", 0, 1) + SOFT_ITEM)


class PeerTest(place.PlaceTest):
    def answer(self, reply, close=True):
        """A server at WEFT_SOCKET that answers everybody's first bytes with `reply`."""
        path = str(self.root / "other.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        kept = []

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.recv(65536)
                peer.sendall(reply)
                if close:
                    peer.close()
                else:
                    kept.append(peer)

        def stop():
            # Closed while a thread accepts, its number could become the next test's listener under that thread.
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            listener.close()

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        self.addCleanup(stop)
        return {"WEFT_SOCKET": path}

    def expect(self, env, words):
        result = self.call("ps", env=env)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn(words, result.stderr)
        result = self.call(*SOFT, "true", env=env)
        self.assertEqual(result.returncode, 125)
        self.assertIn(words, result.stderr)
        self.assertIn(words, self.call_client(env))

    def call_client(self, env):
        return subprocess.run([self.client, "open"], env={**self.env, **env}, text=True, capture_output=True,
                              timeout=place.PATIENCE_S).stdout

    def test_garbage(self):
        self.expect(self.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "does not speak weft's protocol")

    def test_end_without_an_answer(self):
        self.expect(self.answer(b""), "clos")

    def test_silence_is_bounded(self):
        env = self.answer(b"", close=False)
        run = self.begin(*SOFT, "true", env=env)
        client = subprocess.Popen([self.client, "open"], env={**self.env, **env}, text=True, stdout=subprocess.PIPE)
        self.started.append(client)
        self.assertIn("does not answer", self.call("ps", env=env).stderr)
        self.assertIn("open failed 11", client.communicate(timeout=place.PATIENCE_S)[0])
        self.assertIn("does not answer", run.communicate(timeout=place.PATIENCE_S)[1])
        self.assertEqual(run.returncode, 125)

    def test_another_major(self):
        self.expect(self.answer(frame(ERROR, struct.pack("<H", 10) + text(b"upgrade"), major=2)), "protocol 2.0")
        os.unlink(self.root / "other.sock")
        self.expect(self.answer(frame(ANSWER, b"x" * 100, major=7, minor=3)), "protocol 7.3")

    def test_wrong_message(self):
        self.expect(self.answer(frame(REPORT, struct.pack("<I", 0) + text(b"x"))), "REPORT message came where")

    def test_an_answer_longer_than_allowed(self):
        self.expect(self.answer(frame(ANSWER, length=1 << 31)), "at most")

    def test_an_answer_that_is_not_json(self):
        result = self.call("ps", env=self.answer(frame(ANSWER, b"{nonsense")))
        self.assertEqual(result.returncode, 1)
        self.assertIn("JSON", result.stderr)

    def test_a_dead_socket_is_not_replaced_by_another_daemon(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.root / "dead.sock"))
        listener.close()
        self.expect({"WEFT_SOCKET": str(self.root / "dead.sock")}, "dead.sock")
        self.expect({"WEFT_SOCKET": str(self.root / "missing.sock")}, "missing.sock")


class BadClientTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.run = self.begin(*SOFT, "--tenant", "t", self.client, "open", "wait")
        self.wait_line(self.run, "waiting")

    def tearDown(self):
        self.assertIn("t", self.ps(), "weftd serves on")

    def talk(self, data, path="weftd.sock", fds=()):
        """Sends bytes and returns all that comes back until weftd hangs up, or nothing more is due."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(place.PATIENCE_S)
            peer.connect(str(self.dir / path))
            socket.send_fds(peer, [data], fds) if fds else peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while chunk := peer.recv(65536):
                    got += chunk
            except ConnectionResetError:
                pass
            return got

    def refusal(self, data, **options):
        got = self.talk(data, **options)
        self.assertEqual(got[:10], b"WEFT" + struct.pack("<HHH", 1, MINOR, ERROR), got)
        return got[20:].decode()

    def test_garbage_is_answered_and_hung_up_on(self):
        self.assertIn("does not speak", self.refusal(b"GET / HTTP/1.1\r\n\r\n"))

    def test_another_major_is_told_ours(self):
        self.assertIn("9.1", self.refusal(frame(QUERY, b"\1", major=9, minor=1)))

    def test_lengths_and_types(self):
        self.assertIn("at most 8192", self.refusal(frame(QUERY, length=8193)))
        self.assertIn("at most", self.refusal(frame(QUERY, length=0xffffffff)))
        self.assertIn("type 99", self.refusal(frame(99)))
        self.assertIn("not for weftd", self.refusal(frame(ANSWER)))
        self.assertIn("cut short", self.refusal(frame(QUERY)))
        self.assertIn("too many", self.refusal(frame(QUERY, b"\1\1")))
        self.assertIn("kind 77", self.refusal(frame(QUERY, b"\x4d")))

    def test_a_newer_minor_may_append(self):
        got = self.talk(frame(QUERY, b"\1more", minor=99))
        self.assertEqual(struct.unpack("<H", got[8:10])[0], ANSWER)

    def test_a_dead_runner_is_not_looked_at_while_others_are_read_ahead(self):
        runner = subprocess.Popen([sys.executable, "-c", RUNNER, str(self.dir / "weftd.sock"), BEGIN.hex(), frame(RUN_SYNC).hex()],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.started.append(runner)
        self.wait_line(runner, "begun")
        with socket.socket(socket.AF_UNIX) as program:
            program.settimeout(place.PATIENCE_S)
            program.connect(str(self.dir / "tenants" / "u.sock"))
            program.sendall(frame(HELLO, struct.pack("<Q", 0) + text(b"1")))
            self.assertTrue(program.recv(65536))
            # weftd finds, in this order: a wish to sync, a query to be read ahead for it, and that the one who wished is dead.
            weftd = self.daemon_pid()
            os.kill(weftd, signal.SIGSTOP)
            self.go_on(runner)
            self.wait_line(runner, "synced")
            program.sendall(frame(QUERY, b"\1"))
            runner.kill()
            runner.wait()
            os.kill(weftd, signal.SIGCONT)
            self.assertEqual(program.recv(10), b"WEFT" + struct.pack("<HHH", 1, MINOR, ANSWER))

    def test_descriptors_are_not_taken(self):
        with open("/dev/null") as null:
            self.assertIn("descriptors", self.refusal(frame(QUERY, b"\1", fds=1), fds=[null.fileno()] * 3))
            self.assertIn("descriptors", self.refusal(frame(QUERY, b"\1"), fds=[null.fileno()]))

    def test_messages_at_the_wrong_time(self):
        hello = frame(HELLO, struct.pack("<Q", 0) + text(b"1"))
        self.assertIn("no live tenant", self.refusal(hello))
        self.assertIn("before HELLO", self.refusal(frame(REPORT, struct.pack("<I", 0) + text(b"x"))))
        begin = frame(RUN_BEGIN, text(b"u") + struct.pack("<QI", 0, 0))
        self.assertIn("inside a tenant", self.refusal(begin, path="tenants/t.sock"))

    def test_a_lease_of_somebody_else_is_not_resumed(self):
        program = self.begin("run", "--gpu", "soft", "--tenant", "v", self.client, "open", "wait")
        pid = int(self.wait_line(program, "waiting"))
        ticks = {who: int(pathlib.Path(f"/proc/{who}/stat").read_text().rpartition(")")[2].split()[19])
                 for who in (pid, program.pid, os.getpid())}
        for path, tenant, slot in (("tenants/v.sock", b"v", 1), ("tenants/t.sock", b"v", 1), ("weftd.sock", b"v", 0), ("weftd.sock", b"v", 1),
                                   ("weftd.sock", b"x", 0), ("tenants/v.sock", b"v", 0xffffffff)):
            for start in ticks.values():
                said = frame(RESUME, text(tenant) + struct.pack("<IQ", slot, start), minor=MINOR)
                self.assertIn("no lease of process", self.refusal(said, path=path))
        hello = frame(HELLO, struct.pack("<Q", 0) + text(b"1"))
        again = frame(RESUME, text(b"t") + struct.pack("<IQ", 1, ticks[os.getpid()]), minor=MINOR)
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            for each in (first, second):
                each.settimeout(place.PATIENCE_S)
                each.connect(str(self.dir / "tenants" / "t.sock"))
            first.sendall(hello)
            welcome = first.recv(65536)
            slot = struct.unpack_from("<I", welcome, 16)[0]
            again = frame(RESUME, text(b"t") + struct.pack("<IQ", slot, ticks[os.getpid()]), minor=MINOR)
            first.sendall(again)
            self.assertIn(b"who has said who it is", first.recv(65536))
            second.sendall(again + frame(QUERY, b"\1"))
            self.assertEqual(second.recv(10), b"WEFT" + struct.pack("<HHH", 1, MINOR, ANSWER))
            self.assertEqual(first.recv(1), b"", "the lease has one socket")

    def audited(self):
        return [json.loads(line) for line in (self.dir / "state" / "faults.jsonl").read_text().splitlines()]

    def test_a_program_that_tells_lies_of_faults(self):
        """It can say what it likes of itself, and nothing of others; a line of the audit stays a line."""
        hello = frame(HELLO, struct.pack("<Q", 0) + text(b"1"))
        lies = [(0xffffffff, 0xffffffff, 0xffffffff, b'"}\n{"event":"x"\x1b[31m \xff'), (700, 16, 7, b"x" * 1024), (1, 0, 48, b"")]
        with socket.socket(socket.AF_UNIX) as program:
            program.settimeout(place.PATIENCE_S)
            program.connect(str(self.dir / "tenants" / "t.sock"))
            program.sendall(hello)
            self.assertTrue(program.recv(65536))
            for error, device, xid, words in lies:
                said = struct.pack("<I", 1) + text(words) + struct.pack("<III", error, device, xid)
                program.sendall(frame(REPORT, said, minor=MINOR))
            program.sendall(frame(QUERY, b"\1"))
            self.assertTrue(program.recv(65536))
        lines = self.audited()
        self.assertEqual([(line["tenant"], line["pid"], line["error"], line["xid"]) for line in lines],
                         [("t", os.getpid(), error, xid) for error, _, xid, _ in lies])
        self.assertEqual(["device" in line for line in lines], [False, False, True])
        self.assertTrue(all(line["text"].isprintable() for line in lines))

    def test_the_audit_does_not_grow_for_ever(self):
        file = self.dir / "state" / "faults.jsonl"
        file.write_bytes(b"#" * (4 << 20))
        self.refusal(frame(FAULT, struct.pack("<II", 48, 0) + text(b"") + text(b"t4")))
        self.assertEqual(file.stat().st_size, 4 << 20)
        self.talk(frame(FAULT, struct.pack("<II", 48, 0) + text(b"") + text(b"soft=small")))
        self.assertEqual([line["event"] for line in self.audited()], ["injected"])
        self.assertEqual((self.dir / "state" / "faults.jsonl.1").stat().st_size, 4 << 20)
        file.unlink()
        file.symlink_to(self.root / "elsewhere")
        self.talk(frame(FAULT, struct.pack("<II", 48, 0) + text(b"") + text(b"soft=small")))
        self.assertFalse((self.root / "elsewhere").exists())

    def test_half_a_frame_is_dropped(self):
        for cut in (1, 15, 16, 20):
            self.assertEqual(self.talk(frame(QUERY, b"\1" * 8)[:cut]), b"")

    def test_silent_connections_are_hung_up_on(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(place.PATIENCE_S)
            peer.connect(str(self.dir / "weftd.sock"))
            peer.sendall(frame(QUERY)[:7])
            self.assertEqual(peer.recv(1), b"")

    def test_who_scribbles_over_its_ledger_is_ended_and_others_notice_nothing(self):
        run = self.begin(*SOFT, "--tenant", "good", self.client, "open", "charge=1000", "wait", "charge=5")
        pid = int(self.wait_line(run, "waiting"))
        self.assertEqual(self.call("tenant", "add", "stays", "--gpu", "soft").returncode, 0)
        for steps in (["scribble=255"], ["scribble=0"], ["scribble=17"], [f"overdraw={1 << 40}"]):
            for tenant in ("bad", "stays"):
                words = SOFT if tenant == "bad" else ("run",)
                bad = self.begin(*words, "--tenant", tenant, self.client, "open", "charge=7", *steps, "wait")
                self.assertEqual(bad.wait(place.PATIENCE_S), 128 + signal.SIGKILL)
                self.assertEqual(self.held("good"), (1000, {pid: 1000}))
        place.until(lambda: "bad" not in self.ps(), "its tenant is gone")
        after = self.call("run", "--tenant", "stays", self.client, "open", "charge=9").stdout
        self.assertEqual(after, "open stays devices 1\ncharge 9: ok\n")
        self.assertEqual(self.held("stays"), (0, {}))
        self.go_on(run)
        self.assertEqual(self.wait_line(run, "charge"), "1000: ok")
        self.assertEqual(self.wait_line(run, "charge"), "5: ok")
        self.assertEqual(self.call("tenant", "remove", "stays").returncode, 0)

    def test_a_reader_that_does_not_read_hurts_nobody(self):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(place.PATIENCE_S)
            peer.connect(str(self.dir / "weftd.sock"))
            try:
                for _ in range(20000):
                    peer.sendall(frame(QUERY, b"\1"))
            except OSError:
                pass
            self.assertIn("t", self.ps())


if __name__ == "__main__":
    place.main()
