/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Duty: the layers of a device as JSON, for ubd_list.c.
 */
#ifndef UBD_LIST_JSON_H
#define UBD_LIST_JSON_H

#include "ubd.h"

/*
 * One element of an array, freed with kvfree(); "" if the device is not
 * configured, NULL without memory. Sleeps.
 */
char *ubd_list_json(struct ubd *dev);

#endif
