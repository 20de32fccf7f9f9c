/* guest.pml - one guest, its jobs, and everybody who may act on it: a model for spin, see README.md
 *
 * Three hypervisors with a worker each, the broker, and faults. Each process is a program or the world around
 * them; one step of it is what that program does without being interrupted. What is not in here is
 * not proven: README.md says what was left out.
 *
 * From outside: JOBS, how many are asked for; FAULTS, how many happen; ONLY_TWICE, to look for that violation
 * alone; TODAY and NO_..., which leave out rules of the protocol. */

#ifndef JOBS
#define JOBS 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif

#ifdef TODAY
#define NO_LEASE   /* a settler looks at no clock */
#define NO_CALLOFF /* and nobody calls it off */
#define NO_LATE    /* a migrate request that waits in the source's libvirtd is not thought of */
#define NO_WAIT    /* nor a destroy request that waits in the destination's */
#endif

#ifdef ONLY_TWICE
#define CLAIM(what) skip
#else
#define CLAIM(what) assert(what)
#endif

/* Two who may act are a harm only when both do. */
#if defined(ONLY_TWICE) || defined(ONLY_HARM)
#define EXCLUDE(what) skip
#else
#define EXCLUDE(what) assert(what)
#endif

#define NOBODY 3

/* A domain on a hypervisor. */
#define ABSENT 0
#define RUNS   1
#define PAUSED 2 /* by the fence */
#define STANDS 3 /* in the middle of a migration that nobody carries on */
#define LEAVES 4 /* stopped by its migration: the last of its memory has gone over */
#define COMES  5
#define BROKEN 6 /* its migration has ended without it, and its libvirtd has not noticed yet */
#define SILENT 7 /* in a look: libvirtd did not answer */

/* A migration. */
#define COPIES   1
#define HANDS    2 /* the source's guest is stopped; the destination is asked to finish */
#define FINISHED 3 /* the destination has finished; the source is to confirm */

/* A worker's task. */
#define NONE   0
#define BEGINS 1
#define CALLS  2 /* the migrate call is out */
#define LOOKS  3 /* at the source */
#define LOOKS2 4 /* at the destination */
#define LOOKS3 5 /* at the source again */
#define ACTS   6 /* it knows what to do */
#define WAITS  7 /* for libvirtd's answer to that */
#define ENDS   8 /* its result is not acknowledged yet */
#define SENDS  9 /* it has looked at its lease, and sleeps before it asks */

/* What a worker asks of a libvirtd. */
#define RESUME  1
#define DESTROY 2

/* A verdict. */
#define SOURCE      1
#define DESTINATION 2
#define UNKNOWN     3
#define NOWHERE     4

/* The job. */
#define IDLE   0 /* there is none */
#define ACTIVE 1
#define DOUBT  2
#define TIDIES 3 /* there is none; a copy that an earlier one left is being removed */

/* ---- hypervisors */
byte dom[3];
bit whole[3]; /* the copy there is whole and nothing has run since: it may be run */
bit stalled[3];
byte migration, from, to, caller;
bit unheard;                         /* that the destination has finished: its libvirtd died with the answer */
bit finish_late[3];                  /* asked to finish, by a source that has gone on since */
bit late_resume[3], late_destroy[3]; /* requests whose answer nobody waits for any more */
byte late_begin[3];                  /* 1 + the destination */

/* ---- workers */
bit lease[3];
byte phase[3], job_of[3], source_of[3], destination_of[3];
bit settles[3], tidies[3];
bit called[3];           /* it has made the migrate call */
bit may_be_left[3];      /* what the broker knows: an old copy at the destination */
byte seen1[3], seen2[3]; /* looks */
bit calm[3];             /* when it began to look no migrate request could be waiting any more */
byte ask[3], at[3];      /* a request to a libvirtd */
bit call[3];             /* the migrate call, which waits in the source's */
byte returned[3];        /* from it: 1 success, 2 failure */
byte verdict[3];
bit leaves_copy[3];      /* with the verdict: the destination did not answer */

