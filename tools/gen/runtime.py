"""Writes what our libcudart is made of besides its own code: types and prototypes, the exported symbols with the way into
each of them, the calls that refuse, and the version scripts."""

import re

from gen import headers
from gen.headers import NOTICE


def condition(call):
    """The versions of CUDA whose runtime has the call in this form; None: all."""
    parts = []
    if call.since >= 13000:
        parts.append("WEFT_CUDART_MAJOR >= %d" % (call.since // 1000))
    elif call.since >= 12000 and (call.until or call.twice):
        parts.append("WEFT_CUDART_MAJOR >= 12")
    if call.until:
        parts.append("WEFT_CUDART_MAJOR <= %d" % (call.until // 1000))
    return " && ".join(parts)


def _guarded(call, text):
    wanted = condition(call)
    return "#if %s\n%s#endif\n" % (wanted, text) if wanted else text


def _mark_twice(api):
    names = [call.symbol for call in api.calls]
    for call in api.calls:
        call.twice = names.count(call.symbol) > 1


def _result(call):
    return call.result or "cudaError_t"


def _function(call):
    """What implements the call, for all its flavours."""
    return "weft_cudart_" + call.base


def _has_flavours(api, call):
    return any(other.base == call.base and other.flavour for other in api.calls)


def _signature(api, call):
    text = call.signature
    if not _has_flavours(api, call):
        return text
    return "bool per_thread" if text == "void" else text + ", bool per_thread"


def abi(api):
    """Types, the exported prototypes, and those of the functions behind them."""
    _mark_twice(api)
    types = headers.abi(api).replace("WEFT_CUDA_ABI_H", "WEFT_CUDART_ABI_H")
    types = types.replace("#include <stdint.h>\n", "#include <stdint.h>\n#include <stdbool.h>\n\n#include <weft/cuda_abi.h>\n\n"
                          "#ifndef WEFT_CUDART_MAJOR\n#define WEFT_CUDART_MAJOR 13\n#endif\n")
    lines = []
    for call in api.calls:
        spaced = "" if _result(call).endswith("*") else " "
        text = "%s%s%s(%s);\n" % (_result(call), spaced, call.symbol, call.signature)
        if not call.flavour and not call.forward:
            text += "%s%s%s(%s);\n" % (_result(call), spaced, _function(call), _signature(api, call))
        lines.append(_guarded(call, text))
    end = "\n#ifdef __cplusplus\n}\n#endif\n\n#endif"
    head, _, tail = types.rpartition("\n#ifdef __cplusplus\n}\n#endif\n")
    return head + "\n" + "".join(lines) + end + tail.replace("#endif", "", 1).rstrip() + "\n"


ENTER = {"context": "weft_cudart_enter_context()", "driver": "weft_cudart_enter_driver()"}


def symbols(api, driver):
    """The exported functions: into the runtime, on to the driver or to our function, and out again."""
    _mark_twice(api)
    known = {call.symbol: call for call in driver.calls}
    out = [NOTICE + "#include \"runtime/runtime.h\"\n\n#define EXPORT __attribute__((visibility(\"default\")))\n"]
    for call in api.calls:
        spaced = "" if _result(call).endswith("*") else " "
        body = _forward(call, known) if call.forward else _own(api, call)
        out.append(_guarded(call, "EXPORT %s%s%s(%s)\n{\n%s}\n" % (
            _result(call), spaced, call.symbol, call.signature, body)))
    return "\n".join(out)


def _own(api, call):
    arguments = call.arguments
    if _has_flavours(api, call):
        arguments = ", ".join(part for part in (arguments, "true" if call.flavour else "false") if part)
    inner = "%s(%s)" % (_function(call), arguments)
    if call.entry == "bare":
        return "    return %s;\n" % inner
    return ("    cudaError_t result = %s;\n    return weft_cudart_leave(\"%s\", result ? result : %s);\n"
            % (ENTER[call.entry], call.base, inner))


def _forward(call, known):
    symbol = call.forward
    if call.flavour:
        symbol = "%s_%s" % (call.forward, call.flavour)
        if symbol not in known:
            symbol = call.forward
    target = known[symbol]
    if len(target.parameters) != len(call.parameters):
        raise SystemExit("%s: %s takes other parameters" % (call.symbol, symbol))
    casts = ", ".join(_cast(theirs.type, ours) for theirs, ours in zip(target.parameters, call.parameters))
    return ("    cudaError_t result = %s;\n    if (!result)\n        result = (cudaError_t)weft_cudart_driver()->%s(%s);\n"
            "    return weft_cudart_leave(\"%s\", result);\n" % (ENTER[call.entry], symbol, casts, call.base))


def _cast(wanted, ours):
    """A struct that is handed over by value has the same layout in both APIs."""
    if wanted in ("CUmemLocation", "CUipcEventHandle", "CUipcMemHandle"):
        return "*(const %s *)&%s" % (wanted, ours.name)
    return "(%s)%s" % (wanted, ours.name)


def refusing(api):
    """A weak function for each call that is not handed on, in place of which a real one may stand."""
    _mark_twice(api)
    out = [NOTICE + "#include \"runtime/runtime.h\"\n\n#define UNUSED __attribute__((unused))\n"
           "/* In a section of their own, which tells them from those that somebody wrote. */\n"
           "#define REFUSING __attribute__((weak, section(\"weft_refusing\")))\n"]
    for call in api.calls:
        if call.flavour or call.forward or call.result:
            continue
        parameters = ", ".join("UNUSED " + p.declaration for p in call.parameters)
        if _has_flavours(api, call):
            parameters = ", ".join(part for part in (parameters, "UNUSED bool per_thread") if part)
        out.append(_guarded(call, "REFUSING cudaError_t %s(%s)\n{\n    return weft_cudart_refuse(\"%s\");\n}\n" % (
            _function(call), parameters or "void", call.base)))
    return "\n".join(out)


def page(api, driver):
    """What each exported symbol comes to: a function of ours, or a call of the driver's; for docs/runtime.md."""
    _mark_twice(api)
    known = {call.symbol for call in driver.calls}
    out = [NOTICE + "#include \"runtime/page.h\"\n\nconst struct weft_cudart_page_entry weft_cudart_page[] = {\n"]
    for call in sorted(api.calls, key=lambda call: call.symbol):
        target = "(void (*)(void))" + _function(call)
        if call.forward:
            flavoured = "%s_%s" % (call.forward, call.flavour)
            target = "NULL, \"%s\"" % (flavoured if flavoured in known else call.forward)
        wanted = _exported_in(call)
        line = "    {\"%s\", %s},\n" % (call.symbol, target)
        out.append("#if %s\n%s#endif\n" % (wanted, line) if wanted else line)
    out.append("};\nconst size_t weft_cudart_page_entries = sizeof(weft_cudart_page) / sizeof(weft_cudart_page[0]);\n")
    return "".join(out)


def _exported_in(call):
    """The versions of CUDA whose library has the symbol."""
    parts = [condition(call)] if condition(call) else []
    if call.since >= 12000 and not parts:
        parts = ["WEFT_CUDART_MAJOR >= 12"]
    return " && ".join(parts)


MAJORS = (11, 12, 13)
REGISTRATION = """__cudaRegisterFatBinary __cudaRegisterFatBinaryEnd __cudaUnregisterFatBinary __cudaInitModule
__cudaRegisterFunction __cudaRegisterVar __cudaRegisterManagedVar __cudaRegisterHostVar __cudaRegisterTexture
__cudaRegisterSurface __cudaRegisterUnifiedTable __cudaGetProcAddress __cudaPushCallConfiguration __cudaPopCallConfiguration __cudaGetKernel
__cudaLaunchKernel __cudaLaunchKernel_ptsz""".split()


def _exports(api, major):
    _mark_twice(api)
    names = list(REGISTRATION)
    for call in api.calls:
        first = call.since // 1000
        last = (call.until or 99999) // 1000
        if first <= major <= last:
            names.append(call.symbol)
    return sorted(set(names))


def names(api, major):
    """The symbols of one major version, one a line."""
    return "".join("%s\n" % name for name in _exports(api, major))


def version_script(api, major):
    """The symbols of one major version, under the name that programs were linked to."""
    node = {11: "libcudart.so.11.0"}.get(major, "libcudart.so.%d" % major)
    listed = "".join("        %s;\n" % name for name in _exports(api, major))
    return "%s {\n    global:\n%s    local:\n        *;\n};\n" % (node, listed)


def results(api):
    """X(name, value) for each cudaError."""
    values = next(values for (tag, *_), values in api.enums if tag == "cudaError")
    lines = ["    X(%s, %d)" % pair for pair in values]
    return NOTICE + "#define WEFT_CUDART_RESULTS(X) \\\n" + " \\\n".join(lines) + "\n"
