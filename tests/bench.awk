# SPDX-License-Identifier: GPL-2.0-only
#
# From the values that tce2-bench prints, one JSON object a line, to a report:
# -v format=txt, json or svg; kernel, module, qemu, machine and command are
# facts that go along. A figure has several values for each backend; the median counts.
# The backend "before" is this one as of an older commit.
# Ratios say how many times less this backend needs than the in-tree one.

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

# Keeps the values of an id sorted
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

# (What mapping allocates, in-tree allocates with the window: no ratio.)
function both(figure) {
	return figure !~ /^memory.mapping/ && has(figure, "in-tree") && has(figure, "ours") && median(figure, "ours") > 0
}

# Values that spread so far are about as large as what can be told apart; then
# the ratio is the least that any two of them give
function vague(figure) {
	return spread(figure) > 50
}

function ratio(figure) {
	if (vague(figure))
		return least(figure, "in-tree") / most(figure, "ours")
	return median(figure, "in-tree") / median(figure, "ours")
}

# How far apart the values lie, in percent of the median, of the worse backend
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

# What more regions add to a map of one TCE is the price of finding its region
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

# The heading that a figure stands under, after a digit to sort by
function group(figure,	part) {
	if (figure ~ /^memory/)
		return "3 Kernel memory for what is registered or mapped"
	if (figure ~ /^growth/)
		return "A Growth: so many TCEs of 4K in one call, or so many regions"
	if (figure ~ /^realmode/)
		return "B Real mode: one lookup and translation, against mm_iommu in virtual mode"
	if (figure ~ /^kvm/)
		return "C KVM: hypercalls handled in the kernel, with calls or lists of 512 TCEs"
	if (figure ~ /one-page/)
		return "2 Registering one page, with so many regions there"
	if (figure ~ /^cache/)
		return "1 Registering 1 GiB as one region"
	if (figure ~ /-regions/)
		return "4 Mapping, with so many regions registered"
	if (figure ~ /^floor/)
		return "5 The floor: a loop that stores big-endian TCEs"
	if (figure ~ /^hcalls/)
		return "9 Hypercalls per TCE"
	if (figure ~ /256t/)
		return "7 A window of 256 TiB, 64K TCEs, 2 levels, with 16 TCEs or none"
	if (figure ~ /threads/)
		return "8 Threads with ranges of their own in one window"
	split(figure, part, ".")
	sub(/-/, " TCEs, ", part[2])
	sub(/-/, " ", part[2])
	return "6 A window of " part[2]
}

# The headings that occur, sorted by their digit, else as they come
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

# How this backend's value has changed since the older commit
function change(figure,	was) {
	if (!has(figure, "before") || !has(figure, "ours"))
		return "-"
	was = median(figure, "before")
	return was ? sprintf("%+.1f%%", (median(figure, "ours") - was) * 100 / was) : "-"
}

# The two columns about the older commit, or nothing
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

# Hypercalls have a table of their own: a line a backend, a column a kind
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
	print "\nratio    times less than in-tree"
	if (compared)
		print "before   this module as of the commit of the command, in a boot of its own"
	print "spread   of the values, in percent of their median; if large, the least ratio is told"
	print "page     a base page of the kernel"
	print "UNREGISTER of the in-tree driver returns before it unpins: compare the totals,"
	print "which include what is left to the kernel (known to about 20000 instructions)"
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

# The chart shows what most users would ask for first
function charted(figure) {
	if (!both(figure))
		return 0
	return figure ~ /^cache\.(register|unregister-total)/ || figure ~ /^memory/ ||
		figure ~ /^lookup/ || figure ~ /one-tce\..*middle/ || figure ~ /256t$/ ||
		figure ~ /threads/ || figure ~ /^hcalls.*\.all$/ || figure ~ /^(map|replace|unmap)\.[^.]*\.1g\.(hugetlb-1g|scattered)$/
}

function escaped(text) {
	gsub(/&/, "\\&amp;", text)
	gsub(/</, "\\&lt;", text)
	return text
}

function svg_text(x, y, anchor, text) {
	printf "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, escaped(text)
}

# Pixels of a ratio: a decade is 90 wide, and 1 lies at 390
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

# The bars under a heading, from y on; returns where the next heading may begin
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
	svg_bold(10, 18, "How many times less this backend needs than the in-tree one (log scale)")
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
