// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run a KVM guest in Debian's QEMU. In the guest, inner.sh reads commands from the console.
 * QEMU's monitor plugs devices. Console and monitor read from pipes and write to files.
 *
 * This program opens the pipes for reading and writing. If it opened them for writing only,
 * the open would block until QEMU opens the other end, and without end if QEMU has ended.
 */
#define _GNU_SOURCE
#include "lib.h"
#include "scenarios.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONSOLE_IN	"/tmp/con.in"
#define CONSOLE_LOG	"/tmp/con.log"
#define MONITOR_IN	"/tmp/mon.in"
#define MONITOR_LOG	"/tmp/mon.log"
#define QEMU_LOG	"/tmp/qemu.log"
#define LOG_LINES	15
#define MACHINE							\
	"pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,"	\
	"cap-ibs=broken,cap-ccf-assist=off"
#define KERNEL_ARGUMENTS					\
	"console=hvc0 panic=-1 oops=panic loglevel=3 nowatchdog tce2.run=inner"
#define POLL_US		300000
#define STOP_TRIES	20

static struct client qemu;
static int console_in = -1, monitor_in = -1;
static unsigned int asked, boots;
static bool is_quiet;

static int open_pipe(const char *path)
{
	unlink(path);
	return mkfifo(path, 0600) ? -1 : open(path, O_RDWR | O_CLOEXEC);
}

static void empty(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

static void start_qemu(const char *processors, const char *arguments, const char *device,
		       const char *const *options)
{
	const char *argv[40] = {
		"qemu-system-ppc64", "-machine", MACHINE, "-accel", "kvm",
		"-m", "256M,slots=1,maxmem=512M", "-nodefaults", "-display", "none",
		"-kernel", "/inner/vmlinux", "-initrd", "/inner/initrd",
		"-append", arguments,
		"-chardev", "file,id=con,path=" CONSOLE_LOG ",input-path=" CONSOLE_IN,
		"-serial", "chardev:con",
		"-chardev", "file,id=mon,path=" MONITOR_LOG ",input-path=" MONITOR_IN,
		"-mon", "chardev=mon,mode=readline",
		"-smp", processors, "-device", device,
	};
	size_t count = 0;

	while (argv[count])
		count++;
	for (size_t i = 0; i < MOST_OPTIONS && options[i]; i++)
		argv[count++] = options[i];
	client_start(&qemu, (char *const *)argv, QEMU_LOG, IOCTLS);
}

/* Start a guest with a device, and count QEMU's ioctls */
void guest_start(const struct guest *guest, const char *device)
{
	char processors[12], arguments[256];

	console_in = open_pipe(CONSOLE_IN);
	monitor_in = open_pipe(MONITOR_IN);
	empty(CONSOLE_LOG);
	empty(MONITOR_LOG);
	boots = 0;
	snprintf(processors, sizeof(processors), "%u", guest->processors);
	snprintf(arguments, sizeof(arguments), "%s %s", KERNEL_ARGUMENTS,
		 guest->arguments);
	if (guest->hide_kvm_tces)
		setenv("TCE2_HIDE_KVM_TCES", "1", 1);
	start_qemu(processors, arguments, device, guest->options);
	unsetenv("TCE2_HIDE_KVM_TCES");
}

bool guest_runs(void)
{
	return client_runs(&qemu);
}

/* Return a number of QEMU's /proc/PID/status, or -1 if QEMU does not run */
long long guest_kilobytes(const char *name)
{
	return client_kilobytes(&qemu, name);
}

static void close_pipes(void)
{
	close(console_in);
	close(monitor_in);
	console_in = -1;
	monitor_in = -1;
}

void guest_stop(void)
{
	monitor("quit");
	for (int i = 0; i < STOP_TRIES && guest_runs(); i++)
		usleep(500000);
	guest_kill();
}

void guest_kill(void)
{
	client_kill(&qemu);
	close_pipes();
}

/* Choose whether await() prints the logs if it fails */
void guest_quiet(bool quiet)
{
	is_quiet = quiet;
}

static void print_logs(void)
{
	if (is_quiet)
		return;
	print_tail(QEMU_LOG, "qemu.log", LOG_LINES);
	print_tail(MONITOR_LOG, "mon.log", LOG_LINES);
	print_tail(CONSOLE_LOG, "con.log", LOG_LINES);
}

/* Wait until a condition holds; false after a timeout, or if QEMU has ended */
bool await(unsigned int seconds, condition_fn *holds, long long arg)
{
	uint64_t deadline = now_ms() + 1000ULL * seconds * settings.patience;

	while (!holds(arg)) {
		if (!guest_runs() || now_ms() > deadline) {
			print_logs();
			return false;
		}
		usleep(POLL_US);
	}
	return true;
}

/* Return the text that the guest has written to its console; the caller frees it */
char *console(void)
{
	char *text;

	return read_whole(CONSOLE_LOG, &text) ? text : strdup("");
}

/* Return the text that QEMU's monitor has written; the caller frees it */
char *monitor_output(void)
{
	char *text;

	return read_whole(MONITOR_LOG, &text) ? text : strdup("");
}

/* Count the lines of the console that begin with a word and a blank */
static unsigned int count_lines(const char *word)
{
	char *text = console(), *rest = text, *line;
	unsigned int count = 0;

	while ((line = strsep(&rest, "\n")))
		count += !strncmp(line, word, strlen(word)) && line[strlen(word)] == ' ';
	free(text);
	return count;
}

bool console_has(const char *word)
{
	return count_lines(word);
}

/* Find the guest's last line that begins with a word; return the rest of the line, or "" */
const char *answer(const char *word)
{
	static char last[128];
	char *text = console(), *rest = text, *line;

	last[0] = 0;
	while ((line = strsep(&rest, "\n")))
		if (!strncmp(line, word, strlen(word)) && line[strlen(word)] == ' ')
			snprintf(last, sizeof(last), "%s", line + strlen(word) + 1);
	last[strcspn(last, "\r")] = 0;
	free(text);
	return last;
}

static bool has_booted(long long times)
{
	return count_lines("READY") >= times;
}

/* Wait until the guest has finished its next boot */
bool guest_boots(unsigned int seconds)
{
	return await(seconds, has_booted, ++boots);
}

/* Let the guest run a command; do not wait for its end */
void tell(const char *command)
{
	dprintf(console_in, "%u %s\n", ++asked, command);
}

static bool is_answered(long long number)
{
	char word[24];

	snprintf(word, sizeof(word), "DONE %lld", number);
	return console_has(word);
}

/* Let the guest run a command; return true if it succeeds in time */
bool ask(unsigned int seconds, const char *format, ...)
{
	char command[256], word[24];
	va_list arguments;
	bool ok;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	tell(command);
	if (!await(seconds, is_answered, asked))
		return false;
	snprintf(word, sizeof(word), "DONE %u", asked);
	ok = !strcmp(answer(word), "0");
	if (!ok)
		print_logs();
	return ok;
}

/* Give a command to QEMU's monitor */
void monitor(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vdprintf(monitor_in, format, arguments);
	va_end(arguments);
	dprintf(monitor_in, "\n");
}
