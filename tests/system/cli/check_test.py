"""weft check on programs that are built for it: what it says, and its status."""
import contextlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

BUILD = sys.argv.pop(1)
WEFT = os.path.join(BUILD, "weft")
STATIC = os.path.join(BUILD, "tests/conformance/cudart/cudart_static_13")
SHARED = os.path.join(BUILD, "tests/conformance/cudart/cudart_registered_13")


def check(*arguments):
    return subprocess.run([WEFT, "check", *arguments], capture_output=True, text=True)


class Check(unittest.TestCase):
    def test_a_program_of_the_shared_runtime_runs_on_soft(self):
        ended = check("--gpu", "soft", "--json", SHARED)
        self.assertEqual(ended.returncode, 0, ended.stderr)
        found = json.loads(ended.stdout)
        self.assertEqual((found["modules"], found["kernels"]), (1, 1))
        self.assertTrue(found["soft"]["runs"] and found["native"]["runs"] and found["uses_cuda"])

    def test_no_ptx_is_named(self):
        with self.changed(lambda head: head.__setitem__(slice(16, 18), struct.pack("<H", 2))) as path:
            ended = check("--gpu", "soft", path)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("no PTX", ended.stdout)

    def test_ptx_for_a_newer_device_is_named(self):
        with self.changed(lambda head: head.__setitem__(slice(44, 48), struct.pack("<I", 90))) as path:
            ended = check("--gpu", "soft", path)
            newer = check("--gpu", "soft=h100-80g", path)
        self.assertIn("sm_90", ended.stdout)
        self.assertEqual((ended.returncode, newer.returncode), (1, 0), newer.stdout + newer.stderr)

    def test_an_instruction_that_cannot_run_is_named(self):
        with self.changed(lambda head: None, (b"mul.wide.u32", b"wide.mul.u32")) as path:
            ended = check("--gpu", "soft", path)
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stdout, r"ptx:\d+:\d+: .*wide")

    def test_the_static_runtime_is_named(self):
        with self.changed(lambda head: None, (b"libcudart.so.13", b"libcutart.so.13")) as path:
            ended = check(path)
        self.assertEqual(ended.returncode, 0) # nothing was asked of one device
        self.assertIn("-cudart shared", ended.stdout)

    def test_our_static_runtime_is_not_nvidias(self):
        ended = check("--gpu", "soft", STATIC)
        self.assertEqual(ended.returncode, 0, ended.stdout)
        data = open(STATIC, "rb").read()
        with tempfile.NamedTemporaryFile() as copy: # one whose note is another's
            copy.write(data.replace(struct.pack("<III", 5, 4, 1) + b"weft\0", struct.pack("<III", 5, 4, 1) + b"warp\0"))
            copy.flush()
            ended = check("--gpu", "soft", copy.name)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("-cudart shared", ended.stdout)

    def test_what_is_no_program(self):
        self.assertIn("no CUDA", check("/bin/ls").stdout)
        for path, said in (("/etc/passwd", "not an ELF"), ("/nowhere", "No such file"), ("/", "not an ELF")):
            ended = check(path)
            self.assertEqual(ended.returncode, 1)
            self.assertIn(said, ended.stderr)

    def test_wrong_usage(self):
        for arguments in ((), ("a", "b"), ("--gpu", "0", "/bin/ls"), ("--gpu", "soft=nothing", "/bin/ls"), ("--what",)):
            self.assertEqual(check(*arguments).returncode, 2, arguments)

    @contextlib.contextmanager
    def changed(self, change, words=None):
        """A copy of the program whose fat binary's head, or all words of it, are other ones."""
        data = bytearray(open(SHARED, "rb").read())
        at = data.index(struct.pack("<IHH", 0xBA55ED50, 1, 16))
        head = bytearray(data[at:at + 80])
        change(head)
        data[at:at + 80] = head
        if words:
            data = data.replace(*words)
        with tempfile.NamedTemporaryFile() as copy:
            copy.write(data)
            copy.flush()
            yield copy.name


unittest.main()
