#!/usr/bin/env python3
"""The reader of api/ refuses what the format does not allow, and names the place. Breaks if a slip in the list would go
through to the generated sources."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]

GOOD = """
cuCopy 3020 ptsz=7000 plain one-way   # a comment
    const void *data : host[size]
    size_t size
    CUstream stream : use
"""


def generate(calls, kind="entries"):
    """(status, output, what was said) of the generator over one file of calls."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "one.calls").write_text(calls)
        output = folder / "output"
        run = subprocess.run([str(ROOT / "tools" / "generate"), kind, str(folder), str(output)],
                             capture_output=True, text=True)
        return run.returncode, output.read_text() if output.exists() else "", run.stderr


class Model(unittest.TestCase):
    def refused(self, calls, *words):
        status, _, said = generate(calls)
        self.assertNotEqual(status, 0)
        for word in words:
            self.assertIn(word, said)

    def test_good(self):
        status, text, said = generate(GOOD)
        self.assertEqual((status, said), (0, ""))
        self.assertIn('{"cuCopy", "cuCopy", 3020, WEFT_CUDA_STREAM_LEGACY, WEFT_CUDA_CLASS_ONE_WAY}', text)
        self.assertIn('{"cuCopy_ptsz", "cuCopy", 7000, WEFT_CUDA_STREAM_PER_THREAD, WEFT_CUDA_CLASS_ONE_WAY}', text)

    def test_flavours_share_parameters(self):
        _, text, _ = generate(GOOD, "table")
        for symbol in ("cuCopy", "cuCopy_ptsz"):
            self.assertIn("CUresult (*%s)(const void *data, size_t size, CUstream stream);" % symbol, text)

    def test_unknown_words(self):
        self.refused(GOOD.replace("one-way", "sometimes"), "one.calls", "cuCopy", "sometimes")
        self.refused(GOOD.replace(": use", ": borrow"), "one.calls", "borrow")

    def test_missing_version(self):
        self.refused("cuCopy plain\n", "one.calls", "cuCopy")
        self.refused("cuCopy\n", "one.calls", "cuCopy")

    def test_parameter_without_call(self):
        self.refused("    size_t size\n", "one.calls", "size_t size")

    def test_unknown_count(self):
        self.refused(GOOD.replace("[size]", "[length]"), "cuCopy", "length")

    def test_pointer_without_word(self):
        self.refused(GOOD.replace(" : host[size]", ""), "cuCopy", "data")

    def test_described_twice(self):
        self.refused(GOOD + GOOD, "cuCopy", "twice")


if __name__ == "__main__":
    sys.exit(unittest.main())