/* ---- the broker. On disk: state, job, source, destination, place, left, newest. */
byte state, job, source, destination;
byte place;    /* where the guest is, when there is no job */
bit left[3];   /* an old copy may be there */
bit newest[3]; /* that worker has the newest turn */
byte actor;    /* who that is, as long as its session lasts */
bit session[3];
bit quiet;     /* after a start: others may still act */

byte faults;

#define BUSY(w)    (phase[w] != NONE && phase[w] != ENDS)
#ifdef NO_LEASE
#define MAY_ACT(w) (BUSY(w))
#else
#define MAY_ACT(w) (BUSY(w) && lease[w])
#endif
#define ALONE(w)   (!MAY_ACT((w + 1) % 3) && !MAY_ACT((w + 2) % 3))

#define SENT(w)    (phase[w] == WAITS || phase[w] == SENDS)

/* It runs there from now on: every other copy is old. */
inline goes_on(h)
{
    assert(dom[(h + 1) % 3] != RUNS && dom[(h + 2) % 3] != RUNS); /* the guest runs twice */
    CLAIM(whole[h]);                                               /* an old copy runs */
    printf("host %d: the guest runs here\n", h);
    dom[h] = RUNS;
    whole[(h + 1) % 3] = 0;
    whole[(h + 2) % 3] = 0
}

inline vanish(h)
{
    printf("host %d: the copy here is gone\n", h);
    dom[h] = ABSENT;
    whole[h] = 0;
    CLAIM(whole[0] || whole[1] || whole[2]) /* the guest is lost */
}

/* ---- libvirtd */

inline call_ends(how)
{
    if
    :: caller != NOBODY -> returned[caller] = how
    :: else
    fi;
    migration = 0;
    from = 0;
    to = 0;
    caller = NOBODY;
    unheard = 0
}

/* The source takes its guest back. */
inline take_back()
{
    if
    :: dom[to] == COMES -> dom[to] = BROKEN; finish_late[to] = (migration == HANDS)
    :: else
    fi;
    goes_on(from);
    call_ends(2)
}

inline obey(what, h)
{
    if
    :: what == RESUME && (dom[h] == PAUSED || dom[h] == STANDS) -> goes_on(h)
    :: what == DESTROY && dom[h] != ABSENT -> vanish(h)
    :: else
    fi
}

/* A domain that a migration holds is resumed by nobody. */
#define FREE(h) (dom[h] != LEAVES && dom[h] != COMES && dom[h] != BROKEN)

inline start(w, there)
{
    if
    :: dom[h] == RUNS && migration == 0 && dom[there] == ABSENT && !stalled[there] ->
        migration = COPIES;
        from = h;
        to = there;
        caller = w;
        dom[there] = COMES;
        printf("host %d: a migration to host %d begins\n", h, there)
    :: else -> /* refused, or the destination does not answer */
        if
        :: w != NOBODY -> returned[w] = 2
        :: else
        fi
    fi
}

/* What it is asked it does in any order and in its own time. */
proctype Daemon(byte h)
{
    do
    :: d_step { !stalled[h] && phase[0] == WAITS && ask[0] && at[0] == h && FREE(h) -> obey(ask[0], h); ask[0] = 0 }
    :: d_step { !stalled[h] && phase[1] == WAITS && ask[1] && at[1] == h && FREE(h) -> obey(ask[1], h); ask[1] = 0 }
    :: d_step { !stalled[h] && phase[2] == WAITS && ask[2] && at[2] == h && FREE(h) -> obey(ask[2], h); ask[2] = 0 }
    :: d_step { !stalled[h] && late_resume[h] && FREE(h) -> late_resume[h] = 0; obey(RESUME, h) }
    :: d_step { !stalled[h] && late_destroy[h] && FREE(h) -> late_destroy[h] = 0; obey(DESTROY, h) }
    :: d_step { !stalled[h] && call[h] && migration == 0 -> call[h] = 0; start(h, destination_of[h]) }
    :: d_step {
        !stalled[h] && late_begin[h] && migration == 0 ->
        start(NOBODY, late_begin[h] - 1);
        late_begin[h] = 0
    }
    :: d_step {
        !stalled[h] && migration == COPIES && from == h && dom[to] == COMES ->
        migration = HANDS;
        dom[h] = LEAVES;
        whole[to] = 1;
        printf("host %d: all is copied, the guest is stopped\n", h)
    }
    :: d_step {
        !stalled[h] && migration == HANDS && to == h && dom[h] == COMES ->
        migration = FINISHED;
        dom[h] = PAUSED;
        printf("host %d: the guest has arrived, paused\n", h)
    }
    :: d_step { !stalled[h] && migration == FINISHED && from == h && !unheard -> vanish(h); call_ends(1) }
    /* The other side does not answer for longer than the keepalive, or its copy is gone. */
    :: d_step {
        !stalled[h] && migration && from == h && (stalled[to] || dom[to] == ABSENT || unheard) ->
        printf("host %d: the migration has failed\n", h);
        take_back()
    }
    :: atomic {
        !stalled[h] && dom[h] == BROKEN ->
        if
        :: finish_late[h] -> dom[h] = PAUSED; printf("host %d: finishes late: a paused copy\n", h)
        :: dom[h] = ABSENT; whole[h] = 0
        fi;
        finish_late[h] = 0
    }
    od
}

