# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of this project; `make help` lists them. The file Kbuild lists the objects
# of the module. The kernel's build system reads Kbuild instead of this file.

# The kernel's build tree, for a build in place on a POWER host.
KDIR ?= /lib/modules/$(shell uname -r)/build
in_place := $(or $(filter ppc64le,$(shell uname -m)),$(filter command environment,$(firstword $(origin KDIR))))

# The directories of `make install` for all files except the module. kmod reads
# lib/modprobe.d only below /usr and /usr/local.
prefix ?= /usr/local
MODPROBE_DIR ?= $(prefix)/lib/modprobe.d
UDEV_DIR ?= $(prefix)/lib/udev/rules.d
INSTALL_MOD_DIR ?= updates
# INSTALL_MOD_PATH, kbuild's name for DESTDIR, also works. A relative path starts at
# this directory, not at the directories of child makes.
DESTDIR ?= $(INSTALL_MOD_PATH)
given_destdir := $(DESTDIR)
override DESTDIR := $(abspath $(given_destdir))

# Refuse paths that make or kbuild would split, with an error message of one sentence
quoted = '$(subst ','\'',$(1))'
unusable := $(shell sh scripts/usable-path "the sources" "$$(pwd -P)" \
	KDIR $(call quoted,$(KDIR)) DESTDIR $(call quoted,$(given_destdir)) \
	$(foreach name,prefix MODPROBE_DIR UDEV_DIR INSTALL_MOD_DIR,\
	$(name) $(call quoted,$($(name)))))
$(if $(unusable),$(error $(unusable)))
$(foreach name,prefix MODPROBE_DIR UDEV_DIR sbindir mandir,$(if $(filter-out /%,$($(name))),\
	$(error $(name) must be an absolute path, not $($(name)); DESTDIR may be relative)))

# Variables of a build in place. Only KDIR selects the kernel, and the sources are in this
# directory. So kbuild's variables that name other trees are ignored in the environment,
# and refused on the command line. They are unexported, not set to "", because the Makefile
# in a build tree may set them. Kbuild's other variables (ARCH, CROSS_COMPILE, LLVM,
# KCFLAGS, W, INSTALL_MOD_STRIP...) work as in a build of the kernel.
trees := O KBUILD_OUTPUT M KBUILD_EXTMOD MO KBUILD_EXTMOD_OUTPUT
unexport $(trees) sub_make_done srctree
$(foreach name,$(trees),$(if $(filter command,$(firstword $(origin $(name)))),\
	$(error $(name)= has no meaning here: KDIR= names the build tree of the kernel)))
kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR)
# Two builds in this directory would write the same files, so the second build waits.
lock := $(if $(shell command -v flock),flock .)
# `make -n` prints the command and does not run it.
installer = $(if $(findstring n,$(firstword -$(MAKEFLAGS))),:) \
	env MAKE="$(MAKE)" KDIR=$(KDIR) DESTDIR=$(DESTDIR) \
	INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) TOOLS="$(tools)" $(lock) sh scripts/install

