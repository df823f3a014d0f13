"""Writes the C sources that know every call by number: the list of entries, and the calls that refuse."""

from gen.headers import NOTICE

CLASS_NAMES = {None: "WEFT_CUDA_CLASS_UNKNOWN", "local": "WEFT_CUDA_CLASS_LOCAL", "one-way": "WEFT_CUDA_CLASS_ONE_WAY",
               "answer": "WEFT_CUDA_CLASS_ANSWER"}


def entries(api):
    """Data for src/cuda/entries.c, and the proof that field N of the table is entry N."""
    rows = ["    {\"%s\", \"%s\", %d, %s, %s}," % (
        call.symbol, call.name, call.since,
        "WEFT_CUDA_STREAM_PER_THREAD" if call.flavour else "WEFT_CUDA_STREAM_LEGACY",
        CLASS_NAMES[call.call_class]) for call in api.calls]
    places = ["_Static_assert(offsetof(struct weft_cuda, %s) == %d * sizeof(void *), \"a table of pointers\");" % (
        call.symbol, index) for index, call in enumerate(api.calls)]
    by_symbol = sorted(range(len(api.calls)), key=lambda index: api.calls[index].symbol.encode())
    order = ["    " + ", ".join(str(index) for index in by_symbol[start:start + 16]) + ","
             for start in range(0, len(by_symbol), 16)]
    return "\n".join([
        NOTICE + "#include \"cuda/entries.h\"\n", "const struct weft_cuda_entry weft_cuda_entries[WEFT_CUDA_ENTRIES] = {"]
        + rows + ["};\n", "const uint16_t weft_cuda_entries_by_symbol[WEFT_CUDA_ENTRIES] = {"] + order + ["};\n"]
        + places) + "\n"


def unsupported(api):
    """A function a call that refuses it, and the table full of them."""
    functions, fields = [], []
    for index, call in enumerate(api.calls):
        parameters = ", ".join("UNUSED " + p.declaration for p in call.parameters) or "void"
        functions.append("static CUresult refuse_%s(%s)\n{\n    return weft_cuda_refuse(%d);\n}\n" % (
            call.symbol, parameters, index))
        fields.append("    .%s = refuse_%s," % (call.symbol, call.symbol))
    return "\n".join([NOTICE + "#include \"cuda/entries.h\"\n", "#define UNUSED __attribute__((unused))\n"] + functions
                     + ["const struct weft_cuda weft_cuda_unsupported = {"] + fields + ["};"]) + "\n"


def results(api):
    """X(name, value, text) for each CUresult; the text is the name in words."""
    values = next(values for (_, *names), values in api.enums if "CUresult" in names)
    lines = ["    X(%s, %d, \"%s\")" % (name, value, _in_words(name)) for name, value in values]
    return NOTICE + "#define WEFT_CUDA_RESULTS(X) \\\n" + " \\\n".join(lines) + "\n"


def _in_words(name):
    return "no error" if name == "CUDA_SUCCESS" else name.replace("CUDA_ERROR_", "").replace("_", " ").lower()
