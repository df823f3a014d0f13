#!/usr/bin/env python3
"""samples.py WEFT [NAME…]: NVIDIA's CUDA samples, as Debian packages them, built with -cudart shared and run on the soft GPU.

Opt-in: WEFT_SAMPLES names the folder that holds Samples/ and Common/ (of Debian's nvidia-cuda-samples, in contrib), WEFT_CUDA the
toolkit that builds them (of Debian's nvidia-cuda-toolkit, in non-free; tools/fetch-samples gets both). With names, only these.
Prints a line of a Markdown table a sample: docs/conformance.md is its output. Fails where fewer than 95 % of those that need
neither graphics nor NVIDIA's mathematics libraries, and that compile, succeed; one that waives itself is not counted.
"""
import concurrent.futures
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

ARCH, PROFILE = "80", "a100-40g"
BUILD_SECONDS_MAX, RUN_SECONDS_MAX = 900, 28800
PROCESSOR_SECONDS_MAX = 14400  # of one program: a busy machine makes nothing fail
SHARE_MIN = 0.95
WORDS_MAX = 200
REFUSED = re.compile(r"^weft: .*(cannot run|not supported|holds no PTX|machine code)", re.M)
TIMED_OUT = 124
WAIVED = 2  # what a sample returns that finds a feature of the device missing
NEEDS = {"graphics": r"-lGL|-lEGL|-lglut|-lGLEW|libGL|vulkan|glfw|FreeImage|X11|VDPAU|freeglut|GLES",
         "a library of NVIDIA's": r"-lcublas|-lcufft|-lcusolver|-lcusparse|-lnvjpeg|-lnpp|-lcurand|-lnvsci|-lcudla|-lnvgraph|-lcudnn",
         "MPI": r"mpicxx|-lmpi",
         "Windows": r"not supported on Linux - waiving"}


def needs(makefile):
    for what, pattern in NEEDS.items():
        if re.search(pattern, makefile, re.I):
            return what
    return None


def limit_processor_time():
    resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS_MAX, PROCESSOR_SECONDS_MAX))


def run(command, folder, seconds, environment=None):
    """In a process group of its own, so that nothing of it stays when its time is over."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, env=environment, start_new_session=True,
                          preexec_fn=limit_processor_time) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
            return process.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return TIMED_OUT, f"took more than {seconds} s"


def last_words(text):
    """The line that says most of what went wrong, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for pattern in (r"weft:", r"error|fail|waiv|not supported|not found") for line in lines
               if re.search(pattern, line, re.I)]
    return (telling or lines or ["no output"])[0][:WORDS_MAX].replace("|", "/")


def relink(makefile):
    """Four samples name NVIDIA's static runtime beside what nvcc is told: they get the shared one too."""
    makefile.write_text(makefile.read_text(errors="replace").replace("-lcudart_static", "-lcudart"))


def try_sample(weft, toolkit, folder):
    """Builds and runs it; tells of the result on stderr at once, since all of them take hours."""
    result, why = build_and_run(weft, toolkit, folder)
    print(f"{folder.name}: {result} {why}", file=sys.stderr, flush=True)
    return result, why


def build_and_run(weft, toolkit, folder):
    makefile = (folder / "Makefile").read_text(errors="replace")
    reason = needs(makefile)
    if reason:
        return "left out", f"needs {reason}"
    relink(folder / "Makefile")
    flags = [f"CUDA_PATH={toolkit}", f"SMS={ARCH}", "EXTRA_NVCCFLAGS=-cudart shared",
             "HOST_COMPILER=" + os.environ.get("WEFT_CXX", "g++-11")]
    status, output = run(["make", *flags], folder, BUILD_SECONDS_MAX)
    program = folder / folder.name
    if status or not program.exists():
        return "not built", last_words(output)
    libraries = f"{toolkit}/lib64:{os.environ.get('LD_LIBRARY_PATH', '')}"
    status, output = run([weft, "run", "--gpu", f"soft={PROFILE}", "--", f"./{folder.name}"], folder, RUN_SECONDS_MAX,
                         {**os.environ, "LD_LIBRARY_PATH": libraries})
    # Some say that all is well after errors that they did not look at.
    if status == 0 and not REFUSED.search(output):
        return "passed", ""
    if status == WAIVED and re.search(r"waiv", output, re.I):
        return "waived", last_words(output)
    return "failed", f"status {status}: {last_words(output)}"


def main(arguments):
    weft, names = os.path.abspath(arguments[0]), set(arguments[1:])
    samples, toolkit = os.environ.get("WEFT_SAMPLES"), os.environ.get("WEFT_CUDA")
    if not samples or not toolkit:
        print("WEFT_SAMPLES and WEFT_CUDA are not set; see tools/fetch-samples")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "samples"
        shutil.copytree(samples, copy)
        folders = sorted(path.parent for path in copy.glob("Samples/*/*/Makefile") if not names or path.parent.name in names)
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(lambda folder: try_sample(weft, toolkit, folder), folders))
    print("| sample | result | why |\n| --- | --- | --- |")
    for folder, (result, why) in zip(folders, results):
        print(f"| {folder.parent.name}/{folder.name} | {result} | {why} |")
    counts = {kind: sum(result == kind for result, _ in results) for kind in ("passed", "waived", "failed", "not built", "left out")}
    print("\n" + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    tried = counts["passed"] + counts["failed"]
    sys.exit(0 if tried and counts["passed"] >= SHARE_MIN * tried else 1)


main(sys.argv[1:])
