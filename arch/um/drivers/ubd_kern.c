// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block device "ubd": disks, boot arguments, requests, completions.
 *
 * Duty: to bring the guest's requests to the engine (cow/), and the engine's
 * answers to the guest.
 *
 * Invariants:
 *  - Every entry to the engine lies between ubd_enter() and ubd_leave(). One
 *    lock serves all devices: the engine runs on one host thread, so that a
 *    lock for each would gain nothing, and one completion queue serves all.
 *  - A request is ended after that lock was dropped, since ending one may
 *    start the next.
 *  - What blocks (open, close) runs on a helper thread, without the lock, while
 *    no request can reach the chain.
 *  - The guest's log names devices, never the host's files.
 */
#include <linux/ata.h>
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/cdrom.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/hdreg.h>
#include <linux/init.h>
#include <linux/major.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <init.h>
#include <irq_kern.h>
#include "mconsole_kern.h"
#include "ubd.h"
#include "ubd_hold.h"
#include "ubd_request.h"
#include "ubd_status.h"
#include "ubd_sysfs.h"

#define UBD_DRIVER	"uml-blkdev"
#define UBD_MINOR_BITS	4
#define UBD_DEPTH	128
#define UBD_SECTORS	(SZ_1M >> SECTOR_SHIFT)
#define UBD_CLEAR	(SZ_64M >> SECTOR_SHIFT)

#define UBD_LOCK_RETRY	2000	/* ms; a killed machine's locks linger */
#define UBD_IDLE_WAIT	1500	/* times 20 ms */
#define UBD_STOP_WAIT	250	/* the same */

/* What the geometry ioctls answer, as they always have. */
#define UBD_HEADS	128
#define UBD_TRACK	32

/**
 * struct ubd - one device
 * @config: @config.file is NULL if there is none; under both locks to write
 * @file: the open chain; under ubd_engine_lock
 * @claimed: work goes on, no removal; under ubd_engine_lock
 * @armed: @background is going to run; under ubd_engine_lock
 */
struct ubd {
	struct ubd_config config;
	struct common_file *file;
	bool claimed;
	bool armed;
	struct delayed_work background;
	struct platform_device *pdev;
	struct gendisk *disk;
	struct blk_mq_tag_set tags;
};

static struct ubd ubd_devices[UBD_DEVICES];

/* Configuration, opening and closing. */
static DEFINE_MUTEX(ubd_mutex);

static DEFINE_SPINLOCK(ubd_engine_lock);

/* Answered by the engine, to be ended; under ubd_engine_lock. */
static struct ubd_list ubd_answered;

static struct ubd_options ubd_options = {
	.durable = IS_ENABLED(CONFIG_BLK_DEV_UBD_SYNC),
};

/* ---- entering the engine ----------------------------------------------- */

unsigned long ubd_enter(void)
{
	unsigned long flags;

	spin_lock_irqsave(&ubd_engine_lock, flags);
	return flags;
}

/* Most requests end well, and cost less to end together. */
static void ubd_end_one(struct request *rq, int result,
			struct io_comp_batch *batch)
{
	if (!blk_mq_add_to_batch(rq, batch, result != 0,
				 blk_mq_end_request_batch))
		blk_mq_end_request(rq, errno_to_blk_status(result));
}

static void ubd_end(struct ubd_request *list)
{
	DEFINE_IO_COMP_BATCH(batch);

	while (list) {
		struct ubd_request *ur = list;

		list = ur->next;
		ubd_end_one(blk_mq_rq_from_pdu(ur), ur->io.result, &batch);
	}
	if (!rq_list_empty(&batch.req_list))
		blk_mq_end_request_batch(&batch);
}

static void ubd_leave_unkicked(unsigned long flags)
{
	struct ubd_request *list = ubd_list_take(&ubd_answered);

	spin_unlock_irqrestore(&ubd_engine_lock, flags);
	ubd_end(list);
}

void ubd_leave(unsigned long flags)
{
	ubd_host_kick();
	ubd_leave_unkicked(flags);
}

/* It is held, or counted as an error. */
static bool ubd_keep(struct ubd_request *ur)
{
	struct ubd *dev = blk_mq_rq_from_pdu(ur)->q->queuedata;

	if (ubd_hold_keep(dev, ur))
		return true;
	ubd_status_count(dev, UBD_ERRORS);
	return false;
}

static void ubd_request_done(struct common_io *io)
{
	struct ubd_request *ur = container_of(io, struct ubd_request, io);

	if (!ur->io.result || !ubd_keep(ur))
		ubd_list_add(&ubd_answered, ur);
}

/* The engine has answered at once. */
static void ubd_answered_now(struct ubd_request *ur, int result)
{
	ur->io.result = result;
	ubd_request_done(&ur->io);
}

