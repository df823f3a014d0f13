"""Writes what libcuda.so.1 is made of: the list of its symbols, its version script, and the tracing layer."""

from gen.headers import NOTICE


def symbols(api):
    """SYMBOL(name, number) for each entry; src/face/symbols.S gives it its meaning."""
    lines = ["SYMBOL(%s, %d)" % (call.symbol, index) for index, call in enumerate(api.calls)]
    return NOTICE + "\n".join(lines) + "\n"


def version_script(api):
    lines = ["        %s;" % call.symbol for call in api.calls]
    return NOTICE + "{\n    global:\n" + "\n".join(lines) + "\n    local:\n        *;\n};\n"


def trace(api):
    """A function a call that hands it on to weft_face.traced and tells what came back."""
    functions, fields = [], []
    for index, call in enumerate(api.calls):
        functions.append("static CUresult trace_%s(%s)\n{\n    return weft_face_trace(%d, weft_face.traced.%s(%s));\n}\n" % (
            call.symbol, call.signature, index, call.symbol, call.arguments))
        fields.append("    .%s = trace_%s," % (call.symbol, call.symbol))
    return "\n".join([NOTICE + "#include \"face/trace.h\"\n"] + functions
                     + ["const struct weft_cuda weft_face_tracing = {"] + fields + ["};"]) + "\n"
