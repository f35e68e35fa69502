# SPDX-License-Identifier: GPL-2.0-or-later
#
# make                 build vmafs into build/, and nbdkit-vmafs-plugin.so where nbdkit-plugin-dev is installed
# make setup           install what building and the demo need (apt-get, as root or through sudo)
# make setup-tests     the same, and what the tests need; neither removes a package
# make demo            mount a genuine archive, show it, check a disk's SHA-256, unmount
# make check           unit tests and end-to-end tests (as root: real mounts, loop devices)
# make check-fast      unit tests, but for the slowest, and the corpora: for between two edits
# make check-asan      the same under AddressSanitizer and UndefinedBehaviorSanitizer
# make check-tsan      the same under ThreadSanitizer
# make check-valgrind  the readers of formats under valgrind, which sees what was never initialised
# make soak            64 readers for SOAK_SECONDS (300) under ThreadSanitizer, faults at many more bytes
# make fuzz            each fuzz target for FUZZ_SECONDS (20) with libFuzzer (clang)
# make lint            clang-format, clang-tidy, cppcheck, shellcheck, man pages
# make bench           measurements, each beside its target
# make matrix          images of each format with MATRIX_ROUNDS (10) histories, compared with what qemu-img
#                      finds, as matrix-images alone; archives of over 1 GB through each compressor
# make install         DESTDIR= PREFIX=
# make dist            the sources of the last commit as build/vmafs-VERSION.tar.gz
# make deb             Debian's source and binary packages of them, in build/deb
# make check-deb       those packages: reproducible, clean for lintian, and usable in a chroot

# The one place that has it is the changelog of the Debian package.
VERSION := $(shell sed -n '1s/^vmafs (\([^-)]*\).*/\1/p' fs/dist/debian/changelog)

PREFIX    ?= /usr/local
BUILD     ?= build
CC        ?= cc
PKG_CONFIG ?= pkg-config
INSTALL   ?= install
CFLAGS    ?= -O2 -g
WERROR    ?=
# What a backup opener run by root should be built with. CPPFLAGS, CFLAGS and LDFLAGS of a
# distribution are added to it; their level of _FORTIFY_SOURCE counts.
MACHINE    = $(eval MACHINE := $(shell $(CC) -dumpmachine))$(MACHINE)
HARDEN    ?= -fstack-protector-strong -fstack-clash-protection \
             $(if $(filter x86_64-% i%86-%,$(MACHINE)),-fcf-protection) \
             $(if $(filter aarch64-%,$(MACHINE)),-mbranch-protection=standard) \
             $(if $(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,-D_FORTIFY_SOURCE=2)
SANITIZE  ?=
FUZZ_SECONDS ?= 20
SOAK_SECONDS ?= 300
MATRIX_ROUNDS ?= 10
# Damaged files of each format in each compression.
DAMAGED      ?= 4
SOAK_DAMAGED ?= 200
# Those of them that are optional, and need less of it.
NEWER         = $(addprefix --codec ,$(subst $() ,$(comma),$(strip $(if $(XZ),xz) \
                $(if $(BZIP2),bz2) $(if $(LZ4),lz4 lz4-blocks))))
# Those in one block of xz. It is decoded from its beginning for each read after damage, which takes a
# minute for one file of some other formats.
ONE_BLOCK     = vma,vma-live,tar-raw,ova,xva,vmdk-sparse,qcow2,raw
# What check-asan and check-tsan run.
SANITIZED ?= check
# What check-valgrind runs: any but sandbox, soak and faults, which valgrind stands in the way of.
VALGRINDED ?= format qcow2 tar vma vma_header vma_salvage vmdk vmdk_damage extentcode blockcache

PACKAGES  := fuse3 libcrypto jansson libzstd libxxhash zlib lzo2 libcap-ng libseccomp
# Optional, a faster inflate: ISAL= leaves it out where it is installed.
ISAL       = $(eval ISAL := $(shell $(PKG_CONFIG) --exists libisal && echo libisal))$(ISAL)
# Optional, three compressions: likewise XZ=, BZIP2= and LZ4=. Debian's libbz2 has no file for
# pkg-config.
XZ         = $(eval XZ := $(shell $(PKG_CONFIG) --exists liblzma && echo liblzma))$(XZ)
LZ4        = $(eval LZ4 := $(shell $(PKG_CONFIG) --exists liblz4 && echo liblz4))$(LZ4)
BZIP2      = $(eval BZIP2 := $(shell echo '\#include <bzlib.h>' | \
             $(CC) $(CPPFLAGS) -E -x c - >/dev/null 2>&1 && echo -lbz2))$(BZIP2)
# Optional, the plugin for nbdkit: NBDKIT= likewise.
NBDKIT     = $(eval NBDKIT := $(shell $(PKG_CONFIG) --exists 'nbdkit >= 1.30' && echo nbdkit))$(NBDKIT)
# Optional, archives on a server: CURL= leaves it out. Only its headers are needed, since the library
# is loaded by the process that fetches.
CURL       = $(eval CURL := $(shell $(PKG_CONFIG) --exists libcurl && echo libcurl))$(CURL)
WARNINGS  := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes \
             -Wpointer-arith -Wformat=2 -Wvla -Wundef
# Asked for when it is first needed, which in `make setup demo` is after setup has installed it.
FOUND      = $(PACKAGES) $(ISAL) $(XZ) $(LZ4)
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(FOUND)) \
             $(if $(ISAL),-DVMAFS_ISAL) $(if $(XZ),-DVMAFS_XZ) $(if $(BZIP2),-DVMAFS_BZIP2) \
             $(if $(LZ4),-DVMAFS_LZ4) \
             $(if $(CURL),-DVMAFS_CURL $(shell $(PKG_CONFIG) --cflags $(CURL))))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(FOUND)) $(BZIP2))$(PKG_LIBS)

