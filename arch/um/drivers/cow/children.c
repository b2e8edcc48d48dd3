// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who is built on a file.
 *
 * Duty: the list of children, an extended attribute of the parent: written when
 * a layer is put over it, asked before its content is changed. May block.
 *
 * Invariants:
 *  - A name is on the list before its file is a child, so that a crash leaves one
 *    too many, never one too few. The lock keeps others from dropping it meanwhile.
 *  - A name alone is nothing: it counts by what stands behind it.
 *  - Whatever the list says, nothing is opened but regular files, and the work is
 *    bounded by COW_CHILDREN_NAMES.
 */
#include <string.h>
#include "children.h"
#include "layer.h"

#define RETRY_MS	10
#define PATIENCE_MS	5000

/**
 * struct list - a list in memory
 * @len: bytes of @buf that are used, the header's included
 * @names: how many
 */
struct list {
	size_t len;
	unsigned int names;
	uint32_t flags;
	char buf[COW_CHILDREN_MAX];
};

/**
 * struct inquiry - what it takes to look at a child
 * @parent: the file that it may be built on
 * @st: what the host says of the child
 * @chain: to open it in, alone
 */
struct inquiry {
	struct io_id parent;
	struct io_stat st;
	struct chain chain;
	struct cow_error ignored;
};

/* ---- the list ---------------------------------------------------------- */

static void list_empty(struct list *list)
{
	list->len = sizeof(struct cow_disk_children);
	list->names = 0;
	list->flags = 0;
}

/* One that is too long for us is none that we wrote. */
static int list_load(const struct cow_env *env, int fd, struct list *list)
{
	int ret = env->io->getattr(env->ctx, fd, IO_ATTR_CHILDREN, list->buf,
				   sizeof(list->buf));

	list_empty(list);
	if (ret == -ENODATA || ret == -EOPNOTSUPP || ret == -EPERM)
		return 0;
	if (ret == -ERANGE)
		return -EBADMSG;
	if (ret < 0)
		return ret;
	list->len = ret;
	ret = cow_children_parse(list->buf, list->len, &list->flags);
	return ret ? -EBADMSG : 0;
}

/* The name behind @name, or the first one; NULL: there is none. */
static const char *list_next(const struct list *list, const char *name)
{
	name = name ? name + strlen(name) + 1 :
		      list->buf + sizeof(struct cow_disk_children);
	return name < list->buf + list->len ? name : NULL;
}

static void list_append(struct list *list, const char *name)
{
	size_t len = strlen(name) + 1;

	if (len > sizeof(list->buf) - list->len ||
	    list->names == COW_CHILDREN_NAMES) {
		list->flags |= COW_CHILDREN_MORE;
		return;
	}
	memcpy(list->buf + list->len, name, len);
	list->len += len;
	list->names++;
}

static int list_store(const struct cow_env *env, int fd, struct list *list)
{
	cow_children_seal(list->buf, list->len, list->flags);
	return env->io->setattr(env->ctx, fd, IO_ATTR_CHILDREN, list->buf,
				list->len);
}

/* ---- a child ----------------------------------------------------------- */

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ENOTDIR;
}

static int inquiry_begin(const struct cow_env *env, int fd,
			 struct inquiry **inq)
{
	struct inquiry *new = env->alloc(sizeof(*new));
	int ret;

	*inq = new;
	if (!new)
		return -ENOMEM;
	new->chain.env = *env;
	ret = env->io->stat(env->ctx, fd, &new->st);
	new->parent = new->st.id;
	return ret;
}

static void inquiry_end(const struct cow_env *env, struct inquiry *inq)
{
	if (inq)
		env->free(inq, sizeof(*inq));
}

