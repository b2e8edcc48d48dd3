// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of index pages: bitmap pages and V4 index pages of all layers of a
 * chain, within one set bound of memory.
 *
 * Duty: find, load and evict pages; keep the count of dirty ones.
 *
 * Invariants:
 *  - A page is on the LRU list exactly when it is valid, clean, has no children in
 *    memory, no pins and no waiters. So whatever a commit or a request under way
 *    needs stays, and a commit never has to load a page.
 *  - Who waits for room is called when there is more of it, not when a page took
 *    the place of another; and a page above a leaf is brought only if there is room
 *    for those below it. Else two that wait would push out one another's pages for
 *    ever, where the host answers at once.
 */
#include <string.h>
#include "engine.h"

/* With what the host adds, a process grows by less than 64 MiB. */
#define CACHE_DEFAULT	(62u << 20)
#define PAGES_LEAST	256u

/* A share of them that is dirty is enough for a commit: see request.c. */
#define DIRTY_SHARE	16u

/*
 * The bound is for all of it: the owners, and for each page what is known of it
 * and at most two heads of the hash.
 */
#define PAGE_COST	(IPAGE_SIZE + sizeof(struct ipage) + \
			 2 * sizeof(struct ipage *))

/* ---- how much of it ---------------------------------------------------- */

/* All pages of an index over @size bytes, on all levels. */
static uint64_t tree_pages(uint64_t size)
{
	uint64_t n = (size + COW_BLOCK_SIZE - 1) >> COW_BLOCK_SHIFT;
	uint64_t pages = 0;

	do {
		n = (n + COW_PAGE_ENTRIES - 1) / COW_PAGE_ENTRIES;
		pages += n;
	} while (n > 1);
	return pages;
}

/* What @layer has, or, if it is written, can come to have. */
static uint64_t layer_pages(const struct layer *layer)
{
	uint64_t pages, blocks = layer->hdr.v4.end - COW_V4_FIRST_BLOCK;

	if (layer->ops == &cow_bitmap_ops)
		return (layer->hdr.bitmap_len + IPAGE_SIZE - 1) / IPAGE_SIZE;
	if (layer->ops != &cow_isam_ops)
		return 0;
	pages = tree_pages(layer->hdr.size);
	if (layer != layer->chain->top && pages > blocks)
		pages = blocks;
	return pages;
}

/* The layers that are there, and a V4 delta as large as the disk. */
static uint64_t all_pages(const struct chain *chain)
{
	uint64_t pages = tree_pages(chain->top->sectors << COW_SECTOR_SHIFT);
	const struct layer *layer;

	for (layer = chain->top; layer; layer = layer->parent)
		pages += layer_pages(layer);
	return pages;
}

static uint64_t mib(uint64_t bytes)
{
	return (bytes + (1 << 20) - 1) >> 20;
}

static size_t bound(const struct chain *chain)
{
	return chain->env.index_bytes ?: CACHE_DEFAULT;
}

/* How many pages, or 0 and @err if all of them would be too many. */
static uint64_t choose_count(const struct chain *chain, struct cow_error *err)
{
	size_t bytes = bound(chain);
	size_t owners = cow_owners_cost(chain, bytes);
	uint64_t count = 0;
	uint64_t all;

	if (bytes > owners)
		count = (bytes - owners) / PAGE_COST;
	if (chain->env.index_all) {
		all = all_pages(chain);
		if (all > count) {
			cow_fail(err, -ENOMEM,
				 "%s: all of its index may need %llu MiB of memory, and at most %llu are for it; give the machine more, or set a bound (flag M<n>)",
				 chain->top->path,
				 (unsigned long long)mib(all * PAGE_COST +
							 owners),
				 (unsigned long long)bytes >> 20);
			return 0;
		}
		count = all;
	}
	return count < PAGES_LEAST ? PAGES_LEAST : count;
}

int cow_cache_init(struct chain *chain, struct cow_error *err)
{
	struct ipage_cache *cache = &chain->cache;
	unsigned int hash = 1;

	cache->count = choose_count(chain, err);
	if (!cache->count)
		return -ENOMEM;
	cache->chain = chain;
	while (hash < cache->count)
		hash *= 2;
	cache->hash_mask = hash - 1;
	cache->pages = chain->env.alloc(cache->count * sizeof(*cache->pages));
	cache->memory = chain->env.alloc((size_t)cache->count * IPAGE_SIZE);
	cache->hash = chain->env.alloc(hash * sizeof(*cache->hash));
	if (!cache->pages || !cache->memory || !cache->hash ||
	    cow_owners_init(chain, bound(chain)))
		return cow_fail(err, -ENOMEM, "%s: %s", chain->top->path,
				cow_reason(-ENOMEM));
	cache->lru.next = &cache->lru;
	cache->lru.prev = &cache->lru;
	return 0;
}

