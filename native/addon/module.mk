# SPDX-License-Identifier: Apache-2.0
# The Node add-on, built without node-gyp: Node-API's headers come from npm, so no Node source is fetched.
BUILD ?= ../build/native
ADDON_BUILD := $(BUILD)/addon
ADDON_MODULES := ../node_modules
ADDON_INCLUDES := -isystem $(ADDON_MODULES)/node-addon-api -isystem $(ADDON_MODULES)/node-api-headers/include
ADDON_FLAGS := -std=c++20 -Wall -Wextra -Werror -Wshadow -Wconversion -O2 -g -fPIC -fvisibility=hidden -pthread $(ADDON_INCLUDES)
ADDON_OBJECTS := $(patsubst addon/%.cc,$(ADDON_BUILD)/%.o,$(wildcard addon/*.cc))
ADDON_FILES := $(wildcard addon/*.cc addon/*.h addon/test/*.c)

all: $(ADDON_BUILD)/lockstep.node $(ADDON_BUILD)/test/fake_shim $(ADDON_BUILD)/test/with_tap
lint: addon-lint
format: addon-format
clean: addon-clean
.PHONY: addon-sanitized addon-lint addon-format addon-clean

$(ADDON_MODULES)/node-addon-api/napi.h $(ADDON_MODULES)/node-api-headers/include/node_api.h:
	@echo "lockstep: $@ is missing; run 'npm ci' in the repository's root first" >&2; exit 1

$(ADDON_BUILD)/%.o: addon/%.cc | $(ADDON_MODULES)/node-addon-api/napi.h $(ADDON_MODULES)/node-api-headers/include/node_api.h
	@mkdir -p $(@D)
	$(CXX) $(ADDON_FLAGS) -MMD -MP -c -o $@ $<

$(ADDON_BUILD)/lockstep.node: $(ADDON_OBJECTS) $(BUILD)/ftlog/parse.o
	$(CXX) -shared -pthread -o $@ $^

# Plays QEMU's side of a ring in tests.
$(ADDON_BUILD)/test/fake_shim: addon/test/fake_shim.c $(BUILD)/ftlog/parse.o ftlog/ftlog.h ftlog/parse.h
	@mkdir -p $(@D)
	$(CC) -std=c11 -Wall -Wextra -Werror -Wshadow -Wconversion -O2 -g -o $@ addon/test/fake_shim.c $(BUILD)/ftlog/parse.o

# Plays libvirt's part with a tap in tests.
$(ADDON_BUILD)/test/with_tap: addon/test/with_tap.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wconversion -O2 -g -o $@ $<

# The add-on's unit tests (compiled by tsc before) with sanitizers, in a folder beside their own. Node frees
# nothing at its end, so leaks are not looked for.
ADDON_SANITIZED := ../build/native-sanitized
ADDON_SANITIZE := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(ADDON_SANITIZED)/addon/lockstep.node: $(ADDON_FILES) $(BUILD)/ftlog/parse.o
	@mkdir -p $(@D)
	$(CXX) $(ADDON_FLAGS) $(ADDON_SANITIZE) -shared -o $@ $(wildcard addon/*.cc) $(BUILD)/ftlog/parse.o

addon-sanitized: $(ADDON_SANITIZED)/addon/lockstep.node $(ADDON_BUILD)/test/fake_shim $(ADDON_BUILD)/test/with_tap
	cp -r $(ADDON_BUILD)/*.js $(ADDON_BUILD)/test $(<D)
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 timeout 300 node $(ADDON_MODULES)/mocha/bin/mocha.js '$(<D)/*.test.js'

-include $(ADDON_OBJECTS:.o=.d)

addon-lint:
	clang-format --dry-run -Werror $(ADDON_FILES)

addon-format:
	clang-format -i $(ADDON_FILES)

addon-clean:
	rm -rf $(ADDON_BUILD) $(ADDON_SANITIZED)/*.o $(ADDON_BUILD)/*.d $(ADDON_BUILD)/lockstep.node $(ADDON_BUILD)/test/fake_shim $(ADDON_BUILD)/test/with_tap