static irqreturn_t ubd_interrupt(int irq, void *arg)
{
	unsigned long flags = ubd_enter();

	ubd_host_collect();
	ubd_leave(flags);
	return IRQ_HANDLED;
}

/* ---- waiting for the engine -------------------------------------------- */

struct ubd_call {
	struct io_desc desc;
	struct completion done;
};

static void ubd_call_done(struct io_desc *desc)
{
	complete(&container_of(desc, struct ubd_call, desc)->done);
}

int ubd_call(int (*fn)(void *arg), void *arg)
{
	struct ubd_call call = {
		.desc = {
			.op = IO_CALL,
			.call = fn,
			.arg = arg,
			.done = ubd_call_done,
		},
	};
	unsigned long flags;
	int ret;

	init_completion(&call.done);
	flags = ubd_enter();
	ret = ubd_host_submit(&call.desc);
	ubd_leave(flags);
	if (ret != -EINPROGRESS)
		return ret;
	wait_for_completion(&call.done);
	return (int)call.desc.result;
}

struct ubd_flush {
	struct common_io io;
	struct completion done;
};

static void ubd_flush_done(struct common_io *io)
{
	complete(&container_of(io, struct ubd_flush, io)->done);
}

static int ubd_flush_once(struct ubd *dev)
{
	struct ubd_flush flush = { .io = { .done = ubd_flush_done } };
	unsigned long flags;
	int ret;

	init_completion(&flush.done);
	flags = ubd_enter();
	ret = dev->file ? common_flush(dev->file, &flush.io) : 0;
	ubd_leave(flags);
	if (ret != -EINPROGRESS)
		return ret;
	wait_for_completion(&flush.done);
	return flush.io.result;
}

static int ubd_flush(struct ubd *dev)
{
	int ret;

	while ((ret = ubd_flush_once(dev)) == -EAGAIN)
		msleep(20);
	return ret;
}

/* ---- requests ---------------------------------------------------------- */

/* Stretches that touch are joined, so that each is a multiple of a sector. */
static int ubd_map(struct ubd_request *ur, struct request *rq)
{
	struct req_iterator iter;
	struct bio_vec bv;
	unsigned int n = 0;

	rq_for_each_bvec(bv, rq, iter) {
		struct cow_vec *vec = &ur->vec[n];
		void *base = bvec_virt(&bv);

		if (n && vec[-1].base + vec[-1].len == base) {
			vec[-1].len += bv.bv_len;
			continue;
		}
		if (n == UBD_SEGMENTS)
			return -EINVAL;
		vec->base = base;
		vec->len = bv.bv_len;
		n++;
	}
	ur->io.vec = ur->vec;
	ur->io.nvec = n;
	return 0;
}

static int ubd_prepare(struct ubd_request *ur, struct request *rq)
{
	ur->io.flags = rq->cmd_flags & REQ_FUA ? COMMON_FUA : 0;
	ur->io.offset = (u64)blk_rq_pos(rq) << SECTOR_SHIFT;
	ur->io.len = blk_rq_bytes(rq);
	ur->io.vec = NULL;
	ur->io.nvec = 0;
	ur->io.done = ubd_request_done;
	if (req_op(rq) == REQ_OP_READ || req_op(rq) == REQ_OP_WRITE)
		return ubd_map(ur, rq);
	if (req_op(rq) == REQ_OP_FLUSH) {
		ur->io.offset = 0;
		ur->io.len = 0;
	}
	return 0;
}

/* What was staged by a write becomes durable about a second later. */
static void ubd_arm(struct ubd *dev)
{
	if (dev->armed)
		return;
	dev->armed = true;
	schedule_delayed_work(&dev->background, HZ);
}

static void ubd_background(struct work_struct *work)
{
	struct ubd *dev = container_of(to_delayed_work(work), struct ubd,
				       background);
	unsigned long flags = ubd_enter();

	dev->armed = false;
	if (dev->file && cow_background(dev->file))
		ubd_arm(dev);
	ubd_leave(flags);
}

static int ubd_submit(struct ubd *dev, struct request *rq,
		      struct common_io *io)
{
	if (!dev->file)
		return -EIO;
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return common_pread(dev->file, io);
	case REQ_OP_FLUSH:
		return common_flush(dev->file, io);
	case REQ_OP_WRITE:
		ubd_arm(dev);
		return common_pwrite(dev->file, io);
	case REQ_OP_DISCARD:
		ubd_arm(dev);
		return common_discard(dev->file, io);
	case REQ_OP_WRITE_ZEROES:
		ubd_arm(dev);
		return common_zeroes(dev->file, io);
	default:
		return -EOPNOTSUPP;
	}
}

/*
 * Short of memory, the engine answers -EAGAIN. Then the block layer submits
 * again after the next completion, or soon if there is none to come.
 */
