# SPDX-License-Identifier: GPL-2.0-only
#
# Build a tool on a machine of any architecture. The Makefile of a tool sets the variables
# PROGRAM, LIBRARIES (names of pkg-config), PACKAGES (Debian's packages of the libraries),
# OBJECTS and HEADERS, and includes this file. With COMPLETION, it names a file for bash.
#
# Targets: all, install, uninstall, clean, absent. "absent" prints the missing libraries, and
# the Debian packages to install.
# O= is the build directory. DESTDIR= and prefix= select the directories of the installation.

O ?= .
prefix ?= /usr/local
sbindir ?= $(prefix)/sbin
mandir ?= $(prefix)/share/man
completiondir ?= $(prefix)/share/bash-completion/completions
INSTALL ?= install
PKG_CONFIG ?= pkg-config

CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wno-sign-compare -Wno-missing-field-initializers
VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' ../../dkms.conf)

ABSENT := $(filter-out $(shell for library in $(LIBRARIES); do \
	$(PKG_CONFIG) --exists $$library 2>/dev/null && echo $$library; done),$(LIBRARIES))
advice := $(if $(ABSENT),$(ABSENT) not found by $(PKG_CONFIG). On Debian: apt-get install \
	pkgconf $(PACKAGES))
ifeq ($(filter absent clean uninstall,$(MAKECMDGOALS)),)
$(if $(advice),$(error $(advice)))
endif

override CPPFLAGS += -D_GNU_SOURCE -DTCE2_VERSION='"$(VERSION)"' \
	$(if $(ABSENT),,$(shell $(PKG_CONFIG) --cflags $(LIBRARIES)))
LDLIBS := $(if $(ABSENT),,$(shell $(PKG_CONFIG) --libs $(LIBRARIES)))

COMMON := file elf child kmod text options
OBJECTS := $(patsubst %,$(O)/%.o,$(OBJECTS) $(COMMON))

.PHONY: all install uninstall clean absent

all: $(O)/$(PROGRAM)

$(O)/$(PROGRAM): $(OBJECTS)
	$(CC) -pthread $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

vpath %.c ../common

$(O)/%.o: %.c $(HEADERS) ../common/common.h ../common/common.mk ../../dkms.conf Makefile
	@mkdir -p $(O)
	$(CC) -std=gnu11 -pthread $(WARNINGS) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man8 \
		$(if $(COMPLETION),$(DESTDIR)$(completiondir))
	$(INSTALL) -m 755 $(O)/$(PROGRAM) $(DESTDIR)$(sbindir)
	$(INSTALL) -m 644 $(PROGRAM).8 $(DESTDIR)$(mandir)/man8
	$(if $(COMPLETION),$(INSTALL) -m 644 $(COMPLETION) \
		$(DESTDIR)$(completiondir)/$(PROGRAM))

uninstall:
	rm -f $(DESTDIR)$(sbindir)/$(PROGRAM) $(DESTDIR)$(mandir)/man8/$(PROGRAM).8 \
		$(if $(COMPLETION),$(DESTDIR)$(completiondir)/$(PROGRAM))

clean:
	rm -f $(O)/$(PROGRAM) $(OBJECTS)

absent:
	@echo '$(advice)'
