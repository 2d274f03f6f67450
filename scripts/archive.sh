# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian's archive through a private apt: its own lists, cache and (empty)
# package status, so that nothing of the machine changes and no root is
# needed. Where the archive is, the machine's own apt configuration says; apt
# verifies every signature. Sourced after lib.sh.

HOST_ARCH=$(dpkg --print-architecture)
# Empty where only packages for this machine are wanted.
FOREIGN_ARCH=ppc64el
ARCHIVE_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

host_codename() {
	# shellcheck disable=SC1091
	(. /etc/os-release && echo "$VERSION_CODENAME")
}

# Lines "origin|release|component|kind|repository URI" of all that the machine
# has configured.
configured_targets() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets "$@" \
		--format '$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(CREATED_BY)|$(REPO_URI)'
}

# The machine's URI for RELEASE. A machine that has never fetched its lists
# can't tell the origin; there the first one has to do.
configured_uri() {
	configured_targets | awk -F'|' -v release="$1" '
		$1 == "Debian" && $2 == release && $3 == "main" && !n++ { print $5 }' |
		grep . ||
	configured_targets --no-release-info | awk -F'|' -v release="$1" '
		$2 == release && $3 == "main" && $4 == "Packages" && !n++ { print $5 }'
}

# Where SUITE is: a suite the machine itself uses (the security archive has an
# address of its own) or else beside the machine's own release.
suite_uri() {
	local uri

	uri=$(configured_uri "$1")
	case $1 in
	*-security) ;;
	*)	uri=${uri:-$(configured_uri "$(host_codename)")} ;;
	esac
	echo "$uri"
}

# source_line SUITE, nothing for a security suite the machine doesn't use. A
# mirror that lags is no reason to refuse the suites that expire within a week.
source_line() {
	local uri options="signed-by=$ARCHIVE_KEYS"

	[ -r "$ARCHIVE_KEYS" ] ||
		die "$ARCHIVE_KEYS is missing: install the package debian-archive-keyring"
	uri=$(suite_uri "$1")
	case $1 in
	forky|sid|experimental) options+=" check-valid-until=no" ;;
	esac
	if [ -n "$uri" ]; then
		echo "deb [$options] $uri $1 main"
	fi
}

# use_suites SUITE[+SUITE]...: makes `private_apt` work on these suites only.
use_suites() {
	local suite

	APT_DIR=$CACHE/apt/$1
	mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/cache/archives/partial" "$APT_DIR/parts"
	: >>"$APT_DIR/status"
	for suite in ${1//+/ }; do
		source_line "$suite"
	done >"$APT_DIR/sources.list.$$"
	# Another process may be reading the list.
	mv "$APT_DIR/sources.list.$$" "$APT_DIR/sources.list"
	[ -s "$APT_DIR/sources.list" ] ||
		die "this machine's apt knows no Debian archive (apt-get indextargets shows none for $(host_codename)/main)"

	# Where the packages come from ...
	APT_SOURCES=(
		-o Dir::Etc::sourcelist="$APT_DIR/sources.list"
		-o Dir::Etc::sourceparts="$APT_DIR/parts"
		-o Dir::State::lists="$APT_DIR/lists"
		-o Acquire::Languages=none
		-o Acquire::Retries=3
	)
	# ... and a world of its own to resolve them in.
	APT_OPTIONS=(
		"${APT_SOURCES[@]}"
		-o Dir::Etc::preferences=/dev/null
		-o Dir::Etc::preferencesparts="$APT_DIR/parts"
		-o Dir::State="$APT_DIR"
		-o Dir::State::status="$APT_DIR/status"
		-o Dir::Cache="$APT_DIR/cache"
		# Container images switch these off, and each question takes seconds.
		-o Dir::Cache::pkgcache=pkgcache.bin
		-o Dir::Cache::srcpkgcache=srcpkgcache.bin
		-o APT::Architectures::="$HOST_ARCH"
		# The cache is in a home directory that apt's own user can't enter.
		-o APT::Sandbox::User=
	)
	if [ -n "$FOREIGN_ARCH" ]; then
		APT_OPTIONS+=(-o APT::Architectures::="$FOREIGN_ARCH")
	fi
}

# private_apt apt-get|apt-cache ARGUMENT... Locked, because one of two concurrent runs of apt fails.
private_apt() {
	flock "$APT_DIR/lock" "$1" "${APT_OPTIONS[@]}" "${@:2}"
}

# Fetches the lists of the suites in use. Fails where the mirror is out of
# reach, or carries lists that don't match the signed Release (which is what a
# mirror in mid-update looks like).
update_lists() {
	local suites=${APT_DIR##*/}

	logged "$LOGS/apt.log" "reading the package lists of ${suites//+/ and }" \
		private_apt apt-get update --error-on=any && return
	grep '^E:' "$LOGS/apt.log" | tail -n 2 | head -n 1 | cut -c 1-160 | sed 's/^/    /'
	return 1
}

# use_first_with REGEX CHOICE...: the first choice of suites whose lists verify
# and name a package like that; REGEX may be empty.
use_first_with() {
	local regex=$1 attempt choice
	shift

	for attempt in 1 2 3; do
		for choice; do
			use_suites "$choice"
			if ! update_lists; then
				say "apt refuses ${choice//+/ and } as this mirror has it now"
			elif [ -z "$regex" ] || [ -n "$(newest_package "$regex")" ]; then
				return
			else
				say "${choice//+/ and } has no $regex"
			fi
		done
		[ "$attempt" = 3 ] || { say "once more in 10 s"; sleep 10; }
	done
	die "apt can read and verify none of: $*${regex:+ (for a $regex)}; see build/logs/apt.log, try again later or from another mirror"
}

use_first_of() {
	use_first_with '' "$@"
}

# newest_package REGEX: the highest version among the names that match
newest_package() {
	private_apt apt-cache pkgnames | { grep -Ex "$1" || true; } | sort -V | tail -n 1
}

# package_field PACKAGE:ARCH[=VERSION] FIELD
package_field() {
	private_apt apt-cache show --no-all-versions "$1" |
		awk -v key="$2:" '$1 == key && !n++ { sub(/^[^ ]* /, ""); print }'
}

# fetch_package DIR PACKAGE:ARCH[=VERSION]
fetch_package() {
	local size

	size=$(package_field "$2" Size | numfmt --to=si)
	cd_quietly "$1" "fetching ${2/:*=/ } (${size}B)" \
		private_apt apt-get download "$2" ||
		die "${2%%=*} could not be fetched"
}

# apt-get download knows no target directory but the current one
cd_quietly() {
	(cd "$1" && quietly "$LOGS/apt.log" "${@:2}")
}
