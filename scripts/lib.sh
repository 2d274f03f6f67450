# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # used by those who source it
#
# What every host-side script shares: progress lines, the cache directory and
# the table of kernels. Sourced, never run.

set -euo pipefail
shopt -s inherit_errexit

# With CDPATH cd prints where it went.
unset CDPATH
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=$TOP/build
LOGS=$BUILD/logs
CROSS=powerpc64le-linux-gnu-

# depmod and friends are no user's commands in Debian, but run for any user.
PATH=$PATH:/usr/sbin:/sbin

# Exported, so that scripts called by scripts count from the same moment.
export TCE2_START=${TCE2_START:-$EPOCHSECONDS}

say() {
	printf '[%3ds] %s\n' $((EPOCHSECONDS - TCE2_START)) "$*"
}

die() {
	printf '[%3ds] error: %s\n' $((EPOCHSECONDS - TCE2_START)) "$*" >&2
	exit 1
}

# Cron and some CI runners set no HOME; the user's entry has it. (XDG wants relative
# paths ignored.)
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

# seconds_since EPOCH
seconds_since() {
	echo $((EPOCHSECONDS - $1))
}

# Nobody ever writes to this pipe, so a read from it is a wait. A killed shell
# would leave a sleep behind, which would hold the caller's output and locks open.
# (A pipe of <(:) may be closed before it is read, and then nothing waits.)
NEVER=$BUILD/never
[ -p "$NEVER" ] || mkfifo "$NEVER" 2>/dev/null || [ -p "$NEVER" ]

# A sign of life every 15 s, until the calling step stops it
heartbeat() {
	local began=$EPOCHSECONDS

	until read -rt 15 <>"$NEVER"; do
		say "... still $1 ($(seconds_since "$began") s)"
	done
}

# logged LOG "what is being done" COMMAND...: one progress line instead of the
# command's output, which goes to LOG. A function given as COMMAND must chain
# its steps with &&: the shell's errexit is off in a tested command.
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

# The same, and the end of the log where the command fails.
quietly() {
	logged "$@" && return
	tail -n 20 "$1" | sed 's/^/    /' >&2
	printf '    (all of it: %s)\n' "${1#"$TOP/"}" >&2
	return 1
}

# without_settings COMMAND...: with none of the caller's environment except what says
# where things are. kbuild, dpkg-buildpackage and the Makefiles of the tests read a
# hundred variables (ARCH, CC, CFLAGS, KBUILD_OUTPUT, LLVM, O...), which a kernel
# developer may have exported for another tree, and the flags of a make above. All are
# dropped here; a script passes on by name the variables that it documents. Messages are
# English, because the scripts look for words in them.
without_settings() {
	local name keep=()

	for name in PATH HOME TMPDIR TERM SOURCE_DATE_EPOCH \
		DEB_BUILD_OPTIONS DEB_BUILD_PROFILES; do
		[ -z "${!name:-}" ] || keep+=("$name=${!name}")
	done
	env -i "${keep[@]}" LC_ALL=C.UTF-8 "$@"
}

# wait_for FILE "what another process may be doing": until this process has the lock.
# It has it to its end, through a descriptor that its children share.
wait_for() {
	local descriptor

	exec {descriptor}>"$1"
	flock -n "$descriptor" && return
	say "waiting for another process, which is $2"
	flock "$descriptor"
}

# Arguments for find(1) that match what a build in place leaves, by .gitignore; it has
# to run in the top directory or in a copy of it.
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

# The kernels: label | series | flavour | suites | use | when (explained in the file)
LABELS=$(grep -v '^#' "$TOP/scripts/lab/labels.txt")

# A kernel that scripts/kernel-add brought has a line of its own.
LABELS+=$'\n'$(cat "$CACHE"/kernels/*/label 2>/dev/null || true)

DEFAULT_LABEL=6.12-64k

all_labels() {
	awk -F'|' 'NF { print $1 }' <<<"$LABELS"
}

# What is meant where nobody names kernels
supported_labels() {
	awk -F'|' '$6 == "always" { print $1 }' <<<"$LABELS"
}

# Those that KERNELS or KERNEL names; "all" names every one.
chosen_kernels() {
	case ${KERNELS:-${KERNEL:-}} in
	'')	supported_labels ;;
	all)	all_labels | grep -v -e '-debug$' ;;
	*)	echo "${KERNELS:-$KERNEL}" ;;
	esac | paste -sd' '
}

# label_field LABEL series|use
label_field() {
	awk -F'|' -v label="$1" -v field="$2" '
		BEGIN { column["series"] = 2; column["use"] = 5 }
		$1 == label { print $column[field] }' <<<"$LABELS"
}

# Ends the script with a sentence for a label that doesn't exist.
require_supported() {
	[ -n "$(label_field "$1" use)" ] ||
		die "no kernel is called '$1'; 'make kernels' lists the labels"
}

kernel_dir() {
	echo "$CACHE/kernels/$1"
}

# source_dir SERIES
source_dir() {
	echo "$CACHE/sources/$1"
}
