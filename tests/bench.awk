# SPDX-License-Identifier: GPL-2.0-only
#
# Make a report of the values that tce2-bench prints, one JSON object a line. The variable
# format is txt, json or svg. The variables kernel, module, qemu, machine and command
# describe the measurement, and are printed in the report. A figure (a measured quantity)
# has several values for each backend; the report has the median.
# The backend "ours" is this module, "before" is this module as of an older commit.
# A ratio is the value of the in-tree driver divided by the value of "ours".

function text_of(key,	at) {
	at = index($0, "\"" key "\": \"")
	if (!at)
		return ""
	at += length(key) + 5
	return substr($0, at, index(substr($0, at), "\"") - 1)
}

{
	figure = text_of("figure")
	id = figure SUBSEP text_of("backend")
	if (!(figure in known))
		order[++figures] = figure
	known[figure] = 1
	if (text_of("backend") == "before")
		compared = 1
	if (text_of("refused") != "") {
		refused[id] = text_of("refused")
	} else {
		unit[figure] = text_of("unit")
		match($0, /"value": [-0-9.]+/)
		insert(id, substr($0, RSTART + 9, RLENGTH - 9) + 0)
	}
}

# Insert a value into the sorted list of values of an id, which is a figure and a backend
function insert(id, x,	i) {
	for (i = ++count[id]; i > 1 && value[id, i - 1] > x; i--)
		value[id, i] = value[id, i - 1]
	value[id, i] = x
}

function has(figure, backend) {
	return (figure SUBSEP backend) in count
}

function median(figure, backend,	id, n) {
	id = figure SUBSEP backend
	n = count[id]
	return (value[id, int((n + 1) / 2)] + value[id, int(n / 2) + 1]) / 2
}

function least(figure, backend) {
	return value[figure SUBSEP backend, 1]
}

function most(figure, backend,	id) {
	id = figure SUBSEP backend
	return value[id, count[id]]
}

# Check whether a figure has a ratio. memory.mapping has no ratio, because the in-tree
# driver allocates this memory with the window.
function both(figure) {
	return figure !~ /^memory.mapping/ && has(figure, "in-tree") && has(figure, "ours") && median(figure, "ours") > 0
}

# Check whether the values of a figure vary by more than 50%, because they are small compared
# with the measuring error. ratio() then returns a lower bound: the smallest value of the
# in-tree driver divided by the largest value of "ours".
function vague(figure) {
	return spread(figure) > 50
}

function ratio(figure) {
	if (vague(figure))
		return least(figure, "in-tree") / most(figure, "ours")
	return median(figure, "in-tree") / median(figure, "ours")
}

# Return the spread of a figure: the largest minus the smallest value of a backend, in percent
# of the median, for the backend with the largest spread.
function spread(figure,	i, n, name, percent, worst) {
	n = split("in-tree before ours none", name, " ")
	for (i = 1; i <= n; i++) {
		if (!has(figure, name[i]) || !median(figure, name[i]))
			continue
		percent = most(figure, name[i]) - least(figure, name[i])
		percent *= 100 / median(figure, name[i])
		if (percent > worst)
			worst = percent
	}
	return worst + 0
}

# Compute the cost of finding a region: the cost of mapping one TCE with many registered
# regions, minus the cost with one region
function derive_lookup(	i, n, regions, from, to, name, b) {
	n = split("64 1024 8192", regions, " ")
	split("in-tree ours before", name, " ")
	for (i = 1; i <= n; i++) {
		for (b = 1; b <= 2 + compared; b++) {
			from = "map.one-tce.1-regions.middle"
			to = "map.one-tce." regions[i] "-regions.middle"
			if (!has(to, name[b]))
				return
			insert("lookup." regions[i] "-regions" SUBSEP name[b],
			       median(to, name[b]) - median(from, name[b]))
		}
		order[++figures] = "lookup." regions[i] "-regions"
		unit["lookup." regions[i] "-regions"] = "instructions more than with 1 region"
	}
}

# Return the heading above a figure; the first character is a sort key
function group(figure,	part) {
	if (figure ~ /^lines/)
		return "E Cache lines that two processors share when each maps or unmaps one TCE"
	if (figure ~ /^instructions/)
		return "D Threads: instructions of all threads to map and unmap"
	if (figure ~ /threads/)
		return "8 Threads: wall time to map and unmap"
	if (figure ~ /^memory/)
		return "3 Kernel memory for registered regions and for mappings"
	if (figure ~ /^growth/)
		return "A Growth: cost by number of 4K TCEs in one call, and by number of regions"
	if (figure ~ /^realmode/)
		return "B Real mode: one lookup and translation, against mm_iommu in virtual mode"
	if (figure ~ /^kvm/)
		return "C KVM: hypercalls handled in the kernel, 512 TCEs by single calls or by lists"
	if (figure ~ /one-page/)
		return "2 Registering one page, by number of registered regions"
	if (figure ~ /^cache/)
		return "1 Registering 1 GiB as one region"
	if (figure ~ /^vector/)
		return "F Vectors: 512 requests of one TCE, in 512 calls or in one call"
	if (figure ~ /-regions/)
		return "4 Mapping, by number of registered regions"
	if (figure ~ /^floor/)
		return "5 The floor: a loop that stores big-endian TCEs"
	if (figure ~ /^hcalls/)
		return "9 Hypercalls per TCE"
	if (figure ~ /256t/)
		return "7 A window of 256 TiB, 64K TCEs, 2 levels, with 16 TCEs mapped or none"
	split(figure, part, ".")
	sub(/-/, " TCEs, ", part[2])
	sub(/-/, " ", part[2])
	return "6 A window of " part[2]
}