static blk_status_t ubd_queue_rq(struct blk_mq_hw_ctx *hctx,
				 const struct blk_mq_queue_data *bd)
{
	struct ubd_request *ur = blk_mq_rq_to_pdu(bd->rq);
	struct ubd *dev = hctx->queue->queuedata;
	unsigned long flags;
	int ret;

	blk_mq_start_request(bd->rq);
	ret = ubd_prepare(ur, bd->rq);
	if (ret)
		return errno_to_blk_status(ret);
	flags = ubd_enter();
	ret = ubd_submit(dev, bd->rq, &ur->io);
	if (ret && ret != -EAGAIN && ret != -EINPROGRESS)
		ubd_answered_now(ur, ret);
	if (bd->last || ret == -EAGAIN)
		ubd_leave(flags);
	else
		ubd_leave_unkicked(flags);
	if (ret == -EAGAIN)
		return BLK_STS_RESOURCE;
	if (!ret)
		blk_mq_end_request(bd->rq, BLK_STS_OK);
	return BLK_STS_OK;
}

/*
 * A batch enters the engine once. What the engine has no memory for goes back
 * to the block layer, to come again one by one.
 */
static void ubd_queue_rqs(struct rq_list *rqlist)
{
	struct rq_list left = {};
	struct request *rq;
	unsigned long flags;

	flags = ubd_enter();
	while ((rq = rq_list_pop(rqlist))) {
		struct ubd_request *ur = blk_mq_rq_to_pdu(rq);
		int ret = ubd_prepare(ur, rq);

		if (!ret)
			ret = ubd_submit(rq->q->queuedata, rq, &ur->io);
		if (ret == -EAGAIN) {
			rq_list_add_tail(&left, rq);
			continue;
		}
		/* Nobody ends it before the lock is dropped. */
		blk_mq_start_request(rq);
		if (ret == -EINPROGRESS)
			continue;
		ubd_answered_now(ur, ret);
	}
	ubd_leave(flags);
	*rqlist = left;
}

/* The last of a batch was not the one announced as such. */
static void ubd_commit_rqs(struct blk_mq_hw_ctx *hctx)
{
	ubd_leave(ubd_enter());
}

static const struct blk_mq_ops ubd_mq_ops = {
	.queue_rq = ubd_queue_rq,
	.queue_rqs = ubd_queue_rqs,
	.commit_rqs = ubd_commit_rqs,
};

/* ---- tasks ------------------------------------------------------------- */

struct common_file *ubd_file(struct ubd *dev)
{
	return dev->file;
}

struct ubd *ubd_device(unsigned int unit)
{
	return &ubd_devices[unit];
}

unsigned int ubd_unit(const struct ubd *dev)
{
	return dev - ubd_devices;
}

struct gendisk *ubd_disk(const struct ubd *dev)
{
	return dev->disk;
}

const char *ubd_left_out(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	const char *why = NULL;

	if (!dev->file)
		why = "";
	else if (dev->file->read_only)
		why = "it is read-only";
	else if (dev->config.unlocked)
		why = "it is shared with other machines (flag c)";
	ubd_leave(flags);
	return why;
}

const char *ubd_hook_program(void)
{
	return ubd_options.hook;
}

const char *ubd_serial(const struct ubd *dev)
{
	return dev->config.serial ?: "";
}

int ubd_claim(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	int ret = 0;

	if (!dev->file)
		ret = -ENODEV;
	else if (dev->claimed)
		ret = -EBUSY;
	else
		dev->claimed = true;
	ubd_leave(flags);
	return ret;
}

void ubd_release(struct ubd *dev)
{
	unsigned long flags;

	ubd_status_work(dev, UBD_IDLE, NULL);
	flags = ubd_enter();
	dev->claimed = false;
	ubd_leave(flags);
}

/* As ubd_claim(), but a merge under way is stopped for that. */
static int ubd_claim_stopped(struct ubd *dev)
{
	int ret = ubd_claim(dev);
	unsigned int i;

	for (i = 0; i < UBD_STOP_WAIT && ret == -EBUSY; i++) {
		ubd_stop_merge(dev);
		msleep(20);
		ret = ubd_claim(dev);
	}
	return ret;
}

int ubd_exclude(struct ubd *dev)
{
	mutex_lock(&dev->disk->open_mutex);
	if (!disk_openers(dev->disk))
		return 0;
	mutex_unlock(&dev->disk->open_mutex);
	return -EBUSY;
}

void ubd_include(struct ubd *dev)
{
	/* There may be other partitions than before. */
	set_bit(GD_NEED_PART_SCAN, &dev->disk->state);
	mutex_unlock(&dev->disk->open_mutex);
}

static void ubd_task_wake(struct cow_task *task)
{
	complete(task->owner);
}

enum cow_step ubd_step_once(struct ubd *dev, struct cow_task *task,
			    struct completion *wake)
{
	unsigned long flags = ubd_enter();
	enum cow_step step;

