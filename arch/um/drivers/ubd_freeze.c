// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's file systems on disks of the block device, frozen for a moment.
 *
 * Duty: to find them, also those that the block layer does not lead to, and to
 * see to it that each is thawed again.
 *
 * Invariants:
 *  - Who is found is kept by a reference from then on until the end: it may be
 *    unmounted meanwhile.
 *  - No lock is held over freeze_super() or thaw_super(), which may take as long as
 *    they like: the time limit must not wait for either.
 *  - A file system that is thawed may write, and wait until that is durable, for which
 *    the snapshot has to come to its end: so another thread thaws.
 *  - The kernel is the holder: a thaw in the guest does not undo it, nor does ours
 *    undo a freeze of the guest's.
 */
#include <linux/blkdev.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kernfs.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/major.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "ubd.h"
#include "ubd_freeze.h"

/* One file system may be on disks of two snapshots that are being taken. */
#define HOLDER	(FREEZE_HOLDER_KERNEL | FREEZE_MAY_NEST)

/* One file system; @frozen is under ubd_freeze.lock. */
struct found {
	struct list_head list;
	struct super_block *sb;
	bool frozen;
};

/* With a thread set aside: others may be waiting for what is frozen. */
static struct workqueue_struct *late_queue;

static int __init late_queue_init(void)
{
	late_queue = alloc_workqueue("ubd-thaw", WQ_UNBOUND | WQ_MEM_RECLAIM,
				     0);
	return late_queue ? 0 : -ENOMEM;
}
device_initcall(late_queue_init);

/* ---- whose is it? ------------------------------------------------------ */

/* The first partition for which @match says so; the whole disk is one, too. */
static bool any_part(const struct ubd_freeze *freeze,
		     bool (*match)(struct block_device *bdev, void *arg),
		     void *arg)
{
	struct block_device *bdev;
	unsigned long index;
	unsigned int unit;
	bool yes = false;

	rcu_read_lock();
	for_each_set_bit(unit, &freeze->units, UBD_DEVICES) {
		struct gendisk *disk = ubd_disk(ubd_device(unit));

		xa_for_each(&disk->part_tbl, index, bdev) {
			yes = match(bdev, arg);
			if (yes)
				goto out;
		}
	}
out:
	rcu_read_unlock();
	return yes;
}

static bool is_listed(const struct ubd_freeze *freeze,
		      const struct super_block *sb)
{
	const struct found *found;

	list_for_each_entry(found, &freeze->found, list)
		if (found->sb == sb)
			return true;
	return false;
}

/* Its disk, or something else that it has opened for itself, as a journal is. */
static bool is_part_of(struct block_device *bdev, void *arg)
{
	const struct super_block *sb = arg;

	return sb->s_bdev == bdev || READ_ONCE(bdev->bd_holder) == sb;
}

static bool lies_on(const struct ubd_freeze *freeze,
		    const struct block_device *bdev)
{
	const struct found *found;

	list_for_each_entry(found, &freeze->found, list)
		if (found->sb->s_bdev == bdev)
			return true;
	return false;
}

struct member {
	const struct ubd_freeze *freeze;
	const struct super_block *sb;
};

/*
 * A file system of many disks names one of them; the others are held by its type
 * alone, and each one of that type may be the one.
 */
static bool may_be_part_of(struct block_device *bdev, void *arg)
{
	const struct member *member = arg;

	return READ_ONCE(bdev->bd_holder) == member->sb->s_type &&
	       !lies_on(member->freeze, bdev);
}

/* ---- finding ----------------------------------------------------------- */

static int no_memory(struct ubd_freeze *freeze)
{
	snprintf(freeze->why, sizeof(freeze->why), "no memory in the guest");
	return -ENOMEM;
}

static void list_super(struct ubd_freeze *freeze, struct super_block *sb)
{
	struct found *found;

	if (is_listed(freeze, sb))
		return;
	found = kzalloc(sizeof(*found), GFP_KERNEL);
	if (!found) {
		no_memory(freeze);
		return;
	}
	if (!atomic_inc_not_zero(&sb->s_active)) {
		kfree(found);
		return;
	}
	found->sb = sb;
	list_add_tail(&found->list, &freeze->found);
}

static void add_open(struct ubd_freeze *freeze, const char *name)
{
	size_t len = strlen(freeze->open);

	snprintf(freeze->open + len, sizeof(freeze->open) - len, "%s%s",
		 len ? ", " : "", name);
}

