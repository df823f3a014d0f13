#!/usr/bin/env python3
"""toolkit_header.py COMPILER… INCLUDE_DIRECTORY: compares api/cuda with the CUDA 13.0 toolkit's own headers and stub library.

The same questions (sizes, offsets, values, signatures, which symbol a plain name is compiled to) are put to both headers
by compiling one source against each. Breaks if a name, value, layout, signature or version in api/ is wrong or missing.
Skipped where no toolkit is installed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tools"))
from gen import model  # noqa: E402

TOOLKIT_VERSION = "13000"
SKIPPED = 77
# What cuda.h defines for itself, not for programs.
PRIVATE = {"CUDA_CB", "CUDAAPI", "CUDA_VERSION", "CUDA_ENABLE_DEPRECATED", "CUDA_FORCE_API_VERSION",
           "CUDA_API_PER_THREAD_DEFAULT_STREAM", "CU_UUID_HAS_BEEN_DEFINED"}


def find_toolkit():
    for folder in filter(None, [os.environ.get("CUDA_HOME"), "/usr/local/cuda-13.0", "/usr/local/cuda"]):
        header = pathlib.Path(folder) / "include" / "cuda.h"
        if header.exists() and "#define CUDA_VERSION %s" % TOOLKIT_VERSION in header.read_text(errors="replace"):
            return pathlib.Path(folder)
    return None


def field_paths(record, prefix=""):
    """Every field that can be named, with the members of nested records."""
    for field in record.fields:
        if isinstance(field, str):
            yield prefix + re.search(r"(\w+)\)?(\([^)]*\))?(\[\w+\])*$", field).group(1)
            continue
        name = field.names[0].split("[")[0]
        index = "[0]" if "[" in field.names[0] else ""
        if name:
            yield prefix + name
        yield from field_paths(field, prefix + name + index + "." if name else prefix)


def questions(api):
    """Lines of a C program that prints every size, offset and value."""
    for record in api.records:
        types = ["%s %s" % (record.keyword, record.tag)] + record.names
        for name in types:
            yield 'printf("%%s %%zu %%zu\\n", "%s", sizeof(%s), _Alignof(%s));' % (name, name, name)
        for path in field_paths(record):
            yield 'printf("%%s %%zu %%zu\\n", "%s.%s", offsetof(%s, %s), sizeof(((%s *)0)->%s));' % (
                types[0], path, types[0], path, types[0], path)
    for (_, *names), values in api.enums:
        for name in names:
            yield 'printf("%%s %%zu\\n", "%s", sizeof(%s));' % (name, name)
        for name, _ in values:
            yield 'printf("%%s %%lld\\n", "%s", (long long)%s);' % (name, name)
    for name, _ in api.aliases + api.handles + api.callbacks:
        yield 'printf("%%s %%zu\\n", "%s", sizeof(%s));' % (name, name)
    for name, _ in api.constants:
        yield 'printf("%%s %%lld\\n", "%s", (long long)%s);' % (name, name)


def answers(compiler, folder, include, api):
    source = "#include <stddef.h>\n#include <stdio.h>\n%s\nint main(void)\n{\n%s\n}\n" % (
        include, "\n".join(questions(api)))
    (folder / "questions.c").write_text(source)
    program = folder / "questions"
    subprocess.run([*compiler, "-std=gnu17", "-w", str(folder / "questions.c"), "-o", str(program)], check=True)
    return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.splitlines()


def compare_layouts(compiler, folder, ours, theirs, api):
    own = answers([*compiler, *ours], folder, "#include <weft/cuda_abi.h>", api)
    other = answers([*compiler, *theirs], folder,
                    "#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <cudaProfiler.h>", api)
    for mine, other_line in zip(own, other):
        if mine != other_line:
            yield "api/cuda says '%s', the toolkit '%s'" % (mine, other_line)


def compare_signatures(compiler, folder, theirs, api):
    """One line a call, so that the compiler's line number names the call that differs."""
    checks = ["_Static_assert(__builtin_types_compatible_p(__typeof__(%s), CUresult(%s)), \"%s\");" % (
        call.symbol, call.signature, call.symbol) for call in api.calls]
    source = folder / "signatures.c"
    source.write_text("#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <cudaProfiler.h>\n" + "\n".join(checks))
    run = subprocess.run([*compiler, *theirs, "-std=gnu17", "-w", "-fsyntax-only", str(source)],
                         capture_output=True, text=True)
    for line in run.stderr.splitlines():
        if "error" in line:
            yield "signature: " + line.split("error:")[-1].strip()


