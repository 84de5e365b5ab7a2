# Two commands do all the set-up on Debian and Ubuntu with a Rust toolchain: `make demo` and `make test`.
#
# Whatever is missing is installed with apt-get: as root at once, as an ordinary user through sudo, which is named
# before it is asked. Nothing else is fetched but crates.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
RELEASE := $(TARGET)/release/lazaret
DEBUG := $(TARGET)/debug/lazaret

# Rust links with the system's C compiler.
BUILD_PACKAGES := gcc libc6-dev
DEMO_PACKAGES := imagemagick gnome-backgrounds
BENCH_PACKAGES := bubblewrap crun firejail imagemagick gnome-backgrounds gcc libc6-dev libseccomp-dev passt slirp4netns
TEST_PACKAGES = $(shell sed 's/\#.*//' tests/packages.txt 2>/dev/null)
TEST_ACCOUNT := lazaret-test

# Debug, because building it with optimisation takes three times as long and running it takes a second.
DENY_VERSION := 0.20.2
DENY_INSTALL := env -u CARGO_TARGET_DIR CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --debug --locked cargo-deny@$(DENY_VERSION)

# $(call as_root,COMMAND,WHY): runs COMMAND with root's rights.
define as_root
if [ "$$(id -u)" = 0 ]; then $(1); \
elif command -v sudo >/dev/null; then echo "make: sudo is needed: $(2)"; sudo $(1); \
else echo "make: root is needed: $(2). Run as root: $(1)" >&2; exit 1; fi
endef

# $(call packages,PACKAGES): installs those that are missing.
define packages
missing=""; for package in $(1); do \
	dpkg-query -W -f='$${db:Status-Abbrev}' "$$package" 2>/dev/null | grep -q '^ii' || missing="$$missing $$package"; \
done; \
if [ -n "$$missing" ]; then \
	command -v apt-get >/dev/null || { echo "make: no apt-get here; install what is called on Debian:$$missing" >&2; exit 1; }; \
	echo "make: installing$$missing"; \
	$(call as_root,apt-get -o DPkg::Lock::Timeout=300 update -q,to update the list of packages) >/dev/null; \
	$(call as_root,env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends $$missing,to install packages) >/dev/null; \
fi
endef

.PHONY: help
help:
	@echo 'make demo      install what is missing, build, and make thumbnails of good and hostile pictures'
	@echo 'make test      install what the tests need, and run them all'
	@echo 'make lint      formatting, clippy, documentation, licences and sources of dependencies'
	@echo 'make bench     compare with other sandboxes and with none'
	@echo 'make build     build target/release/lazaret'
	@echo 'make install   install program, completions and manual below PREFIX ($(PREFIX))'
	@echo 'make capi         build the library for C and C++'
	@echo 'make install-capi install header, shared and static library and lazaret.pc below PREFIX'
	@echo 'make clean     remove what was built'

.PHONY: toolchain
toolchain:
	@command -v $(CARGO) >/dev/null || { echo 'make: no cargo in PATH: install a Rust toolchain, 1.90 or later' >&2; exit 1; }
	@command -v cc >/dev/null || { $(call packages,$(BUILD_PACKAGES)); }

# Linked statically: half of the time that a small program takes to start is the dynamic loader's.
STATIC := -C target-feature=+crt-static -C relocation-model=static

.PHONY: build
build: toolchain
	$(CARGO) rustc --release --locked -p lazaret-cli --bin lazaret -- $(STATIC)

.PHONY: demo
demo: toolchain
	@$(call packages,$(DEMO_PACKAGES))
	@$(MAKE) build
	@sh demo/thumbnails.sh $(RELEASE)

.PHONY: test-setup
test-setup: toolchain
	@$(call packages,$(TEST_PACKAGES))
	@getent passwd $(TEST_ACCOUNT) >/dev/null || { $(call as_root,sh tests/escape/setup.sh,to make the account $(TEST_ACCOUNT) that tests run as); }
	@[ "$$(id -u)" = 0 ] || echo 'make: not root: tests that need root are skipped; as root all are run'

