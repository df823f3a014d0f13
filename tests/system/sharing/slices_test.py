"""Modes of slices. Breaks when `weftd --soft-slices` takes no effect, when shares, caps or classes do not hold in a mode, or when
kernels that wait for each other never end where a kernel that began is not stopped."""
import os
import subprocess

from sharing import BUILD, LONG, MIDDLE, PATIENCE_S, SHORT, SharingTest, main, until


class SlicesTest(SharingTest):
    def serve(self, mode):
        folder = self.tmp / f"weft-{os.getuid()}"
        folder.mkdir(mode=0o700)
        daemon = subprocess.Popen([str(BUILD / "weftd"), "--socket", str(folder), "--soft-slices", mode], env=self.env)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.terminate)
        until(lambda: (folder / "weftd.sock").exists(), "weftd listens")

    def check_shares(self):
        self.start("light", LONG)
        self.start("heavy", MIDDLE, "--weight", "300")
        self.await_all("light", "heavy")
        shares, idle = self.usual()
        self.assertAlmostEqual(shares["heavy"], 0.75, delta=0.02, msg=(shares, idle))
        self.assertLessEqual(idle, 0.01)

    def test_cooperative(self):
        self.serve("cooperative")
        self.check_shares()
        words = [str(BUILD / "weft"), "run", "--gpu", self.device, "--tenant", "partners", "--",
                 str(BUILD / "tests/system/sharing/meet"), "4", "10"]
        result = subprocess.run(words, env=self.env, text=True, capture_output=True, timeout=PATIENCE_S)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "met\n", ""))

    def test_hybrid(self):
        self.serve("hybrid")
        self.check_shares()
        self.start("capped", SHORT, "--compute", "10%", "--priority", "high")
        self.await_all("capped")
        self.assertAlmostEqual(self.usual()[0]["capped"], 0.1, delta=0.012)

    def test_a_mode_that_is_none(self):
        result = subprocess.run([str(BUILD / "weftd"), "--soft-slices", "fair"], env=self.env, text=True, capture_output=True,
                                timeout=PATIENCE_S)
        self.assertEqual((result.returncode, result.stderr),
                         (2, 'weft: weftd: --soft-slices: "fair": slices are preemptive, cooperative or hybrid\n'))


main()
