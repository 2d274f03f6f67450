#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# probe.sh: commands for Makefile.probes.
#
#	ask ANSWER SOURCE COMPILER...		compiles the probe SOURCE. Writes "yes"
#						or "no", the compiler's seconds and its
#						output to the file ANSWER
#	require ANSWER SOURCE COMPILER...	like ask, but "no" stops the build
#	verdict HEADER SOURCES SYMVERS MODVERSIONS NEEDS CHOICES RECORD
#						writes TCE2_HAVE_* to HEADER, from all
#						answers in its directory; or stops the
#						build. Writes the checksums of the
#						probed files to RECORD
#	recheck STAMP RECORD OBJECTS		if a file that RECORD lists has changed,
#						touches STAMP and removes the modules in
#						the directory OBJECTS
#
# TCE2_KERNELS contains the oldest and the newest supported kernel.
# POSIX sh and POSIX tools only: the script also runs where DKMS builds, and a kernel
# build needs neither GNU date nor GNU sed.

set -eu

# first_error ANSWER: prints the first error of the compiler, without directories
first_error() {
	sed -n '2,$ s#^\([^ ]*/\)*\([^ ]* .*error: .*\)#\2#p' "$1" | head -n 1
}

# api_of SOURCE: prints the API's name, the first line of a probe's comment
api_of() {
	sed -n '3s/^ \* //p' "$1"
}

# refuse PROBE ANSWER: stops the build with an error about the kernel
refuse() {
	{
		echo "vfio-spapr-tce2 can't be built for the kernel ${KERNELRELEASE:-(of unknown release)}."
		echo "  supported: Linux ${TCE2_KERNELS% *} to ${TCE2_KERNELS#* }, and other kernels with the same API"
		echo "  probe:     $1"
		echo "  answer:    $2"
	} >&2
	exit 1
}

# refuse_source SOURCE ANSWER: stops the build with the error of the probe SOURCE, from
# the file ANSWER
refuse_source() {
	refuse "$(api_of "$1") (src/probes/${1##*/})" \
		"$(first_error "$2" | grep . || sed -n 2p "$2")"
}

# broken COMPILER ANSWER: stops the build with an error about the build tree or compiler
broken() {
	{
		echo "vfio-spapr-tce2: the kernel's build tree or the compiler is broken: not even an empty module compiles."
		echo "  kernel:    ${KERNELRELEASE:-of unknown release}"
		echo "  compiler:  $1${TCE2_CC:+ ($TCE2_CC)}"
		echo "  answer:    $(first_error "$2" | grep . || sed -n 2p "$2")"
	} >&2
	exit 1
}

# seconds FILE: prints the processor time of the shell's children, in seconds. FILE has
# the output of `times`: POSIX date has no fractions of a second.
seconds() {
	awk 'NR == 2 {
		split($1 "m" $2, part, "m")
		print (part[1] + part[3]) * 60 + part[2] + part[4]
	}' "$1"
}

# ask ANSWER SOURCE COMPILER...: see above. ANSWER exists only when it is complete.
ask() {
	answer=$1
	shift 2
	status=0
	LC_ALL=C "$@" >"$answer.tmp" 2>&1 </dev/null || status=$?
	# The compiler is the only child so far, so this is its time.
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

# fits FILE: succeeds if the answer in FILE is "yes"
fits() {
	read -r word _ <"$1"
	[ "$word" = yes ]
}

# require ANSWER SOURCE COMPILER...: see above. A "no" is not kept in ANSWER.
require() {
	ask "$@"
	! fits "$1" || return 0
	mv "$1" "$1.said"
	case $2 in
	*/sanity.c)	broken "$3" "$1.said" ;;
	*)		refuse_source "$2" "$1.said" ;;
	esac
}

# unexported LIST SYMVERS MODVERSIONS: prints an error for each function of LIST that
# the files SYMVERS do not export to this module. The columns of SYMVERS are CRC,
# symbol, module, kind of export and namespace.
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

# check_exports SYMVERS MODVERSIONS: stops the build if a function is not exported
check_exports() {
	[ "${KBUILD_MODPOST_WARN:-}" != 1 ] || return 0
	[ -n "$1" ] ||
		refuse "exported symbols" "the build tree has no Module.symvers: build the kernel first, or install its headers"
	missing=$(unexported "$out/exports.lst" "$1" "$2" | head -n 1)
	[ -z "$missing" ] || refuse "exported symbols (src/probes/exports)" "$missing"
}

# choose CHOICE: prints the first probe with the answer "yes" in a list a,b,c, or stops
# the build
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

# macro PROBE: prints the name of the macro for a probe with the answer "yes"
macro() {
	echo "TCE2_HAVE_$(echo "$1" | tr '[:lower:]' '[:upper:]')"
}

# kernel_files SYMVERS: prints the headers that fixdep found in headers.probe, and the
# files that fixdep omits
kernel_files() {
	sed -n '/^deps_/,/^$/ s/^  \([^ $]*\) \\$/\1/p' "$out/.headers.probe.cmd"
	# Kbuild exports objtree, the top of the kernel's build tree.
	for file in "${objtree:-.}/include/generated/autoconf.h" \
		"${objtree:-.}/include/generated/utsrelease.h" $1; do
		[ ! -e "$file" ] || echo "$file"
	done
}

# unchanged RECORD: succeeds if all files still have their checksums in RECORD
unchanged() {
	cut -d' ' -f3- "$1" | xargs cksum 2>/dev/null | cmp -s - "$1"
}

# recheck STAMP RECORD OBJECTS: see above. A new package of kernel headers may install
# files with time stamps older than the objects here, and make would keep the objects.
# All objects depend on STAMP through the probes. Kbuild's own parts of a module do not
# depend on STAMP, so they are removed.
recheck() {
	if [ -e "$2" ] && unchanged "$2"; then
		return
	fi
	rm -f "$2" "$3"/*.mod.o "$3"/.module-common.o "$3"/*.ko
	: >"$1"
}

# compiler_time: prints the number of probes and their time
compiler_time() {
	awk 'FNR == 1 { probes++; seconds += $2 }
		END { printf "%d probes in %.1f s of compiler time", probes, seconds }' \
		"$out"/*.probe
}

# verdict HEADER SOURCES SYMVERS MODVERSIONS NEEDS CHOICES RECORD: see above
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
