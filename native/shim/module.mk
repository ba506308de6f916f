# SPDX-License-Identifier: GPL-2.0-or-later
# The shim: one shared object for LD_PRELOAD, and unit tests of what can be tested without QEMU.
BUILD ?= ../build/native
SHIM_BUILD := $(BUILD)/shim
SHIM_C := $(sort $(filter-out %_test.c shim/fake_%.c,$(wildcard shim/*.c)))
SHIM_H := $(wildcard shim/*.h) $(wildcard ftlog/*.h)
SHIM_TESTS := $(patsubst shim/%_test.c,$(SHIM_BUILD)/%_test,$(wildcard shim/*_test.c))
SHIM_WARNINGS := -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
SHIM_FLAGS := $(SHIM_WARNINGS) -O2 -g -fPIC -fvisibility=hidden -fno-plt
SHIM_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all

all: $(BUILD)/lockstep-shim.so $(SHIM_BUILD)/fake_kernel.so
test: shim-test
lint: shim-lint
format: shim-format
clean: shim-clean
.PHONY: shim-test shim-lint shim-format shim-clean

$(BUILD)/lockstep-shim.so: $(SHIM_C) $(SHIM_H) ftlog/parse.c shim/module.mk
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -shared -Wl,-z,defs,-z,now -o $@ $(SHIM_C) ftlog/parse.c -ldl -lpthread

# For tests with a real QEMU, preloaded behind the shim.
$(SHIM_BUILD)/fake_kernel.so: shim/fake_kernel.c shim/module.mk
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -shared -Wl,-z,defs -o $@ shim/fake_kernel.c -ldl

# The shim with sanitizers, to run inside a stock QEMU. Undefined behaviour traps:
#   LD_PRELOAD=.../lockstep-shim-ubsan.so
# Addresses (QEMU itself is not instrumented; its coroutines make ASan warn about stacks once):
#   LD_PRELOAD="$(gcc -print-file-name=libasan.so) .../lockstep-shim-asan.so" ASAN_OPTIONS=detect_leaks=0
sanitized: $(BUILD)/lockstep-shim-ubsan.so $(BUILD)/lockstep-shim-asan.so
.PHONY: sanitized
$(BUILD)/lockstep-shim-ubsan.so: $(SHIM_C) $(SHIM_H) ftlog/parse.c shim/module.mk
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -fsanitize=undefined -fsanitize-undefined-trap-on-error -shared \
		-Wl,-z,defs,-z,now -o $@ $(SHIM_C) ftlog/parse.c -ldl -lpthread

$(BUILD)/lockstep-shim-asan.so: $(SHIM_C) $(SHIM_H) ftlog/parse.c shim/module.mk
	@mkdir -p $(@D)
	$(CC) $(SHIM_FLAGS) -fsanitize=address -shared -o $@ $(SHIM_C) ftlog/parse.c -ldl -lpthread

# The whole shim in a fake QEMU. -rdynamic: the shim looks QEMU's symbols up at run time.
$(SHIM_BUILD)/shim_test: shim/shim_test.c shim/fake_qemu.c $(SHIM_C) $(SHIM_H) ftlog/parse.c
	@mkdir -p $(@D)
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -rdynamic -o $@ \
		shim/shim_test.c shim/fake_qemu.c $(SHIM_C) ftlog/parse.c -ldl -lpthread

$(SHIM_BUILD)/ring_test: shim/ring_test.c shim/ring.c $(SHIM_H)
	@mkdir -p $(@D)
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -o $@ shim/ring_test.c shim/ring.c -lpthread

$(SHIM_BUILD)/framing_test: shim/framing_test.c shim/framing.c $(SHIM_H)
	@mkdir -p $(@D)
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -o $@ shim/framing_test.c shim/framing.c

$(SHIM_BUILD)/stream_test: shim/stream_test.c shim/stream.c shim/real.c $(SHIM_H)
	@mkdir -p $(@D)
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -o $@ shim/stream_test.c shim/stream.c shim/real.c \
		-ldl -lpthread

$(SHIM_BUILD)/shim_test_missing: $(SHIM_BUILD)/shim_test
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -rdynamic -Dvm_start=not_vm_start -c -o $@.o shim/fake_qemu.c
	$(CC) $(SHIM_WARNINGS) $(SHIM_SANITIZE) -rdynamic -o $@ \
		shim/shim_test.c $@.o $(SHIM_C) ftlog/parse.c -ldl -lpthread

shim-test: $(SHIM_TESTS) | $(SHIM_BUILD)/shim_test_missing
	@for test in $^; do timeout 120 $$test || exit 1; done

shim-lint:
	clang-format --dry-run -Werror shim/*.c shim/*.h

shim-format:
	clang-format -i shim/*.c shim/*.h

shim-clean:
	rm -rf $(SHIM_BUILD) $(BUILD)/lockstep-shim*.so
