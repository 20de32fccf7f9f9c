/* job_story.h - all that is known of one job, in lines for people */
#ifndef SUBMIT_JOB_STORY_H
#define SUBMIT_JOB_STORY_H

#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdio.h>

/* A line for each thing that is known: "State       running, copying". The arena holds what is made meanwhile. */
void job_story(FILE *file, struct arena *arena, const RmJobView *view);

#endif