# Collect the headings of all figures, sorted by the sort key, then by first occurrence
function headings(	i, j, title) {
	for (i = 1; i <= figures; i++) {
		title = group(order[i])
		if (title in seen)
			continue
		seen[title] = 1
		for (j = ++titles; j > 1 && substr(heading[j - 1], 1, 1) > substr(title, 1, 1); j--)
			heading[j] = heading[j - 1]
		heading[j] = title
	}
}

function cell(figure, backend) {
	if (has(figure, backend))
		return number(median(figure, backend))
	if ((figure SUBSEP backend) in refused)
		return refused[figure, backend]
	return "-"
}

function number(x) {
	if (x == int(x))
		return sprintf("%.0f", x)
	return sprintf(x < 1 ? "%.4f" : x < 1000 ? "%.1f" : "%.0f", x)
}

function times(x) {
	return sprintf(x < 0.1 ? "%.4f" : x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x)
}

function ratio_text(figure) {
	return (vague(figure) ? ">" : "") times(ratio(figure))
}

# Return the change from the value of "before" to the value of "ours"
function change(figure,	was) {
	if (!has(figure, "before") || !has(figure, "ours"))
		return "-"
	was = median(figure, "before")
	return was ? sprintf("%+.1f%%", (median(figure, "ours") - was) * 100 / was) : "-"
}

# Return the columns for the value of "before" and for the change, if "before" was measured
function before_columns(was, changed) {
	return compared ? sprintf(" %12s %9s", was, changed) : ""
}

function row(figure,	mine) {
	mine = has(figure, "none") ? cell(figure, "none") : cell(figure, "ours")
	printf "%-46s %12s %12s %8s%s %7.1f%%  %s\n", figure,
		has(figure, "none") ? "" : cell(figure, "in-tree"), mine,
		both(figure) ? ratio_text(figure) : "-",
		before_columns(has(figure, "none") ? "" : cell(figure, "before"), change(figure)),
		spread(figure), unit[figure]
}

# Print hypercalls in a separate table: a line for each backend, a column for each kind
function hcall_row(figure, backend,	i, n, kind) {
	printf "%-46s %-8s", backend == "ours" ? "" : figure, backend
	n = split("all put get indirect stuff", kind, " ")
	for (i = 1; i <= n; i++)
		printf " %9s", cell(figure "." kind[i], backend)
	print ""
}

function hcall_table(	i, figure) {
	printf "%-46s %-8s %9s %9s %9s %9s %9s\n", "", "", "all", "put", "get", "indirect", "stuff"
	for (i = 1; i <= figures; i++) {
		figure = order[i]
		if (figure !~ /^hcalls.*\.all$/)
			continue
		sub(/\.all$/, "", figure)
		hcall_row(figure, "in-tree")
		hcall_row(figure, "ours")
	}
}

function as_text(	t, i) {
	printf "kernel   %s\nmodule   %s\nqemu     %s\n", kernel, module, qemu
	printf "machine  %s\ncommand  %s\n", machine, command
	print "\nratio    in-tree divided by ours; \">\" is a lower bound, for a spread above 50%"
	if (compared)
		print "before   this module as of the commit in the command, measured in another boot"
	print "spread   largest minus smallest value, in percent of the median"
	print "page     base page of the kernel"
	print "The in-tree driver unpins after UNREGISTER has returned. Compare the totals, which"
	print "include this deferred work (measured to about 20000 instructions)."
	for (t = 1; t <= titles; t++) {
		if (heading[t] ~ /Hypercalls/) {
			printf "\n%s\n\n", substr(heading[t], 3)
			hcall_table()
			continue
		}
		printf "\n%s\n\n%-46s %12s %12s %8s%s %8s  %s\n", substr(heading[t], 3),
			"", "in-tree", "ours", "ratio", before_columns("before", "change"),
			"spread", "unit"
		for (i = 1; i <= figures; i++)
			if (group(order[i]) == heading[t])
				row(order[i])
	}
}

