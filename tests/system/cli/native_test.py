"""Native GPUs as the vendor's library tells of them. Breaks when ordinals, UUIDs or the choice of devices do not fit."""
import json
import os

import place


class NativeTest(place.PlaceTest):
    def setUp(self):
        super().setUp()
        self.env["WEFT_NATIVE_LIBNVML"] = str(place.BUILD / "tests" / "system" / "cli" / "libfake_nvml.so")

    def granted(self, *gpu):
        result = self.call("run", *gpu, self.client, "open", "devices")
        self.assertEqual(result.returncode, 0, result.stderr)
        return [line.split()[3:6:2] for line in result.stdout.splitlines() if line.startswith("device ")]

    def test_choice(self):
        self.assertEqual(self.granted(), [["1", "0"], ["1", "1"]])
        self.assertEqual(self.granted("--gpu", "1"), [["1", "1"]])
        self.assertEqual(self.granted("--gpu", "1,0"), [["1", "1"], ["1", "0"]])
        self.assertEqual(self.granted("--gpu", "any"), [["1", "0"]])
        self.assertEqual(self.granted("--gpu", "GPU-00000000-0000-0000-0000-000000000002"), [["1", "1"]])
        self.assertEqual(self.granted("--gpu", "soft,1"), [["2", "0"], ["1", "1"]])

    def test_any_takes_the_least_loaded(self):
        first = self.begin("run", "--gpu", "any", self.client, "open", "wait")
        self.wait_line(first, "waiting")
        self.assertEqual(self.granted("--gpu", "any"), [["1", "1"]])

    def test_a_share_of_the_sms_is_asked_of_mps(self):
        pipes = self.root / "mps"
        pipes.mkdir()
        self.env["CUDA_MPS_PIPE_DIRECTORY"] = str(pipes)
        ask = ("run", "--gpu", "0", "--tenant", "t", "--sm", "40%", "sh", "-c", "echo told $CUDA_MPS_ACTIVE_THREAD_PERCENTAGE")
        os.mkfifo(pipes / "control")
        for _ in range(2):
            refused = self.call(*ask)
            self.assertEqual(refused.returncode, 125)
            self.assertIn(f"none listens at {pipes}", refused.stderr)
        with open(os.open(pipes / "control", os.O_RDONLY | os.O_NONBLOCK), "rb"):
            self.assertEqual(self.call(*ask).stdout, "told 40\n")
            self.assertEqual(self.call(*ask, env={"CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "12.5"}).stdout, "told 12.5\n")
            self.assertEqual(self.call("run", "--gpu", "0", *ask[7:]).stdout, "told\n")
            program = self.begin("run", "--gpu", "0", "--tenant", "t", "--sm", "40%", self.client, "open", "wait")
            self.wait_line(program, "waiting")
            changed = self.call("set", "t", "--sm", "30%")
            self.assertEqual(changed.returncode, 0, changed.stderr)
            self.assertIn("those that run keep theirs", changed.stderr)
            self.assertEqual(self.call("run", "--tenant", "t", *ask[7:]).stdout, "told 30\n")
        # Who has a share keeps it where MPS ends, and can be changed otherwise.
        self.assertEqual(self.call("set", "t", "--sm", "20%").returncode, 1)
        self.assertEqual(self.call("set", "t", "--memory", "1G").returncode, 0)

    def test_refusals(self):
        for gpu, words in (("2", "devices 0 to 1"), ("0,0", "twice"), ("any,any,any", "no further"),
                           ("GPU-00000000-0000-0000-0000-000000000009", "weft ls")):
            result = self.call("run", "--gpu", gpu, "true")
            self.assertEqual(result.returncode, 125, gpu)
            self.assertIn(words, result.stderr)
        result = self.call("run", "--gpu", "0", "--memory", "9G", "true")
        self.assertIn("more than Made-up card 0 has: 8.0 GiB", result.stderr)

    def test_ls(self):
        self.call("run", "--gpu", "0", "true")
        devices = json.loads(self.call("ls", "--json").stdout)["devices"]
        self.assertEqual([(d["gpu"], d["name"], d["memory_bytes"]) for d in devices],
                         [("0", "Made-up card 0", 8 << 30), ("1", "Made-up card 1", 16 << 30)])


if __name__ == "__main__":
    place.main()
