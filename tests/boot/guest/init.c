// SPDX-License-Identifier: GPL-2.0-only
/*
 * Duty: the guest's first process. Mounts what a test needs, runs the test's
 * script from the shared directory, leaves its exit status there, powers off.
 *
 * The boot line gives "share=" (a directory of the host) and "script=" (a name
 * in it) as environment. The root file system is the host's own, read-only.
 *
 * Invariant: the status file appears only after the script has ended and
 * everything it wrote to the shared directory has reached the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHARE "/mnt/share"

static void must_mount(const char *what, const char *where, const char *type,
		       const char *data)
{
	if (mount(what, where, type, 0, data) && errno != EBUSY)
		printf("guest: %s: can not mount %s: %s\n", where, type,
		       strerror(errno));
}

static void mount_all(const char *share)
{
	must_mount("proc", "/proc", "proc", NULL);
	must_mount("sys", "/sys", "sysfs", NULL);
	must_mount("dev", "/dev", "devtmpfs", NULL);
	must_mount("mnt", "/mnt", "tmpfs", NULL);
	must_mount("tmp", "/tmp", "tmpfs", NULL);
	must_mount("run", "/run", "tmpfs", NULL);
	must_mount("tmp", "/var/tmp", "tmpfs", NULL);
	mkdir(SHARE, 0755);
	mkdir("/mnt/a", 0755);
	mkdir("/mnt/b", 0755);
	must_mount("share", SHARE, "hostfs", share);
}

static int run_script(const char *name)
{
	char script[512], out[512];
	int status;
	pid_t pid, got;

	snprintf(script, sizeof(script), SHARE "/%s.sh", name);
	snprintf(out, sizeof(out), SHARE "/%s.out", name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0644);

		if (fd >= 0)
			dup2(fd, 1);
		setenv("PATH", SHARE "/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
		setenv("HOME", "/tmp", 1);
		execl("/bin/sh", "sh", script, NULL);
		_exit(127);
	}
	do {
		got = wait(&status);
	} while (got > 0 && got != pid);
	if (got != pid)
		return 126;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void leave_status(const char *name, int status)
{
	char file[512], text[16];
	int fd, len;

	sync();
	snprintf(file, sizeof(file), SHARE "/%s.exit", name);
	len = snprintf(text, sizeof(text), "%d\n", status);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, len) != len || fsync(fd))
		printf("guest: %s: can not leave the status\n", file);
	printf("guest: exit %d\n", status);
	fflush(stdout);
	sync();
}

int main(void)
{
	const char *share = getenv("share");
	const char *name = getenv("script");
	int status = 125;

	if (share && name) {
		mount_all(share);
		status = run_script(name);
		leave_status(name, status);
	} else {
		printf("guest: share= and script= are missing\n");
	}
	reboot(RB_POWER_OFF);
	return status;
}