/* ---- workers */

/* The task is over, or its process: what it has asked of a libvirtd may still happen. */
inline drop(w)
{
    if
    :: SENT(w) && ask[w] == RESUME -> late_resume[at[w]] = 1
    :: SENT(w) && ask[w] == DESTROY -> late_destroy[at[w]] = 1
    :: else
    fi;
    ask[w] = 0;
    at[w] = 0;
    if
    :: call[w] -> call[w] = 0; late_begin[w] = 1 + destination_of[w]
    :: else
    fi;
    if
    :: caller == w -> caller = NOBODY
    :: else
    fi;
    forget(w)
}

inline forget(w)
{
    phase[w] = NONE;
    job_of[w] = 0;
    source_of[w] = 0;
    destination_of[w] = 0;
    settles[w] = 0;
    tidies[w] = 0;
    called[w] = 0;
    may_be_left[w] = 0;
    seen1[w] = 0;
    seen2[w] = 0;
    calm[w] = 0;
    returned[w] = 0;
    verdict[w] = 0;
    leaves_copy[w] = 0
}

#define LOOK(h) (migration && from == h -> LEAVES : dom[h])

inline end(what, leaving)
{
    verdict[w] = what;
    leaves_copy[w] = leaving;
    phase[w] = ENDS
}

inline act(what, h)
{
    ask[w] = what;
    at[w] = h;
    phase[w] = ACTS
}

#ifdef NO_LATE
#define MAY_BEGIN_LATE(h) 0
#else
#define MAY_BEGIN_LATE(h) (late_begin[h] || call[h])
#endif
#ifdef NO_CALM
#define CALM(h) 1
#else
#define CALM(h) (!MAY_BEGIN_LATE(h))
#endif
#ifdef NO_WAIT
#define MAY_DESTROY_LATE(h) 0
#else
#define DESTROYS(v, h)      (SENT(v) && ask[v] == DESTROY && at[v] == h)
#define MAY_DESTROY_LATE(h) (late_destroy[h] || DESTROYS(0, h) || DESTROYS(1, h) || DESTROYS(2, h))
#endif

/* worker/settle.c, of a guest that is behind the fence */
inline decide()
{
    if
    :: seen1[w] == LEAVES -> phase[w] = LOOKS /* it is followed */
    :: seen1[w] == RUNS && (seen2[w] == ABSENT || seen2[w] == SILENT) ->
        if
        :: !calm[w] || MAY_BEGIN_LATE(source_of[w]) -> phase[w] = LOOKS
        :: else -> end(SOURCE, seen2[w] == SILENT)
        fi
    :: seen1[w] == RUNS && seen2[w] == PAUSED -> act(DESTROY, destination_of[w])
    :: seen1[w] == STANDS && (seen2[w] == ABSENT || seen2[w] == PAUSED) -> act(RESUME, source_of[w])
    :: seen1[w] == ABSENT && seen2[w] == PAUSED -> act(RESUME, destination_of[w])
    :: seen1[w] == ABSENT && (seen2[w] == RUNS || seen2[w] == LEAVES) -> end(DESTINATION, 0)
    :: seen1[w] == ABSENT && seen2[w] == ABSENT -> end(NOWHERE, 0)
    :: (seen1[w] == ABSENT || seen1[w] == STANDS) && seen2[w] == SILENT -> end(UNKNOWN, 0)
    :: else -> phase[w] = LOOKS /* things are still moving */
    fi
}