	task->owner = wake;
	task->wake = ubd_task_wake;
	step = cow_task_step(task);
	if (step != COW_STEP_DONE)
		ubd_arm(dev);
	ubd_leave(flags);
	return step;
}

/* A wake-up that comes while the step is being taken is not lost. */
void ubd_step(struct ubd *dev, struct cow_task *task, void (*tick)(void *arg),
	      void *arg)
{
	DECLARE_COMPLETION_ONSTACK(wake);
	enum cow_step step;

	for (;;) {
		reinit_completion(&wake);
		step = ubd_step_once(dev, task, &wake);
		if (step == COW_STEP_DONE)
			break;
		if (step == COW_STEP_WAIT)
			wait_for_completion_timeout(&wake, HZ);
		else
			cond_resched();
		if (tick)
			tick(arg);
	}
}

/* ---- configuration ----------------------------------------------------- */

/* Nothing of a configuration that does not fit remains. */
static char *ubd_configure(struct ubd *dev, const struct ubd_config *config)
{
	unsigned long flags;

	if (dev->config.file)
		return "the device is already configured";
	flags = ubd_enter();
	dev->config = *config;
	ubd_leave(flags);
	return NULL;
}

static void ubd_deconfigure(struct ubd *dev)
{
	struct ubd_config old = dev->config;
	unsigned long flags = ubd_enter();

	memset(&dev->config, 0, sizeof(dev->config));
	ubd_leave(flags);
	ubd_forget_merge(dev);
	kfree(old.text);
}

static char *ubd_setup_device(char *text)
{
	struct ubd_config config = { .durable = ubd_options.durable };
	unsigned int unit;
	char *error;

	error = ubd_parse_device(text, &unit, &config);
	return error ?: ubd_configure(&ubd_devices[unit], &config);
}

static int __init ubd_setup(char *text)
{
	char *error;

	if (*text == '=')
		error = ubd_parse_options(text + 1, &ubd_options);
	else
		error = ubd_setup_device(text);
	if (error)
		pr_err("ubd: %s\n", error);
	return 1;
}
__setup("ubd", ubd_setup);
__uml_help(ubd_setup,
	   "ubd<n><flags>=<file>[(:|,)<file2>][(:|,)<serial>]\n"
	   "    Make device <n>, 0 to 15 or a to p, of a file of the host. With two\n"
	   "    files, the first one is a COW file on top of the second, and is made if\n"
	   "    there is none: version 3 on a raw file, version 4 on a COW file. With\n"
	   "    one file, that may be a COW file, which names those below it, or a raw\n"
	   "    one. A file that was frozen by the mconsole command \"snapshot\" stands\n"
	   "    for the newest file on top of it. <flags> are:\n"
	   "      R, r  read-only; a frozen file then stands for itself\n"
	   "      S, s  every write is on the host's disk before it is acknowledged\n"
	   "      W     hold what the host refuses, for want of room, until the mconsole\n"
	   "            command \"resume\", instead of reporting it to the guest\n"
	   "      c     no locks: shared with others, for a cluster file system\n"
	   "      d, V0 the file, or with two files the second, is raw data, whatever it\n"
	   "            looks like\n"
	   "      t     no discard\n"
	   "      A     past the host's cache (libaio, O_DIRECT) to each file whose\n"
	   "            layout and file system allow it\n"
	   "      V3, V4  version of a new COW file\n"
	   "      L     a new COW file names the second file as it is given here, a\n"
	   "            symbolic link too\n"
	   "      C<n>, H<n>, S<n>  cylinders, heads, and sectors of a track, as the\n"
	   "            HDIO_GETGEO ioctl shows them; a new version 4 file keeps them\n"
	   "      M<n>  at most <n> MiB of memory for the index of all its layers\n"
	   "      Ma    as much as all of it needs, and that of one more\n"
	   "      P<n>  in a new version 3 file, bitmap and data begin at multiples of\n"
	   "            <n> bytes; 4096 else\n"
	   "      B<n>  sectors of <n> bytes, 512 to 4096, as the guest sees them; a new\n"
	   "            version 4 file keeps that\n"
	   "    <serial> is shown in sysfs; with one file only: ubd0=file,,serial\n\n"
	   "ubd=<option>[,<option>]\n"
	   "    sync       as flag s on all devices\n"
	   "    threads    use a pool of threads, not the host's io_uring\n"
	   "    uring      say so on stderr if io_uring can not be had\n"
	   "    noinline   leave nothing to the submitting context, so that outside\n"
	   "               tools see each operation on a thread of its own\n"
	   "    record=<file>   write down in it every operation on a file of the host\n"
	   "    hook=<program>  of the guest; run as \"<program> freeze ubda ...\" before a\n"
	   "               snapshot freezes file systems, which is refused if that fails,\n"
	   "               and \"<program> thaw ubda ...\" when they are thawed\n\n"
);

