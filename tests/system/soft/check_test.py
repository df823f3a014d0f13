"""The checker: one planted defect after the other, and a program without any. Breaks when a defect is missed or told twice, when
the message loses the place, the thread or the allocation, when a clean program is told of, or when the code is not the usual one."""
import re
import subprocess

from rig import BUILD, PATIENCE_S, SoftTest, main

ADDRESS = r"0x[0-9a-f]+"
PLACE = r"PTX line 12 \(defect\.cu:34\), .* thread \(3,0,0\) of block \([01],0,0\)"
DEFECTS = {
    "past_end": (700, rf"wrote 4 bytes at {ADDRESS}, 0 bytes past the end of the 1000 bytes at {ADDRESS}"),
    "far_past_end": (700, r"128 bytes past the end of the 1000 bytes"),
    "straddles": (700, r"read 16 bytes at .*, the last 8 of them past the end of the 1000 bytes"),
    "freed": (700, r"read 4 bytes at .*, at byte 16 of the 1000 bytes at .* that were freed"),
    "misaligned": (716, r"misaligned address"),
    "unwritten": (0, r"read memory that nothing has written: .*4 bytes at .*, at byte 512 of the 1000 bytes"),
    "unwritten_atom": (0, r"nothing has written: .*at byte 516 of the 1000 bytes"),
    "unwritten_vector": (0, r"nothing has written: .*at byte 512 of the 1000 bytes"),
    "atom_past_end": (700, r"0 bytes past the end"),
    "volatile_past_end": (700, r"read 4 bytes at .*, 0 bytes past the end"),
    "generic_past_end": (700, r"wrote 1 bytes? at .*, 0 bytes past the end"),
    "shared_past_end": (700, r"wrote 4 bytes of shared memory, 0 bytes past the end of left \(12 bytes\)"),
    "shared_generic": (700, r"wrote 4 bytes of shared memory, 0 bytes past the end of right \(16 bytes\)"),
    "shared_unwritten": (0, r"nothing has written: .*4 bytes of shared memory, at byte 4 of right \(16 bytes\)"),
    "local_past_end": (700, r"wrote 4 bytes of local memory, 0 bytes past the end of own \(12 bytes\)"),
    "param_past_end": (700, r"read 8 bytes of parameter memory, the last 4 of them past the end of n \(4 bytes\)"),
    "copy_of_unwritten": (0, r"nothing has written: .*4 bytes at .*, at byte 516 of the 1000 bytes"),
    "bulk_past_end": (700, r"wrote 16 bytes at .*, the last 8 of them past the end of the 1000 bytes"),
    "bulk_of_unwritten": (0, r"nothing has written: .*16 bytes of shared memory, at byte 0 of right \(16 bytes\)"),
    "mbarrier_unwritten": (0, r"nothing has written: .*8 bytes of shared memory, at byte 0 of right \(16 bytes\)"),
    "cluster_past_end": (700, r"wrote 4 bytes of shared memory, 0 bytes past the end of right \(16 bytes\)"),
    "cluster_unwritten": (0, r"nothing has written: .*4 bytes of shared memory, at byte 8 of right \(16 bytes\)"),
    "unwritten_vector_atom": (0, r"nothing has written: .*4 bytes at .*, at byte 512 of the 1000 bytes"),
    "vector_atom_past_end": (700, r"8 bytes at .*, 0 bytes past the end of the 1000 bytes"),
    "unwritten_wide": (0, r"nothing has written: .*16 bytes at .*, at byte 512 of the 1000 bytes"),
    "copy_past_end": (700, r"read 4 bytes at .*, 0 bytes past the end of the 1000 bytes"),
}


class CheckTest(SoftTest):
    def run_checked(self, *words, check="1"):
        return subprocess.run([str(BUILD / "weft"), "run", "--gpu", "soft=h100-80g", "--", *words], text=True,
                              capture_output=True, timeout=PATIENCE_S, env={**self.env, "WEFT_SOFT_CHECK": check})

    def checked(self, *words, check="1"):
        program = str(BUILD / "tests" / "system" / "soft" / "checked")
        result = self.run_checked(program, *words, check=check)
        self.assertEqual(result.returncode, 0, result.stderr)
        return int(result.stdout), result.stderr

    def test_defects(self):
        for defect, (code, said) in DEFECTS.items():
            with self.subTest(defect=defect):
                result, text = self.checked(defect)
                self.assertEqual((result, text.count("weft:")), (code, 1), text)
                self.assertRegex(text, said)
                self.assertRegex(text, PLACE)
                self.assertTrue(re.search("kernel kernel ", text))

    def test_defects_in_a_pool(self):
        for defect, (code, said) in DEFECTS.items():
            if any(word in defect for word in ("shared", "local", "param")):
                continue
            with self.subTest(defect=defect):
                result, text = self.checked(defect, "pooled")
                self.assertEqual((result, text.count("weft:")), (code, 1), text)
                self.assertRegex(text, said)
                self.assertRegex(text, PLACE)

    def test_clean_in_a_pool(self):
        for name in ("clean", "clean_copies", "clean_matrices", "clean_cluster", "clean_atomics"):
            with self.subTest(name=name):
                self.assertEqual(self.checked(name, "pooled"), (0, ""))

    def test_clean(self):
        for name in ("clean", "clean_copies", "clean_matrices", "clean_cluster", "clean_atomics"):
            with self.subTest(name=name):
                self.assertEqual(self.checked(name), (0, ""))

    def test_matrix_past_end(self):
        result, text = self.checked("matrix_past_end")
        self.assertEqual(result, 700, text)
        self.assertRegex(text, r"wrote 16 bytes of shared memory, .*, stmatrix")

    def test_without_it_only_what_a_card_sees(self):
        self.assertEqual(self.checked("unwritten", check="0"), (0, ""))
        self.assertEqual(self.checked("shared_past_end", check=""), (0, ""))
        self.assertEqual(self.checked("misaligned", check="0")[0], 716)

    def test_programs_that_are_right(self):
        for name in ("engine/engine_launch", "engine/engine_cooperative", "engine/engine_print", "engine/engine_recursion",
                     "engine/engine_allocate", "engine/engine_cluster", "driver/memory/memory_kinds"):
            with self.subTest(name=name):
                result = self.run_checked(str(BUILD / "tests" / "conformance" / name))
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertNotIn("nothing has written", result.stderr)
                self.assertNotIn("past the end", result.stderr)

    def test_kernels_of_nvrtc_are_right(self):
        for words in (["nvrtc_driver_test"], ["nvrtc_newer_test", "90"]):
            result = self.run_checked(str(BUILD / "tests" / "conformance" / "nvrtc" / words[0]), *words[1:])
            if result.returncode == 77:
                self.skipTest(result.stdout.splitlines()[-1])
            self.assertEqual((result.returncode, result.stderr), (0, ""), result.stderr)


main()
