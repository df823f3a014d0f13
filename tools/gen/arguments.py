"""Writes what the parameters of every described call are, so that tests can make arguments up by kind and direction."""

import re

from gen.headers import NOTICE

# Numbers that stand for objects, as handles do.
OBJECTS = ("CUtexObject", "CUsurfObject", "CUmemGenericAllocationHandle")
# Kinds whose pointer is followed in a way that only the call knows; the rest is plain.
KINDS = {"device", "host", "pinned", "text", "image", "options", "attribute", "attributes", "function", "opaque",
         "parameters", "launch-extra", "launch-config", "copy", "resource", "node", "shareable"}


def _constant(text):
    return "CALL_" + text.replace("-", "_").upper()


class _Types:
    """What a C type of the list is: an enumeration, a handle, a record, a function."""

    def __init__(self, api):
        self.enums = {name: [value for _, value in values] for (_, *names), values in api.enums for name in names}
        self.records = {name: record for record in api.records for name in record.names}
        self.aliases = dict(api.aliases)
        self.handles = [name for name, _ in api.handles] + list(OBJECTS)
        self.callbacks = {name for name, _ in api.callbacks}

    def base(self, declaration):
        """The name without const and pointers, through aliases down to one that means something."""
        name = re.sub(r"\bconst\b|\*|\bstruct\b|\bunion\b|\benum\b", "", declaration).strip()
        while name in self.aliases and name not in OBJECTS and self.aliases[name] in (
                set(self.aliases) | set(self.handles) | set(self.enums) | set(self.records)):
            name = self.aliases[name]
        return name

    def handle(self, name):
        return "CALL_OF_%s" % name if name in self.handles else "CALL_OF_NOTHING"

    def values(self, name):
        return "values_of_%s, %d" % (name, len(self.enums[name])) if name in self.enums else "NULL, 0"


def _leaves(types, record, prefix=""):
    """(path, declaration) of each field that is no record, without unions that hold pointers."""
    for field in record.fields:
        if not isinstance(field, str):
            name = field.names[0]
            if field.keyword == "union" and _has_pointer(types, field):
                continue
            path = prefix + re.sub(r"\[\w+\]", "[0]", name) + ("." if name else "")
            yield from _leaves(types, field, path)
            continue
        name = re.search(r"(\w+)\)?(\([^)]*\))?(\[\w+\])*$", field).group(1)
        inner = types.records.get(types.base(re.sub(r"\b%s\b.*$" % name, "", field)))
        if inner and "*" not in field and "[" not in field:
            yield from _leaves(types, inner, prefix + name + ".")
        else:
            yield prefix + name, field


def _has_pointer(types, record):
    return any("*" in declaration or types.base(declaration.rsplit(" ", 1)[0]) in types.callbacks
               for _, declaration in _leaves(types, record)) or any(
        not isinstance(field, str) and _has_pointer(types, field) for field in record.fields)


def _fields(types, name):
    """The table of one record's fields."""
    lines = []
    for path, declaration in _leaves(types, types.records[name]):
        base = types.base(re.sub(r"\b%s\b.*$" % re.search(r"(\w+)$", path).group(1), "", declaration))
        pointer = "*" in declaration or base in types.callbacks
        device = base in ("CUdeviceptr_v2", "CUdeviceptr")
        lines.append("    {offsetof(%s, %s), sizeof(((%s *)0)->%s), %s, %s, %s, %s}," % (
            name, path, name, path, "CALL_OF_NOTHING" if pointer else types.handle(base), int(pointer), int(device),
            "NULL, 0" if pointer else types.values(base)))
    return lines


def _parameter(types, call, parameter):
    base = types.base(parameter.type)
    callback = base in types.callbacks
    pointer = "*" in parameter.type and not callback
    record = types.records.get(base)
    number = parameter.count if parameter.count and parameter.count.isdigit() else "0"
    names = [p.name for p in call.parameters]
    count_of = names.index(parameter.count) if parameter.count in names else -1
    kind = "function" if callback else parameter.kind
    target = "0"
    if pointer:
        target = "1" if parameter.type.replace("const", "").strip() == "void *" else "sizeof(*(%s)0)" % parameter.type
    deep = parameter.type.count("*") > 1
    fields = "fields_of_%s, sizeof(fields_of_%s) / sizeof(fields_of_%s[0])" % (base, base, base) \
        if record and not deep else "NULL, 0"
    return ("    {\"%s\", sizeof(%s), %s, %s, %s, %d, %d, %s, %d, %s, %s, %s}," % (
        parameter.name, parameter.type, target, _constant(kind),
        types.handle(base) if not deep else "CALL_OF_NOTHING", parameter.direction in ("in", "inout"),
        parameter.direction in ("out", "inout"),
        {None: "CALL_NEITHER", "create": "CALL_CREATES", "use": "CALL_USES", "destroy": "CALL_DESTROYS"}[parameter.verb],
        count_of, number, types.values(base), fields)), record and not deep and base


def header(api):
    """The handles' numbers; the rest of the interface is written by hand."""
    types = _Types(api)
    return "\n".join([NOTICE, "#ifndef WEFT_TESTS_CALL_OBJECTS_H\n#define WEFT_TESTS_CALL_OBJECTS_H\n",
                      "enum call_object {\n    CALL_OF_NOTHING,"] + ["    %s," % types.handle(name) for name in types.handles]
                     + ["    CALL_OBJECTS\n};\n\n#endif\n"])


def arguments(api):
    """A table of all calls with their parameters; of calls without a class the parameters are left out."""
    types = _Types(api)
    tables, used, thunks, rows = [], set(), [], []
    for index, call in enumerate(api.calls):
        thunks.append("static CUresult call_%d(const struct weft_cuda *table, void *const *a)\n{\n    (void)a;\n"
                      "    return table->%s(%s);\n}\n" % (index, call.symbol, ", ".join(
                          "*(__typeof__(%s) *)a[%d]" % (p.type, i) for i, p in enumerate(call.parameters))))
        lines = []
        for parameter in call.parameters if call.call_class else []:
            line, record = _parameter(types, call, parameter)
            lines.append(line)
            used |= {record} if record else set()
        if lines:
            tables.append("static const struct call_parameter parameters_%d[] = {\n%s\n};\n" % (index, "\n".join(lines)))
        rows.append("    {\"%s\", call_%d, %s, %d}," % (call.symbol, index, "parameters_%d" % index if lines else "NULL",
                                                       len(lines)))
    values = ["static const int values_of_%s[] = {%s};" % (name, ", ".join("(int)%du" % (v & 0xffffffff) for v in values))
              for name, values in types.enums.items()]
    records = ["static const struct call_field fields_of_%s[] = {\n%s\n};\n" % (name, "\n".join(_fields(types, name)))
               for name in sorted(used)]
    return "\n".join([NOTICE, "#include \"calls.h\"\n\n#pragma GCC diagnostic ignored \"-Wunused-const-variable\"\n",
                      *values, "", *records, *tables, *thunks,
                      "const struct call call_list[WEFT_CUDA_ENTRIES] = {"] + rows + ["};"]) + "\n"