static int __init udb_setup(char *text)
{
	pr_err("udb%s: did you mean ubd?\n", text);
	return 1;
}
__setup("udb", udb_setup);
__uml_help(udb_setup,
	   "udb\n"
	   "    Catches the typing error udb for ubd, which is hard to see.\n\n"
);

/* ---- disks ------------------------------------------------------------- */

/* What was asked for, or else what the file says, or else what always was. */
static struct cow_geometry ubd_geometry(struct ubd *dev)
{
	struct cow_geometry geometry = dev->config.geometry;
	unsigned long flags = ubd_enter();
	struct cow_geometry file = cow_geometry(dev->file);
	u64 cylinders;

	ubd_leave(flags);
	geometry.heads = geometry.heads ?: file.heads ?: UBD_HEADS;
	geometry.sectors = geometry.sectors ?: file.sectors ?: UBD_TRACK;
	cylinders = div_u64(dev->file->size >> SECTOR_SHIFT,
			    geometry.heads * geometry.sectors);
	geometry.cylinders = geometry.cylinders ?: file.cylinders ?: cylinders;
	return geometry;
}

static int ubd_getgeo(struct block_device *bdev, struct hd_geometry *geo)
{
	struct cow_geometry geometry;

	geometry = ubd_geometry(bdev->bd_disk->private_data);
	geo->heads = geometry.heads;
	geo->sectors = geometry.sectors;
	geo->cylinders = geometry.cylinders;
	return 0;
}

static int ubd_identify(struct gendisk *disk, void __user *to)
{
	struct cow_geometry geometry = ubd_geometry(disk->private_data);
	u16 id[ATA_ID_WORDS] = {
		[ATA_ID_CYLS] = geometry.cylinders,
		[ATA_ID_HEADS] = geometry.heads,
		[ATA_ID_SECTORS] = geometry.sectors,
	};

	return copy_to_user(to, id, sizeof(id)) ? -EFAULT : 0;
}

static int ubd_volume(void __user *to)
{
	struct cdrom_volctrl volume = { 255, 255, 255, 255 };

	return copy_to_user(to, &volume, sizeof(volume)) ? -EFAULT : 0;
}

static int ubd_ioctl(struct block_device *bdev, blk_mode_t mode,
		     unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case HDIO_GET_IDENTITY:
		return ubd_identify(bdev->bd_disk, (void __user *)arg);
	case CDROMVOLREAD:
		return ubd_volume((void __user *)arg);
	}
	return -EINVAL;
}

static const struct block_device_operations ubd_disk_ops = {
	.owner = THIS_MODULE,
	.ioctl = ubd_ioctl,
	.compat_ioctl = blkdev_compat_ptr_ioctl,
	.getgeo = ubd_getgeo,
};

/* A quarter of the guest's memory, MiB: what flag Ma may take. */
static u32 ubd_index_limit(void)
{
	return totalram_pages() >> (20 - PAGE_SHIFT) >> 2;
}

static irqreturn_t ubd_direct_interrupt(int irq, void *arg)
{
	unsigned long flags = ubd_enter();

	ubd_host_collect_direct();
	ubd_leave(flags);
	return IRQ_HANDLED;
}

/*
 * The back end of flag A, when the first such device comes. Here and not on a
 * helper thread, since threads are started with memory of the guest's kernel.
 */
static bool ubd_start_direct(void)
{
	static enum { UNTRIED, STARTED, REFUSED } state;
	int ret;

	lockdep_assert_held(&ubd_mutex);
	if (state == UNTRIED) {
		ret = ubd_host_start_direct();
		if (ret >= 0)
			ret = um_request_irq(UM_IRQ_ALLOC, ret, IRQ_READ,
					     ubd_direct_interrupt, 0, "ubd-aio",
					     ubd_devices);
		state = ret < 0 ? REFUSED : STARTED;
	}
	return state == STARTED;
}

static int ubd_open(struct ubd *dev, struct cow_error *err)
{
	const struct ubd_config *config = &dev->config;
	struct ubd_open *open = kzalloc(sizeof(*open), GFP_KERNEL);
	unsigned long flags;
	int ret;

	if (!open)
		return -ENOMEM;
	open->args = (struct cow_open_args){
		.name = config->file,
		.parent = config->parent,
		.read_only = config->read_only,
		.raw = config->raw,
		.unlocked = config->unlocked,
		.durable = config->durable,
		.create = config->parent && !config->read_only,
		.version = config->version,
		.keep_link = config->keep_link,
		.geometry = config->geometry,
		.padding = config->padding,
		.sector_size = config->sector_size,
		.lock_retry_ms = UBD_LOCK_RETRY,
	};
	open->args.direct = config->direct && ubd_start_direct();
	open->index_mib = config->index_mib;
	if (config->index_mib == UBD_INDEX_ALL) {
		open->index_all = true;
		open->index_mib = max(ubd_index_limit(), 1u);
	}
	ret = ubd_call(ubd_host_open, open);
	*err = open->err;
	flags = ubd_enter();
	if (!ret) {
		dev->file = open->file;
		dev->claimed = true;
	}
	ubd_leave(flags);
	kfree(open);
	return ret;
}