/* Where the file of a loop device lies can not be seen from outside of it. */
static void find_direct(struct super_block *sb, void *arg)
{
	struct ubd_freeze *freeze = arg;

	if (!sb->s_bdev)
		return;
	if (any_part(freeze, is_part_of, sb))
		list_super(freeze, sb);
	else if (MAJOR(sb->s_bdev->bd_dev) == LOOP_MAJOR && !sb_rdonly(sb))
		add_open(freeze, sb->s_bdev->bd_disk->disk_name);
}

static void find_member(struct super_block *sb, void *arg)
{
	struct ubd_freeze *freeze = arg;
	struct member member = { .freeze = freeze, .sb = sb };

	if (any_part(freeze, may_be_part_of, &member))
		list_super(freeze, sb);
}

/* ---- what stays open --------------------------------------------------- */

#define MOST_OPEN	16u	/* are named */

/* Partitions that are held by what is none of the file systems that were found. */
struct open_parts {
	const struct ubd_freeze *freeze;
	unsigned int count;
	char name[MOST_OPEN][BDEVNAME_SIZE];
};

static bool is_known(const struct ubd_freeze *freeze, const void *holder)
{
	const struct found *found;

	list_for_each_entry(found, &freeze->found, list)
		if (holder == found->sb || holder == found->sb->s_type)
			return true;
	return false;
}

/* A disk is marked as held while one of its partitions is. */
static bool is_marked(struct block_device *bdev)
{
	struct block_device *part;
	unsigned long index;

	if (bdev_is_partition(bdev))
		return false;
	xa_for_each_start(&bdev->bd_disk->part_tbl, index, part, 1)
		if (READ_ONCE(part->bd_holder))
			return true;
	return false;
}

static bool note_open(struct block_device *bdev, void *arg)
{
	struct open_parts *parts = arg;
	const void *holder = READ_ONCE(bdev->bd_holder);

	if (holder && !is_known(parts->freeze, holder) && !is_marked(bdev))
		snprintf(parts->name[parts->count++], BDEVNAME_SIZE, "%pg",
			 bdev);
	return parts->count == MOST_OPEN;
}

/* Is the partition among those below the disk? */
static bool stands_on(const struct gendisk *disk, const char *part)
{
	struct kernfs_node *link;

	if (!disk->slave_dir || !disk->slave_dir->sd)
		return false;
	link = kernfs_find_and_get(disk->slave_dir->sd, part);
	kernfs_put(link);
	return link;
}

/* What stands on the partition, or else itself. */
static void add_above(struct ubd_freeze *freeze, const char *part)
{
	struct class_dev_iter iter;
	struct device *dev;
	bool any = false;

	class_dev_iter_init(&iter, &block_class, NULL, NULL);
	while ((dev = class_dev_iter_next(&iter))) {
		struct block_device *bdev = dev_to_bdev(dev);

		if (bdev_is_partition(bdev) || !stands_on(bdev->bd_disk, part))
			continue;
		add_open(freeze, bdev->bd_disk->disk_name);
		any = true;
	}
	class_dev_iter_exit(&iter);
	if (!any)
		add_open(freeze, part);
}

static void find_open(struct ubd_freeze *freeze)
{
	struct open_parts *parts = kzalloc(sizeof(*parts), GFP_KERNEL);
	unsigned int i;

	if (!parts)
		return;
	parts->freeze = freeze;
	any_part(freeze, note_open, parts);
	for (i = 0; i < parts->count; i++)
		add_above(freeze, parts->name[i]);
	kfree(parts);
}

/* ---- thawing ----------------------------------------------------------- */

static void thaw_one(struct super_block *sb)
{
	int ret = sb->s_op->thaw_super ? sb->s_op->thaw_super(sb, HOLDER) :
					 thaw_super(sb, HOLDER);

	if (ret)
		pr_err("ubd: %s on %s could not be thawed, error %d\n",
		       sb->s_type->name, sb->s_id, -ret);
}

static bool take_frozen(struct ubd_freeze *freeze, struct found *found)
{
	bool frozen;

	mutex_lock(&freeze->lock);
	frozen = found->frozen;
	found->frozen = false;
	mutex_unlock(&freeze->lock);
	return frozen;
}

/*
 * The only one that thaws: when it is told to, or when the time is over. The last
 * one that was frozen comes first: it may lie on one of the others.
 */
