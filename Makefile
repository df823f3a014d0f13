# The two commands a newcomer types are `make demo` and `make test`; everything else is for people who work on weft.
# Meson does the building: this file only prepares the machine and gives the common jobs their names.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
MESON_TEST = tests/run

.PHONY: all setup demo test test-long test-outside test-gpu bench fuzz install tidy docs format clean
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

setup:
	@tools/setup

$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) --prefix=$(PREFIX) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

demo: all
	@examples/demo $(BUILD)

test: all
	@$(MESON_TEST) --sanitize --threads unit conformance system fuzz-short

test-long: all
	@$(MESON_TEST) long
	@$(MESON_TEST) --only-threads unit conformance system

test-outside: all
	@$(MESON_TEST) outside

test-gpu: all
	@tests/gpu/run.sh $(BUILD)

bench: all
	@bench/run $(BUILD)

install: all
	@meson configure $(BUILD) --prefix=$(PREFIX) >/dev/null
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --quiet

tidy: all
	@tools/tidy $(BUILD)

# The pages that say what the soft GPU can do, from the soft GPU itself.
docs: all
	@$(BUILD)/tests/conformance/docs/driver-api >docs/driver-api.md
	@tests/conformance/docs/runtime.sh $(BUILD)/tests/conformance/docs/runtime-13 $(BUILD)/tests/conformance/docs/runtime-12 \
		$(BUILD)/tests/conformance/docs/runtime-11 >docs/runtime.md
	@$(BUILD)/tests/conformance/ptx/ptx-coverage --markdown tests/conformance/ptx/coverage/forms.txt >docs/ptx.md

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) build-*