/* A geometry that was asked for must not promise more than the disk has. */
static int ubd_check_geometry(struct ubd *dev, struct cow_error *err)
{
	struct cow_geometry geometry = ubd_geometry(dev);
	u64 sectors = (u64)geometry.cylinders * geometry.heads *
		      geometry.sectors;

	if (!dev->config.geometry.cylinders ||
	    sectors <= dev->file->size >> SECTOR_SHIFT)
		return 0;
	snprintf(err->text, sizeof(err->text),
		 "ubd%c: %u cylinders of %u heads and %u sectors are more than the %llu sectors of the disk",
		 'a' + ubd_unit(dev), geometry.cylinders, geometry.heads,
		 geometry.sectors, dev->file->size >> SECTOR_SHIFT);
	return -EINVAL;
}

/* The chain, if it has come to rest: from here on the device has none. */
static struct common_file *ubd_detach(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	struct common_file *file = NULL;

	if (cow_idle(dev->file)) {
		file = dev->file;
		dev->file = NULL;
	}
	ubd_leave(flags);
	return file;
}

/* Nobody opens the device: does the chain come to rest in time? */
static bool ubd_quiet(struct ubd *dev)
{
	unsigned long flags;
	unsigned int i;
	bool idle = false;

	if (ubd_flush(dev))
		pr_err("ubd%c: flush failed\n", 'a' + ubd_unit(dev));
	for (i = 0; i < UBD_IDLE_WAIT && !idle; i++) {
		flags = ubd_enter();
		idle = cow_idle(dev->file);
		ubd_leave(flags);
		if (!idle)
			msleep(20);
	}
	return idle;
}

/*
 * No request comes any more. A chain that does not come to rest stays open
 * and locked: what a crash leaves behind is better than a torn commit.
 */
static void ubd_close(struct ubd *dev)
{
	struct common_file *file = NULL;

	if (ubd_quiet(dev))
		file = ubd_detach(dev);
	if (file) {
		cancel_delayed_work_sync(&dev->background);
		dev->armed = false;
		ubd_call(ubd_host_close, file);
	} else {
		pr_err("ubd%c: busy, not closed\n", 'a' + ubd_unit(dev));
	}
}

static struct gendisk *ubd_alloc_disk(struct ubd *dev)
{
	struct queue_limits lim = {
		.logical_block_size = cow_sector_size(dev->file),
		.max_hw_sectors = UBD_SECTORS,
		.max_segments = UBD_SEGMENTS,
		.max_segment_size = SZ_1M,
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};
	struct gendisk *disk;

	if (!dev->config.no_trim) {
		lim.max_hw_discard_sectors = UBD_CLEAR;
		lim.max_write_zeroes_sectors = UBD_CLEAR;
	}
	disk = blk_mq_alloc_disk(&dev->tags, &lim, dev);
	if (IS_ERR(disk))
		return disk;
	disk->major = UBD_MAJOR;
	disk->first_minor = ubd_unit(dev) << UBD_MINOR_BITS;
	disk->minors = 1 << UBD_MINOR_BITS;
	disk->fops = &ubd_disk_ops;
	disk->private_data = dev;
	snprintf(disk->disk_name, sizeof(disk->disk_name), "ubd%c",
		 'a' + ubd_unit(dev));
	set_capacity(disk, dev->file->size >> SECTOR_SHIFT);
	set_disk_ro(disk, dev->file->read_only);
	return disk;
}

static int ubd_add_disk(struct ubd *dev)
{
	struct gendisk *disk;
	int ret;

	disk = ubd_alloc_disk(dev);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	dev->pdev = platform_device_register_simple(UBD_DRIVER, ubd_unit(dev),
						    NULL, 0);
	if (IS_ERR(dev->pdev)) {
		ret = PTR_ERR(dev->pdev);
		goto put;
	}
	ret = device_add_disk(&dev->pdev->dev, disk, ubd_groups);
	if (!ret) {
		dev->disk = disk;
		return 0;
	}
	platform_device_unregister(dev->pdev);
put:
	put_disk(disk);
	return ret;
}

