"""bench_sharing.py BUILD: shares of device time on a soft device, each figure against the same programs without weft's limits, that
is as processes of one tenant, among whom the host alone decides."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve()
BUSY, PROGRAM = BUILD / "tests/system/sharing/busy", BUILD / "bench/sharing/sharing_program"
SLOW_ITERATIONS_A_US, SMALL_ITERATIONS_A_US = 20 / 3 / 2, 50880 / 3 / 8
REQUESTS, LAUNCH_ROUNDS = 40, 5


class Place:
    def __enter__(self):
        self.tmp = tempfile.mkdtemp(prefix="weft-bench-")
        self.env = {key: value for key, value in os.environ.items() if key not in ("XDG_RUNTIME_DIR", "WEFT_SOCKET")}
        self.env["TMPDIR"] = self.tmp
        self.runs = []
        return self

    def __exit__(self, *_):
        for run in self.runs:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def words(self, gpu, tenant, options, program):
        return [str(BUILD / "weft"), "run", "--gpu", gpu, "--tenant", tenant, *options, "--", *map(str, program)]

    def start(self, gpu, tenant, options, program):
        run = subprocess.Popen(self.words(gpu, tenant, options, program), env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, start_new_session=True)
        self.runs.append(run)

    def output(self, gpu, tenant, options, program):
        return subprocess.run(self.words(gpu, tenant, options, program), env=self.env, text=True, stdout=subprocess.PIPE,
                              check=True).stdout.split()

    def used(self):
        """Device time by program, in the order in which they began."""
        answer = subprocess.run([str(BUILD / "weft"), "ps", "--json"], env=self.env, text=True, stdout=subprocess.PIPE).stdout
        return {process["pid"]: process["devices"][0]["time_used_s"] for tenant in json.loads(answer)["tenants"]
                for process in tenant["processes"]}

    def window(self, processes, length_s):
        """What each used in a window of device time, and how long that took."""
        while sum(time_s > length_s / 10 for time_s in self.used().values()) < processes:
            time.sleep(0.05)
        before, start = self.used(), time.monotonic()
        while True:
            time.sleep(0.02)
            after, now = self.used(), time.monotonic()
            if sum(after.values()) - sum(before.values()) >= length_s:
                return {pid: after[pid] - before[pid] for pid in sorted(after)}, now - start


def row(what, ours, theirs, goal):
    print(f"  {what:<58} {ours:>12} {theirs:>14}   {goal}")


def shares(limited, heavy_weight, kernels):
    """The heavy one's share, and device time a second of the wall clock."""
    with Place() as place:
        for name, weight, kernel_us in (("light", 100, kernels[0]), ("heavy", heavy_weight, kernels[1])):
            options = ("--weight", str(weight)) if limited else ()
            place.start("soft=slow", name if limited else "one", options, (BUSY, int(kernel_us * SLOW_ITERATIONS_A_US), 2))
            while len(place.used()) < len(place.runs):
                time.sleep(0.05)
            if name == "light":
                light = next(iter(place.used()))
        used, took = place.window(2, 1.0)
        return 1 - used[light] / sum(used.values()), sum(used.values()) / took


def bench_shares():
    for heavy, kernels in ((300, (20, 20)), (300, (400, 2000)), (900, (2000, 20)), (900, (400, 400))):
        fair = heavy / (100 + heavy)
        (ours, pace), (theirs, free) = shares(True, heavy, kernels), shares(False, heavy, kernels)
        row(f"share error, 1:{heavy // 100}, kernels of {kernels[0]} and {kernels[1]} µs", f"{abs(ours - fair):.2%}",
            f"{abs(theirs - fair):.2%}", "<= 2 %")
        row("  device time a second of the host", f"{pace:.3f}", f"{free:.3f}", f"{pace / free:.2f} of it")


def bench_launch():
    alone, beside = [], []
    for _ in range(LAUNCH_ROUNDS):
        with Place() as place:
            alone.append(float(place.output("soft=slow", "a", (), (PROGRAM, "launch"))[0]))
        with Place() as place:
            place.start("soft=slow", "other", (), ("sleep", "1000"))
            beside.append(float(place.output("soft=slow", "a", ("--compute", "90%"), (PROGRAM, "launch"))[0]))
    alone, beside = sorted(alone)[LAUNCH_ROUNDS // 2], sorted(beside)[LAUNCH_ROUNDS // 2]
    row("cost of a launch, capped and not alone / alone, ns", f"{beside:.0f}", f"{alone:.0f}", "+50 ns")


def requests(neighbours, *options):
    with Place() as place:
        for i in range(neighbours):
            place.start("soft=small", f"busy{i}" if options else "one", (), (BUSY, int(400 * SMALL_ITERATIONS_A_US), 8))
        if neighbours:
            place.window(neighbours, 0.0005)
        samples = sorted(map(float, place.output("soft=small", "web" if options else "one", options, (PROGRAM, "request", REQUESTS))))
        return samples[int(0.99 * (REQUESTS - 1) + 0.5)]


def bench_requests():
    alone = requests(0)
    for neighbours in (3,):
        ours, theirs = requests(neighbours, "--priority", "critical"), requests(neighbours)
        row(f"request of 30 × 50 µs, critical beside {neighbours} busy, p99 / alone", f"{ours / alone:.2f}", f"{theirs / alone:.2f}",
            f"<= 1.3; alone {alone:.0f} µs")


print("sharing (soft GPU, device time)                                   with limits        without   goal")
bench_shares()
bench_launch()
bench_requests()