function precise(x) {
	return sprintf(x > 0 && x < 1 ? "%.6f" : "%.2f", x)
}

function json_backend(figure, backend) {
	if (has(figure, backend))
		return sprintf("{ \"median\": %s, \"min\": %s, \"max\": %s, \"values\": %d }",
			precise(median(figure, backend)), precise(least(figure, backend)),
			precise(most(figure, backend)), count[figure, backend])
	if ((figure SUBSEP backend) in refused)
		return sprintf("{ \"refused\": \"%s\" }", refused[figure, backend])
	return "null"
}

function json_figure(figure) {
	printf "    { \"figure\": \"%s\", \"unit\": \"%s\",\n", figure, unit[figure]
	if (has(figure, "none")) {
		printf "      \"value\": %s }", json_backend(figure, "none")
		return
	}
	printf "      \"in-tree\": %s,\n      \"ours\": %s,\n", json_backend(figure, "in-tree"),
		json_backend(figure, "ours")
	if (compared)
		printf "      \"before\": %s,\n", json_backend(figure, "before")
	printf "      \"ratio\": %s }",
		both(figure) ? sprintf("%.3f", ratio(figure)) : "null"
}

function as_json(	i) {
	printf "{\n  \"kernel\": \"%s\",\n  \"module\": \"%s\",\n", kernel, module
	printf "  \"qemu\": \"%s\",\n  \"machine\": \"%s\",\n", qemu, machine
	printf "  \"command\": \"%s\",\n  \"figures\": [\n", command
	for (i = 1; i <= figures; i++) {
		json_figure(order[i])
		print i < figures ? "," : ""
	}
	print "  ]\n}"
}

# Select the figures of the chart, which most users look for first
function charted(figure) {
	if (!both(figure))
		return 0
	return figure ~ /^cache\.(register|unregister-total)/ || figure ~ /^memory/ ||
		figure ~ /^lookup/ || figure ~ /one-tce\..*middle/ || figure ~ /256t$/ ||
		figure ~ /threads/ || figure ~ /^lines/ || figure ~ /^hcalls.*\.all$/ || figure ~ /^(map|replace|unmap)\.[^.]*\.1g\.(hugetlb-1g|scattered)$/
}

function escaped(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	return text
}

function svg_text(x, y, anchor, text) {
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escaped(text)
}

# Return the x coordinate of a ratio: ratio 1 is at 390, and ratio 10 is 90 pixels right of it
function place(x) {
	return 390 + 90 * log(x) / log(10)
}

function svg_bar(figure, y,	from, to, r) {
	r = ratio(figure)
	r = r > 50000 ? 50000 : r < 0.1 ? 0.1 : r
	from = place(r < 1 ? r : 1)
	to = place(r < 1 ? 1 : r)
	printf "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"11\" fill=\"%s\"/>\n",
		from, y - 9, to - from, r < 1 ? "#c0504d" : "#4f81bd"
	svg_text(290, y, "end", figure)
	svg_text(to + 4, y, "start", ratio_text(figure))
}

function svg_bold(x, y, text) {
	printf "<g font-weight=\"bold\">"
	svg_text(x, y, "start", text)
	print "</g>"
}

function svg_scale(height,	decade) {
	for (decade = -1; decade <= 4; decade++) {
		printf "<line x1=\"%d\" x2=\"%d\" y1=\"56\" y2=\"%d\" stroke=\"%s\"/>\n",
			place(10 ^ decade), place(10 ^ decade), height - 8,
			decade ? "#dddddd" : "#555555"
		svg_text(place(10 ^ decade), 52, "middle", 10 ^ decade)
	}
}

# Draw a heading and its bars below y; return the y coordinate below the last bar
function svg_group(title, y,	i) {
	svg_bold(10, y + 20, substr(title, 3))
	y += 26
	for (i = 1; i <= figures; i++) {
		if (group(order[i]) == title && charted(order[i])) {
			y += 15
			svg_bar(order[i], y - 3)
		}
	}
	return y
}

function as_svg(	t, i, y, height, bars) {
	height = 70
	for (i = 1; i <= figures; i++) {
		if (!charted(order[i]))
			continue
		height += 15
		if (!bars[group(order[i])]++)
			height += 26
	}
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"%d\"", height
	print " font-family=\"sans-serif\" font-size=\"11\">"
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	svg_bold(10, 18, "Cost of the in-tree driver divided by the cost of this module (log scale)")
	svg_text(10, 34, "start", kernel ", QEMU " qemu ", " machine)
	svg_scale(height)
	y = 62
	for (t = 1; t <= titles; t++)
		if (bars[heading[t]])
			y = svg_group(heading[t], y)
	print "</svg>"
}

END {
	derive_lookup()
	headings()
	if (format == "svg")
		as_svg()
	else if (format == "json")
		as_json()
	else
		as_text()
}
