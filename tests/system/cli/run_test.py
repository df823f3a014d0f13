"""`weft run` as a parent: status, signals, environment, reports. Breaks when a script could tell that weft stands in between."""
import os
import pathlib
import signal
import stat

import place

# Who starts the tests may ignore signals, and a shell cannot trap what was ignored before it.
for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(ignored, signal.SIG_DFL)

SOFT = ("run", "--gpu", "soft")


class RunTest(place.PlaceTest):
    def test_status_is_the_programs(self):
        for status in (0, 1, 7, 124, 255):
            self.assertEqual(self.call(*SOFT, "--", self.client, f"exit={status}").returncode, status)
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGALRM):
            result = self.call(*SOFT, self.client, f"kill={int(number)}")
            self.assertEqual(result.returncode, 128 + number)

    def test_programs_that_do_not_start(self):
        result = self.call(*SOFT, "/nonexistent/program")
        self.assertEqual(result.returncode, 127)
        self.assertIn("/nonexistent/program", result.stderr)
        self.assertEqual(self.call(*SOFT, "no-such-program-in-path").returncode, 127)
        text = self.root / "text"
        text.write_text("no program\n")
        self.assertEqual(self.call(*SOFT, text).returncode, 126)
        self.assertEqual(self.call(*SOFT, self.root).returncode, 126)
        text.chmod(text.stat().st_mode | stat.S_IXUSR)
        self.assertEqual(self.ps(), {})

    def test_an_incomplete_installation_is_125(self):
        (self.library_dir / "libcuda.so.1").unlink()
        result = self.call(*SOFT, "true")
        self.assertEqual(result.returncode, 125)
        self.assertIn("installation is not complete", result.stderr)

    def test_libraries_come_first_and_the_users_stay(self):
        other = self.root / "libother.so"
        other.symlink_to(self.library_dir / "libcuda.so.1")
        result = self.call(*SOFT, "sh", "-c", 'echo "$LD_PRELOAD|$LD_LIBRARY_PATH|$WEFT_SOCKET"',
                           env={"LD_PRELOAD": str(other), "LD_LIBRARY_PATH": "/users/own"})
        preload, path, socket = result.stdout.strip().split("|")
        library_dir = str(self.library_dir.resolve())
        self.assertEqual(preload.split(":"), [f"{library_dir}/libcuda.so.1", str(other)])
        self.assertEqual(path.split(":"), [library_dir, os.path.join(library_dir, "cudart"), "/users/own"])
        self.assertTrue(socket.startswith(str(self.dir / "tenants")), socket)

    def test_who_joins_a_soft_tenant_gets_its_libraries_too(self):
        show = ("sh", "-c", 'echo "$LD_LIBRARY_PATH"')
        first = self.begin(*SOFT, "--tenant", "t", self.client, "open", "wait")
        self.wait_line(first, "waiting")
        uuid = self.ps()["t"]["devices"][0]["device"]
        library_dir = str(self.library_dir.resolve())
        ours = f"{library_dir}:{library_dir}/cudart"
        for options in (("--tenant", "t"), ("--gpu", uuid)):
            self.assertEqual(self.call("run", *options, *show).stdout.strip(), ours, options)
        card = {"WEFT_NATIVE_LIBNVML": str(place.BUILD / "tests" / "system" / "cli" / "libfake_nvml.so"), "TMPDIR": str(self.root)}
        # The made-up cards are those of another daemon, which is killed with its folder.
        native = self.call("run", "--gpu", "0", *show, env=card)
        os.kill(self.daemon_pid(self.root / f"weft-{os.getuid()}"), signal.SIGTERM)
        self.assertEqual(native.stdout.strip(), library_dir)

    def test_output_and_input_are_the_programs(self):
        process = self.begin(*SOFT, "cat")
        self.assertEqual(process.communicate("through\n", timeout=place.PATIENCE_S), ("through\n", ""))

    def test_signals_are_handed_on(self):
        for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH"):
            script = f'trap "echo got; exit 9" {name}; echo ready; while :; do sleep 0.05; done'
            process = self.begin(*SOFT, "sh", "-c", script, start_new_session=True)
            self.wait_line(process, "ready")
            process.send_signal(getattr(signal, f"SIG{name}"))
            self.wait_line(process, "got")
            self.assertEqual(process.wait(place.PATIENCE_S), 9, name)

    def test_a_stopped_program_stops_us_until_both_go_on(self):
        process = self.begin(*SOFT, self.client, "wait")
        pid = int(self.wait_line(process, "waiting"))

        def state(number):
            return pathlib.Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]

        os.kill(pid, signal.SIGSTOP)
        place.until(lambda: state(pid) == "T" and state(process.pid) == "T", "both stop")
        process.send_signal(signal.SIGCONT)
        place.until(lambda: state(pid) != "T" and state(process.pid) != "T", "both go on")
        self.go_on(process)
        self.assertEqual(process.wait(place.PATIENCE_S), 0)

    def test_the_mask_of_signals_is_the_users(self):
        result = self.call(*SOFT, "sh", "-c", "grep SigBlk /proc/self/status")
        self.assertEqual(result.stdout.split()[1], "0" * 16)

    def test_no_descriptor_leaks_into_the_program(self):
        result = self.call(*SOFT, "sh", "-c", "ls -l /proc/self/fd")
        for word in ("socket:", "signalfd", "pidfd", "memfd"):
            self.assertNotIn(word, result.stdout)

    def test_reports_reach_the_person_once(self):
        for end in ("exit=0", "kill=9"):
            result = self.call(*SOFT, self.client, "open", "report=first sentence", "report=second", end)
            self.assertEqual(result.stderr, "weft: first sentence\nweft: second\n")
            self.assertNotIn("sentence", result.stdout)

    def test_reports_go_to_the_run_that_they_belong_to(self):
        first = self.begin(*SOFT, "--tenant", "both", self.client, "open", "wait")
        self.wait_line(first, "waiting")
        second = self.call(*SOFT, "--tenant", "both", self.client, "open", "report=mine")
        self.go_on(first)
        self.assertEqual(first.communicate(timeout=place.PATIENCE_S)[1], "")
        self.assertEqual(second.stderr, "weft: mine\n")


if __name__ == "__main__":
    place.main()