void cow_cache_exit(struct chain *chain)
{
	struct ipage_cache *cache = &chain->cache;
	const struct cow_env *env = &chain->env;

	cow_owners_exit(chain);
	if (cache->hash)
		env->free(cache->hash, (cache->hash_mask + 1) *
				       sizeof(*cache->hash));
	if (cache->memory)
		env->free(cache->memory, (size_t)cache->count * IPAGE_SIZE);
	if (cache->pages)
		env->free(cache->pages, cache->count * sizeof(*cache->pages));
}

/* ---- pages ------------------------------------------------------------- */

static unsigned int page_level(const struct layer *layer, uint64_t key)
{
	return layer->ops == &cow_isam_ops ? key >> 56 : 0;
}

static unsigned int page_hash(const struct ipage_cache *cache,
			      const struct layer *layer, uint64_t key)
{
	uint64_t h = key ^ (uintptr_t)layer * 0x9e3779b97f4a7c15ull;

	h *= 0xff51afd7ed558ccdull;
	return (h >> 33) & cache->hash_mask;
}

static void lru_remove(struct ipage *page)
{
	if (!page->listed)
		return;
	page->prev->next = page->next;
	page->next->prev = page->prev;
	page->listed = false;
	page->layer->chain->cache.spare--;
}

static bool evictable(const struct ipage *page)
{
	return page->state == IPAGE_VALID && !page->dirty && !page->children &&
	       !page->pins && cow_queue_empty(&page->waiters);
}

/* Put @page where its state says: newest on the LRU list, or off it. */
static void lru_place(struct ipage *page)
{
	struct ipage_cache *cache = &page->layer->chain->cache;

	lru_remove(page);
	if (!evictable(page))
		return;
	page->prev = cache->lru.prev;
	page->next = &cache->lru;
	page->prev->next = page;
	cache->lru.prev = page;
	page->listed = true;
	cache->spare++;
}

/* The same, where it may have become evictable just now. */
static void lru_update(struct ipage *page)
{
	struct ipage_cache *cache = &page->layer->chain->cache;

	lru_place(page);
	if (page->listed)
		cow_wake(cache->chain, &cache->waiters, 0);
}

static void unhash(struct ipage_cache *cache, struct ipage *page)
{
	struct ipage **p = &cache->hash[page_hash(cache, page->layer,
						  page->key)];

	while (*p != page)
		p = &(*p)->hash_next;
	*p = page->hash_next;
}

struct ipage *cow_page_find(struct layer *layer, uint64_t key)
{
	struct ipage_cache *cache = &layer->chain->cache;
	struct ipage *page = cache->hash[page_hash(cache, layer, key)];

	while (page && (page->layer != layer || page->key != key))
		page = page->hash_next;
	if (page && page->listed && page != cache->lru.prev)
		lru_place(page);
	return page;
}

/* Whichever is less to look at: the keys, or all pages in memory. */
uint64_t cow_page_next(struct layer *layer, uint64_t key, uint64_t end)
{
	struct ipage_cache *cache = &layer->chain->cache;
	unsigned int i;

	if (end - key <= cache->used) {
		while (key < end && !cow_page_find(layer, key))
			key++;
		return key;
	}
	for (i = 0; i < cache->used; i++) {
		const struct ipage *page = &cache->pages[i];

		if (page->state != IPAGE_FREE && page->layer == layer &&
		    page->key >= key && page->key < end)
			end = page->key;
	}
	return end;
}

static void evict(struct ipage_cache *cache, struct ipage *page)
{
	struct ipage *parent = page->parent;

	lru_remove(page);
	unhash(cache, page);
	page->state = IPAGE_FREE;
	page->parent = NULL;
	page->next = cache->free;
	cache->free = page;
	cache->spare++;
	if (parent) {
		parent->children--;
		lru_place(parent);
	}
}

void cow_page_drop(struct ipage *page)
{
	struct ipage_cache *cache = &page->layer->chain->cache;

	evict(cache, page);
	cow_wake(cache->chain, &cache->waiters, 0);
}

/* Is there room for @n pages, those included that can be evicted? */
static bool has_room(const struct ipage_cache *cache, unsigned int n)
{
	return cache->count - cache->used + cache->spare >= n;
}

static struct ipage *take_free(struct ipage_cache *cache)
{
	struct ipage *page;

