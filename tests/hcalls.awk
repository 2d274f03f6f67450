# SPDX-License-Identifier: GPL-2.0-only
#
# Which hypercalls of QEMU's trace belong to which phase of tce2-bench (see
# tests/guest/bench_hcalls.c): reads the trace, then the guest's HCALLS lines,
# and prints a value for each phase and kind of hypercall, as tce2-bench would.
# Fails if a phase has no hypercall, or there is no phase: then the two don't match.

function text_of(key,	at) {
	at = index($0, "\"" key "\": ")
	if (!at)
		return ""
	at += length(key) + 4
	return substr($0, at, match(substr($0, at), /[,}]/) - 1)
}

function number_of(digits,	i, number) {
	for (i = 1; i <= length(digits); i++)
		number = number * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
	return number
}

BEGIN {
	kinds = split("put get indirect stuff", kind, " ")
}

/^HCALLS: / {
	id = text_of("phase")
	order[++phases] = id
	figure[id] = text_of("figure")
	backend[id] = text_of("backend")
	tces[id] = text_of("tces")
	next
}

match($0, /spapr_iommu_pci_[a-z]+ /) {
	name = substr($0, RSTART + 16, RLENGTH - 17)
	# Bus addresses from 0x20000000 to 0x2fffffff are marks, one each 4K
	if (match($0, / ioba=0x2[0-9a-f]* /) && RLENGTH == 17)
		phase = number_of(substr($0, RSTART + 9, 4))
	else
		calls[phase, name]++
}

function value_line(id, name, n) {
	printf "{\"figure\": \"%s.%s\", \"backend\": %s, ", figure_name, name, backend[id]
	printf "\"unit\": \"hypercalls per TCE\", \"value\": %.9f}\n", n / tces[id]
}

END {
	for (i = 1; i <= phases; i++) {
		id = order[i]
		figure_name = substr(figure[id], 2, length(figure[id]) - 2)
		total = 0
		for (k = 1; k <= kinds; k++)
			total += calls[id, kind[k]]
		if (!total)
			failed = 1
		value_line(id, "all", total)
		for (k = 1; k <= kinds; k++)
			value_line(id, kind[k], calls[id, kind[k]] + 0)
	}
	exit failed || !phases
}
