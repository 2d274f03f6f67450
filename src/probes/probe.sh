#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# probe.sh: what Makefile.probes runs.
#
#	ask ANSWER SOURCE COMPILER...		does the kernel have what SOURCE
#						uses? ANSWER gets "yes" or "no", the
#						seconds, and what the compiler says
#	require ANSWER SOURCE COMPILER...	the same, and "no" stops the build
#	verdict HEADER SOURCES SYMVERS MODVERSIONS NEEDS CHOICES RECORD
#						from all answers beside HEADER to
#						TCE2_HAVE_*; or stops the build. RECORD
#						gets the checksums of what was asked
#	recheck STAMP RECORD OBJECTS		if a file that RECORD lists has changed,
#						touches STAMP and removes the modules in
#						the directory OBJECTS
#
# TCE2_KERNELS has the oldest and the newest kernel that the module is made for.
# POSIX sh and POSIX tools only: it also runs where DKMS builds, and a kernel build
# needs neither GNU date nor GNU sed.

set -eu

# "1 error: text" of the first error in an answer, its directories left out
first_error() {
	sed -n '2,$ s#^\([^ ]*/\)*\([^ ]* .*error: .*\)#\2#p' "$1" | head -n 1
}

# The first line of a probe's comment names the API.
api_of() {
	sed -n '3s/^ \* //p' "$1"
}

# refuse "what was asked" "what the answer is"
refuse() {
	{
		echo "vfio-spapr-tce2 can't be built for the kernel ${KERNELRELEASE:-(of unknown release)}."
		echo "  supported: Linux ${TCE2_KERNELS% *} to ${TCE2_KERNELS#* }, and others that have what it needs"
		echo "  probe:     $1"
		echo "  answer:    $2"
	} >&2
	exit 1
}

# refuse_source SOURCE ANSWER
refuse_source() {
	refuse "$(api_of "$1") (src/probes/${1##*/})" \
		"$(first_error "$2" | grep . || sed -n 2p "$2")"
}

# The build tree and the compiler are to blame, not the kernel.
broken() {
	{
		echo "vfio-spapr-tce2: the kernel's build tree or the compiler is broken: not even an empty module compiles."
		echo "  kernel:    ${KERNELRELEASE:-of unknown release}"
		echo "  compiler:  $1${TCE2_CC:+ ($TCE2_CC)}"
		echo "  answer:    $(first_error "$2" | grep . || sed -n 2p "$2")"
	} >&2
	exit 1
}

# seconds FILE: the processor time of this shell's children, from what its command
# `times` wrote to FILE. POSIX date has no fractions of a second.
seconds() {
	awk 'NR == 2 {
		split($1 "m" $2, part, "m")
		print (part[1] + part[3]) * 60 + part[2] + part[4]
	}' "$1"
}

# ask ANSWER SOURCE COMPILER...; an answer is there only when it is complete.
ask() {
	answer=$1
	shift 2
	status=0
	LC_ALL=C "$@" >"$answer.tmp" 2>&1 </dev/null || status=$?
	# The compiler is the only child so far.
	times >"$answer.times"
	case $status in
	0)	word=yes ;;
	1)	word=no ;;
	*)	{ echo .; cat "$answer.tmp"; } >"$answer.said"
		broken "$1" "$answer.said" ;;
	esac
	{
		echo "$word $(seconds "$answer.times")"
		cat "$answer.tmp"
	} >"$answer.new"
	rm -f "$answer.tmp" "$answer.times"
	mv "$answer.new" "$answer"
}

fits() {
	read -r word _ <"$1"
	[ "$word" = yes ]
}

# require ANSWER SOURCE COMPILER...; a "no" isn't kept.
require() {
	ask "$@"
	! fits "$1" || return 0
	mv "$1" "$1.said"
	case $2 in
	*/sanity.c)	broken "$3" "$1.said" ;;
	*)		refuse_source "$2" "$1.said" ;;
	esac
}

