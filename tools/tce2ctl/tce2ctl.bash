# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of tce2ctl for bash. Commands and options come from `tce2ctl --help`.

_tce2ctl() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} help

	# Readline splits --option=value into three words
	if [[ $word == = ]]; then
		word=
	elif [[ $previous == = ]] && ((COMP_CWORD > 1)); then
		previous=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	COMPREPLY=()
	case $previous in
	-r|--root|-f|--from|-o|--output|--svg)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		compopt -o filenames 2>/dev/null
		return
		;;
	--color)
		mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$word")
		return
		;;
	explain)
		if [[ $word != -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word")
			return
		fi
		;;
	esac
	help=$("${COMP_WORDS[0]}" --help 2>/dev/null)
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"$(grep -oE -- '(^|[ ,[|])--?[a-z-]+' <<<"$help" | tr -d ' ,[|')" -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -W \
			"$(sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p' <<<"$help")" -- "$word")
	fi
}

complete -F _tce2ctl tce2ctl
