"""Writes the two sides of the test that every call arrives: a driver that records its arguments, and the callers."""

from gen.headers import NOTICE


def driver(api):
    """Each function copies its arguments' bytes to record N and returns a result of its own."""
    functions = []
    for index, call in enumerate(api.calls):
        lines = ["    counting_record(%d, &%s, sizeof(%s));" % (index, p.name, p.name) for p in call.parameters]
        functions.append("\n".join(
            ["CUresult %s(%s);" % (call.symbol, call.signature),
             "__attribute__((visibility(\"default\"))) CUresult %s(%s)\n{" % (call.symbol, call.signature),
             "    counting_begin(%d);" % index] + lines + ["    return counting_result(%d);\n}\n" % index]))
    return NOTICE + "#include \"counting.h\"\n\n" + "\n".join(functions)


def callers(api):
    """Each function makes up different bytes for every argument, notes them, and calls what it is given."""
    functions, fields = [], []
    for index, call in enumerate(api.calls):
        variables = ["    __typeof__(%s) %s;\n    caller_fill(&%s, sizeof(%s));" % (
            p.type, p.name, p.name, p.name) for p in call.parameters]
        functions.append("\n".join(
            ["static CUresult call_%s(weft_cuda_fn weft_target)\n{" % call.symbol] + variables +
            ["    return ((CUresult(*)(%s))weft_target)(%s);\n}\n" % (call.signature, call.arguments)]))
        fields.append("    call_%s," % call.symbol)
    return "\n".join([NOTICE + "#include \"counting.h\"\n"] + functions
                     + ["const counting_call_fn counting_callers[WEFT_CUDA_ENTRIES] = {"] + fields + ["};"]) + "\n"