def plain_names(compiler, header, options, api):
    """What each name without a version is compiled to."""
    names = sorted({call.name for call in api.calls} | {name for call in api.calls for name in call.plain_names})
    names.remove("cuGetProcAddress")  # in per-thread mode a function of the header stands before it
    text = "#include <%s>\n" % header + "".join('PLAIN "%s" %s\n' % (name, name) for name in names)
    run = subprocess.run([*compiler, *options, "-E", "-P", "-"], input=text, capture_output=True, text=True, check=True)
    return dict(re.findall(r'^PLAIN "(\w+)" (\w+)$', run.stdout, re.M))


def compare_plain_names(compiler, ours, theirs, api):
    for mode in [], ["-DCUDA_API_PER_THREAD_DEFAULT_STREAM"]:
        own = plain_names(compiler, "weft/cuda.h", [*ours, *mode], api)
        other = plain_names(compiler, "cuda.h", [*theirs, *mode], api)
        for name, symbol in own.items():
            if other.get(name) != symbol:
                yield "%s is compiled to %s, with the toolkit to %s %s" % (name, symbol, other.get(name), mode)


def compare_coverage(compiler, theirs, toolkit, api):
    """Everything that the toolkit's header and library name is in api/."""
    text = '#include <cuda.h>\n#include <cudaProfiler.h>\n'
    run = subprocess.run([*compiler, *theirs, "-E", "-P", "-"], input=text, capture_output=True, text=True, check=True)
    known = {name for _, values in api.enums for name, _ in values} | {name for name, _ in api.constants}
    types = {name for record in api.records for name in record.names} | {name for names, _ in api.enums for name in names}
    types |= {name for name, _ in api.aliases + api.handles + api.callbacks}
    their_types = re.findall(r"typedef\b[^;{}()]*?\b(CU\w+);|\}\s*(CU\w+);|\(\s*\*\s*(CU\w+)\)", run.stdout)
    for name in sorted({"".join(names) for names in their_types} - types):
        yield "the toolkit's type %s is not in api/cuda" % name
    for name in sorted(set(re.findall(r"\bCU(?:DA)?_[A-Z0-9_]+\b", run.stdout)) - known - types - PRIVATE):
        yield "the toolkit's %s is not in api/cuda" % name
    macros = subprocess.run([*compiler, *theirs, "-E", "-dM", "-"], input=text, capture_output=True, text=True,
                            check=True).stdout
    for name in sorted(set(re.findall(r"^#define (CU(?:DA)?_[A-Z0-9_]+) ", macros, re.M)) - known - PRIVATE):
        yield "the toolkit's macro %s is not in api/cuda" % name
    stub = toolkit / "lib64" / "stubs" / "libcuda.so"
    listing = subprocess.run(["nm", "-D", "--defined-only", str(stub)], capture_output=True, text=True).stdout
    exported = {line.split()[-1] for line in listing.splitlines() if line.split()[-1].startswith("cu")}
    for name in sorted(exported ^ {call.symbol for call in api.calls}):
        yield "%s is %s" % (name, "not in api/cuda" if name in exported else "not in the toolkit's library")


def compare_versions(toolkit, api):
    """cudaTypedefs.h names a type after each version of each name."""
    text = "".join((toolkit / "include" / name).read_text(errors="replace")
                   for name in ("cudaTypedefs.h", "cudaProfilerTypedefs.h"))
    theirs = set(re.findall(r"\*PFN_(cu\w+?_v\d+(?:_pt[ds][sz])?)\)", text))
    ours = {"%s_v%d%s" % (call.name, call.since, "_" + call.flavour if call.flavour else "") for call in api.calls}
    for name in sorted(theirs ^ ours):
        yield "version %s is only in %s" % (name, "the toolkit" if name in theirs else "api/cuda")


def main(compiler, include):
    toolkit = find_toolkit()
    if not toolkit:
        print("no CUDA 13.0 toolkit is installed (looked at CUDA_HOME and /usr/local/cuda)")
        return SKIPPED
    api = model.load(ROOT / "api" / "cuda")
    ours, theirs = ["-I", include, "-I", str(ROOT / "include")], ["-I", str(toolkit / "include")]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        findings = [*compare_layouts(compiler, folder, ours, theirs, api),
                    *compare_signatures(compiler, folder, theirs, api),
                    *compare_plain_names(compiler, ours, theirs, api),
                    *compare_coverage(compiler, theirs, toolkit, api),
                    *compare_versions(toolkit, api)]
    for finding in findings:
        print(finding)
    print("%d calls, %d records, %d enums compared, %d differences" % (
        len(api.calls), len(api.records), len(api.enums), len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:-1], sys.argv[-1]))
