# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Copies of a kernel's build tree for tests that change it: links, except for the files
# that differ. Sourced after lib.sh; KERNEL is the kernel in the cache.

# The copy: `build` is what KDIR names, `source` has the headers of all flavours.
TREE=

link_into() {
	mkdir -p "$2"
	find "$1" -mindepth 1 -maxdepth 1 -exec ln -s -t "$2" {} +
}

# own PATH: a copy of a file of TREE; its directories become real ones
own() {
	local entry=$TREE part target

	for part in ${1//\// }; do
		entry+=/$part
		[ -L "$entry" ] || continue
		target=$(readlink -f "$entry")
		rm "$entry"
		if [ -d "$target" ]; then
			link_into "$target" "$entry"
		else
			cp "$target" "$entry"
		fi
	done
}

# change PATH SED: fails where nothing has changed
change() {
	own "$1"
	cp "$TREE/$1" "$TREE/before"
	sed -i -E "$2" "$TREE/$1"
	! cmp -s "$TREE/$1" "$TREE/before"
}

# link_kernel: the kernel as it is, into TREE
link_kernel() {
	local build common file

	mkdir -p "$TREE"
	build=$(cat "$KERNEL/builddir")
	common=$(sed -n 's:^include \(/.*\)/Makefile$:\1:p' "$build/Makefile")
	link_into "$build" "$TREE/build"
	if [ -n "$common" ]; then
		link_into "$common" "$TREE/source"
	else
		ln -s build "$TREE/source"
	fi
	for file in Makefile .kernelvariables; do
		[ -e "$build/$file" ] || continue
		own "build/$file"
		sed -i "s:$build:$TREE/build:g; s:${common:-$build}:$TREE/source:g" \
			"$TREE/build/$file"
	done
}
