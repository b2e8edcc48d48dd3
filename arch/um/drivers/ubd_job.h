/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands of mconsole that take their time.
 *
 * Duty: what the files with the commands share.
 *
 * Invariants:
 *  - A handler returns at once. Under "stop" it is called where it must not
 *    sleep, and refuses.
 *  - The client looks at the error of the last piece of an answer, and only
 *    the first piece of a reply carries one: an error is one piece.
 *  - The work goes on whatever becomes of the client.
 */
#ifndef UBD_JOB_H
#define UBD_JOB_H

#include "mconsole_kern.h"
#include "ubd.h"

#define UBD_PIECE	(MCONSOLE_MAX_DATA - 1)

/**
 * struct ubd_job - a command that takes its time; the first member of its own
 *	structure
 * @req: whom to answer
 * @answer: somebody waits; else the end is told on the host's console
 * @dev: claimed while @fails runs, if it is about one device
 * @units: the numbers of all devices that are claimed then
 * @fails: the work
 * @text: how it ended
 */
struct ubd_job {
	struct mc_request req;
	bool answer;
	struct ubd *dev;
	unsigned long units;
	bool (*fails)(struct ubd_job *job);
	char text[2 * COW_PATH_MAX + 128];
};

/*
 * A job of @size bytes, zeros behind struct ubd_job, or NULL; kvfree() it, unless
 * it was run. Without @req nobody waits for an answer. Without @dev, @units has
 * to be filled in.
 */
void *ubd_job_new(size_t size, struct ubd *dev, const struct mc_request *req);

/* Do @fails on a thread; it says whether it failed, and why in job->text. */
void ubd_job_run(struct ubd_job *job, bool (*fails)(struct ubd_job *job));

/* How a task ended: true if badly, and job->text says why. */
bool ubd_task_failed(struct ubd_job *job, const struct cow_task *task);

/* Tell how it ended: @job->text, which is an error if @failed. */
void ubd_job_answer(struct ubd_job *job, bool failed);
void ubd_job_error(struct ubd_job *job, const char *error);

char ubd_letter(const struct ubd_job *job);

/* NULL if the command can be run at all, or what stands in its way. */
const char *ubd_obstacle(const struct mc_request *req);

/* What stands behind the command's name, without blanks around it. */
char *ubd_arguments(struct mc_request *req, const char *command);

/* One piece of an answer; a client that prints slowly is waited for. Sleeps. */
int ubd_send_piece(struct mc_request *req, const char *text, int len, int err,
		   int more);

/* A part of an answer, as many pieces as it needs; more will come. Sleeps. */
void ubd_send_part(struct mc_request *req, const char *text);

/* A whole answer, or its last part. Sleeps. */
void ubd_answer(struct mc_request *req, const char *text);

/* An error, at once. */
void ubd_refuse(struct mc_request *req, const char *text);
void ubd_refuse_device(struct mc_request *req, const char *name);

/* True, and the command was refused, if the device is not configured. */
bool ubd_refuse_unconfigured(struct mc_request *req, struct ubd *dev);

/**
 * struct ubd_command - a command whose first word is a device
 * @name: the word that it begins with
 * @usage: what may follow
 * @parse: of ubd_parse.h
 * @run: what it does; the words are right, as far as they go
 */
struct ubd_command {
	const char *name;
	const char *usage;
	void (*parse)(char *text, struct ubd_words *words);
	void (*run)(struct mc_request *req, struct ubd *dev,
		    const struct ubd_words *words);
};

/* Understand a command and run it, or refuse it. */
void ubd_run_command(struct mc_request *req, const struct ubd_command *command);

/* Answer with the layers of @dev, or of all devices if it is NULL. */
void ubd_list_chains(struct mc_request *req, struct ubd *dev, bool json);

#endif
