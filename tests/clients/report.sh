# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What comes of tests: a file of results and a console for each row, from TAP to
# results, and what is shown of them. A row is a name; what it stands for is the
# business of tests/clients/run. Sourced after lib.sh; ROWS lists the rows.

# Results are lines "ok|not ok|skip TAB name TAB reason" in a file a row.
results() {
	echo "$LOGS/check-$1.results"
}

console() {
	echo "$LOGS/check-$1.log"
}

# Nothing of an earlier run counts.
begin_row() {
	: >"$(results "$1")"
	: >"$(console "$1")"
}

# record ROW ok|not\ ok NAME
record() {
	printf '%s\t%s\t\n' "$2" "$3" >>"$(results "$1")"
}

# record_try ROW NAME COMMAND...
record_try() {
	local row=$1 name=$2
	shift 2

	if "$@"; then
		record "$row" ok "$name"
	else
		record "$row" 'not ok' "$name"
		return 1
	fi
}

# From the guest's TAP to result lines.
read_tap() {
	sed -nE 's/^(not ok|ok) [0-9]+ *-? *(.*)$/\1\t\2/p
		s/^Bail out!.*/not ok\t&/p' "$(console "$1")" |
		awk -F'\t' -v OFS='\t' '
			# A case that fails is a failure, whatever it says.
			$1 == "ok" && match($2, / *# *[Ss][Kk][Ii][Pp] */) {
				$3 = substr($2, RSTART + RLENGTH)
				$2 = substr($2, 1, RSTART - 1)
				$1 = "skip"
			}
			{ print $1, $2, $3 }'
}

# There are as many cases as the plans announced; several programs may have
# written one after the other.
plan_matches() {
	local planned cases

	planned=$(sed -nE 's/^1\.\.([0-9]+).*$/\1/p' "$(console "$1")" |
		awk '{ sum += $1 } END { print sum + 0 }')
	cases=$(read_tap "$1" | wc -l)
	[ "$planned" -gt 0 ] && [ "$planned" -eq "$cases" ] && return
	say "$1: $cases cases, but the plan says $planned"
	return 1
}

# A failing case makes the guest's status 1 and has been counted itself.
judge_status() {
	case $1 in
	0)	return 0 ;;
	1)	[ "$(count "$2" 'not ok')" -gt 0 ] ;;
	*)	return 1 ;;
	esac
}

# count ROW RESULT
count() {
	awk -F'\t' -v want="$2" '$1 == want { n++ } END { print n + 0 }' "$(results "$1")"
}

# The first comment lines that stand before a failed case.
comments_on() {
	awk -v name="$2" '
		/^# / && ++count <= 20 { comments = comments $0 "\n" }
		/^(not )?ok / {
			at = index($0, name)
			if (/^not ok / && at && at + length(name) > length($0))
				printf "%s", comments
			comments = ""
			count = 0
		}' "$(console "$1")"
}

show_failures() {
	local result name reason

	while IFS=$'\t' read -r result name reason; do
		case $result in
		'not ok')
			printf '    FAILED   %s\n' "$name"
			comments_on "$1" "$name" | sed 's/^/             /' ;;
		skip)	printf '    skipped  %s: %s\n' "$name" "${reason:-no reason given}" ;;
		ok)	[ -z "${V:-}" ] || printf '    ok       %s\n' "$name" ;;
		esac
	done <"$(results "$1")"
}

# What the tests have counted
show_figures() {
	sed -nE 's/^# ((fail-nth|races|differ): )/    \1/p' "$(console "$1")"
}

show_row() {
	say "$1: $(count "$1" ok) passed, $(count "$1" 'not ok') failed, $(count "$1" skip) skipped, $2 s"
	show_failures "$1"
	show_figures "$1"
}

show_totals() {
	local row passed=0 failed=0 skipped=0 text

	for row in $ROWS; do
		passed=$((passed + $(count "$row" ok)))
		failed=$((failed + $(count "$row" 'not ok')))
		skipped=$((skipped + $(count "$row" skip)))
	done
	text="$passed passed, $failed failed"
	[ "$skipped" -eq 0 ] || text+=", $skipped skipped"
	printf '\n%s\n' "$text"
	[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
