# SPDX-License-Identifier: Apache-2.0
# The event parser: an object for those who link it, its unit test and its fuzzer.
BUILD ?= ../build/native
FTLOG_BUILD := $(BUILD)/ftlog
FTLOG_SOURCES := ftlog/ftlog.h ftlog/parse.h ftlog/parse.c
FTLOG_WARNINGS := -std=c11 -Wall -Wextra -Werror -Wshadow -Wconversion
FTLOG_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FTLOG_FUZZ_RUNS ?= 200000
FTLOG_FUZZ_SECONDS ?= 60
FTLOG_FUZZ_LARGE_SECONDS ?= 10
FUZZ_CC ?= clang-14

all: $(FTLOG_BUILD)/parse.o
test: ftlog-test ftlog-fuzz ftlog-fuzz-large
lint: ftlog-lint
format: ftlog-format
clean: ftlog-clean
.PHONY: ftlog-test ftlog-fuzz ftlog-fuzz-large ftlog-lint ftlog-format ftlog-clean

$(FTLOG_BUILD)/parse.o: $(FTLOG_SOURCES)
	@mkdir -p $(@D)
	$(CC) $(FTLOG_WARNINGS) -O2 -fPIC -fvisibility=hidden -c -o $@ ftlog/parse.c

$(FTLOG_BUILD)/parse_test: ftlog/parse_test.c $(FTLOG_SOURCES)
	@mkdir -p $(@D)
	$(CC) $(FTLOG_WARNINGS) $(FTLOG_SANITIZE) -o $@ ftlog/parse_test.c ftlog/parse.c

ftlog-test: $(FTLOG_BUILD)/parse_test
	timeout 60 $<

$(FTLOG_BUILD)/parse_fuzz: ftlog/parse_fuzz.c $(FTLOG_SOURCES)
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FTLOG_WARNINGS) $(FTLOG_SANITIZE) -fsanitize=fuzzer -o $@ ftlog/parse_fuzz.c ftlog/parse.c

# What the fuzzer learns stays in the build folder; the seeds are never written to.
ftlog-fuzz: $(FTLOG_BUILD)/parse_fuzz
	@mkdir -p $(FTLOG_BUILD)/corpus
	timeout $$(( $(FTLOG_FUZZ_SECONDS) * 2 )) $< -runs=$(FTLOG_FUZZ_RUNS) -max_total_time=$(FTLOG_FUZZ_SECONDS) \
		-max_len=4096 -rss_limit_mb=1024 -timeout=5 -artifact_prefix=$(FTLOG_BUILD)/ -verbosity=0 -print_final_stats=1 \
		$(FTLOG_BUILD)/corpus ftlog/seeds

# Events as large as their bounds, which are too large to keep: each as it is, and with one byte too many
# in its length. What comes behind them is a small event.
FTLOG_LARGE := $(FTLOG_BUILD)/large-seeds
$(FTLOG_LARGE)/made: ftlog/module.mk
	@mkdir -p $(@D)
	{ printf '\033\0\0\0\0\0\004\0\0'; head -c 262144 /dev/zero; printf '\002'; } >$(@D)/random
	{ printf '\033\0\0\0\0\0\004\0\001'; head -c 262145 /dev/zero; } >$(@D)/random-beyond
	{ printf '\032\0\0\0\0\0\0\100\0\0\0\0\0\0\0\0\0'; head -c 262144 /dev/zero; printf '\002'; } >$(@D)/audio
	{ printf '\032\0\0\0\0\0\0\100\001\0\0\0\0\0\0\0\0'; head -c 262160 /dev/zero; } >$(@D)/audio-beyond
	{ printf '\011\0\0\0\0\0\0\001\020\0'; head -c 69632 /dev/zero; printf '\002'; } >$(@D)/net
	{ printf '\011\0\0\0\0\0\0\001\020\001'; head -c 69633 /dev/zero; } >$(@D)/net-beyond
	{ printf '\007\0\0\001\0\0'; head -c 65536 /dev/zero; printf '\002'; } >$(@D)/char
	{ printf '\007\0\0\001\0\001'; head -c 65537 /dev/zero; } >$(@D)/char-beyond
	@touch $@

ftlog-fuzz-large: $(FTLOG_BUILD)/parse_fuzz $(FTLOG_LARGE)/made
	@mkdir -p $(FTLOG_BUILD)/large-corpus
	timeout $$(( $(FTLOG_FUZZ_LARGE_SECONDS) * 2 + 10 )) $< -max_total_time=$(FTLOG_FUZZ_LARGE_SECONDS) \
		-max_len=270000 -len_control=0 -rss_limit_mb=1024 -timeout=5 -artifact_prefix=$(FTLOG_BUILD)/ -verbosity=0 \
		-print_final_stats=1 $(FTLOG_BUILD)/large-corpus $(FTLOG_LARGE)

ftlog-lint:
	clang-format --dry-run -Werror ftlog/*.c ftlog/*.h

ftlog-format:
	clang-format -i ftlog/*.c ftlog/*.h

ftlog-clean:
	rm -rf $(FTLOG_BUILD)
