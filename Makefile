# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of this project; `make help` lists them. How the module is made
# of its objects is in Kbuild, which kbuild reads instead of this file.

# The kernel to build for in place, on a POWER host.
KDIR ?= /lib/modules/$(shell uname -r)/build
in_place := $(or $(filter ppc64le,$(shell uname -m)),$(filter command environment,$(firstword $(origin KDIR))))

# Where `make install` puts what is not the module. Of all prefixes kmod reads
# lib/modprobe.d of /usr and /usr/local.
prefix ?= /usr/local
MODPROBE_DIR ?= $(prefix)/lib/modprobe.d
UDEV_DIR ?= $(prefix)/lib/udev/rules.d
INSTALL_MOD_DIR ?= updates
# INSTALL_MOD_PATH, kbuild's name for DESTDIR, is accepted, too. A relative path is meant
# from this directory, not from those of the other makes that are started.
DESTDIR ?= $(INSTALL_MOD_PATH)
given_destdir := $(DESTDIR)
override DESTDIR := $(abspath $(given_destdir))

# One sentence for paths that make and kbuild would take apart
quoted = '$(subst ','\'',$(1))'
unusable := $(shell sh scripts/usable-path "the sources" "$$(pwd -P)" \
	KDIR $(call quoted,$(KDIR)) DESTDIR $(call quoted,$(given_destdir)) \
	$(foreach name,prefix MODPROBE_DIR UDEV_DIR INSTALL_MOD_DIR,\
	$(name) $(call quoted,$($(name)))))
$(if $(unusable),$(error $(unusable)))
$(foreach name,prefix MODPROBE_DIR UDEV_DIR sbindir mandir,$(if $(filter-out /%,$($(name))),\
	$(error $(name) must be an absolute path, not $($(name)); DESTDIR may be relative)))

# Kbuild in place. KDIR alone says what is built with and this directory what is built,
# so kbuild's variables that name other trees do not count from the environment, and
# are refused on the command line. (Not replaced by empty ones: the Makefile in a build
# tree may set them itself.) Kbuild's other variables (ARCH, CROSS_COMPILE, LLVM,
# KCFLAGS, W, INSTALL_MOD_STRIP...) mean what they mean to the kernel's own build.
trees := O KBUILD_OUTPUT M KBUILD_EXTMOD MO KBUILD_EXTMOD_OUTPUT
unexport $(trees) sub_make_done srctree
$(foreach name,$(trees),$(if $(filter command,$(firstword $(origin $(name)))),\
	$(error $(name)= has no meaning here: KDIR= names the build tree of the kernel)))
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR)
# Two builds in this directory would write the same files: the second one waits.
lock := $(if $(shell command -v flock),flock .)
# `make -n` shows it and does not run it.
installer = $(if $(findstring n,$(firstword -$(MAKEFLAGS))),:) \
	env MAKE="$(MAKE)" KDIR=$(KDIR) DESTDIR=$(DESTDIR) \
	INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) TOOLS="$(tools)" $(lock) sh scripts/install

