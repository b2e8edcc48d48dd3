/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The functions of struct io_ops that may block, the same for all back ends:
 * see there for what each one does. None of them uses its ctx.
 */
#ifndef COW_IO_HOST_H
#define COW_IO_HOST_H

#include "cow.h"

int io_host_open(void *ctx, const char *path, unsigned int flags);
int io_host_close(void *ctx, int fd);
int io_host_stat(void *ctx, int fd, struct io_stat *st);
int io_host_lookup(void *ctx, const char *path, struct io_stat *st);
int64_t io_host_pread(void *ctx, int fd, void *buf, size_t len, uint64_t off);
int io_host_pwrite(void *ctx, int fd, const void *buf, size_t len,
		   uint64_t off);
int io_host_sync(void *ctx, int fd);
int io_host_datasync(int fd);
int io_host_truncate(void *ctx, int fd, uint64_t size);
int io_host_create(void *ctx, const char *path, uint32_t mode, uint32_t gid);
int io_host_publish(void *ctx, int fd, const char *path);
int io_host_replace(void *ctx, int fd, const char *path);

/* As rename(2), but replacing nothing (-EEXIST); its directory is not synced. */
int io_host_rename_new(const char *old, const char *path);

int io_host_unlink(void *ctx, const char *path);
int io_host_lock(void *ctx, int fd, enum io_lock lock);
int io_host_reopen(void *ctx, int fd, unsigned int flags);
int io_host_getattr(void *ctx, int fd, enum io_attr attr, void *buf,
		    size_t len);
int io_host_setattr(void *ctx, int fd, enum io_attr attr, const void *buf,
		    size_t len);
int io_host_realpath(void *ctx, const char *path, char buf[COW_PATH_MAX]);
int64_t io_host_next_data(void *ctx, int fd, uint64_t off);
int io_host_random(void *ctx, void *buf, size_t len);
uint64_t io_host_now(void *ctx);
void io_host_nap(void *ctx, unsigned int ms);

#endif