# The same objects are the program's and the plugin's. Since nothing but the plugin's entry is
# visible, code for a shared library is no slower than code for a program.
POSITION   = -fPIC -fvisibility=hidden

CPPFLAGS_ALL = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DVMAFS_VERSION='"$(VERSION)"' -I. \
             $(PKG_CFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu17 $(WARNINGS) $(WERROR) $(POSITION) -pthread $(HARDEN) $(CFLAGS) $(SANITIZE)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -pthread $(LDFLAGS) $(SANITIZE)
LIBS       = $(PKG_LIBS)

# A new file below a folder needs no line here.
below      = $(sort $(shell find $(1) -name '$(2)'))
PRODUCT   := $(call below,archive index fs,*.c)
UNIT      := $(call below,tests/unit,test_*.c)
TOOLS     := $(wildcard tests/tools/*.c)
BENCH     := $(wildcard tests/bench/*.c)
FUZZ      := $(wildcard tests/fuzz/fuzz_*.c)

comma     := ,
object     = $(patsubst %.c,$(BUILD)/%.o,$(1))
UNIT_BIN  := $(UNIT:%.c=$(BUILD)/%)
TOOL_BIN  := $(patsubst tests/tools/%.c,$(BUILD)/tests/tools/%,$(TOOLS))
BENCH_BIN := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(BENCH))
FUZZ_BIN  := $(patsubst tests/fuzz/%.c,$(BUILD)/%,$(FUZZ))
REPLAY    := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/replay/%,$(FUZZ))
# What tests, their tools and benchmarks share. An archive, of which each takes what it names.
FIXTURES  := $(BUILD)/libfixtures.a
# Sound archives, and what becomes of them when they are damaged.
DAMAGE    := $(BUILD)/libdamage.a
# What stands in for a part of the library. Only the tests named below are linked with it.
STANDINS  := $(call object,$(wildcard tests/fixtures/standins/*.c))
# Unit tests may use anything but main(). An archive, so that a test can put a stand-in in front
# of one of its members.
OBJECTS   := $(call object,$(filter-out fs/main.c fs/nbdkit/%,$(PRODUCT)))
LIBRARY   := $(BUILD)/libvmafs.a
PLUGIN    := $(BUILD)/nbdkit-vmafs-plugin.so

.PHONY: all setup setup-tests demo check check-fast check-asan check-tsan check-valgrind soak fault-log fuzz fuzz-targets replay \
        lint format bench matrix matrix-images install dist deb check-deb \
        uninstall clean unit damage e2e tools programs plugin FORCE
.SECONDARY:

all: $(BUILD)/vmafs plugin

$(BUILD)/vmafs: $(call object,fs/main.c) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Whether there is an nbdkit is known only now, as with FOUND.
plugin: $(LIBRARY)
	$(if $(NBDKIT),@$(MAKE) --no-print-directory $(PLUGIN))

# It needs few of the libraries. What is left undefined is nbdkit's. A thread that is stuck in a read
# when nbdkit ends may come back to it.
$(PLUGIN): $(call object,$(filter fs/nbdkit/%,$(PRODUCT))) $(LIBRARY)
	$(CC) -shared $(filter-out -pie,$(LDFLAGS_ALL)) -Wl,--as-needed,-z,nodelete,--exclude-libs,ALL -o $@ $^ $(LIBS)

$(LIBRARY): $(OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(FIXTURES): $(call object,$(wildcard tests/fixtures/*.c))
	rm -f $@
	$(AR) rcs $@ $^

$(DAMAGE): $(call object,$(wildcard tests/damage/*.c))
	rm -f $@
	$(AR) rcs $@ $^

# Objects are rebuilt when the flags change, not only when a file does.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)' | cmp -s - $@ || \
	        echo '$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL)' > $@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# A codec is tested alone, with a builder that only records what it names.
CODEC_TESTS := $(filter %/test_gzip %/test_gzip_isal %/test_lzop %/test_lzop_format %/test_xz \
               %/test_bzip2 %/test_lz4,$(UNIT_BIN))
$(CODEC_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(STANDINS) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

# What a test of faults comes between.
FAULT_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,pread64 __pread64_chk preadv64 malloc calloc realloc \
              reallocarray strdup asprintf __asprintf_chk open_memstream mmap64 pthread_create ZSTD_createDCtx \
              XXH3_createState EVP_MD_CTX_new inflateInit2_ pwrite64 fsync flock linkat \
              renameat)
FAULT_TESTS := $(filter %/test_faults %/test_gather %/test_lzop_ahead,$(UNIT_BIN))
$(FAULT_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(call object,tests/fixtures/faults/inject.c) \
                $(FIXTURES) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) $(FAULT_WRAP) -o $@ $^ $(LIBS) -lcmocka

# What judges by how long something takes has a clock that the test moves.
CLOCK_TESTS := $(filter %/test_stream %/test_vma_prefetch,$(UNIT_BIN))
$(CLOCK_TESTS): $(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(call object,tests/fixtures/clock/clock.c) \
                $(FIXTURES) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -Wl,--wrap=clock_gettime -o $@ $^ $(LIBS) -lcmocka

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(DAMAGE) $(FIXTURES) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka

$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%.o $(FIXTURES) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BUILD)/tests/tools/damager: $(BUILD)/tests/tools/damager.o $(DAMAGE) $(FIXTURES) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(FIXTURES) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

# Tools of more than one file.
$(BUILD)/tests/tools/mkvma: $(call object,$(wildcard tests/mkvma/*.c))
$(BUILD)/tests/tools/gatefs: $(call object,$(wildcard tests/gatefs/*.c))
$(BUILD)/tests/tools/faultserver: $(call object,$(wildcard tests/faultserver/*.c))

fuzz-targets: $(FUZZ_BIN)

# A fuzz target is linked twice: with libFuzzer, and with a main() that runs it over files. Codecs
# that are tested alone have a builder that only records; the others want points that are dense.
FUZZ_ALONE  := gzip lzop xz bzip2 lz4
FUZZ_WRAP   := $(foreach f,builder_new advance wanted spacing,-Wl,--wrap=restart_$(f))
FUZZ_SHARED := $(call object,tests/fuzz/dense_points.c tests/fuzz/mutate_vma.c tests/fuzz/read_disk.c \
                 tests/fuzz/read_image.c)
FUZZ_REPLAY := $(call object,tests/fuzz/replay.c)
fuzz_part    = $(BUILD)/tests/fuzz/fuzz_%.o

$(FUZZ_ALONE:%=$(BUILD)/fuzz_%): $(BUILD)/fuzz_%: $(fuzz_part) $(call object,tests/fixtures/standins/codec_fixture.c) \
                $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(BUILD)/fuzz_%: $(fuzz_part) $(FUZZ_SHARED) $(DAMAGE) $(FIXTURES) $(LIBRARY)
	$(CC) $(LDFLAGS_ALL) -fsanitize=fuzzer $(FUZZ_WRAP) -o $@ $^ $(LIBS)

$(FUZZ_ALONE:%=$(BUILD)/tests/replay/fuzz_%): $(BUILD)/tests/replay/fuzz_%: $(fuzz_part) \
                $(FUZZ_REPLAY) $(call object,tests/fixtures/standins/codec_fixture.c) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(BUILD)/tests/replay/fuzz_%: $(fuzz_part) $(FUZZ_REPLAY) $(FUZZ_SHARED) $(DAMAGE) $(FIXTURES) $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_ALL) $(FUZZ_WRAP) -o $@ $^ $(LIBS)

# Not those of other builds below this one, which may be being written.
-include $(shell find $(BUILD)/archive $(BUILD)/index $(BUILD)/fs $(BUILD)/tests -name '*.d' 2>/dev/null)

setup:
	tests/setup build

setup-tests:
	tests/setup tests

demo: all
	tests/demo $(BUILD)/vmafs

tools: $(TOOL_BIN)

# All that check runs, without running it: unlike that, it can be made by many jobs.
programs: all tools $(UNIT_BIN) $(REPLAY)

unit: $(UNIT_BIN)
	tests/run-unit $(UNIT_BIN)

e2e: all tools
	VMAFS=$(abspath $(BUILD)/vmafs) TOOLS=$(abspath $(BUILD)/tests/tools) tests/run-e2e

# What fuzzing found and what it starts from, without a fuzzer.
replay: $(REPLAY)
	@for target in $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ)); do \
	        $(BUILD)/tests/replay/fuzz_$$target tests/data/fuzz/$$target tests/data/good \
	                tests/data/bad 2>$(BUILD)/replay.log || { tail -n 20 $(BUILD)/replay.log; exit 1; }; \
	done

# What was tried of faults, and what came of it.
FAULT_LOG = $(abspath $(BUILD))/faults.log
check soak: export FAULT_LOG := $(FAULT_LOG)

fault-log:
	@mkdir -p $(BUILD)
	@rm -f $(FAULT_LOG)

# Archives of every format and compression, damaged at random: no wrong byte without an error. And
# some with members so long that their checksums come late.
damage: tools
	$(BUILD)/tests/tools/damager --count $(DAMAGED) --codec none,gz,bgzf,zst,zst-1,zst-frames,pzstd,lzo
	$(BUILD)/tests/tools/damager --count 1 $(NEWER)
	$(if $(XZ),$(BUILD)/tests/tools/damager --count 1 --codec xz-one --format $(ONE_BLOCK))
	$(BUILD)/tests/tools/damager --count 1 --size 20000000 --format vma-live --codec gz,zst,zst-1

check: fault-log all tools unit replay damage e2e
	tests/fault-table $(FAULT_LOG)

# Unit tests that take about as long as all others together.
SLOW      := zstd tree_scale sidecar_damage gzip_recover zstd_recover sidecar_hostile_segments gather faults gzip

FAST_BIN   = $(filter-out $(foreach name,$(SLOW),%/test_$(name)),$(UNIT_BIN))

check-fast: replay $(FAST_BIN)
	tests/run-unit $(FAST_BIN)

soak: fault-log all tools $(filter %/test_faults,$(UNIT_BIN))
	$(MAKE) BUILD=build/tsan CFLAGS='-O1 -g -fno-omit-frame-pointer' HARDEN= \
	        SANITIZE='-fsanitize=thread' build/tsan/tests/unit/test_soak
	SOAK_SECONDS=$(SOAK_SECONDS) UNIT_TIMEOUT=$$(($(SOAK_SECONDS) + 900)) \
	        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
	        tests/run-unit build/tsan/tests/unit/test_soak
	$(BUILD)/tests/tools/damager --seed 1000 --count $(SOAK_DAMAGED)
	$(BUILD)/tests/tools/damager --seed 1000 --count 50 --size 20000000 --format vma-live \
	        --codec gz,zst,zst-1,lzo
	FAULT_STEP=97 UNIT_TIMEOUT=3600 tests/run-unit $(filter %/test_faults,$(UNIT_BIN))
	for round in 1 2 3; do \
	        VMAFS=$(abspath $(BUILD)/vmafs) TOOLS=$(abspath $(BUILD)/tests/tools) \
	                tests/run-e2e tests/lifetime.bats || exit; \
	done
	tests/fault-table $(FAULT_LOG)

check-asan:
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	$(MAKE) BUILD=build/asan CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	        HARDEN= SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all' $(SANITIZED)

check-tsan:
	TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
	$(MAKE) BUILD=build/tsan CFLAGS='-O1 -g -fno-omit-frame-pointer' \
	        HARDEN= SANITIZE='-fsanitize=thread' $(SANITIZED)

# test_NAME.c, wherever it lies, of each NAME in $(1).
named      = $(foreach name,$(1),$(or $(filter %/test_$(name).c,$(UNIT)),$(error no test_$(name).c)))
VALGRIND_BIN = $(patsubst %.c,build/valgrind/%,$(call named,$(VALGRINDED)))

check-valgrind:
	$(MAKE) BUILD=build/valgrind CFLAGS='-O1 -g' HARDEN= \
	        $(VALGRIND_BIN)
	tests/run-unit --under 'valgrind -q --error-exitcode=99' $(VALGRIND_BIN)

fuzz:
	$(MAKE) BUILD=build/fuzz CC=clang CFLAGS='-O1 -g -fno-omit-frame-pointer' HARDEN= \
	        SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all' \
	        fuzz-targets
	UBSAN_OPTIONS=print_stacktrace=1 tests/fuzz/run build/fuzz $(FUZZ_SECONDS)

lint:
	tests/lint

format:
	clang-format -i $(call below,archive index fs tests,*.[ch])

matrix-images: all tools
	MATRIX_ROUNDS=$(MATRIX_ROUNDS) VMAFS=$(abspath $(BUILD)/vmafs) \
	        TOOLS=$(abspath $(BUILD)/tests/tools) tests/run-e2e tests/matrix.bats

matrix: all tools matrix-images $(BENCH_BIN)
	BUILD=$(abspath $(BUILD)) tests/matrix

bench: all tools $(BENCH_BIN)
	BUILD=$(abspath $(BUILD)) tests/bench/run

# Where each file goes, below DESTDIR. mount(8) looks for its helpers in /sbin alone.
BINDIR    := $(PREFIX)/bin
SBINDIR   := $(PREFIX)/sbin
MANDIR    := $(PREFIX)/share/man
BASH_COMPLETIONS ?= $(PREFIX)/share/bash-completion/completions
FISH_COMPLETIONS ?= $(PREFIX)/share/fish/vendor_completions.d
ZSH_FUNCTIONS    ?= $(PREFIX)/share/zsh/site-functions
# nbdkit looks in one folder, whatever the prefix is.
NBDKIT_PLUGINS   ?= $(shell $(PKG_CONFIG) --variable=plugindir nbdkit)

install: all
	$(INSTALL) -D -m 755 $(BUILD)/vmafs $(DESTDIR)$(BINDIR)/vmafs
	$(INSTALL) -d $(DESTDIR)$(SBINDIR)
	ln -sf $(BINDIR)/vmafs $(DESTDIR)$(SBINDIR)/mount.vmafs
	$(INSTALL) -D -m 644 man/vmafs.1 $(DESTDIR)$(MANDIR)/man1/vmafs.1
	$(INSTALL) -D -m 644 man/vmafs-index.5 $(DESTDIR)$(MANDIR)/man5/vmafs-index.5
	$(INSTALL) -d $(DESTDIR)$(MANDIR)/man8
	ln -sf ../man1/vmafs.1 $(DESTDIR)$(MANDIR)/man8/mount.vmafs.8
	$(INSTALL) -D -m 644 fs/dist/vmafs.bash $(DESTDIR)$(BASH_COMPLETIONS)/vmafs
	$(INSTALL) -D -m 644 fs/dist/vmafs.fish $(DESTDIR)$(FISH_COMPLETIONS)/vmafs.fish
	$(INSTALL) -D -m 644 fs/dist/vmafs.zsh $(DESTDIR)$(ZSH_FUNCTIONS)/_vmafs
	$(if $(NBDKIT),$(INSTALL) -D -m 644 $(PLUGIN) $(DESTDIR)$(NBDKIT_PLUGINS)/$(notdir $(PLUGIN)))
	$(if $(NBDKIT),$(INSTALL) -D -m 644 man/nbdkit-vmafs-plugin.1 $(DESTDIR)$(MANDIR)/man1/nbdkit-vmafs-plugin.1)

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/vmafs $(DESTDIR)$(SBINDIR)/mount.vmafs \
	        $(DESTDIR)$(MANDIR)/man1/vmafs.1 $(DESTDIR)$(MANDIR)/man5/vmafs-index.5 \
	        $(DESTDIR)$(MANDIR)/man8/mount.vmafs.8 \
	        $(DESTDIR)$(BASH_COMPLETIONS)/vmafs $(DESTDIR)$(FISH_COMPLETIONS)/vmafs.fish \
	        $(DESTDIR)$(ZSH_FUNCTIONS)/_vmafs
	$(if $(NBDKIT),rm -f $(DESTDIR)$(NBDKIT_PLUGINS)/$(notdir $(PLUGIN)) \
	        $(DESTDIR)$(MANDIR)/man1/nbdkit-vmafs-plugin.1)

DIST      := vmafs-$(VERSION)
DEB_DIR   := $(BUILD)/deb

dist:
	@mkdir -p $(BUILD)
	git archive --prefix=$(DIST)/ HEAD | gzip -9n >$(BUILD)/$(DIST).tar.gz

# Debian's tools want debian/ beside the sources, and the folder above for what they make.
deb: dist
	rm -rf $(DEB_DIR)
	mkdir -p $(DEB_DIR)
	cp $(BUILD)/$(DIST).tar.gz $(DEB_DIR)/vmafs_$(VERSION).orig.tar.gz
	tar -C $(DEB_DIR) -xf $(BUILD)/$(DIST).tar.gz
	cp -r fs/dist/debian $(DEB_DIR)/$(DIST)/debian
	cd $(DEB_DIR)/$(DIST) && env -u MAKEFLAGS -u MFLAGS dpkg-buildpackage -us -uc

check-deb:
	tests/deb

clean:
	rm -rf build
