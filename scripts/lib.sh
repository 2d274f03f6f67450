# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # used by those who source it
#
# Functions for scripts that are written in bash: they print progress lines, find the cache
# directory, and read the table of kernels. This file is sourced, not run.

set -euo pipefail
shopt -s inherit_errexit

# If CDPATH is set, cd prints the new directory.
unset CDPATH
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
LOGS=$BUILD/logs
CROSS=powerpc64le-linux-gnu-

# Debian keeps depmod and modinfo in /sbin, which is not in the PATH of ordinary users.
PATH=$PATH:/usr/sbin:/sbin

# Export the start time, so that child scripts print times relative to the same start.
export TCE2_START=${TCE2_START:-$EPOCHSECONDS}

say() {
	printf '[%3ds] %s\n' $((EPOCHSECONDS - TCE2_START)) "$*"
}

die() {
	printf '[%3ds] error: %s\n' $((EPOCHSECONDS - TCE2_START)) "$*" >&2
	exit 1
}

# Print the user's home directory: Cron and some CI runners set no HOME, so use the passwd
# entry then. XDG requires that a relative XDG_CACHE_HOME is ignored.
home_dir() {
	local home=${HOME:-}

	[ -n "$home" ] || home=$(getent passwd "$(id -u)" | cut -d: -f6) || true
	[[ $home = /* ]] ||
		die "no directory for downloads: set HOME or XDG_CACHE_HOME to an absolute path"
	echo "$home"
}

if [[ ${XDG_CACHE_HOME:-} = /* ]]; then
	CACHE=$XDG_CACHE_HOME/vfio-spapr-tce2
else
	CACHE=$(home_dir)/.cache/vfio-spapr-tce2
fi

UNUSABLE=$("$TOP/scripts/usable-path" "the sources" "$TOP" "the cache" "$CACHE") ||
	die "$UNUSABLE"

mkdir -p "$LOGS"

# seconds_since TIME: print the seconds since a time, which is in seconds since the epoch
seconds_since() {
	echo $((EPOCHSECONDS - $1))
}

# A pipe to which no process writes: a read with a time-out is a pause. sleep(1) is no
# substitute: it would outlive a killed shell, and keep the caller's output and locks open.
# A pipe of <(:) may be closed before the read, which then returns at once.
NEVER=$BUILD/never
[ -p "$NEVER" ] || mkfifo "$NEVER" 2>/dev/null || [ -p "$NEVER" ]

# Print a progress line every 15 s, until the calling step stops this process
heartbeat() {
	local began=$EPOCHSECONDS

	until read -rt 15 <>"$NEVER"; do
		say "... still $1 ($(seconds_since "$began") s)"
	done
}

# logged LOG TEXT COMMAND...: print the progress line TEXT, and write the command's output to
# LOG. A function given as COMMAND must chain its steps with &&: the shell's errexit is off
# in a tested command.
logged() {
	local log=$1 what=$2 pulse status=0
	shift 2

	say "$what"
	echo "+ $*" >>"$log"
	heartbeat "$what" &
	pulse=$!
	"$@" >>"$log" 2>&1 </dev/null || status=$?
	kill "$pulse" 2>/dev/null || true
	wait "$pulse" 2>/dev/null || true
	return "$status"
}

# quietly LOG TEXT COMMAND...: like logged; if the command fails, also print the end of LOG
quietly() {
	logged "$@" && return
	tail -n 20 "$1" | sed 's/^/    /' >&2
	printf '    (all of it: %s)\n' "${1#"$TOP/"}" >&2
	return 1
}

# without_settings COMMAND...: run a command with a clean environment. Only the variables in
# the loop below are kept. kbuild, dpkg-buildpackage and the Makefiles of the tests read a
# hundred others (ARCH, CC, CFLAGS, KBUILD_OUTPUT, LLVM, O...). A kernel developer may have
# exported them for another tree, or a parent make may have set MAKEFLAGS. A script passes
# the variables that it documents by name. The locale is English, because scripts match words
# in messages.
without_settings() {
	local name keep=()

	for name in PATH HOME TMPDIR TERM SOURCE_DATE_EPOCH \
		DEB_BUILD_OPTIONS DEB_BUILD_PROFILES; do
		[ -z "${!name:-}" ] || keep+=("$name=${!name}")
	done
	env -i "${keep[@]}" LC_ALL=C.UTF-8 "$@"
}

# wait_for FILE TEXT: lock a file until this process and its children, which inherit the
# descriptor, have ended. If another process has the lock, print TEXT and wait. TEXT describes
# the work of a process that has the lock.
wait_for() {
	local descriptor

	exec {descriptor}>"$1"
	flock -n "$descriptor" && return
	say "waiting for another process, which is $2"
	flock "$descriptor"
}

# Print arguments for find(1) that match the files that a build writes into the source tree.
# The patterns come from .gitignore. find must run in the top directory or in a copy of it.
built_files() {
	local pattern

	while read -r pattern; do
		case $pattern in
		/*)		printf '%s\n' -o -path ".${pattern%/}" ;;
		''|'#'*)	;;
		*)		printf '%s\n' -o -name "$pattern" ;;
		esac
	done <"$TOP/.gitignore"
}

# The table of kernels: label | series | flavour | suites | use | when (see labels.txt)
LABELS=$(grep -v '^#' "$TOP/scripts/lab/labels.txt")

# Add the rows of kernels that scripts/kernel-add has added: each has a file with its row.
LABELS+=$'\n'$(cat "$CACHE"/kernels/*/label 2>/dev/null || true)

DEFAULT_LABEL=6.12-64k

all_labels() {
	awk -F'|' 'NF { print $1 }' <<<"$LABELS"
}

# Print the default labels: tests and lint use them if KERNELS is unset
supported_labels() {
	awk -F'|' '$6 == "always" { print $1 }' <<<"$LABELS"
}

# Print the labels in KERNELS or KERNEL; "all" means every label.
chosen_kernels() {
	case ${KERNELS:-${KERNEL:-}} in
	'')	supported_labels ;;
	all)	all_labels | grep -v -e '-debug$' ;;
	*)	echo "${KERNELS:-$KERNEL}" ;;
	esac | paste -sd' '
}

# label_field LABEL series|use: print a field of a label's row, or nothing for an unknown label
label_field() {
	awk -F'|' -v label="$1" -v field="$2" '
		BEGIN { column["series"] = 2; column["use"] = 5 }
		$1 == label { print $column[field] }' <<<"$LABELS"
}

# require_supported LABEL: exit with an error message if the label does not exist
require_supported() {
	[ -n "$(label_field "$1" use)" ] ||
		die "no kernel is called '$1'; 'make kernels' lists the labels"
}

kernel_dir() {
	echo "$CACHE/kernels/$1"
}

# source_dir SERIES: print the directory with the kernel source of a series
source_dir() {
	echo "$CACHE/sources/$1"
}
