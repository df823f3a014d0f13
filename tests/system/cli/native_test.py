"""Native GPUs as the vendor's library tells of them. Breaks when ordinals, UUIDs or the choice of devices do not fit."""
import json

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
