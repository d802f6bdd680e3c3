/* A study: a recipe's plan, what of it exists in a directory, and the running of what does not.
 *
 *   OUT/unlearned/layers=0-5/    a stage's result              OUT/study.json   what was made, how,
 *                                from what
 *   OUT/logs/unlearned/...txt    what it printed, .err: said   OUT/times.tsv    stage, state,
 *                                seconds, command
 *
 * A stage is done when its result is there and its key is the same: a hash of the command, its
 * options, the contents of the files that they name, and the keys of the stages that they refer to.
 * Paths do not count, so that a study may be moved.  Each stage runs as a process of its own, the
 * same program: what kills it is one stage's failure, and what kills the study kills it as well
 * (its own .part is what the next run resumes after). */
#ifndef DELE_STUDY_H
#define DELE_STUDY_H

#include "experiments/study/recipe.h"

typedef enum {
    STUDY_NEW,    /* to be run */
    STUDY_BROKEN, /* was begun with these settings, and did not end */
    STUDY_DONE,
    STUDY_FAILED,
    STUDY_CHANGED, /* a result exists, but with other settings */
    STUDY_WAITING  /* for a stage that failed or changed */
} study_state;

extern const char *const study_state_words[];

typedef struct {
    const recipe_stage *recipe;
    study_state state;
    const char *result, *sentence; /* OUT/name; why it is as it is, or NULL */
    char key[65];
    cJSON *asked;     /* what the key is of */
    const char *line; /* its command, to be pasted into a shell */
    double seconds;   /* NaN: not known */
    bool selected;    /* not left out by --only */
    bool dropped;     /* its weights were removed once they were used */
} study_stage;

typedef struct {
    const char *out, *threads; /* threads: of --threads for every stage, or NULL */
    bool quiet;
    recipe_plan plan;
    study_stage *stage; /* [plan.n_stages] */
    cJSON *record;      /* study.json */
    char program[65];   /* sha256 of this program */
    int lock;           /* file descriptor; -1: none */
    dele_arena *arena;
} study;

/* The words of a stage's command line, NULL at the end; dir is where its own result is written
 * (result, or result.part). */
const char **study_command(const study *s, size_t which, const char *dir, dele_err *err);

/* Refuses an option that a stage's command does not have, and too many or too few words, before
 * anything runs. */
dele_status study_check_commands(const study *s, dele_err *err);

/* A line that can be pasted into a shell, in the arena. */
const char *study_command_line(const study *s, size_t which, dele_err *err);

/* How a stage's result comes about.  A directory of the command's own; or a directory made for it,
 * into which the files named by its options go, or what it prints (stdout.txt). */
typedef enum { STUDY_MAKES_DIR, STUDY_MAKES_FILE, STUDY_PRINTS } study_kind;
study_kind study_kind_of(const recipe_stage *stage);

/* One child.  Its stdout goes into a file; its stderr through to ours, and into another.  status:
 * as of exit, or 128 and the signal; sentence: its last complaint.  log NULL: what it says is only
 * listened to. */
typedef struct {
    int status;
    char sentence[768];
} study_end;
dele_status study_child(study_end *end, const char *const *command, const char *stdout_path,
                        const char *log, bool more, dele_err *err);

/* Looks at what exists.  Takes the directory for itself: another run in it is refused.  plan, out,
 * threads and quiet are set beforehand; report_only neither locks nor makes anything. */
dele_status study_open(study *s, bool report_only, dele_arena *arena, dele_err *err);

/* Removes results, with those that depend on them. */
dele_status study_forget(study *s, const bool *which, dele_err *err);

/* Runs what is wanted and does not occur.  One that fails is recorded, and what does not depend on
 * it goes on; the error says how many are not done. */
dele_status study_run(study *s, dele_err *err);

void study_close(study *s);

#endif