/* What the child's own header says. */
static bool names_parent(struct inquiry *inq, const struct layer *layer)
{
	const struct cow_env *env = &inq->chain.env;
	struct io_stat st;
	int ret;

	if (!cow_has_parent(layer) || layer->record.state & COW_IS_DRAINED)
		return false;
	if (layer->hdr.format == COW_V4 &&
	    layer->hdr.v4.kind == COW_KIND_HEADER)
		return false;
	ret = env->io->lookup(env->ctx, layer->hdr.parent, &st);
	return ret ? !is_gone(ret) : cow_same_file(&st.id, &inq->parent);
}

/* Leaves in inq->st which file it is. */
static bool is_child(struct inquiry *inq, const char *name)
{
	const struct cow_env *env = &inq->chain.env;
	struct layer *layer;
	bool child;
	int ret;

	memset(&inq->st, 0, sizeof(inq->st));
	ret = env->io->lookup(env->ctx, name, &inq->st);
	if (ret)
		return !is_gone(ret);
	if (inq->st.kind != IO_KIND_FILE || !inq->st.size ||
	    cow_same_file(&inq->st.id, &inq->parent))
		return false;
	ret = cow_layer_open(&inq->chain, name, COW_EXPECT_ANY, &layer,
			     &inq->ignored);
	if (ret)
		return !is_gone(ret);
	child = names_parent(inq, layer);
	cow_layer_put(layer);
	return child;
}

/* ---- adding one -------------------------------------------------------- */

/* All that count of @from, and @child. */
static void renew(struct inquiry *inq, const struct list *from, struct list *to,
		  const char *child)
{
	const char *name;

	list_empty(to);
	to->flags = from->flags;
	for (name = list_next(from, NULL); name; name = list_next(from, name)) {
		if (strcmp(name, child) && is_child(inq, name))
			list_append(to, name);
	}
}

static int store(const struct cow_env *env, int fd, struct list *old,
		 struct list *new, const char *child)
{
	size_t len = new->len;
	int ret;

	list_append(new, child);
	if (new->len == old->len && new->flags == old->flags &&
	    !memcmp(new->buf + sizeof(struct cow_disk_children),
		    old->buf + sizeof(struct cow_disk_children),
		    new->len - sizeof(struct cow_disk_children)))
		return 0;
	ret = list_store(env, fd, new);
	if (ret != -EOPNOTSUPP || old->len == sizeof(struct cow_disk_children))
		return ret;
	/* There is a list, and the host has no room for a longer one. */
	new->len = len;
	new->flags |= COW_CHILDREN_MORE;
	return list_store(env, fd, new);
}

/* A list that is damaged had names that nobody knows. */
static int load_any(const struct cow_env *env, int fd, struct list *list)
{
	int ret = list_load(env, fd, list);

	if (ret != -EBADMSG)
		return ret;
	list_empty(list);
	list->flags = COW_CHILDREN_MORE;
	return 0;
}

static int add(const struct cow_env *env, int fd, const char *child)
{
	struct list *old = env->alloc(sizeof(*old));
	struct list *new = env->alloc(sizeof(*new));
	struct inquiry *inq;
	int ret;

	ret = inquiry_begin(env, fd, &inq);
	if (!old || !new)
		ret = -ENOMEM;
	if (!ret)
		ret = load_any(env, fd, old);
	if (!ret) {
		renew(inq, old, new, child);
		ret = store(env, fd, old, new, child);
	}
	inquiry_end(env, inq);
	if (new)
		env->free(new, sizeof(*new));
	if (old)
		env->free(old, sizeof(*old));
	return ret;
}

static int lock(const struct cow_env *env, int fd)
{
	unsigned int waited = 0;
	int ret = env->io->lock(env->ctx, fd, IO_LIST);

	for (; ret == -EAGAIN && waited < PATIENCE_MS; waited += RETRY_MS) {
		env->io->nap(env->ctx, RETRY_MS);
		ret = env->io->lock(env->ctx, fd, IO_LIST);
	}
	return ret;
}