static void ubd_freeze_late(struct work_struct *work)
{
	struct ubd_freeze *freeze = container_of(to_delayed_work(work),
						 struct ubd_freeze, late);
	unsigned int noio = memalloc_noio_save();
	struct found *found;

	mutex_lock(&freeze->lock);
	if (!freeze->released)
		freeze->expired = freeze->expire(freeze->arg);
	mutex_unlock(&freeze->lock);
	list_for_each_entry_reverse(found, &freeze->found, list)
		if (take_frozen(freeze, found))
			thaw_one(found->sb);
	freeze->held_ns = ktime_get_ns() - freeze->start;
	memalloc_noio_restore(noio);
}

void ubd_freeze_release(struct ubd_freeze *freeze)
{
	if (!freeze->start)
		return;
	mutex_lock(&freeze->lock);
	freeze->released = true;
	mutex_unlock(&freeze->lock);
	mod_delayed_work(late_queue, &freeze->late, 0);
}

static void thaw(struct ubd_freeze *freeze)
{
	ubd_freeze_release(freeze);
	flush_delayed_work(&freeze->late);
	if (freeze->expired)
		snprintf(freeze->why, sizeof(freeze->why),
			 "writes had been held for %u s; say limit=SECONDS for more time, or crash to go without",
			 freeze->limit);
}

/* ---- freezing ---------------------------------------------------------- */

/* So that little is left to be written while writes are held. */
static void write_out(struct super_block *sb)
{
	down_read(&sb->s_umount);
	if (sb->s_root && !sb_rdonly(sb) &&
	    sb->s_writers.frozen == SB_UNFROZEN)
		sync_filesystem(sb);
	up_read(&sb->s_umount);
}

void ubd_freeze_init(struct ubd_freeze *freeze)
{
	INIT_LIST_HEAD(&freeze->found);
	mutex_init(&freeze->lock);
	INIT_DELAYED_WORK(&freeze->late, ubd_freeze_late);
}

int ubd_freeze_find(struct ubd_freeze *freeze)
{
	struct found *found;

	if (!late_queue)
		return no_memory(freeze);
	iterate_supers(find_direct, freeze);
	iterate_supers(find_member, freeze);
	if (*freeze->why)
		return -ENOMEM;
	find_open(freeze);
	list_for_each_entry(found, &freeze->found, list)
		write_out(found->sb);
	return 0;
}

/* False: the limit was over meanwhile, and has thawed the others. */
static bool note_frozen(struct ubd_freeze *freeze, struct found *found)
{
	bool in_time;

	freeze->count++;
	mutex_lock(&freeze->lock);
	found->frozen = true;
	in_time = !freeze->expired;
	mutex_unlock(&freeze->lock);
	return in_time;
}

/* What it wrote in the end may be in the cache of its disk. */
static int freeze_one(struct ubd_freeze *freeze, struct found *found)
{
	struct super_block *sb = found->sb;
	int ret;

	ret = sb->s_op->freeze_super ? sb->s_op->freeze_super(sb, HOLDER) :
				       freeze_super(sb, HOLDER);
	if (!ret && !note_frozen(freeze, found))
		return -ETIMEDOUT;
	if (!ret)
		ret = sync_blockdev(sb->s_bdev);
	if (ret)
		snprintf(freeze->why, sizeof(freeze->why),
			 "%s on %s could not be frozen, error %d; say crash to go without",
			 sb->s_type->name, sb->s_id, -ret);
	return ret;
}

int ubd_freeze_hold(struct ubd_freeze *freeze)
{
	struct found *found;
	int ret = 0;

	list_for_each_entry(found, &freeze->found, list) {
		if (sb_rdonly(found->sb))
			continue;
		if (!freeze->start) {
			freeze->start = ktime_get_ns();
			queue_delayed_work(late_queue, &freeze->late,
					   freeze->limit * HZ);
		}
		ret = freeze_one(freeze, found);
		if (ret)
			break;
	}
	if (ret)
		thaw(freeze);
	return ret;
}

void ubd_freeze_end(struct ubd_freeze *freeze)
{
	struct found *found, *next;

	thaw(freeze);
	list_for_each_entry_safe(found, next, &freeze->found, list) {
		deactivate_super(found->sb);
		kfree(found);
	}
	INIT_LIST_HEAD(&freeze->found);
}
