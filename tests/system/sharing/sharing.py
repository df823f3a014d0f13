"""Tenants that always have work, on a soft device of the test's own daemon. All is counted in device time, from `weft ps` and
`weft soft`, so a busy host changes nothing but how long it takes."""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = pathlib.Path(sys.argv[1]).resolve()
PATIENCE_S = 250
# The profile `slow` issues 20 warp instructions in a microsecond; a loop has three, and two blocks share them.
ITERATIONS_A_US = 20 / 3 / 2
SHORT, MIDDLE, LONG = 20, 400, 2000


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {PATIENCE_S} s")


class SharingTest(unittest.TestCase):
    device = "soft=slow"

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="weft-sharing-"))
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)
        self.env = {key: value for key, value in os.environ.items()
                    if key not in ("XDG_RUNTIME_DIR", "WEFT_SOCKET", "LD_PRELOAD", "LD_LIBRARY_PATH", "WEFT_SOFT_WATCHDOG")}
        self.env["TMPDIR"] = str(self.tmp)
        self.env["ASAN_OPTIONS"] = self.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:detect_leaks=0"
        self.runs = []
        self.addCleanup(self.end_all)

    def end(self, run):
        try:
            os.killpg(run.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        run.communicate()

    def end_all(self):
        for run in self.runs:
            self.end(run)

    def weft(self, *words):
        return subprocess.run([str(BUILD / "weft"), *words], env=self.env, text=True, capture_output=True, timeout=PATIENCE_S)

    def start(self, tenant, kernel_us, *options, blocks=2, count=0):
        words = [str(BUILD / "weft"), "run", "--gpu", self.device, "--tenant", tenant, *options, "--",
                 str(BUILD / "tests/system/sharing/busy"), str(max(1, int(kernel_us * ITERATIONS_A_US * 2 / blocks))), str(blocks),
                 str(count)]
        run = subprocess.Popen(words, env=self.env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
        self.runs.append(run)
        return run

    def look(self):
        """Device time by tenant, the device's clock, and how long it stood still, in seconds and at one moment."""
        tenants = json.loads(self.weft("ps", "--json").stdout)["tenants"]
        devices = {tenant["name"]: tenant["devices"][0] for tenant in tenants}
        used = {name: device["time_used_s"] for name, device in devices.items()}
        any_device = next(iter(devices.values()), {"device_time_s": 0.0, "device_idle_s": 0.0})
        return used, any_device["device_time_s"], any_device["device_idle_s"]

    def used(self):
        return self.look()[0]

    def clock(self):
        return self.look()[1]

    def await_all(self, *tenants):
        """Until every one of them has used some time since now."""
        def begun():
            now = self.used()
            return all(now.get(tenant, 0) > before.get(tenant, 0) for tenant in tenants)
        before = {}
        until(begun, f"{tenants} run")
        before = self.used()
        until(begun, f"{tenants} run on")

    def window(self, length_s=1.0):
        """What each used in a window of so much device time, as a share of it, and the share for which it stood still."""
        before, begin, idle_before = self.look()

        def passed():
            now = self.look()
            return now if now[1] - begin >= length_s else None
        after, _, idle = until(passed, "a window of device time")
        parts = {tenant: after[tenant] - before.get(tenant, 0) for tenant in after}
        total = sum(parts.values()) + idle - idle_before
        return {tenant: part / total for tenant, part in parts.items()}, (idle - idle_before) / total

    def usual(self):
        """The medians of three windows: a busy host may stop a program for so long that it asks for less than its share in one."""
        found = [self.window() for _ in range(3)]
        shares = {tenant: statistics.median(window.get(tenant, 0) for window, _ in found) for tenant in found[-1][0]}
        return shares, statistics.median(idle for _, idle in found)


def main():
    unittest.main(argv=sys.argv[:1], verbosity=2)
