# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# The package with tce2-preflight: built in the root filesystem from the source
# packages of OLD and NEW, installed, upgraded, purged; in between the program
# is asked about the kernels that are installed there, with the module that dkms
# has built for KERNEL. Sourced by packages.sh.

TOOLS=$NAME-tools
WORK=/tests/build

# build_tools VERSION: as ppc64el's own build daemons do, except that this
# machine's compiler compiles (tests/dkms/root)
build_tools() {
	mkdir -p "$WORK" &&
	dpkg-source --extract "/packages/${NAME}_$1.dsc" "$WORK/$NAME-$1" &&
	(cd "$WORK/$NAME-$1" && CC=powerpc64le-linux-gnu-gcc-12 dpkg-buildpackage -B -us -uc)
}

tools_package() {
	echo "$WORK/${TOOLS}_$1_ppc64el.deb"
}

# What shared libraries need of other packages, dpkg has worked out.
depends_on() {
	depends=$(dpkg-deb -f "$(tools_package "$OLD")" Depends)
	echo "# $depends"
	for wanted; do
		case $depends in
		*"$wanted"*)	;;
		*)		return 1 ;;
		esac
	done
}

# Every path of the root filesystem, but for what tests and dpkg write
paths() {
	find / -xdev \( -path /tests -o -path /packages -o -path /proc -o -path /dev \
		-o -path /tmp -o -path /var/log -o -path /var/lib/dpkg/status-old \) -prune \
		-o -print | sort
}

same_paths() {
	paths >"$WORK/after"
	diff "$WORK/before" "$WORK/after" >"$OUTPUT" || { sed 's/^/# /' "$OUTPUT"; false; }
}

# The version that dpkg has, and that the program says it is
tools_are() {
	[ "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$TOOLS")" = "installed $1" ] &&
	[ "$(tce2-preflight --version)" = "tce2-preflight $1" ]
}

# The tests in debian/tests that need nothing but the tools
packaged_tests() {
	awk 'BEGIN { RS = ""; FS = "\n" } $0 ~ "Depends: '"$TOOLS"'\n" {
		sub(/^Test-Command: /, "", $1); print $1 }' \
		"$WORK/$NAME-$NEW/debian/tests/control" >"$WORK/packaged"
	[ -s "$WORK/packaged" ] && run sh -ex "$WORK/packaged"
}

manual() {
	man 8 tce2-preflight >"$OUTPUT" 2>&1 &&
		grep -i 'tell whether vfio_spapr_tce2 will work' "$OUTPUT"
}

# preflight STATUS REGEX ARGUMENT...: that exit status, and a line like that, where
# the + of a kernel's version is a +
preflight() {
	want=$1 regex=$2
	shift 2

	tce2-preflight "$@" >"$OUTPUT" 2>&1
	status=$?
	if [ $status != "$want" ] || ! grep "$regex" "$OUTPUT" >/dev/null; then
		echo "# exit status $status, wanted $want and a line like $regex:"
		sed 's/^/# /' "$OUTPUT"
		return 1
	fi
}

# Read by a parser, not looked at: the module is the one of dkms, all is well
json_says_ok() {
	preflight 0 '^{"format":1,' --json "$KERNEL" &&
	perl -MJSON::PP -e '
		my ($output, $kernel, $version) = @ARGV;
		open my $file, "<", $output or die;
		local $/;
		my $said = decode_json(<$file>);
		my @bad = grep { $_->{status} ne "ok" } @{$said->{symbols}}, @{$said->{layout}};
		print "# $_->{status}: ", $_->{name} // $_->{struct}, "\n" for @bad;
		print "# ", scalar @{$said->{symbols}}, " symbols, ",
			scalar @{$said->{layout}}, " members, $said->{module}{file}\n";
		exit !(!@bad && @{$said->{symbols}} && @{$said->{layout}} &&
			$said->{verdict} eq "ok" && !defined $said->{error} &&
			$said->{module}{file} =~ m{/lib/modules/\Q$kernel\E/updates/dkms/} &&
			$said->{module}{version} eq $version &&
			$said->{target}{release} eq $kernel);' "$OUTPUT" "$KERNEL" "$NEW"
}

# json_error REGEX ARGUMENT...: even then it is JSON, with the reason
json_error() {
	tce2-preflight --json "$@" 2>/dev/null >"$OUTPUT"
	[ $? = 2 ] &&
	perl -MJSON::PP -e 'local $/; my $said = decode_json(<>);
		exit !($said->{verdict} eq "unknown" && length $said->{error});' "$OUTPUT"
}

tap_preflight() {
	symvers=/lib/modules/$KERNEL/build/Module.symvers
	symbol=vfio_register_iommu_driver

	tap_try "preflight finds the module that dkms built, and it will work" preflight 0 \
		"^$OURS $NEW on $KERNEL: will work\$" "$KERNEL"
	tap_try "preflight --json says so of every symbol and member" json_says_ok
	grep -v "	$symbol	" "$symvers" >"$WORK/without"
	tap_try "preflight fails for a kernel that lacks a symbol, and names it" preflight 1 \
		"fail  *symbols .*does not export $symbol" --symvers="$WORK/without" "$KERNEL"
	sed 's/^0x[0-9a-f]*/0x00000000/' "$symvers" >"$WORK/unversioned"
	tap_try "preflight can't tell for a kernel without CRCs" preflight 2 \
		'unknown  *symbols .*no CRC' --symvers="$WORK/unversioned" "$KERNEL"
	tap_try "the module that dkms built for $LATER will work there" preflight 0 \
		"^$OURS $NEW on $LATER: will work\$" "$LATER"
	tap_try "that of $KERNEL fails for $LATER, whose pages are smaller" preflight 1 \
		'fail  *page-size  *built for pages of 64K, the kernel has pages of 4K' \
		--module="$(modinfo -k "$KERNEL" -F filename "$OURS")" "$LATER"
	tap_try "preflight can't tell for a kernel that is not there, and says why" preflight 2 \
		'^tce2-preflight: .*5\.10\.0-99-powerpc64le' 5.10.0-99-powerpc64le
	tap_try "preflight --json gives a reason then, too" json_error 5.10.0-99-powerpc64le
}

tap_tools() {
	for version in "$OLD" "$NEW"; do
		tap_try "the tools package of $version builds for ppc64el" \
			run build_tools "$version"
	done
	tap_try "it depends on the libraries of the program" \
		depends_on 'libc6 (>= ' 'libkmod2 (>= ' 'libbpf1 (>= ' \
		'liblzma5' 'libzstd1' 'zlib1g'
	paths >"$WORK/before"
	tap_try "the tools package installs" run dpkg -i "$(tools_package "$OLD")"
	tap_try "program and package are of $OLD" tools_are "$OLD"
	tap_try "its manual page is there" manual
	tap_try "the tools package is upgraded" run dpkg -i "$(tools_package "$NEW")"
	tap_try "program and package are of $NEW" tools_are "$NEW"
	tap_try "the package's own tests pass" packaged_tests
	tap_preflight
	tap_try "the tools package is purged" run dpkg -P "$TOOLS"
	tap_try "what there was before is all that is left" same_paths
}