int cow_children_add(const struct cow_env *env, int fd, const char *child)
{
	struct io_stat st;
	int ret;

	ret = env->io->stat(env->ctx, fd, &st);
	if (!ret && st.kind != IO_KIND_FILE)
		ret = -EOPNOTSUPP;
	if (ret)
		return ret;
	fd = env->io->reopen(env->ctx, fd, IO_OPEN_WRITE);
	if (fd < 0)
		return fd;
	ret = lock(env, fd);
	if (!ret)
		ret = add(env, fd, child);
	/* Nobody merges into it meanwhile, unless somebody writes it anyway. */
	if (!ret)
		env->io->lock(env->ctx, fd, IO_SHARED);
	if (!ret)
		return fd;
	env->io->close(env->ctx, fd);
	return ret;
}

/* ---- asking ------------------------------------------------------------ */

/* Bytes of @name fit behind what stands there, and the end of the line, too. */
static bool fits(const char *names, const char *name)
{
	return strlen(names) + strlen(name) + sizeof(", and 1024 more") <
	       COW_DEPENDENTS_LEN;
}

static void put(char *names, const char *text)
{
	char *to = names + strlen(names);

	/* A line stays one, whatever the names are. */
	for (; *text; text++)
		*to++ = (unsigned char)*text < ' ' || *text == 0x7f ? '?' :
								      *text;
	*to = 0;
}

static void put_name(char *names, const char *name)
{
	if (*names)
		put(names, ", ");
	put(names, name);
}

static void put_rest(char *names, unsigned int rest)
{
	char digits[] = "0000", *first = digits;
	unsigned int i;

	if (!rest)
		return;
	for (i = 4; i-- > 0; rest /= 10)
		digits[i] += rest % 10;
	while (*first == '0')
		first++;
	if (!*names) {
		put(names, "others");
		return;
	}
	put(names, " and ");
	put(names, first);
	put(names, " more");
}

static int count(struct inquiry *inq, const struct list *list,
		 const struct io_id *except, char *names)
{
	unsigned int n = 0, rest = 0;
	const char *name;

	for (name = list_next(list, NULL); name; name = list_next(list, name)) {
		if (!is_child(inq, name) ||
		    (except && cow_same_file(&inq->st.id, except)))
			continue;
		n++;
		if (!rest && fits(names, name))
			put_name(names, name);
		else
			rest++;
	}
	if (list->flags & COW_CHILDREN_MORE) {
		n++;
		rest++;
	}
	put_rest(names, rest);
	return n;
}

int cow_dependents(const struct cow_env *env, int fd,
		   const struct io_id *except, char names[COW_DEPENDENTS_LEN])
{
	struct list *list = env->alloc(sizeof(*list));
	struct inquiry *inq;
	int ret;

	names[0] = 0;
	ret = inquiry_begin(env, fd, &inq);
	if (!list)
		ret = -ENOMEM;
	if (!ret)
		ret = list_load(env, fd, list);
	if (!ret)
		ret = count(inq, list, except, names);
	inquiry_end(env, inq);
	if (list)
		env->free(list, sizeof(*list));
	return ret;
}

int cow_dependents_refuse(const struct layer *layer, const struct io_id *except,
			  struct cow_error *err)
{
	const struct cow_env *env = &layer->chain->env;
	char *names = env->alloc(COW_DEPENDENTS_LEN);
	int ret = -ENOMEM;

	if (names)
		ret = cow_dependents(env, layer->fd, except, names);
	if (ret > 0)
		ret = cow_fail(err, -EBUSY,
			       "%s: say force if what is built on it may be torn: %s",
			       layer->path, names);
	else if (ret == -EBADMSG)
		cow_fail(err, ret,
			 "%s: its list of children (attribute user.moo.children) is damaged; say force if nothing is built on it",
			 layer->path);
	else if (ret)
		cow_fail(err, ret, "%s: its list of children: %s", layer->path,
			 cow_reason(ret));
	if (names)
		env->free(names, COW_DEPENDENTS_LEN);
	return ret;
}