# unexported LIST SYMVERS MODVERSIONS: what of the list the files don't satisfy.
# Their columns are CRC, symbol, module, kind of export and namespace.
unexported() {
	# shellcheck disable=SC2086 # one word a file
	awk -F'\t' -v modversions="$3" '
		FNR == 1 { file++ }
		file == 1 { if ($1 != "") wanted[++n] = $1; next }
		{ kind[$2] = $4; space[$2] = $5; crc[$2] = $1 }
		END {
			for (i = 1; i <= n; i++) {
				name = wanted[i]
				if (kind[name] !~ /^EXPORT_SYMBOL/)
					print name "() is not exported"
				else if (space[name] != "")
					print name "() is exported to " space[name] " only"
				else if (modversions == "y" && crc[name] ~ /^0x0*$/)
					print name "() has no CRC, though the kernel has CONFIG_MODVERSIONS"
			}
		}' "$1" $2
}

# check_exports SYMVERS MODVERSIONS
check_exports() {
	[ "${KBUILD_MODPOST_WARN:-}" != 1 ] || return 0
	[ -n "$1" ] ||
		refuse "exported symbols" "the build tree has no Module.symvers: build the kernel first, or install its headers"
	missing=$(unexported "$out/exports.lst" "$1" "$2" | head -n 1)
	[ -z "$missing" ] || refuse "exported symbols (src/probes/exports)" "$missing"
}

# choose CHOICE: the first of a list a,b,c that fits
choose() {
	for variant in $(echo "$1" | tr ',' ' '); do
		if fits "$out/$variant.probe"; then
			echo "$variant"
			return
		fi
	done
	newest=${1%%,*}
	refuse_source "$sources/$newest.c" "$out/$newest.probe"
}

macro() {
	echo "TCE2_HAVE_$(echo "$1" | tr '[:lower:]' '[:upper:]')"
}

# kernel_files SYMVERS: the headers that fixdep found in headers.probe, and those files
# that fixdep leaves out
kernel_files() {
	sed -n '/^deps_/,/^$/ s/^  \([^ $]*\) \\$/\1/p' "$out/.headers.probe.cmd"
	# Kbuild exports objtree, the top of the kernel's build tree.
	for file in "${objtree:-.}/include/generated/autoconf.h" \
		"${objtree:-.}/include/generated/utsrelease.h" $1; do
		[ ! -e "$file" ] || echo "$file"
	done
}

# unchanged RECORD
unchanged() {
	cut -d' ' -f3- "$1" | xargs cksum 2>/dev/null | cmp -s - "$1"
}

# recheck STAMP RECORD OBJECTS. A package of kernel headers unpacks files with the time
# stamps of the day when it was made. These may be older than an object here, which make
# would then keep. All objects depend on STAMP through the probes. Kbuild's own parts of
# a module do not, so they are removed.
recheck() {
	if [ -e "$2" ] && unchanged "$2"; then
		return
	fi
	rm -f "$2" "$3"/*.mod.o "$3"/.module-common.o "$3"/*.ko
	: >"$1"
}

compiler_time() {
	awk 'FNR == 1 { probes++; seconds += $2 }
		END { printf "%d probes in %.1f s of compiler time", probes, seconds }' \
		"$out"/*.probe
}

verdict() {
	header=$1 sources=$2 out=${1%/*}

	for need in $5; do
		fits "$out/$need.probe" ||
			refuse_source "$sources/$need.c" "$out/$need.probe"
	done
	{
		echo "/* SPDX-License-Identifier: GPL-2.0-only */"
		echo "/* Made by src/probes/probe.sh for Linux ${KERNELRELEASE:-} */"
		for choice in $6; do
			variant=$(choose "$choice")
			echo "#define $(macro "$variant") 1"
		done
	} >"$header.new"
	check_exports "$3" "$4"
	kernel_files "$3" | xargs cksum >"$7.new"
	mv "$header.new" "$header"
	mv "$7.new" "$7"
	echo "  $(compiler_time)"
}

"$@"