proctype Worker(byte w)
{
    do
    :: d_step {
        phase[w] == BEGINS ->
        if
        :: !lease[w] || stalled[destination_of[w]] -> end(SOURCE, may_be_left[w])
        :: else ->
            if
            :: dom[destination_of[w]] == PAUSED && may_be_left[w] && dom[w] == RUNS ->
                act(DESTROY, destination_of[w])
            :: dom[destination_of[w]] == ABSENT ->
                if
                :: MAY_DESTROY_LATE(destination_of[w]) -> end(SOURCE, 1)
                :: else -> call[w] = 1; called[w] = 1; phase[w] = CALLS
                fi
            :: else -> end(SOURCE, may_be_left[w])
            fi
        fi
    }
    :: d_step { phase[w] == CALLS && returned[w] == 2 -> returned[w] = 0; phase[w] = LOOKS }
    /* The source has given the guest away: its copy is let run, whether the lease holds or not. */
    :: d_step {
        phase[w] == CALLS && returned[w] == 1 ->
        returned[w] = 0;
        ask[w] = RESUME;
        at[w] = destination_of[w];
        phase[w] = SENDS
    }
    :: d_step {
        phase[w] == CALLS && stalled[w] -> /* the call is given up */
        if
        :: call[w] -> call[w] = 0; late_begin[w] = 1 + destination_of[w]
        :: else
        fi;
        if
        :: caller == w -> caller = NOBODY
        :: else
        fi;
        returned[w] = 0;
        phase[w] = LOOKS
    }
    :: d_step {
        phase[w] == LOOKS ->
        if
        :: stalled[source_of[w]] -> end(UNKNOWN, 0)
        :: else ->
            printf("worker %d: looks\n", w);
            calm[w] = CALM(source_of[w]);
            seen1[w] = LOOK(source_of[w]);
            phase[w] = LOOKS2
        fi
    }
    :: d_step {
        phase[w] == LOOKS2 ->
        seen2[w] = (stalled[destination_of[w]] -> SILENT : LOOK(destination_of[w]));
        phase[w] = LOOKS3
    }
    :: d_step {
        phase[w] == LOOKS3 ->
        if
        :: stalled[source_of[w]] -> end(UNKNOWN, 0)
        :: else ->
            if
            :: LOOK(source_of[w]) != seen1[w] -> phase[w] = LOOKS
            :: else -> decide()
            fi
        fi;
        seen1[w] = 0;
        seen2[w] = 0;
        calm[w] = 0
    }
    :: d_step {
        phase[w] == ACTS && MAY_ACT(w) ->
        phase[w] = SENDS;
        printf("worker %d: asks host %d to %d (1 resume, 2 destroy)\n", w, at[w], ask[w])
    }
    :: d_step { phase[w] == SENDS -> phase[w] = WAITS }
    :: d_step { phase[w] == WAITS && !ask[w] -> at[w] = 0; phase[w] = (settles[w] || called[w] -> LOOKS : BEGINS) }
    :: d_step {
        phase[w] == WAITS && ask[w] && stalled[at[w]] -> /* the answer is waited for no longer */
        if
        :: ask[w] == RESUME -> late_resume[at[w]] = 1
        :: else -> late_destroy[at[w]] = 1
        fi;
        ask[w] = 0;
        at[w] = 0;
        phase[w] = LOOKS
    }
    od
}

/* ---- the broker */

inline grant(w)
{
    EXCLUDE(ALONE(w)); /* never two who may act */
    newest[0] = 0;
    newest[1] = 0;
    newest[2] = 0;
    newest[w] = 1;
    actor = w
}