	if (!cache->free && cache->used < cache->count) {
		page = &cache->pages[cache->used];
		page->data = cache->memory + (size_t)cache->used * IPAGE_SIZE;
		cache->used++;
		return page;
	}
	if (!cache->free && cache->lru.next != &cache->lru)
		evict(cache, cache->lru.next);
	page = cache->free;
	if (page) {
		cache->free = page->next;
		cache->spare--;
	}
	return page;
}

struct ipage *cow_page_new(struct layer *layer, uint64_t key,
			   struct ipage *parent)
{
	struct ipage_cache *cache = &layer->chain->cache;
	struct ipage *page = NULL;
	struct ipage **head;
	uint8_t *data;

	/* Held first: making room must not evict the parent. */
	if (parent) {
		parent->children++;
		lru_remove(parent);
	}
	if (has_room(cache, page_level(layer, key) + 1))
		page = take_free(cache);
	if (!page) {
		if (parent) {
			parent->children--;
			lru_place(parent);
		}
		return NULL;
	}
	data = page->data;
	memset(page, 0, sizeof(*page));
	page->data = data;
	page->layer = layer;
	page->key = key;
	page->parent = parent;
	page->state = IPAGE_LOADING;
	head = &cache->hash[page_hash(cache, layer, key)];
	page->hash_next = *head;
	*head = page;
	return page;
}

static int load_result(struct ipage *page, int64_t result)
{
	int err = result < 0 ? (int)result : 0;

	/* The file was held against its header when it was opened: it was cut. */
	if (!err && (size_t)result < page->need)
		err = -EIO;
	/* To the caller that would say that the page is under way. */
	if (err == -EAGAIN)
		err = -EIO;
	if (!err) {
		memset(page->data + result, 0, IPAGE_SIZE - result);
		err = page->layer->ops->loaded(page);
	}
	cow_wake(page->layer->chain, &page->waiters, err);
	if (!err)
		cow_page_valid(page);
	return err;
}

static void layer_idle(struct layer *layer)
{
	if (!layer->inflight)
		cow_wake(layer->chain, &layer->idle, 0);
}

static void load_done(struct io_desc *io)
{
	struct ipage *page = cow_container_of(io, struct ipage, io);
	struct layer *layer = page->layer;

	layer->inflight--;
	/* Those who waited are told; who comes later tries again. */
	if (load_result(page, io->result))
		cow_page_drop(page);
	else
		cow_wake(layer->chain, &layer->chain->cache.waiters, 0);
	layer_idle(layer);
	cow_run(layer->chain);
}

int cow_page_load(struct ipage *page, uint64_t offset, size_t len, size_t need)
{
	struct chain *chain = page->layer->chain;
	int64_t result;

	page->vec.base = page->data;
	page->vec.len = len;
	page->need = need;
	page->io = (struct io_desc){
		.op = IO_READ,
		.fd = cow_data_fd(page->layer),
		.direct = cow_is_direct(page->layer),
		.offset = offset,
		.len = len,
		.vec = &page->vec,
		.nvec = 1,
		.done = load_done,
	};
	page->layer->inflight++;
	result = chain->env.io->submit(chain->env.ctx, &page->io);
	if (result == -EINPROGRESS)
		return -EAGAIN;
	page->layer->inflight--;
	return load_result(page, page->io.result);
}

void cow_page_valid(struct ipage *page)
{
	page->state = IPAGE_VALID;
	lru_place(page);
}

void cow_page_dirty(struct ipage *page)
{
	struct layer *layer = page->layer;
	unsigned int level = page_level(layer, page->key);

	if (page->dirty)
		return;
	lru_remove(page);
	page->dirty = true;
	layer->chain->cache.dirty++;
	page->dirty_next = layer->dirty[level];
	layer->dirty[level] = page;
}

bool cow_pages_crowd(const struct chain *chain)
{
	return chain->cache.dirty > chain->cache.count / DIRTY_SHARE;
}

void cow_page_cleaned(struct ipage *page)
{
	page->dirty = false;
	page->layer->chain->cache.dirty--;
	lru_update(page);
}

void cow_page_pin(struct ipage *page)
{
	page->pins++;
	lru_remove(page);
}

void cow_page_unpin(struct ipage *page)
{
	page->pins--;
	lru_update(page);
}

void cow_pages_drop(struct layer *layer)
{
	struct ipage_cache *cache = &layer->chain->cache;
	unsigned int level, i;

	/* Leaves first: a page with children can not go. */
	for (level = 0; level < COW_V4_MAX_LEVELS; level++) {
		for (i = 0; i < cache->used; i++) {
			struct ipage *page = &cache->pages[i];

			if (page->state != IPAGE_FREE && page->layer == layer &&
			    !page->children)
				cow_page_drop(page);
		}
	}
}
