# SPDX-License-Identifier: Apache-2.0
# The event parser: an object for those who link it, its unit test and its fuzzer.
BUILD ?= ../build/native
FTLOG_BUILD := $(BUILD)/ftlog
FTLOG_SOURCES := ftlog/ftlog.h ftlog/parse.h ftlog/parse.c
FTLOG_WARNINGS := -std=c11 -Wall -Wextra -Werror -Wshadow -Wconversion
FTLOG_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FTLOG_FUZZ_RUNS ?= 200000
FTLOG_FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang-14

all: $(FTLOG_BUILD)/parse.o
test: ftlog-test ftlog-fuzz
lint: ftlog-lint
format: ftlog-format
clean: ftlog-clean
.PHONY: ftlog-test ftlog-fuzz ftlog-lint ftlog-format ftlog-clean

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

ftlog-lint:
	clang-format --dry-run -Werror ftlog/*.c ftlog/*.h

ftlog-format:
	clang-format -i ftlog/*.c ftlog/*.h

ftlog-clean:
	rm -rf $(FTLOG_BUILD)