inline give(w, what, there)
{
    drop(w);
    grant(w);
    phase[w] = what;
    job_of[w] = job;
    source_of[w] = source;
    destination_of[w] = there
}

inline job_ends(where)
{
    EXCLUDE(!MAY_ACT(0) && !MAY_ACT(1) && !MAY_ACT(2)); /* nobody may act for it any more */
    CLAIM(dom[where] == RUNS && whole[where]);
    printf("broker: job %d has ended, the guest is on host %d\n", job, where);
    state = IDLE;
    actor = NOBODY;
    place = where;
    source = 0;
    destination = 0
}

#ifdef TODAY
#define MAY_ASK(w) (!BUSY(w) || job_of[w] == job) /* it has a task for each job, and here only one */
#define TOO_SOON   (state == DOUBT && quiet)
#else
#define MAY_ASK(w) (!quiet)
#define TOO_SOON   0
#endif

/* A result is believed from the newest turn alone. */
#ifdef TODAY
#define BELIEVED(w) \
    (job_of[w] == job && (w == actor || (w == source && (state == DOUBT || actor == NOBODY))))
#elif defined(NO_ACTOR)
#define BELIEVED(w) (job_of[w] == job && (state == ACTIVE || (newest[w] && actor == w)))
#else
#define BELIEVED(w) (job_of[w] == job && newest[w] && actor == w)
#endif

inline believe(w)
{
    if
    :: verdict[w] == SOURCE && TOO_SOON -> actor = NOBODY
    :: verdict[w] == SOURCE && !TOO_SOON ->
        left[destination] = leaves_copy[w];
        forget(w);
        job_ends(source)
    :: verdict[w] == DESTINATION ->
        left[destination] = 0;
        forget(w);
        job_ends(destination)
    :: verdict[w] == UNKNOWN -> state = DOUBT; actor = NOBODY
    :: verdict[w] == NOWHERE -> CLAIM(false) /* a guest is given up for lost */
    :: else
    fi
}

inline take(v)
{
    printf("broker: worker %d reports %d (1 source, 2 destination, 3 unknown)\n", v, verdict[v]);
    if
    :: (state == ACTIVE || state == DOUBT) && BELIEVED(v) -> believe(v); forget(v)
    :: state == TIDIES && newest[v] && actor == v ->
        CLAIM(verdict[v] == SOURCE || verdict[v] == UNKNOWN);
        left[destination_of[v]] = (verdict[v] == UNKNOWN || leaves_copy[v]);
        forget(v);
        job_ends(place)
    :: else -> forget(v)
    fi
}

/* The worker of the session has gone; its lease is over by now. */
inline lose(v)
{
    printf("broker: the session of worker %d is over\n", v);
    session[v] = 0;
    if
    :: actor == v ->
        actor = NOBODY;
        if
        :: state == ACTIVE -> state = DOUBT
        :: state == TIDIES -> state = IDLE
        :: else
        fi
    :: else
    fi
}

inline submit(where)
{
    job++;
    source = place;
    destination = where;
    place = 0;
    state = ACTIVE;
    printf("broker: job %d moves the guest from host %d to host %d\n", job, source, where);
    give(source, BEGINS, where);
#ifdef NO_INHERIT
    left[0] = 0;
    left[1] = 0;
    left[2] = 0;
#endif
    may_be_left[source] = left[where]
}

inline settle(v)
{
    printf("broker: worker %d is asked to find out\n", v);
    if
    :: BUSY(v) && job_of[v] == job -> actor = v /* it is at it */
    :: else -> give(v, LOOKS, destination); settles[v] = 1
    fi
}

inline tidy(h)
{
    source = place;
    printf("broker: the copy on host %d is to be removed\n", h);
    give(place, LOOKS, h);
    settles[place] = 1;
    tidies[place] = 1;
    source = 0;
    state = TIDIES
}

#define READY (state == IDLE && !quiet && session[place] && phase[place] == NONE)

