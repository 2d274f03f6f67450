#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# reload.sh [SECONDS]: loads and unloads backends while containers are opened, as TAP.
# Runs one race after the other, each for SECONDS (default: 5) and until every expected
# backend has handled a container. The races load and unload this module, load and
# unload the in-tree backend, and switch this module off and on. Meanwhile one
# tce2-reload-client for each device opens containers and maps memory, and others call
# CHECK_EXTENSION.

# shellcheck source=tests/guest/functions.sh
. /lib/functions.sh

IN_TREE=vfio_iommu_spapr_tce
SWITCH=/sys/module/$OURS/parameters/enabled
ASKERS=3
LEAST=5

case ${1:-5} in
*[!0-9]* | 0 | '')
	echo "usage: reload.sh [SECONDS]" >&2
	exit 2 ;;
esac
SECONDS_EACH=${1:-5}
TOTAL_ROUNDS=0
TOTAL_SECONDS=0
TESTS=0

now() {
	cut -d. -f1 /proc/uptime
}

# use_count MODULE
use_count() {
	awk -v name="$1" '$1 == name { print $3 }' /proc/modules
}

# Starts one client for each device, and ASKERS clients that only ask
start_clients() {
	CLIENTS=
	rm -f /tmp/client.*
	for client in 0 1; do
		/bin/tce2-reload-client $client >/tmp/client.$client &
		CLIENTS="$CLIENTS $!"
	done
	client=0
	while [ $client -lt $ASKERS ]; do
		/bin/tce2-reload-client ask >/tmp/client.ask$client &
		CLIENTS="$CLIENTS $!"
		client=$((client + 1))
	done
}

# Stops the clients, prints their results, and fails if one of them has failed
stop_clients() {
	stop_status=0
	for client in $CLIENTS; do
		kill -TERM "$client" 2>/dev/null
	done
	for client in $CLIENTS; do
		wait "$client" || stop_status=1
	done
	grep -h " by slot " /tmp/client.* | sed 's/^/# /'
	grep -h "^# " /tmp/client.*
	awk '/^asked/ { sum += $2 } END { print "# asked", sum, "times" }' /tmp/client.ask*
	return $stop_status
}

# seen BACKEND: prints how many containers it has handled
seen() {
	cat /tmp/client.[01] | awk -v backend="$1" '
		{ for (i = 1; i < NF; i++) if ($i == backend) sum += $(i + 1) }
		END { print sum + 0 }'
}

# served_by BACKEND: it handles the next container, after the clients have ended
served_by() {
	[ "$(/bin/tce2-reload-client 0 once)" = "$1" ]
}

# Retries while an open container keeps the module from being unloaded
round_of_this_module() {
	until rmmod $OURS 2>/dev/null; do
		backend_loaded || return 1
	done
	load_ours
}

# The same for the in-tree backend; this module handles all containers meanwhile
round_of_the_in_tree_backend() {
	until rmmod $IN_TREE 2>/dev/null; do
		[ -d /sys/module/$IN_TREE ] || return 1
	done
	modprobe $IN_TREE
}

round_of_the_switch() {
	echo 0 >$SWITCH && sleep 0.02 && echo 1 >$SWITCH && sleep 0.02
}

# A client has failed: it has printed the reason
client_failed() {
	grep -q '^# tce2-reload-client' /tmp/client.*
}

# all_seen BACKEND...: each of them has handled a container
all_seen() {
	for backend; do
		cat /tmp/client.[01] | grep -qx "served by $backend" || return 1
	done
}

# race_of NAME "BACKEND..." ROUND: runs ROUND again and again while the clients run,
# until each BACKEND has handled a container
race_of() {
	race_name=$1
	race_wanted=$2
	shift 2
	race_rounds=0
	race_begin=$(now)
	race_ok=0
	start_clients
	# shellcheck disable=SC2086 # one word a server
	while [ $(($(now) - race_begin)) -lt "$SECONDS_EACH" ] ||
		[ $race_rounds -lt $LEAST ] || ! all_seen $race_wanted; do
		if client_failed || ! "$@"; then
			race_ok=1
			break
		fi
		race_rounds=$((race_rounds + 1))
	done
	race_seconds=$(($(now) - race_begin))
	stop_clients || race_ok=1
	echo "# race: $race_name: $race_seconds seconds, $((ASKERS + 3)) threads, $race_rounds rounds"
	TESTS=$((TESTS + 1))
	TOTAL_SECONDS=$((TOTAL_SECONDS + race_seconds))
	TOTAL_ROUNDS=$((TOTAL_ROUNDS + race_rounds))
	return $race_ok
}

# Closed containers have put their references to both modules
unused() {
	for module in $OURS $IN_TREE; do
		[ "$(use_count "$module")" = 0 ] || return 1
	done
}

pins() {
	echo 1 >/proc/sys/vm/stat_refresh
	awk '/^nr_foll_pin_acquired/ { a = $2 }
		/^nr_foll_pin_released/ { r = $2 }
		END { print a - r }' /proc/vmstat
}

# The in-tree backend unpins in its own time
pins_are() {
	tries=0
	until [ "$(pins)" = "$1" ]; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
		sleep 0.1
	done
}

# both_served: in the race just run
both_served() {
	[ "$(seen ours)" -gt 0 ] && [ "$(seen in-tree)" -gt 0 ]
}

only_ours_served() {
	[ "$(seen ours)" -gt 0 ] && [ "$(seen nobody)" = 0 ]
}

# after RACE: what must hold once it is over
after() {
	tap_try "after $1 neither backend is in use" unused
	tap_try "after $1 every page is unpinned" pins_are "$PINS"
	tap_try "after $1 this module serves" served_by ours
}

kernel_mark
load_backends || exit 1
bind_edu | sed 's/^/# edu /'
tap_try "both edu devices are bound to vfio-pci" edu_bound 2
PINS=$(pins)

tap_try "this module comes and goes while containers are opened" \
	race_of rmmod_and_open 'ours in-tree' round_of_this_module
tap_try "both backends have served then" both_served
after "that"

tap_try "the in-tree backend comes and goes while containers are opened" \
	race_of rmmod_in_tree_and_open ours round_of_the_in_tree_backend
tap_try "this one has served then, and always somebody" only_ours_served
after "that, too,"

tap_try "this module is switched off and on while containers are opened" \
	race_of enabled_and_open 'ours in-tree' round_of_the_switch
tap_try "both backends have served meanwhile" both_served
after "the switching"
echo 0 >$SWITCH
tap_try "switched off it leaves the next container to the in-tree backend" \
	served_by in-tree
echo 1 >$SWITCH
tap_try "switched on it has the next one again" served_by ours

tap_unload_without_leaks
tap_no_splats
echo "# races: $TESTS tests, $((TOTAL_SECONDS / 60)).$((TOTAL_SECONDS % 60 / 6)) minutes, $TOTAL_ROUNDS rounds"
tap_plan
