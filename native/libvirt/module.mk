# SPDX-License-Identifier: Apache-2.0
# What of libvirt tests need: test/qemu/kubevirt/ starts QEMU with it as libvirt does.
BUILD ?= ../build/native
LIBVIRT_BUILD := $(BUILD)/libvirt
LIBVIRT_FLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -Wshadow -Wconversion -O2 -g

all: $(LIBVIRT_BUILD)/start
lint: libvirt-lint
format: libvirt-format
clean: libvirt-clean
.PHONY: libvirt-lint libvirt-format libvirt-clean

$(LIBVIRT_BUILD)/start: libvirt/start.c libvirt/module.mk
	@mkdir -p $(@D)
	$(CC) $(LIBVIRT_FLAGS) -o $@ libvirt/start.c

libvirt-lint:
	clang-format --dry-run -Werror libvirt/*.c

libvirt-format:
	clang-format -i libvirt/*.c

libvirt-clean:
	rm -rf $(LIBVIRT_BUILD)