proctype Broker()
{
    do
    /* The first one goes to the second host: the third is like it. */
    :: d_step { READY && job < JOBS && place != 0 -> submit(0) }
    :: d_step { READY && job < JOBS && place != 1 -> submit(1) }
    :: d_step { READY && job < JOBS && place != 2 && job != 0 -> submit(2) }
#ifndef TODAY
    :: d_step { READY && place != 0 && left[0] -> tidy(0) }
    :: d_step { READY && place != 1 && left[1] -> tidy(1) }
    :: d_step { READY && place != 2 && left[2] -> tidy(2) }
#endif
    :: d_step { session[0] && phase[0] == ENDS -> take(0) }
    :: d_step { session[1] && phase[1] == ENDS -> take(1) }
    :: d_step { session[2] && phase[2] == ENDS -> take(2) }
    :: d_step { session[0] && !lease[0] -> lose(0) }
    :: d_step { session[1] && !lease[1] -> lose(1) }
    :: d_step { session[2] && !lease[2] -> lose(2) }
    :: d_step { state == DOUBT && actor == NOBODY && MAY_ASK(source) && session[source] -> settle(source) }
    :: d_step {
        state == DOUBT && actor == NOBODY && MAY_ASK(destination) && !session[source] && session[destination] ->
        settle(destination)
    }
    /* After a start: whoever has not come back has no lease any more. */
    :: d_step {
        quiet && (session[0] || !lease[0]) && (session[1] || !lease[1]) && (session[2] || !lease[2]) ->
        quiet = 0
    }
    :: d_step { !quiet && state == ACTIVE && actor == NOBODY -> state = DOUBT }
    od
}

/* ---- what goes on again */

/* The worker speaks with the broker again. */
inline back(v)
{
    printf("worker %d: is back\n", v);
    lease[v] = 1;
    if
    :: session[v] -> /* its session has not ended */
        if
        :: phase[v] == NONE && actor == v -> lose(v); session[v] = 1 /* a new process */
        :: else
        fi
    :: else ->
        session[v] = 1;
        if
        :: BUSY(v) -> claim(v)
        :: else
        fi
    fi
}

#ifdef NO_CALLOFF
#define call_off(v) skip
#else
#define call_off(v) drop(v)
#endif

#ifdef TODAY
inline claim(v)
{
    if
    :: job_of[v] == job && (state == ACTIVE || state == DOUBT) && !settles[v] -> actor = v; state = ACTIVE
    :: job_of[v] == job && state == DOUBT && settles[v] -> actor = v
    :: else /* stop: of a migration, not of a look */
    fi
}
#else
inline claim(v)
{
    if
    :: job_of[v] == job && (state == ACTIVE || state == DOUBT) && newest[v] ->
        actor = v; /* nobody was asked since */
        if
        :: !settles[v] -> state = ACTIVE
        :: else
        fi
    :: job_of[v] == job && (state == ACTIVE || state == DOUBT) && !newest[v] && !settles[v] && !quiet &&
            (actor == NOBODY || (session[actor] && phase[actor] != SENDS)) ->
        /* The settler is called off, and the holder goes on. */
        if
        :: actor != NOBODY -> call_off(actor)
        :: else
        fi;
        printf("broker: worker %d goes on with it\n", v);
        grant(v);
        state = ACTIVE
    :: else -> drop(v) /* stop */
    fi
}
#endif

inline wake(h)
{
    printf("host %d: libvirtd goes on\n", h);
    stalled[h] = 0
}

proctype Recovery()
{
    do
    :: d_step { stalled[0] -> wake(0) }
    :: d_step { stalled[1] -> wake(1) }
    :: d_step { stalled[2] -> wake(2) }
    :: d_step { !(session[0] && lease[0]) -> back(0) }
    :: d_step { !(session[1] && lease[1]) -> back(1) }
    :: d_step { !(session[2] && lease[2]) -> back(2) }
    od
}

/* ---- what shall come of it */

/* Every job has ended, and one copy of the guest is left. */
#define SETTLED \
    (state == IDLE && job == JOBS && (dom[0] != ABSENT) + (dom[1] != ABSENT) + (dom[2] != ABSENT) == 1)

/* Where nothing goes on by itself, nothing is open. */
proctype End()
{
    timeout -> CLAIM(SETTLED)
}

#ifdef LIVENESS
/* And it comes to that. */
ltl ends { <> [] SETTLED }
#endif