# The programs for administrators, each with its Makefile. They are built for this machine,
# even if the module is cross-compiled.
TOOLS_CC ?= cc
tools := $(patsubst %/Makefile,%,$(wildcard tools/*/Makefile))
tools_out := $(CURDIR)/build

.PHONY: all module kernels kernel-versions demo check check-quick check-host check-guests check-all \
	check-clients check-dkms check-install check-preflight check-tce2ctl check-debug coverage \
	debug-kernel stress unit fuzz bench lint docs preflight tce2ctl modules modules_install \
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

# Called by scripts/install, which runs depmod later
stage-module:
	+$(kbuild) INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=$(INSTALL_MOD_DIR) \
		DEPMOD=true modules_install

# All files except the module: a dkms package installs these.
install-common:
	install -D -m 644 packaging/vfio-spapr-tce2.conf \
		$(DESTDIR)$(MODPROBE_DIR)/vfio-spapr-tce2.conf
	install -D -m 644 packaging/70-vfio-spapr-tce2.rules \
		$(DESTDIR)$(UDEV_DIR)/70-vfio-spapr-tce2.rules
	for tool in $(tools); do \
		$(MAKE) -C $$tool install CC="$(TOOLS_CC)" \
			O=$(tools_out)/$${tool##*/} DESTDIR=$(DESTDIR) \
			prefix=$(prefix) || exit; done

# This needs neither the kernel's headers nor the module.
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

# Install Python for these commands: a bare Debian 12 lacks it. tests/run also does this.
module kernels kernel-versions demo check-clients check-dkms debug-kernel fuzz bench lint docs: python
python:
	@scripts/hosttools python

module:
	@test -n "$(KERNEL)" || { echo "say which kernel: make module KERNEL=<label>"; scripts/kernel --list; false; }
	@scripts/hosttools build
	@scripts/module "$(KERNEL)"

kernels:
	@scripts/kernel --list

# The versions are a key for caches of kernels: they change when Debian publishes a kernel.
kernel-versions:
	@scripts/kernel --newest

demo:
	@scripts/demo

check:
	@tests/run

# The tests of `make check` that need neither a kernel nor a cross compiler
check-quick:
	@tests/run quick

# The two halves of make check
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

# Run the tests on a KASAN/lockdep kernel
check-debug: debug-kernel
	@KERNELS="$${KERNELS:-6.12-64k 6.12-debug}" tests/run debug

coverage: debug-kernel
	@KERNELS="$${KERNELS:-6.12-debug}" JOBS="differ failnth" tests/run debug

stress:
	@JOBS="races reload" tests/run

unit:
	@tests/run unit

# tce2-preflight for this machine; needs only the machine's own compiler, and no kernel.
preflight:
	@$(MAKE) -C tools/preflight O=$(CURDIR)/build/preflight

check-preflight:
	@tests/run preflight

# tce2ctl for this machine, likewise
tce2ctl:
	@$(MAKE) -C tools/tce2ctl O=$(CURDIR)/build/tce2ctl

check-tce2ctl:
	@tests/run tce2ctl

check-install:
	@tests/run install

fuzz:
	@tests/unit/fuzz

bench:
	@scripts/bench

lint:
	@tests/run lint

docs:
	@scripts/docs

# .gitignore lists the results of builds.
ignored := $(shell grep -s '^[/*.[:alpha:]]' .gitignore)
clean:
	rm -rf $(patsubst /%,%,$(filter /%,$(ignored)))
	find . -path ./.git -prune -o \( -false $(patsubst %,-o -name '%',\
		$(filter-out /%,$(ignored))) \) -prune -exec rm -rf {} +

help:
	@echo "make demo                    watch the module work on an emulated POWER9 (KERNEL=<label>)"
	@echo "make check                   run the tests on the kernels of Debian 12 (KERNELS='<label>...', MACHINES='powernv9 pseries', V=1, ONLY=<case>)"
	@echo "make check-all               run make check on every kernel with a label, and print a table of all results (MACHINES as above)"
	@echo "make check-host              run only the tests of this machine; make check-guests: only the tests in emulated machines (KERNELS, MACHINES)"
	@echo "make check-quick             run only the tests that need neither a kernel nor a cross compiler: make unit, and the tests of the scripts"
	@echo "make check-clients           run QEMU with KVM and DPDK on this module and the in-tree driver, and observe them with tce2ctl, trace-cmd, perf and bpftrace (HOSTILE_SECONDS=20, BACKENDS='intree ours', RUNS='<run>...')"
	@echo "make check-dkms              test the packages with the real dkms, dpkg and modprobe (root or sudo; KEEP=1: only boot, from the disk of the last run)"
	@echo "make check-debug             run every race, inject every failure, and run a long differential test, on a debug kernel (RACE_SECONDS=60, DIFFER_CALLS=100000, FAILURES=300, JOBS='<job>...', SMP=2, KERNELS)"
	@echo "make debug-kernel            build a kernel with KASAN, lockdep, kmemleak, UBSAN and fault injection; make check-debug does this first"
	@echo "make coverage                list the lines of src/ that the guests' tests do not run"
	@echo "make stress                  run each race test for a minute (RACE_SECONDS=60; KERNELS, MACHINES as above)"
	@echo "make bench                   compare the speed with the in-tree driver's and with the committed results; results in build/bench (KERNELS='<label>...', MACHINE=pseries, THREADS=1, PROFILE=1)"
	@echo "make unit                    run only the tests of the sources on the host (ONLY=<case>, TCE2_SEED=<seed>)"
	@echo "make preflight               build tce2-preflight, which checks if the module will work on a kernel (build/preflight)"
	@echo "make check-preflight         run only the tests of tce2-preflight (PREFLIGHT_DAMAGE=<number of damages of a file>, PREFLIGHT_SEED=<seed>)"
	@echo "make tce2ctl                 build tce2ctl, which shows and explains the state of the module (build/tce2ctl)"
	@echo "make check-tce2ctl           run only the tests of tce2ctl"
	@echo "make check-install           run only the tests of building and installing"
	@echo "make fuzz                    search with libFuzzer for defects that the tests miss (FUZZ_SECONDS=60)"
	@echo "make kernels                 list the labels of the kernels"
	@echo "make kernel-versions         write the newest versions in Debian's archive to build/kernel-versions (KERNELS='<label>...')"
	@echo "scripts/kernel-add NAME DIR  add your own kernel as the label NAME, for KERNELS and KERNEL"
	@echo "make module KERNEL=<label>   build build/<label>/vfio_spapr_tce2.ko (W=1, C=2, V=1)"
	@echo "make lint                    run all static checkers, for the kernels of Debian 12 (KERNELS='<label>...' or all); scripts/lint <checker>... runs some"
	@echo "make docs                    build the documentation: HTML and manual pages, in build/docs"
	@echo "make                         on a ppc64le host: build for the running kernel (KDIR=<build tree>)"
	@echo "make install                 on a ppc64le host: install that module, its modprobe.d file and the tools (DESTDIR, prefix); make uninstall"
	@echo "make deb                     build Debian packages for dkms and of the tools, in build/deb"
	@echo "make rpm                     build source and binary RPMs, in build/rpm"
	@echo "make release                 check that all versions agree, make source archive, packages and SHA256SUMS, in build/release"
	@echo "make clean                   remove the results of all builds; downloads stay in ~/.cache"