# The programs for administrators, each with a Makefile of its own; they are for
# the machine that they are built on, whatever compiler the module needs
TOOLS_CC ?= cc
tools := $(patsubst %/Makefile,%,$(wildcard tools/*/Makefile))
tools_out := $(CURDIR)/build

.PHONY: all module kernels kernel-versions demo check check-quick check-host check-guests check-all \
	check-clients check-dkms check-install check-preflight check-debug coverage \
	debug-kernel stress unit fuzz bench lint preflight modules modules_install \
	stage-module install install-common uninstall deb rpm release python clean help

ifneq ($(KERNEL),)
all: module
else ifneq ($(in_place),)
all: modules
else
all:
	@echo "This is no ppc64le machine, so there is no running kernel to build for."
	@echo "Build for a Debian kernel:  make module KERNEL=6.12-64k  (make kernels lists them)"
	@echo "See it work:                make demo"
	@false
endif

modules:
	+@$(installer) headers
	+$(lock) $(kbuild) modules

install:
	+@$(installer) all

modules_install:
	+@$(installer) module

# For scripts/install. It indexes what it has put in place.
stage-module:
	+$(kbuild) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) \
		DEPMOD=true modules_install

# All but the module itself, which is what a package of dkms installs.
install-common:
	install -D -m 644 packaging/vfio-spapr-tce2.conf \
		$(DESTDIR)$(MODPROBE_DIR)/vfio-spapr-tce2.conf
	install -D -m 644 packaging/70-vfio-spapr-tce2.rules \
		$(DESTDIR)$(UDEV_DIR)/70-vfio-spapr-tce2.rules
	for tool in $(tools); do \
		$(MAKE) -C $$tool install CC="$(TOOLS_CC)" \
			O=$(tools_out)/$${tool##*/} DESTDIR=$(DESTDIR) \
			prefix=$(prefix) || exit; done

# Needs neither the kernel's headers nor the module.
uninstall:
	+@$(installer) uninstall
	rm -f $(DESTDIR)$(MODPROBE_DIR)/vfio-spapr-tce2.conf \
		$(DESTDIR)$(UDEV_DIR)/70-vfio-spapr-tce2.rules
	for tool in $(tools); do \
		$(MAKE) -C $$tool uninstall DESTDIR=$(DESTDIR) prefix=$(prefix) || exit; done

deb:
	@scripts/hosttools deb
	@scripts/package deb

rpm:
	@scripts/hosttools rpm
	@scripts/package rpm

release:
	@scripts/hosttools rpm
	@scripts/hosttools deb
	@scripts/release

# Install Python for these commands: a bare Debian 12 lacks it. tests/run does this, too.
module kernels kernel-versions demo check-clients check-dkms debug-kernel fuzz bench lint: python
python:
	@scripts/hosttools python

module:
	@test -n "$(KERNEL)" || { echo "say which kernel: make module KERNEL=<label>"; scripts/kernel --list; false; }
	@scripts/hosttools build
	@scripts/module "$(KERNEL)"

kernels:
	@scripts/kernel --list

# A key for caches of the kernels: it changes when Debian publishes one.
kernel-versions:
	@scripts/kernel --newest

demo:
	@scripts/demo

check:
	@tests/run

# The tests of `make check` that need neither a kernel nor a cross compiler
check-quick:
	@tests/run quick

# The two halves of it
check-host:
	@tests/run host

check-guests:
	@tests/run guests

check-all:
	@KERNELS=all tests/run

check-dkms:
	@tests/run dkms

check-clients:
	@tests/run clients

debug-kernel:
	@scripts/debug-kernel

# What a kernel that checks itself has to say
check-debug: debug-kernel
	@KERNELS="$${KERNELS:-6.12-64k 6.12-debug}" tests/run debug

coverage: debug-kernel
	@KERNELS="$${KERNELS:-6.12-debug}" JOBS="differ failnth" tests/run debug

stress:
	@JOBS="races reload" tests/run

unit:
	@tests/run unit

# The tool of that name, for this machine; it needs no kernel and no compiler
# but the machine's own.
preflight:
	@$(MAKE) -C tools/preflight O=$(CURDIR)/build/preflight

check-preflight:
	@tests/run preflight

check-install:
	@tests/run install

fuzz:
	@tests/unit/fuzz

bench:
	@scripts/bench

lint:
	@tests/run lint

# What .gitignore lists is what builds leave.
ignored := $(shell grep -s '^[/*.[:alpha:]]' .gitignore)
clean:
	rm -rf $(patsubst /%,%,$(filter /%,$(ignored)))
	find . -path ./.git -prune -o \( -false $(patsubst %,-o -name '%',\
		$(filter-out /%,$(ignored))) \) -prune -exec rm -rf {} +

help:
	@echo "make demo                    see it work on an emulated POWER9 (KERNEL=<label>)"
	@echo "make check                   run the tests on the kernels of Debian 12 (KERNELS='<label>...', MACHINES='powernv9 pseries', V=1, ONLY=<case>)"
	@echo "make check-all               the same on every kernel that has a label, and a table of them all (MACHINES as above)"
	@echo "make check-host              run only the tests of this machine; make check-guests: only the tests in emulated machines (KERNELS, MACHINES)"
	@echo "make check-quick             run only the tests that need neither a kernel nor a cross compiler: make unit, and the tests of the scripts"
	@echo "make check-clients           QEMU with KVM and DPDK, both backends side by side (HOSTILE_SECONDS=20, BACKENDS='intree ours', RUNS='<run>...')"
	@echo "make check-dkms              the real dkms, dpkg and modprobe in a root filesystem of packages (root or sudo; KEEP=1: only boots, with the last disk)"
	@echo "make check-debug             every race, every failure injected and a long differential test on a debug kernel (RACE_SECONDS=60, DIFFER_CALLS=100000, FAILURES=300, JOBS='<job>...', SMP=2, KERNELS)"
	@echo "make debug-kernel            build that kernel: KASAN, lockdep, kmemleak, UBSAN, fault injection (the first of these targets does)"
	@echo "make coverage                which lines of src/ the guests' tests run"
	@echo "make stress                  the races among the tests, for a minute each (RACE_SECONDS=60; KERNELS, MACHINES as above)"
	@echo "make bench                   compare with the in-tree driver (KERNELS='<label>...', MACHINE=pseries, THREADS=1), build/bench/"
	@echo "make unit                    run only the tests of the sources on the host (ONLY=<case>, TCE2_SEED=<seed>)"
	@echo "make preflight               build tce2-preflight, which says whether the module will work on a kernel (build/preflight)"
	@echo "make check-preflight         run only its tests (PREFLIGHT_DAMAGE=<number of damages of a file>, PREFLIGHT_SEED=<seed>)"
	@echo "make check-install           run only the tests of building and installing"
	@echo "make fuzz                    let libFuzzer look for what the tests miss (FUZZ_SECONDS=60)"
	@echo "make kernels                 list the labels of the kernels"
	@echo "make kernel-versions         write the newest versions in Debian's archive to build/kernel-versions (KERNELS='<label>...')"
	@echo "scripts/kernel-add NAME DIR  make a kernel of your own a label, for KERNELS and KERNEL"
	@echo "make module KERNEL=<label>   build build/<label>/vfio_spapr_tce2.ko (W=1, C=2, V=1)"
	@echo "make lint                    all static checkers, for the kernels of Debian 12 (KERNELS='<label>...' or all); scripts/lint <checker>... for some"
	@echo "make                         on a ppc64le host: build for the running kernel (KDIR=<build tree>)"
	@echo "make install                 on a ppc64le host: install that module, its modprobe.d file and the tools (DESTDIR, prefix); make uninstall"
	@echo "make deb                     Debian packages for dkms and of the tools, in build/deb"
	@echo "make rpm                     source and binary RPMs, in build/rpm"
	@echo "make release                 check that all versions agree, make source archive, packages and SHA256SUMS, in build/release"
	@echo "make clean                   remove everything built; downloads stay in ~/.cache"