static int ubd_add_queue(struct ubd *dev)
{
	int ret;

	dev->tags = (struct blk_mq_tag_set){
		.ops = &ubd_mq_ops,
		.nr_hw_queues = 1,
		.queue_depth = UBD_DEPTH,
		.numa_node = NUMA_NO_NODE,
		.cmd_size = sizeof(struct ubd_request),
		/* The host puts requests in order, as it does for loop. */
		.flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT,
	};
	ret = blk_mq_alloc_tag_set(&dev->tags);
	if (ret)
		return ret;
	ret = ubd_add_disk(dev);
	if (ret)
		blk_mq_free_tag_set(&dev->tags);
	return ret;
}

static bool ubd_merge_pending(struct ubd *dev)
{
	unsigned long flags = ubd_enter();
	bool pending = dev->file && cow_merge_pending(dev->file, NULL);

	ubd_leave(flags);
	return pending;
}

static int ubd_add(struct ubd *dev, struct cow_error *err)
{
	int ret;

	memset(err, 0, sizeof(*err));
	ubd_status_begin(dev);
	ubd_hold_begin(dev, dev->config.hold);
	INIT_DELAYED_WORK(&dev->background, ubd_background);
	ret = ubd_open(dev, err);
	if (!ret) {
		ret = ubd_check_geometry(dev, err);
		if (!ret)
			ret = ubd_add_queue(dev);
		if (ret)
			ubd_close(dev);
		ubd_release(dev);
	}
	if (!ret && ubd_merge_pending(dev))
		ubd_resume_merge(dev);
	if (!ret)
		return 0;
	if (!*err->text)
		snprintf(err->text, sizeof(err->text),
			 "ubd%c: the guest can not make a disk of it, error %d",
			 'a' + ubd_unit(dev), -ret);
	ubd_deconfigure(dev);
	return ret;
}

static void ubd_del(struct ubd *dev)
{
	ubd_hold_end(dev);
	del_gendisk(dev->disk);
	ubd_close(dev);
	put_disk(dev->disk);
	dev->disk = NULL;
	platform_device_unregister(dev->pdev);
	blk_mq_free_tag_set(&dev->tags);
	ubd_deconfigure(dev);
}

/* ---- mconsole ---------------------------------------------------------- */

/* "stop" runs handlers where they must not sleep. */
static bool ubd_stopped(char **error)
{
	if (!irqs_disabled())
		return false;
	*error = "the machine is stopped: say \"go\" first";
	return true;
}

/* NULL or what is wrong, in one piece of the client's protocol. */
static char *ubd_config_device(char *text)
{
	static struct cow_error err;
	struct ubd_config config = {
		.text = text,
		.durable = ubd_options.durable,
	};
	unsigned int unit;
	char *error;

	error = ubd_parse_device(text, &unit, &config);
	if (!error)
		error = ubd_configure(&ubd_devices[unit], &config);
	if (error) {
		kfree(text);
		return error;
	}
	if (!ubd_add(&ubd_devices[unit], &err))
		return NULL;
	err.text[MCONSOLE_MAX_DATA - 1] = '\0';
	return err.text;
}

static int ubd_mc_config(char *str, char **error)
{
	char *text, *failure;

	if (ubd_stopped(error))
		return -EBUSY;
	text = kstrdup(str, GFP_KERNEL);
	if (!text) {
		*error = "no memory in the guest";
		return -ENOMEM;
	}
	mutex_lock(&ubd_mutex);
	failure = ubd_config_device(text);
	mutex_unlock(&ubd_mutex);
	if (!failure)
		return 0;
	*error = failure;
	return -EINVAL;
}

/*
 * The file below the configured one: as the chain has it, which may have more
 * files on top by now and names those that a COW file named by itself.
 */
static const char *ubd_parent(const struct ubd *dev)
{
	const char *name = kbasename(dev->config.file);
	struct cow_layer_info info;
	unsigned int i;

	for (i = 0; dev->file && !cow_layer(dev->file, i, &info); i++)
		if (!strcmp(kbasename(info.path), name))
			break;
	if (dev->file && !cow_layer(dev->file, i + 1, &info))
		return info.path;
	return dev->config.parent;
}

static int ubd_mc_get_config(char *name, char *str, int size, char **error)
{
	const char *at = name;
	int unit = ubd_parse_unit(&at);
	const char *parent;
	unsigned long flags;
	struct ubd *dev;
	int len = 0;

	if (unit < 0) {
		*error = "no such device: ubd0 to ubd15, or ubda to ubdp";
		return -EINVAL;
	}
	dev = &ubd_devices[unit];
	flags = ubd_enter();
	parent = dev->config.file ? ubd_parent(dev) : NULL;
	if (dev->config.file)
		CONFIG_CHUNK(str, size, len, dev->config.file, 0);
	if (parent) {
		CONFIG_CHUNK(str, size, len, ",", 0);
		CONFIG_CHUNK(str, size, len, parent, 0);
	}
	CONFIG_CHUNK(str, size, len, "", 1);
	ubd_leave(flags);
	return len;
}