# The program first: the tests start it. Nextest runs no examples of the documentation, and nothing runs the corpus
# better than its own harness, which says what it could not show.
.PHONY: test
test: test-setup
	$(CARGO) build --locked --workspace --all-features --bins
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		set -x; LAZARET_BIN=$(DEBUG) $(CARGO) nextest run --no-fail-fast --locked --workspace --all-features --exclude lazaret-escape; \
	else \
		set -x; LAZARET_BIN=$(DEBUG) $(CARGO) test --no-fail-fast --locked --workspace --all-features --exclude lazaret-escape --lib --bins --tests --examples; \
	fi
	LAZARET_BIN=$(DEBUG) $(CARGO) test --locked --workspace --all-features --doc
	LAZARET_BIN=$(DEBUG) $(CARGO) test --locked -p lazaret-escape
	LAZARET_BIN=$(DEBUG) tests/vm/run

.PHONY: fmt
fmt: toolchain
	$(CARGO) fmt --all --check
	@# Compiled by a build script, so that no package has it.
	rustfmt --edition 2024 --check crates/init/src/main.rs

.PHONY: clippy
clippy: toolchain
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- -D warnings

.PHONY: doc
doc: toolchain
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --workspace --all-features --no-deps

.PHONY: deny
deny: toolchain
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo '$(DENY_INSTALL)'; $(DENY_INSTALL); }
	$(CARGO) deny --locked --all-features check bans licenses sources

.PHONY: lint
lint: fmt clippy doc deny

.PHONY: bench
bench: toolchain
	@$(call packages,$(BENCH_PACKAGES))
	$(CARGO) build --release --locked -p lazaret-bench
	@$(MAKE) build
	for part in compare phases soak functions thumbnail learn filter files network; do LAZARET_BIN=$(RELEASE) $(TARGET)/release/lazaret-bench $$part; done

# Under sudo, what the user built is installed as it is: root may have no toolchain.
.PHONY: install
install:
	@if [ -z "$${SUDO_USER:-}" ] || [ ! -x $(RELEASE) ]; then $(MAKE) build; fi
	install -D -m 755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/lazaret
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lazaret
	$(RELEASE) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lazaret
	$(RELEASE) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lazaret.fish
	$(RELEASE) man $(DESTDIR)$(PREFIX)/share/man/man1

# The library for C and C++. Its binary interface has the number of crates/capi/build.rs.
CAPI_PROFILE ?= release
CAPI_BUILT := $(TARGET)/$(CAPI_PROFILE)/liblazaret_capi
CAPI_ABI := 0
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
LIBDIR ?= $(PREFIX)/lib
# What the Rust standard library needs of the C library where that is still several; the compiler adds its own.
CAPI_LIBS_PRIVATE := -lpthread -ldl -lrt -lutil -lm

.PHONY: capi
capi: toolchain
	$(CARGO) build $(if $(filter release,$(CAPI_PROFILE)),--release) --locked -p lazaret-capi

.PHONY: install-capi
install-capi:
	@if [ -z "$${SUDO_USER:-}" ] || [ ! -f $(CAPI_BUILT).so ]; then $(MAKE) capi; fi
	install -D -m 644 crates/capi/include/lazaret.h $(DESTDIR)$(PREFIX)/include/lazaret.h
	install -D -m 755 $(CAPI_BUILT).so $(DESTDIR)$(LIBDIR)/liblazaret.so.$(VERSION)
	strip --strip-unneeded $(DESTDIR)$(LIBDIR)/liblazaret.so.$(VERSION)
	ln -sf liblazaret.so.$(VERSION) $(DESTDIR)$(LIBDIR)/liblazaret.so.$(CAPI_ABI)
	ln -sf liblazaret.so.$(CAPI_ABI) $(DESTDIR)$(LIBDIR)/liblazaret.so
	install -D -m 644 $(CAPI_BUILT).a $(DESTDIR)$(LIBDIR)/liblazaret.a
	strip --strip-debug $(DESTDIR)$(LIBDIR)/liblazaret.a
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|; s|@LIBS_PRIVATE@|$(CAPI_LIBS_PRIVATE)|' \
		crates/capi/lazaret.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/lazaret.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/lazaret.pc

.PHONY: clean
clean:
	$(CARGO) clean
	rm -rf bench/results
