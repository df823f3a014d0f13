"""Writes the native backend's view: calls that name a device translate between the driver's order and the granted one."""

from gen.headers import NOTICE

# How a parameter's type is translated on the way in; {0} is the parameter, {0}_copy a local of that type.
VALUES = {"CUdevice": "weft_native_device_in({0})", "CUmemLocation": "weft_native_location_in({0})"}
POINTERS = {"CUmemLocation": "weft_native_location_copy({0}, &{0}_copy)",
            "CUmemAllocationProp": "weft_native_property_copy({0}, &{0}_copy)",
            "CUmemPoolProps": "weft_native_pool_copy({0}, &{0}_copy)"}
ARRAYS = {"CUmemAccessDesc": "weft_native_access_copy({0}, {1}, {0}_copy)"}
RESULTS = {"CUdevice": "weft_native_device_out({0});", "CUmemAllocationProp": "weft_native_property_out({0});"}


def view(api):
    functions, rows = [], []
    for index, call in enumerate(api.calls):
        plans = [_plan(p) for p in call.parameters]
        if not any(argument != p.name or after for (_, argument, after), p in zip(plans, call.parameters)):
            continue
        functions.append(_function(call, plans))
        rows.append("    {%d, (weft_cuda_fn)view_%s}," % (index, call.symbol))
    return "\n".join([NOTICE + "#include \"backend/native_view.h\"\n"] + functions
                     + ["const struct weft_native_replacement weft_native_replacements[] = {"] + rows
                     + ["};", "const size_t weft_native_replacement_count = %d;" % len(rows)]) + "\n"


def _plan(parameter):
    """(local variable or None, argument, statement after success or None)."""
    pointee = parameter.type.replace("const ", "").replace("*", "").strip()
    stars = parameter.type.count("*")
    if stars == 0:
        return None, VALUES.get(pointee, "{0}").format(parameter.name), None
    if stars > 1 or not parameter.annotated:
        return None, parameter.name, None
    if parameter.direction == "out":
        after = RESULTS.get(pointee) if not parameter.count else None
        return None, parameter.name, after.format(parameter.name) if after else None
    if parameter.count and pointee in ARRAYS:
        return ("%s %s_copy[WEFT_NATIVE_ACCESS_MAX];" % (pointee, parameter.name),
                ARRAYS[pointee].format(parameter.name, parameter.count), None)
    if not parameter.count and pointee in POINTERS:
        return "%s %s_copy;" % (pointee, parameter.name), POINTERS[pointee].format(parameter.name), None
    return None, parameter.name, None


def _function(call, plans):
    locals_ = ["    " + local for local, _, _ in plans if local]
    arguments = ", ".join(argument for _, argument, _ in plans)
    after = ["        " + statement for _, _, statement in plans if statement]
    lines = ["static CUresult view_%s(%s)\n{" % (call.symbol, call.signature)] + locals_
    lines.append("    CUresult result = weft_native.driver.%s(%s);" % (call.symbol, arguments))
    if after:
        lines += ["    if (result == CUDA_SUCCESS) {"] + after + ["    }"]
    return "\n".join(lines + ["    return result;\n}\n"])
