"""bench_sharing.py BUILD [shares|alone|launch|caps|set|requests|neighbour …]: shares of device time on a soft device, each figure against the same programs without weft's limits, that
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
REQUESTS, LAUNCH_ROUNDS, SETS = 40, 5, 15


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

    def words(self, gpu, tenant, options, program=()):
        return [str(BUILD / "weft"), "run", "--gpu", gpu, "--tenant", tenant, *options, "--", *map(str, program)]

    def start(self, gpu, tenant, options, program):
        run = subprocess.Popen(self.words(gpu, tenant, options, program), env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, start_new_session=True)
        self.runs.append(run)

    def output(self, gpu, tenant, options, program):
        return subprocess.run(self.words(gpu, tenant, options, program), env=self.env, text=True, stdout=subprocess.PIPE,
                              check=True).stdout.split()

    def weft(self, *words):
        return subprocess.run([str(BUILD / "weft"), *words], env=self.env, text=True, stdout=subprocess.PIPE, check=True).stdout

    def look(self):
        """Device time by tenant and by process, the device's clock, and how long it stood still, at one moment."""
        tenants = json.loads(self.weft("ps", "--json"))["tenants"]
        devices = {tenant["name"]: tenant["devices"][0] for tenant in tenants}
        by_process = {process["pid"]: process["devices"][0]["time_used_s"] for tenant in tenants for process in tenant["processes"]}
        device = next(iter(devices.values()), {"device_time_s": 0, "device_idle_s": 0})
        return ({name: device["time_used_s"] for name, device in devices.items()}, by_process, device["device_time_s"],
                device["device_idle_s"])

    def window(self, processes, length_s):
        """What each tenant and each process used in a window of device time, as parts of it; the part for which it stood still; and
        how long the window took on the host."""
        while sum(time_s > length_s / 10 / processes for time_s in self.look()[1].values()) < processes:
            time.sleep(0.05)
        before, start = self.look(), time.monotonic()
        while True:
            time.sleep(0.02)
            after, now = self.look(), time.monotonic()
            passed = after[2] - before[2]
            if passed >= length_s:
                tenants, each = ({key: (after[i][key] - before[i].get(key, 0)) / passed for key in after[i]} for i in (0, 1))
                return tenants, each, (after[3] - before[3]) / passed, passed / (now - start)


def row(what, ours, theirs, goal):
    print(f"  {what:<58} {ours:>12} {theirs:>14}   {goal}", flush=True)


def shares(limited, heavy_weight, kernels, processes):
    """The heavy one's share, how long the device stood still, and device time a second of the host."""
    with Place() as place:
        light = set()
        for name, weight, kernel_us in (("light", 100, kernels[0]), ("heavy", heavy_weight, kernels[1])):
            options = ("--weight", str(weight)) if limited else ()
            for _ in range(processes):
                place.start("soft=slow", name if limited else "one", options, (BUSY, int(kernel_us * SLOW_ITERATIONS_A_US), 2))
            while len(place.look()[1]) < len(place.runs):
                time.sleep(0.05)
            light = light or set(place.look()[1])
        _, each, idle, pace = place.window(2 * processes, 1.0)
        return 1 - sum(each[pid] for pid in light) / sum(each.values()), idle, pace


def bench_shares():
    idles = []
    for heavy in (300, 900):
        for kernels in ((20, 20), (400, 400), (2000, 2000), (20, 2000), (2000, 20)):
            for processes in (1, 4):
                fair = heavy / (100 + heavy)
                (ours, idle, pace), (theirs, _, free) = (shares(limited, heavy, kernels, processes) for limited in (True, False))
                idles.append(idle)
                row(f"share error, 1:{heavy // 100}, kernels of {kernels[0]} and {kernels[1]} µs, {processes} each",
                    f"{abs(ours - fair):.2%}", f"{abs(theirs - fair):.2%}", f"<= 2 %; at {pace / free:.2f} of the pace without")
    row("idle while somebody has work, the worst of these", f"{max(idles):.2%}", "", "<= 1 %")


def bench_alone():
    with Place() as place:
        place.start("soft=slow", "alone", (), (BUSY, int(400 * SLOW_ITERATIONS_A_US), 2))
        tenants, _, _, pace = place.window(1, 1.0)
    with Place() as place:
        place.start("soft=slow", "alone", (), (BUSY, int(400 * SLOW_ITERATIONS_A_US), 2))
        _, _, _, free = place.window(1, 1.0)
    row("alone and uncapped: part of the device's time", f"{tenants['alone']:.2%}", "", f"100 %; twice the same: pace {pace / free:.2f}")


def bench_caps():
    for cap in (30, 70):
        found = []
        for options in (("--compute", f"{cap}%"), ()):
            with Place() as place:
                place.start("soft=slow", "capped", options, (BUSY, int(400 * SLOW_ITERATIONS_A_US), 2))
                found.append(place.window(1, 1.0)[0]["capped"])
        row(f"cap of {cap} %: part of a second, alone", f"{found[0]:.2%}", f"{found[1]:.2%}", f"<= {cap} % + 10 ms")


def bench_neighbour():
    """What is left of half of the device beside one that takes whatever it can."""
    def half(limited, processes, kernel_us):
        with Place() as place:
            place.start("soft=slow", "quiet" if limited else "one", (), (BUSY, int(400 * SLOW_ITERATIONS_A_US), 2))
            while not place.look()[1]:
                time.sleep(0.05)
            quiet = next(iter(place.look()[1]))
            for _ in range(processes):
                place.start("soft=slow", "noisy" if limited else "one", (), (BUSY, int(kernel_us * SLOW_ITERATIONS_A_US), 2))
            return place.window(1 + processes, 1.0)[1][quiet]
    ours, theirs = (half(limited, 8, 2000) / half(limited, 1, 400) for limited in (True, False))
    row("lost to a noisy neighbour: 8 processes, kernels of 2 ms", f"{max(0, 1 - ours):.2%}", f"{max(0, 1 - theirs):.2%}", "<= 2 %")


def bench_set():
    """From the command to the word under which launches are admitted, and until it returns."""
    with Place() as place:
        for name in ("a", "b"):
            place.start("soft=slow", name, (), (BUSY, int(400 * SLOW_ITERATIONS_A_US), 2))
        place.window(2, 0.1)
        watch = subprocess.Popen([*place.words("soft=slow", "watch", ()), PROGRAM, "watch", "1"], env=place.env, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
        place.runs.append(watch)
        watch.stdout.readline()
        commands, empty = [], []
        for i in range(SETS):
            start = time.monotonic_ns()
            subprocess.run([str(BUILD / "weft"), "--version"], env=place.env, stdout=subprocess.DEVNULL, check=True)
            empty.append((time.monotonic_ns() - start) / 1e6)
            start = time.monotonic_ns()
            place.weft("set", "a", "--weight", str(101 + i))
            commands.append((int(watch.stdout.readline()) - start) / 1e6)
    row("weft set, until no launch is under the old policy, ms", f"{sorted(commands)[SETS // 2]:.1f}", f"{sorted(empty)[SETS // 2]:.1f}",
        "<= 5 ms; without: weft --version")


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
            f"<= 1.3, on the device's clock; alone {alone:.0f} µs")


print("sharing (soft GPU, device time)                                   with limits        without   goal")
for bench in (bench_shares, bench_alone, bench_launch, bench_caps, bench_set, bench_requests, bench_neighbour):
    if len(sys.argv) < 3 or bench.__name__[len("bench_"):] in sys.argv[2:]:
        bench()