/* ---- faults */

#define MORE (faults < FAULTS)

inline stall(h)
{
    printf("fault: libvirtd of host %d stands still\n", h);
    faults++;
    stalled[h] = 1
}

/* The broker hears nothing of it for so long that its lease ends. */
inline silence(v)
{
    printf("fault: worker %d is silent\n", v);
    faults++;
    lease[v] = 0
}

/* Its process ends; another one comes. */
inline kill(v)
{
    printf("fault: worker %d is killed\n", v);
    faults++;
    drop(v);
    lease[v] = 0
}

inline fail_request(v, h)
{
    if
    :: phase[v] == WAITS && ask[v] && at[v] == h -> ask[v] = 0
    :: else
    fi
}

/* libvirtd ends and is started again. The guests live on, but for what was coming. */
inline restart_daemon(h)
{
    printf("fault: libvirtd of host %d is restarted\n", h);
    faults++;
    stalled[h] = 0;
    fail_request(0, h);
    fail_request(1, h);
    fail_request(2, h);
    late_resume[h] = 0;
    late_destroy[h] = 0;
    late_begin[h] = 0;
    if
    :: call[h] -> call[h] = 0; returned[h] = 2
    :: else
    fi;
    if
    :: migration && from == h ->
        if
        :: dom[to] == COMES -> dom[to] = BROKEN; finish_late[to] = (migration == HANDS)
        :: else
        fi;
        if
        :: migration != COPIES -> dom[h] = STANDS
        :: else
        fi;
        call_ends(2)
    :: migration && to == h ->
        if
        :: migration == FINISHED -> unheard = 1
        :: else -> dom[h] = ABSENT; whole[h] = 0
        fi
    :: else ->
        if
        :: dom[h] == BROKEN -> dom[h] = ABSENT; whole[h] = 0; finish_late[h] = 0
        :: else
        fi
    fi
}

inline restart_broker()
{
    printf("fault: the broker is restarted\n");
    faults++;
    session[0] = 0;
    session[1] = 0;
    session[2] = 0;
    actor = NOBODY;
    if
    :: state == TIDIES -> state = IDLE
    :: else
    fi;
#ifndef NO_QUIET
    quiet = 1
#endif
}

/* Where a daemon has nothing of the guest and nothing to do, its end changes nothing. */
#define NEEDS_DAEMON(h) (dom[h] != ABSENT || call[h] || late_begin[h] || stalled[h])

proctype Faults()
{
    do
    :: d_step { MORE && !stalled[0] -> stall(0) }
    :: d_step { MORE && !stalled[1] -> stall(1) }
    :: d_step { MORE && !stalled[2] -> stall(2) }
    :: d_step { MORE && lease[0] -> silence(0) }
    :: d_step { MORE && lease[1] -> silence(1) }
    :: d_step { MORE && lease[2] -> silence(2) }
#ifndef NO_CRASH
    :: d_step { MORE && phase[0] != NONE -> kill(0) }
    :: d_step { MORE && phase[1] != NONE -> kill(1) }
    :: d_step { MORE && phase[2] != NONE -> kill(2) }
    :: d_step { MORE && NEEDS_DAEMON(0) -> restart_daemon(0) }
    :: d_step { MORE && NEEDS_DAEMON(1) -> restart_daemon(1) }
    :: d_step { MORE && NEEDS_DAEMON(2) -> restart_daemon(2) }
    :: d_step { MORE && state != IDLE -> restart_broker() }
#endif
    :: atomic { faults = FAULTS; break }
    od
}

init
{
    d_step {
        dom[0] = RUNS;
        whole[0] = 1;
        lease[0] = 1;
        lease[1] = 1;
        lease[2] = 1;
        session[0] = 1;
        session[1] = 1;
        session[2] = 1;
        actor = NOBODY;
        caller = NOBODY
    }
    atomic {
        run Broker();
        run Worker(0);
        run Worker(1);
        run Worker(2);
        run Daemon(0);
        run Daemon(1);
        run Daemon(2);
        run Recovery();
        run End();
        run Faults()
    }
}
