"""Reads the description of an API (api/*/*.types, *.calls; the format is api/README.md) into plain objects."""

import pathlib
import re

CLASSES = ("local", "one-way", "answer")
DIRECTIONS = ("in", "out", "inout")
KINDS = ("device", "host", "pinned", "text", "image", "options", "attribute", "attributes", "function", "opaque",
         "parameters", "launch-extra", "launch-config", "copy", "resource", "node", "shareable")
HANDLE_VERBS = ("create", "use", "destroy")
FLAVOURS = ("ptsz", "ptds")
ENTRIES = ("bare", "driver")


class BadDescription(Exception):
    """A line that the format does not allow; the text names file and line."""


class Parameter:
    def __init__(self, declaration, annotation):
        self.name = re.search(r"(\w+)(\[\w+\])*$", declaration).group(1)
        self.declaration = declaration
        self.type = re.sub(r"\s*\b%s$" % re.escape(self.name), "", declaration)
        self.direction, self.kind, self.verb, self.count = "in", "plain", None, None
        self.annotated = annotation is not None
        for word in (annotation or "").replace("[", " [").split():
            self._take(word)

    def _take(self, word):
        if word in DIRECTIONS:
            self.direction = word
        elif word in KINDS:
            self.kind = word
        elif word in HANDLE_VERBS:
            self.verb = word
        elif re.fullmatch(r"\[\w+\]", word):
            self.count = word[1:-1]
        else:
            raise BadDescription("unknown word '%s'" % word)


class Call:
    """One exported symbol. The per-thread flavours of a call are symbols of their own that share its parameters."""

    def __init__(self, symbol, since, flavour, base):
        self.symbol, self.since, self.flavour = symbol, since, flavour
        self.call_class, self.parameters, self.plain_names = None, [], []
        self.until, self.forward, self.entry, self.result = None, None, "context", None
        self.base = base
        self.name = re.sub(r"_v\d+$", "", base)

    @property
    def signature(self):
        return ", ".join(p.declaration for p in self.parameters) or "void"

    @property
    def arguments(self):
        return ", ".join(p.name for p in self.parameters)


class Record:
    """A struct or union, or the anonymous ones inside it. A field is a C declaration or a Record."""

    def __init__(self, keyword, tag, names, options):
        self.keyword, self.tag, self.names, self.options = keyword, tag, names, options
        self.fields = []

    @property
    def condition(self):
        """In the preprocessor, for a type that not every version of the API has in this form; else None."""
        if "from" in self.options:
            return "WEFT_CUDART_MAJOR >= %s" % self.options["from"]
        if "until" in self.options:
            return "WEFT_CUDART_MAJOR <= %s" % self.options["until"]
        return None


class Api:
    def __init__(self):
        self.aliases, self.handles, self.callbacks, self.constants = [], [], [], []
        self.enums, self.records, self.calls = [], [], []


def load(folder):
    """Everything under `folder`, files in alphabetical order."""
    api = Api()
    for path in sorted(pathlib.Path(folder).iterdir()):
        reader = {".types": _read_types, ".calls": _read_calls}.get(path.suffix)
        if not reader:
            continue
        try:
            reader(api, _lines(path))
        except BadDescription as problem:
            raise SystemExit("%s: %s" % (path, problem)) from None
    _check(api)
    return api


def _lines(path):
    """(indentation in steps of four, text) of each line that says something."""
    for line in path.read_text().splitlines():
        text = line.split("#", 1)[0].rstrip()
        if text:
            yield (len(text) - len(text.lstrip())) // 4, text.strip()


def _read_calls(api, lines):
    group = []
    for depth, text in lines:
        if depth == 0:
            group = _call_line(text)
            api.calls.extend(group)
            continue
        if not group:
            raise BadDescription("'%s' belongs to no call" % text)
        declaration, _, annotation = text.partition(" : ")
        parameter = Parameter(declaration, annotation if annotation else None)
        for call in group:
            call.parameters.append(parameter)


def _call_line(text):
    words = text.split()
    if len(words) < 2 or not words[1].isdigit():
        raise BadDescription("%s: the CUDA version that brought it is missing" % words[0])
    calls = [Call(words[0], int(words[1]), None, words[0])]
    for word in words[2:]:
        key, _, value = word.partition("=")
        if key in FLAVOURS:
            calls.append(Call("%s_%s" % (words[0], key), int(value), key, words[0]))
        elif key == "plain":
            calls[0].plain_names.append(value or calls[0].name)
        elif key in CLASSES:
            calls[0].call_class = key
        elif key in ENTRIES:
            calls[0].entry = key
        elif key == "until":
            calls[0].until = int(value)
        elif key == "forward":
            calls[0].forward = value
        elif key == "result":
            calls[0].result = value.replace("_", " ")
        else:
            raise BadDescription("%s: unknown word '%s'" % (words[0], word))
    for call in calls:
        for shared in ("call_class", "plain_names", "until", "forward", "entry", "result"):
            setattr(call, shared, getattr(calls[0], shared))
    return calls


def _read_types(api, lines):
    open_records, enum = [], None
    for depth, text in lines:
        word, _, rest = text.partition(" ")
        if depth == 0:
            open_records, enum = [], None
            if word == "enum":
                enum = (rest.split(), [])
                api.enums.append(enum)
            elif word in ("struct", "union"):
                open_records = [_top_record(word, rest)]
                api.records.append(open_records[0])
            else:
                _one_line_type(api, word, rest)
        elif enum:
            enum[1].append((word, int(rest)))
        elif not open_records:
            raise BadDescription("'%s' belongs to no type" % text)
        else:
            del open_records[depth:]
            field = _field(text)
            open_records[-1].fields.append(field)
            if isinstance(field, Record):
                open_records.append(field)


def _one_line_type(api, word, rest):
    name, _, meaning = rest.partition(" ")
    lists = {"alias": api.aliases, "handle": api.handles, "callback": api.callbacks, "constant": api.constants}
    if word not in lists:
        raise BadDescription("unknown word '%s'" % word)
    lists[word].append((name, meaning))


def _top_record(keyword, rest):
    words = [word for word in rest.split() if "=" not in word]
    options = dict(word.split("=") for word in rest.split() if "=" in word)
    return Record(keyword, words[0], words[1:], options)


def _field(text):
    """`struct name` and `union` open a nested record; anything with a type and a name is a field."""
    match = re.fullmatch(r"(struct|union)(?: (\w+(?:\[\w+\])?))?", text)
    return Record(match.group(1), None, [match.group(2) or ""], {}) if match else text


def _check(api):
    described = {}
    for call in api.calls:
        others = described.setdefault(call.symbol, [])
        if any(call.since <= (other.until or call.since) for other in others):
            raise SystemExit("%s is described twice" % call.symbol)
        others.append(call)
    for call in api.calls:
        names = {parameter.name for parameter in call.parameters}
        for parameter in call.parameters:
            pointer = "*" in parameter.type
            if call.call_class and pointer and not parameter.annotated:
                raise SystemExit("%s: %s has a class, so %s needs a word" % (call.symbol, call.base, parameter.name))
            if parameter.count and not parameter.count.isdigit() and parameter.count not in names:
                raise SystemExit("%s: no parameter is called %s" % (call.symbol, parameter.count))
