# SPDX-License-Identifier: Apache-2.0
# The door: one static program, so that it runs in whatever image libvirt lives in.
BUILD ?= ../build/native
DOOR_BUILD := $(BUILD)/door
DOOR_C := $(sort $(wildcard door/*.c))
DOOR_H := $(wildcard door/*.h)
DOOR_FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes

all: $(BUILD)/lockstep-door $(DOOR_BUILD)/door-sanitized
lint: door-lint
format: door-format
clean: door-clean
.PHONY: door-lint door-format door-clean

$(BUILD)/lockstep-door: $(DOOR_C) $(DOOR_H) door/module.mk
	@mkdir -p $(@D)
	$(CC) $(DOOR_FLAGS) -O2 -static -s -o $@ $(DOOR_C)

# sidecar/kubevirt/door.test.ts plays the sidecar to both.
$(DOOR_BUILD)/door-sanitized: $(DOOR_C) $(DOOR_H) door/module.mk
	@mkdir -p $(@D)
	$(CC) $(DOOR_FLAGS) -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -o $@ $(DOOR_C)

door-lint:
	clang-format --dry-run -Werror door/*.c door/*.h

door-format:
	clang-format -i door/*.c door/*.h

door-clean:
	rm -rf $(DOOR_BUILD) $(BUILD)/lockstep-door
