/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A request between the block layer and the engine.
 *
 * Duty: what the request side (ubd_kern.c) and the requests that are held
 * (ubd_hold.c) share.
 *
 * Invariant: a request is with the engine or on one list, never on two.
 */
#ifndef UBD_REQUEST_H
#define UBD_REQUEST_H

#include "cow/cow.h"

#define UBD_SEGMENTS	256

/**
 * struct ubd_request - a request's own room, in the block layer's
 * @io: what the engine is asked, and what it answered
 * @next: on the list that it is on
 * @vec: the request's memory
 */
struct ubd_request {
	struct common_io io;
	struct ubd_request *next;
	struct cow_vec vec[UBD_SEGMENTS];
};

/* In order of arrival; zeros are an empty one. */
struct ubd_list {
	struct ubd_request *first;
	struct ubd_request *last;
};

static inline void ubd_list_add(struct ubd_list *list, struct ubd_request *ur)
{
	ur->next = NULL;
	if (list->first)
		list->last->next = ur;
	else
		list->first = ur;
	list->last = ur;
}

/* All of them, linked by @next; the list is empty then. */
static inline struct ubd_request *ubd_list_take(struct ubd_list *list)
{
	struct ubd_request *first = list->first;

	list->first = NULL;
	return first;
}

#endif
