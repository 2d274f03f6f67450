# SPDX-License-Identifier: GPL-2.0-only
#
# Count the hypercalls of each phase of tce2-bench hcalls (tests/guest/bench_hcalls.c). Reads
# QEMU's trace, which marks divide into phases. Then reads the guest's HCALLS lines, which
# describe the phases. Prints a value for each phase and kind of hypercall in the format of
# tce2-bench. Fails if a phase has no hypercall or if the guest printed no phase: then the
# trace and the lines do not belong together.

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
	# A TCE at a bus address from 0x20000000 to 0x2fffffff is a mark; the mark at
	# 0x20000000 + N * 4K begins phase N
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
