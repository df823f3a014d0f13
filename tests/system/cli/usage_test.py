"""Help, versions, wrong usage: exit codes and words. Breaks when a verb or an option is not understood, or misunderstood."""
import subprocess

import place


class UsageTest(place.PlaceTest):
    def test_help_and_version(self):
        for words in (["--help"], ["-h"], ["run", "--help"], ["ls", "--help"], ["ps", "-h"], ["set", "--help"]):
            result = self.call(*words)
            self.assertEqual((result.returncode, result.stderr), (0, ""), words)
            self.assertIn("usage: weft", result.stdout)
        self.assertRegex(self.call("--version").stdout, r"^weft \d+\.\d+\.\d+\n$")
        result = subprocess.run([self.weftd, "--version"], text=True, capture_output=True)
        self.assertRegex(result.stdout, r"^weftd \d+\.\d+\.\d+\n$")
        result = subprocess.run([self.weftd, "--help"], text=True, capture_output=True)
        self.assertEqual(result.returncode, 0)
        self.assertIn("--socket DIR", result.stdout)

    def test_wrong_usage_of_other_verbs_is_2(self):
        for words in (["fly"], ["--fly"], [], ["ps", "--fly"], ["ls", "word"], ["ps", "--json=1"], ["set"], ["set", "alice"],
                      ["set", "alice", "--memory"], ["set", "alice", "--memory", "2Q"], ["set", "a", "b", "--memory", "1M"]):
            result = self.call(*words)
            self.assertEqual(result.returncode, 2, words)
            self.assertEqual(result.stdout, "")
            self.assertIn("weft", result.stderr)

    def test_wrong_usage_of_run_is_125(self):
        soft = ["run", "--gpu", "soft"]
        cases = {
            ("run",): "which program",
            ("run", "--fly", "true"): "unknown option --fly",
            ("run", "-x", "true"): "unknown option -x",
            ("run", "--memory"): "needs a value",
            (*soft, "--memory", "2Q", "true"): "unknown unit 'Q'; use K, M, G or T",
            (*soft, "--memory", "2GB", "true"): "GiB",
            (*soft, "--memory", "-1M", "true"): "negative",
            (*soft, "--memory", "0", "true"): "more than 0",
            (*soft, "--memory", "", "true"): "not a size",
            (*soft, "--memory", "2M:1M", "true"): "the guarantee is more than the ceiling",
            (*soft, "--memory", ":1M", "true"): "MIN:MAX",
            (*soft, "--memory", "1M:", "true"): "MIN:MAX",
            (*soft, "--weight", "0", "true"): "from 1 to 10000",
            (*soft, "--weight", "10001", "true"): "from 1 to 10000",
            (*soft, "--weight", "99999999999999999999", "true"): "from 1 to 10000",
            (*soft, "--weight", "1.5", "true"): "whole number",
            (*soft, "--compute", "0%", "true"): "from 1% to 100%",
            (*soft, "--compute", "101%", "true"): "from 1% to 100%",
            (*soft, "--compute", "half", "true"): "like 50%",
            (*soft, "--compute", "1.2.3%", "true"): "like 50%",
            (*soft, "--priority", "urgent", "true"): "critical, high, normal, low or idle",
            (*soft, "--sm", "12.5%", "true"): "whole per cents",
            (*soft, "--sm", "", "true"): "like 50%",
            (*soft, "--kernel-timeout", "-1", "true"): "not a number of seconds",
            (*soft, "--kernel-timeout", "5000", "true"): "at most 4294",
            (*soft, "--memory", "5G", "true"): "more than weft soft small has: 4.0 GiB",
            (*soft, "--memory", str((4 << 30) + 1), "true"): "4294967297 bytes are more than weft soft small has",
            ("run", "--gpu", "soft=huge", "true"): "no such profile; there are small, t4",
            ("run", "--gpu", "softer", "true"): "not a device",
            ("run", "--gpu", "soft,,soft", "true"): "empty",
            ("run", "--gpu", "soft=smallx17", "true"): "from 1 to 16",
            ("run", "--gpu", "MIG-00000000-0000-0000-0000-000000000000", "true"): "not supported yet",
            ("run", "--gpu", "tls://box:7411", "true"): "not supported yet",
            ("run", "--gpu", "tcp://box", "true"): "not supported yet",
            ("run", "--gpu", "unix:/x", "true"): "not supported yet",
            ("run", "--gpu", "shm:/x", "true"): "not supported yet",
            (*soft, "--tenant", "", "true"): "--tenant",
            (*soft, "--tenant", "a b", "true"): "letters, digits",
            (*soft, "--tenant", "../x", "true"): "letters, digits",
            (*soft, "--tenant", "n" * 65, "true"): "64",
        }
        for words, text in cases.items():
            result = self.call(*words)
            self.assertEqual(result.returncode, 125, words)
            self.assertIn(text, result.stderr, words)
            self.assertTrue(result.stderr.startswith("weft: "), result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_without_gpu_the_message_names_soft(self):
        result = self.call("run", "true", env={"WEFT_NATIVE_LIBNVML": "/nonexistent"})
        self.assertEqual(result.returncode, 125)
        self.assertIn("--gpu soft", result.stderr)


if __name__ == "__main__":
    place.main()
