"""Kernels that wait for each other, like those of a collective, beside tenants that always have work. Breaks when one that holds its
device back and one that spins for it wait for each other for ever: on one device, on two, capped, or in the lowest class."""
import subprocess

from sharing import BUILD, MIDDLE, PATIENCE_S, SharingTest, main


class PartnersTest(SharingTest):
    def meet(self, gpus, partners, *options, rounds):
        words = [str(BUILD / "weft"), "run", "--gpu", gpus, "--tenant", "partners", *options, "--",
                 str(BUILD / "tests/system/sharing/meet"), str(partners), str(rounds)]
        result = subprocess.run(words, env=self.env, text=True, capture_output=True, timeout=PATIENCE_S)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "met\n", ""))

    def test_on_two_devices(self):
        self.start("first", MIDDLE, "--weight", "1000")
        self.await_all("first")
        self.meet("soft=slowx2", 2, "--weight", "50", rounds=20)
        self.meet("soft=slowx2", 4, "--weight", "1000", rounds=20)
        self.meet("soft=slowx2", 2, "--compute", "5%", "--weight", "1000", rounds=20)

    def test_on_one_device(self):
        self.start("other", MIDDLE)
        self.await_all("other")
        self.meet("soft=slow", 4, rounds=20)
        self.meet("soft=slow", 2, "--compute", "10%", rounds=20)

    def test_under_a_class_that_is_always_busy(self):
        self.start("critical", MIDDLE, "--priority", "critical")
        self.await_all("critical")
        self.meet("soft=slow", 2, "--priority", "idle", rounds=10)


main()