static int ubd_mc_id(char **str, int *start, int *end)
{
	const char *at = *str;
	int unit = ubd_parse_unit(&at);

	*str += at - *str;
	*start = 0;
	*end = UBD_DEVICES - 1;
	return unit;
}

static int ubd_remove(struct ubd *dev, char **error)
{
	int ret;

	if (!dev->disk)
		return -ENODEV;
	if (ubd_holding(dev)) {
		*error = "requests of the guest are held; say resume, or hold off, first";
		return -EBUSY;
	}
	/* A disk that was just added may still be closed by its own scan. */
	if (disk_openers(dev->disk))
		flush_delayed_fput();
	if (disk_openers(dev->disk))
		return -EBUSY;
	ret = ubd_claim_stopped(dev);
	if (ret == -EBUSY)
		*error = "a snapshot or merge of it is under way";
	if (ret)
		return ret;
	if (ubd_quiet(dev)) {
		ubd_del(dev);
	} else {
		*error = "its files are still being written; try again";
		ret = -EBUSY;
	}
	ubd_release(dev);
	return ret;
}

static int ubd_mc_remove(int unit, char **error)
{
	int ret;

	if (ubd_stopped(error))
		return -EBUSY;
	mutex_lock(&ubd_mutex);
	ret = ubd_remove(&ubd_devices[unit], error);
	mutex_unlock(&ubd_mutex);
	return ret;
}

static struct mc_device ubd_mc = {
	.list = LIST_HEAD_INIT(ubd_mc.list),
	.name = "ubd",
	.config = ubd_mc_config,
	.get_config = ubd_mc_get_config,
	.id = ubd_mc_id,
	.remove = ubd_mc_remove,
};

static int __init ubd_mc_init(void)
{
	mconsole_register_dev(&ubd_mc);
	return 0;
}
device_initcall(ubd_mc_init);

/* ---- beginning and end ------------------------------------------------- */

/* Bring a claimed device to rest; its disk can not be closed. */
static int ubd_rest(struct ubd *dev)
{
	struct ubd_rest rest = { .file = dev->file };
	int ret = ubd_call(ubd_host_rest, &rest);

	if (ret)
		return ret;
	ubd_step(dev, rest.task, NULL, NULL);
	ret = rest.task->result;
	ubd_call(ubd_host_rest_end, rest.task);
	return ret;
}

/*
 * The machine halts or starts again in an orderly way. Files stay open, since
 * the root file system is still being read; the host closes them.
 */
static void ubd_shutdown(struct platform_device *pdev)
{
	struct ubd *dev = &ubd_devices[pdev->id];
	int ret;

	ubd_hold_give_up(dev);
	/* A merge under way goes on at the next start. */
	if (ubd_claim_stopped(dev)) {
		ret = ubd_flush(dev);
	} else {
		ret = ubd_rest(dev);
		ubd_release(dev);
	}
	if (ret)
		pr_err("ubd%c: flush failed\n", 'a' + pdev->id);
}

static struct platform_driver ubd_driver = {
	.driver = { .name = UBD_DRIVER },
	.shutdown = ubd_shutdown,
};

static int __init ubd_host_init(void)
{
	int fd = ubd_host_start(ubd_options.host, ubd_options.record);
	int ret;

	if (fd < 0) {
		pr_err("ubd: no helper threads, error %d: all I/O blocks\n",
		       -fd);
		return 0;
	}
	ret = um_request_irq(UBD_IRQ, fd, IRQ_READ, ubd_interrupt, 0, "ubd",
			     ubd_devices);
	return ret < 0 ? ret : 0;
}
device_initcall(ubd_host_init);

/* What a machine without any ubd argument has always tried. */
static void __init ubd_default(void)
{
	static const struct ubd_config config = { .file = "root_fs" };
	unsigned int i;

	for (i = 0; i < UBD_DEVICES; i++)
		if (ubd_devices[i].config.file)
			return;
	if (!ubd_call(ubd_host_exists, config.file))
		ubd_configure(&ubd_devices[0], &config);
}

static void __init ubd_add_configured(struct ubd *dev)
{
	static struct cow_error err __initdata;

	if (!ubd_add(dev, &err))
		return;
	ubd_host_say(err.text);
	pr_err("ubd%c: could not be opened; see the host's console\n",
	       'a' + ubd_unit(dev));
}

static int __init ubd_init(void)
{
	unsigned int i;
	int ret;

	ret = register_blkdev(UBD_MAJOR, "ubd");
	if (ret)
		return ret;
	ret = platform_driver_register(&ubd_driver);
	if (ret)
		return ret;
	mutex_lock(&ubd_mutex);
	ubd_default();
	for (i = 0; i < UBD_DEVICES; i++)
		if (ubd_devices[i].config.file)
			ubd_add_configured(&ubd_devices[i]);
	mutex_unlock(&ubd_mutex);
	return 0;
}
late_initcall(ubd_init);
