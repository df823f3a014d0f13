"""Programs on a soft GPU of the test's own daemon: `steps`, which does what it is told."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
PATIENCE_S = 100
SUCCESS, DEVICE_UNAVAILABLE, ECC, ILLEGAL_ADDRESS, TIMEOUT, FAILED = 0, 46, 214, 700, 702, 719


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


class Program:
    """One `steps` under a `weft run`."""

    def __init__(self, test, *options, env=None):
        words = [str(BUILD / "weft"), "run", *options, "--", str(BUILD / "tests" / "system" / "soft" / "steps")]
        self.process = subprocess.Popen(words, env={**test.env, **(env or {})}, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        test.addCleanup(self.end)
        self.told = ""
        self.ended = False

    def begin(self, step):
        self.process.stdin.write(step + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == f"begin {step}\n", self.process.stderr.read()

    def result(self, step):
        words = self.process.stdout.readline().split()
        assert len(words) == 2 and words[0] == step, (words, step)
        return int(words[1])

    def do(self, *steps):
        """Makes the calls; the last one's result. Those before it must succeed."""
        for step in steps:
            self.begin(step)
            result = self.result(step)
            if step != steps[-1]:
                assert result == SUCCESS, (step, result)
        return result

    def finish(self):
        """Lets it come to its end, so that all that it reported is in `told`: reports go through its `weft run`."""
        self.told = self.process.communicate(timeout=PATIENCE_S)[1]
        self.ended = True

    def end(self):
        if self.ended:
            return
        self.ended = True
        try:
            # The program too: it outlives its `weft run`.
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.told = self.process.communicate()[1]

    def pid(self, test):
        """Of the program, not of its `weft run`."""
        def find():
            result = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
            return result.stdout.split()
        until(find, "the program starts")
        return int(find()[0])


class SoftTest(unittest.TestCase):
    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="weft-soft-"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("XDG_RUNTIME_DIR", "WEFT_SOCKET", "LD_PRELOAD", "LD_LIBRARY_PATH", "WEFT_SOFT_WATCHDOG")}
        self.env["TMPDIR"] = str(self.tmp)
        self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"

    def weft(self, *words):
        return subprocess.run([str(BUILD / "weft"), *words], env=self.env, text=True, capture_output=True,
                              timeout=PATIENCE_S)

    def soft(self, *words):
        """weft soft WORDS, which succeeds."""
        result = self.weft("soft", *words)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def device(self, name="small"):
        answer = json.loads(self.soft("--json"))
        return next(device for device in answer["devices"] if device["name"] == name)


def main():
    unittest.main(argv=sys.argv[:1], verbosity=2)
