// SPDX-License-Identifier: GPL-2.0-only
/*
 * Scenarios with DPDK: testpmd forwards packets between two network cards. QEMU connects
 * both cards to one hub, so each card receives all packets that the other card sends.
 */
#include "lib.h"
#include "scenarios.h"

#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CARD_CLASS	0x020000
#define MOST_CARDS	2
#define HUGEPAGES	128
#define LOG		"/tmp/testpmd.log"
#define LOG_LINES	30
#define POLL_US		500000

static struct client testpmd;

bool has_cards(void)
{
	char card[PCI_ADDRESS];

	return device_of_class(CARD_CLASS, card);
}

/* Reserve hugepages, and bind the cards to vfio-pci */
bool cards_to_vfio(void)
{
	char card[MOST_CARDS][PCI_ADDRESS];
	size_t count = devices_of_class(CARD_CLASS, card, MOST_CARDS);

	if (!reserve_hugepages(HUGEPAGES, 0))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!give(card[i], "vfio-pci"))
			return false;
	return true;
}

static void start_testpmd(const char *ioctls)
{
	char card[MOST_CARDS][PCI_ADDRESS];
	size_t count = devices_of_class(CARD_CLASS, card, MOST_CARDS);
	static const char *const options[] = {
		"--", "--auto-start", "--tx-first", "--stats-period", "1",
		"--forward-mode=io", "--no-mlockall", "--total-num-mbufs=4096",
	};
	char *argv[3 + 2 * MOST_CARDS + ARRAY_SIZE(options) + 1] = {
		"dpdk-testpmd", "-l", "0-1",
	};
	size_t n = 3;

	for (size_t i = 0; i < count; i++) {
		argv[n++] = "-a";
		argv[n++] = card[i];
	}
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		argv[n++] = (char *)options[i];
	mkdir("/var", 0755);
	mkdir("/var/run", 0755);
	client_start(&testpmd, argv, LOG, ioctls);
}

static void print_log(void)
{
	print_tail(LOG, "testpmd", LOG_LINES);
}

/* Return the packets received by all ports, from the last statistics in testpmd's log */
static long long packets_received(void)
{
	long long port, sum = 0, last = 0;
	FILE *f = fopen(LOG, "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, "NIC statistics for port 0"))
			sum = 0;
		if (sscanf(line, " RX-packets: %lld", &port) == 1) {
			sum += port;
			last = sum;
		}
	}
	if (f)
		fclose(f);
	return last;
}

/* Wait until @packets packets were received; false after a timeout */
static bool forwards(long long packets, unsigned int seconds)
{
	uint64_t deadline = now_ms() + 1000ULL * seconds * settings.patience;

	while (client_runs(&testpmd) && now_ms() < deadline) {
		if (packets_received() >= packets)
			return true;
		usleep(POLL_US);
	}
	print_log();
	return false;
}

static bool testpmd_stops(void)
{
	bool ok = client_runs(&testpmd) && !kill(testpmd.pid, SIGINT);

	client_wait(&testpmd);
	ok = ok && !testpmd.status;
	if (!ok)
		print_log();
	return ok;
}

static void judge_forwarding(void)
{
	judge("testpmd forwards 2000 packets", forwards(2000, 180));
	judge_handled("the container");
	figure("testpmd-locked-kB", client_kilobytes(&testpmd, "VmLck"));
}

/* Check that all hugepages are free, after removing the files that a killed testpmd left */
static void judge_hugepages(void)
{
	glob_t files;

	if (!glob("/dev/hugepages/rtemap_*", 0, NULL, &files))
		for (size_t i = 0; i < files.gl_pathc; i++)
			unlink(files.gl_pathv[i]);
	globfree(&files);
	judge("all hugepages are free afterwards", hugepages_are_back());
}

/*
 * Start testpmd, let it forward packets, and stop it. With the option "killed", stop it with
 * SIGKILL. The options "start", "again" and "after" only give a name to each run.
 */
void scenario_testpmd(const char *option)
{
	scenario_begins("testpmd", option);
	start_testpmd(IOCTLS);
	judge_forwarding();
	if (!strcmp(option, "killed"))
		client_kill(&testpmd);
	else
		judge("testpmd stops", testpmd_stops());
	figure("packets", packets_received());
	phase_ends("forward");
	scenario_ends();
	judge_hugepages();
}

/* testpmd and a guest at the same time, each with its own container */
void scenario_both(const char *option)
{
	scenario_begins("both", option);
	boot_with_disk("disable_ddw");
	judge("guest boots", guest_boots(120));
	/* Count testpmd's ioctls in another file: the figures of this scenario are QEMU's ioctls */
	start_testpmd(IOCTLS ".testpmd");
	judge_forwarding();
	judge_io();
	phase_ends("io");
	judge("testpmd still forwards packets after the guest's I/O",
	      forwards(packets_received() + 2000, 180));
	judge("testpmd stops", testpmd_stops());
	judge_io();
	judge_guest_log();
	guest_stop();
	scenario_ends();
	judge_hugepages();
	judge_copy_on_disk();
}
