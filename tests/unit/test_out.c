/* test_out.c - what rmigrate prints: results, listings, the progress block */
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/progress.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <cmocka.h>

/* ---- lines: what a function writes to stdout or stderr */

static char *caught;

static FILE *catch_begin(FILE *stream, int *ret_fd)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stream);
    *ret_fd = dup(fileno(stream));
    dup2(fileno(file), fileno(stream));
    return file;
}

static const char *catch_end(FILE *stream, FILE *file, int fd)
{
    fflush(stream);
    dup2(fd, fileno(stream));
    close(fd);
    long size = ftell(file);
    fseek(file, 0, SEEK_END);
    size = ftell(file);
    rewind(file);
    free(caught);
    caught = calloc(1, (size_t)size + 1);
    assert_int_equal(fread(caught, 1, (size_t)size, file), (size_t)size);
    fclose(file);
    return caught;
}

static const char *result(const char *name, const char *text)
{
    int fd;
    FILE *file = catch_begin(stdout, &fd);
    out_result(name, text);
    return catch_end(stdout, file, fd);
}

static const char *failure(const char *name, const char *text)
{
    int fd;
    FILE *file = catch_begin(stderr, &fd);
    out_failure(name, text);
    return catch_end(stderr, file, fd);
}

static void result_has_the_name_before_every_line(void **state)
{
    (void)state;
    assert_string_equal(result("kvm1", "migrated to hyp02"), "kvm1: migrated to hyp02\n");
    assert_string_equal(result("kvm1", "a\nb\n"), "kvm1: a\nkvm1: b\n");
    assert_string_equal(result("kvm1", ""), "kvm1: \n");
    assert_string_equal(failure("kvm1", "a\r\nb\n\n"), "kvm1: Error: a\nkvm1: Error: b\n");
    assert_string_equal(failure("", "a"), "Error: a\n");
}

static void result_carries_no_terminal_commands(void **state)
{
    (void)state;
    assert_string_equal(result("k\033[2J", "a\033]0;x\007b\x7f"), "k [2J: a ]0;x b \n");
    assert_string_equal(result("k", "a\xc2\x9b"
                                    "2Jb \xc3\xa4"),
                        "k: a 2Jb \xc3\xa4\n");
}

/* ---- listings */

struct shelf {
    uint64_t height;
};

struct item {
    const struct shelf *shelf; /* NULL: none */
    const char *name;
    uint32_t count;
    protobuf_c_boolean open;
    uint64_t size, at;
};

static void put_shout(struct cell *cell, const void *record)
{
    cell_tone(cell, arena_printf(cell_arena(cell), "%s!", ((const struct item *)record)->name),
              TONE_GOOD);
}

static const struct column item_columns[] = {
    {"NAME", "name", FIELD(struct item, name)},
    {"COUNT", "count", FIELD(struct item, count), SHOW_COUNT},
    {"OPEN", "open", FIELD(struct item, open)},
    {"SIZE", NULL, FIELD(struct item, size), SHOW_SIZE},
    {NULL, "bytes", FIELD(struct item, size), SHOW_SIZE},
    {"AT", "at", FIELD(struct item, at), SHOW_TIME},
    {NULL, "elapsed", FIELD(struct item, size), SHOW_SPAN},
    {"HEIGHT", "height", FIELD_INSIDE(struct item, shelf, struct shelf, height)},
    {"SHOUT", "shout", PUT(put_shout), .look = LOOK_WRAP},
    {0},
};

static const char *listed(const struct args *args, struct item *items, size_t n)
{
    void *records[2] = {items, items + 1};
    int fd;
    FILE *file = catch_begin(stdout, &fd);
    int code = listing_print(args, "items", item_columns, records, n, NULL);
    const char *text = catch_end(stdout, file, fd);
    assert_int_equal(code, 0);
    return text;
}

static void listing_is_the_same_for_people_and_programs(void **state)
{
    (void)state;
    struct shelf shelf = {7};
    struct item items[] = {{&shelf, "box", 3, 1, 2u << 20, 1}, {NULL, "a\x1b[2J", 0, 0, 0, 0}};
    struct args args = {0};
    setenv("TZ", "UTC", 1);
    assert_string_equal(listed(&args, items, 2),
                        "NAME  COUNT OPEN     SIZE AT                  HEIGHT SHOUT\n"
                        "box       3 yes  2.00 MiB 1970-01-01 00:00:00      7 box!\n"
                        "a [2J     - no          - -                        0 a [2J!\n");
    args.noheadings = true;
    assert_string_equal(listed(&args, items, 1),
                        "box      3 yes  2.00 MiB 1970-01-01 00:00:00      7 box!\n");
    args.json = true;
    assert_string_equal(
        listed(&args, items, 2),
        "{\"items\": [\n"
        "{\"name\": \"box\", \"count\": 3, \"open\": true, \"bytes\": 2097152, \"at\": 0.000001, "
        "\"elapsed\": 2.097152, \"height\": 7, \"shout\": \"box!\"},\n"
        "{\"name\": \"a\\u001b[2J\", \"count\": 0, \"open\": false, \"bytes\": 0, \"at\": null, "
        "\"elapsed\": null, \"height\": null, \"shout\": \"a\\u001b[2J!\"}]}\n");
    assert_string_equal(listed(&args, items, 0), "{\"items\": []}\n");
}

/* One row whose first column is inside of a struct that it has not. */
static void listing_passes_over_what_is_not_whole(void **state)
{
    (void)state;
    static const struct column columns[] = {
        {"HEIGHT", "height", FIELD_INSIDE(struct item, shelf, struct shelf, height)}, {0}};
    struct shelf shelf = {7};
    struct item items[] = {{.shelf = NULL}, {.shelf = &shelf}};
    void *records[] = {&items[0], &items[1]};
    struct args args = {.json = true};
    int fd;
    FILE *file = catch_begin(stdout, &fd);
    assert_int_equal(listing_print(&args, "items", columns, records, 2, NULL), 0);
    assert_string_equal(catch_end(stdout, file, fd), "{\"items\": [\n{\"height\": 7}]}\n");
}

/* ---- how a job ended */

struct sample {
    RmJob job;
    RmJobView view;
    struct arena *arena;
};

static void sample_init(struct sample *s, RmState state, const char *text)
{
    rm_job__init(&s->job);
    rm_job_view__init(&s->view);
    s->job.guest = (char *)"kvm1";
    s->view.job = &s->job;
    s->view.state = state;
    s->view.source = (char *)"hyp01";
    s->view.destination = (char *)"hyp02";
    s->view.text = (char *)text;
    s->arena = arena_new(0);
    assert_non_null(s->arena);
}

static void says(RmState state, const char *text, bool already, const char *wanted)
{
    struct sample s;
    sample_init(&s, state, text);
    s.view.already = already;
    assert_string_equal(view_result(s.arena, &s.view, false), wanted);
    arena_free(s.arena);
}

static void view_result_is_what_scripts_look_for(void **state)
{
    (void)state;
    says(RM_STATE__DONE, "", false, "migrated to hyp02");
    says(RM_STATE__DONE, "", true, "Guest is already on host hyp02");
    says(RM_STATE__FAILED, "libvirt error 38: no route: to host", false,
         "Failed migration of kvm1 from hyp01 to hyp02: libvirt error 38: no route: to host");
    says(RM_STATE__CANCELLED, "cancelled by alice", false,
         "cancelled by alice, the guest stays on hyp01");
}

/* The line of a job on z/VM; options: NULL, or with the operands. */
static void zvm_says(RmState state, const char *text, RmOptions *options, RmStats *stats,
                     const char *wanted)
{
    struct sample s;
    sample_init(&s, state, text);
    s.job.guest = (char *)"gpok3";
    s.job.domain = (char *)"LNX3";
    s.job.kind = RM_KIND__KIND_ZVM;
    s.job.options = options;
    s.view.source = (char *)"pokdev61";
    s.view.destination = (char *)"pokdev62";
    s.view.stats = stats;
    assert_string_equal(view_result(s.arena, &s.view, true), wanted);
    arena_free(s.arena);
}

static void view_result_of_zvm_is_that_of_xcat(void **state)
{
    (void)state;
    RmRelocation relocation = RM_RELOCATION__INIT;
    RmOptions options = RM_OPTIONS__INIT;
    RmStats stats = RM_STATS__INIT;
    zvm_says(RM_STATE__DONE, "", NULL, NULL, "Running VMRELOCATE action=MOVE against LNX3... Done");
    zvm_says(RM_STATE__DONE, "", &options, &stats,
             "Running VMRELOCATE action=MOVE against LNX3... Done");
    options.relocation = &relocation;
    relocation.action = (char *)"move";
    stats.elapsed_for = 4200000;
    zvm_says(RM_STATE__DONE, "", &options, &stats,
             "Running VMRELOCATE action=move against LNX3... Done (4.2 s)");
    zvm_says(RM_STATE__FAILED, "SMAPI return code 8, reason code 3000: HCP1940", &options, &stats,
             "Running VMRELOCATE action=move against LNX3... Failed: SMAPI return code 8, reason "
             "code 3000: HCP1940");
    zvm_says(RM_STATE__CANCELLED, "cancelled by alice", &options, &stats,
             "cancelled by alice, the guest stays on pokdev61");
    struct sample s;
    sample_init(&s, RM_STATE__DONE, "");
    s.job.kind = RM_KIND__KIND_ZVM;
    assert_string_equal(view_result(s.arena, &s.view, false),
                        "Running VMRELOCATE action=MOVE against KVM1... Done");
    s.view.already = true;
    assert_string_equal(view_result(s.arena, &s.view, false), "Guest is already on host hyp02");
    s.view.already = false;
    s.view.state = RM_STATE__FAILED;
    s.view.text = (char *)"Unable to identify a suitable target host for guest kvm1";
    s.view.destination = (char *)"";
    assert_string_equal(view_result(s.arena, &s.view, false), s.view.text);
    arena_free(s.arena);
}

static void stopped_is(RmKind kind, RmState state, const char *text, const char *wanted)
{
    struct sample s;
    sample_init(&s, state, text);
    s.job.kind = kind;
    assert_string_equal(view_stopped(s.arena, &s.view), wanted);
    arena_free(s.arena);
}

static void view_stopped_says_whether_it_was(void **state)
{
    (void)state;
    stopped_is(RM_KIND__KIND_ZVM, RM_STATE__CANCELLED, "cancelled by alice",
               "Running VMRELOCATE action=CANCEL against KVM1... Done");
    stopped_is(RM_KIND__KIND_ZVM, RM_STATE__DONE, "",
               "Running VMRELOCATE action=CANCEL against KVM1... Failed: the guest had already "
               "arrived at hyp02");
    stopped_is(RM_KIND__KIND_ZVM, RM_STATE__FAILED, "no memory",
               "Running VMRELOCATE action=CANCEL against KVM1... Failed: no memory");
    stopped_is(RM_KIND__KIND_LIBVIRT, RM_STATE__CANCELLED, "cancelled by alice",
               "cancelled by alice, the guest stays on hyp01");
    stopped_is(RM_KIND__KIND_LIBVIRT, RM_STATE__DONE, "", "the guest had already arrived at hyp02");
}

static void view_result_says_how_to_release_a_locked_guest(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s, RM_STATE__FAILED, "it runs on both");
    s.view.locked = true;
    assert_non_null(strstr(view_result(s.arena, &s.view, false), "rmigrate release kvm1"));
    arena_free(s.arena);
}

static void percent_comes_from_what_remains(void **state)
{
    (void)state;
    RmStats s = RM_STATS__INIT;
    assert_int_equal(view_percent(NULL), -1);
    assert_int_equal(view_percent(&s), -1);
    s.total = 200;
    s.remaining = 76;
    assert_int_equal(view_percent(&s), 62);
    s.remaining = 0;
    assert_int_equal(view_percent(&s), 99);
    s.remaining = 201;
    assert_int_equal(view_percent(&s), -1);
    s.total = UINT64_MAX;
    s.remaining = 1;
    assert_int_equal(view_percent(&s), 99);
}

/* ---- the progress block */

static const struct progress_job one = {
    .id = 3,
    .guest = "kvm3",
    .source = "hyp01",
    .destination = "hyp02",
    .phase = "copying",
    .text = "",
    .state = RM_STATE__RUNNING,
    .percent = 62,
    .stats = {.total = 190u << 20,
              .remaining = 72u << 20,
              .rate = 11744051,
              .dirty_rate = 2u << 20,
              .iterations = 2},
};

static char *block(const struct progress_style *style, const struct progress_job *jobs, size_t n,
                   const struct progress_sum *sum, size_t *ret_lines)
{
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    assert_non_null(file);
    size_t lines = progress_block(style, jobs, n, sum, NULL, file);
    fclose(file);
    if (ret_lines)
        *ret_lines = lines;
    return text;
}

static void block_shows_a_line_for_each_migration(void **state)
{
    (void)state;
    struct progress_style style = {.columns = 120, .rows = 24, .utf8 = true};
    struct progress_sum sum = {.elapsed = 12 * 1000000 + 345678, .batch = 17};
    sum.counts[RM_STATE__DONE] = 2;
    sum.counts[RM_STATE__RUNNING] = 2;
    sum.counts[RM_STATE__QUEUED] = 1;
    sum.counts[RM_STATE__FAILED] = 1;
    char *text = block(&style, &one, 1, &sum, NULL);
    assert_string_equal(text, "kvm3  hyp01 → hyp02  ███████░░░░░  62 %  118 MiB of 190 MiB, "
                              "11.2 MiB/s, dirtied 2.00 MiB/s, iteration 2\n"
                              "6 guests: 2 done, 2 running, 1 queued, 1 failed   elapsed 12 s   "
                              "batch 17\n");
    free(text);
    style.utf8 = false;
    text = block(&style, &one, 1, &sum, NULL);
    assert_non_null(strstr(text, "hyp01 -> hyp02  #######.....  62 %"));
    for (const char *p = text; *p; p++)
        assert_true((unsigned char)*p < 0x80);
    free(text);
}

static void block_fits_any_terminal(void **state)
{
    (void)state;
    struct progress_job jobs[8];
    for (size_t i = 0; i < 8; i++) {
        jobs[i] = one;
        jobs[i].id = i;
        jobs[i].state = i < 4 ? RM_STATE__RUNNING : i < 6 ? RM_STATE__WAITING : RM_STATE__QUEUED;
        jobs[i].guest = i % 2 ? "kvm3" : "ein-sehr-langer-Name-für-einen-Gast-mit-ä-und-中文";
        jobs[i].text = i < 4 ? "" : "no room at hyp02\033[2J: it needs 4 GiB, 中文 3 GiB are free";
    }
    struct progress_sum sum = {.elapsed = 1};
    sum.counts[RM_STATE__RUNNING] = 8;
    for (unsigned columns = 20; columns < 160; columns++)
        for (unsigned rows = 1; rows < 14; rows++)
            for (int utf8 = 0; utf8 < 2; utf8++) {
                struct progress_style style = {.columns = columns, .rows = rows, .utf8 = utf8};
                size_t lines;
                char *text = block(&style, jobs, 8, &sum, &lines), *save = NULL;
                assert_true(lines <= rows || lines <= 2);
                for (char *line = strtok_r(text, "\n", &save); line;
                     line = strtok_r(NULL, "\n", &save)) {
                    wchar_t wide[512];
                    size_t n = mbstowcs(wide, line, 512);
                    assert_true(n < 512);
                    int width = wcswidth(wide, n);
                    assert_true(width >= 0 && width < (int)columns);
                }
                free(text);
            }
}

static void block_puts_what_runs_before_what_waits(void **state)
{
    (void)state;
    struct progress_job jobs[4] = {one, one, one, one};
    jobs[0].state = RM_STATE__QUEUED;
    jobs[0].text = "both slots of hyp01 are taken";
    jobs[0].guest = "kvm8";
    jobs[1].state = RM_STATE__WAITING;
    jobs[1].text = "tries again in 10 s";
    jobs[1].guest = "kvm7";
    jobs[2].guest = "kvm1";
    jobs[3].state = RM_STATE__QUEUED;
    jobs[3].text = jobs[0].text;
    jobs[3].guest = "kvm9";
    jobs[3].id = 9;
    struct progress_style style = {.columns = 100, .rows = 24, .utf8 = true};
    struct progress_sum sum = {.elapsed = 1};
    sum.counts[RM_STATE__RUNNING] = 4;
    size_t lines;
    char *text = block(&style, jobs, 4, &sum, &lines);
    assert_int_equal(lines, 4);
    char *a = strstr(text, "kvm1"), *b = strstr(text, "kvm7"), *c = strstr(text, "kvm8 +1");
    assert_true(a && b && c && a < b && b < c);
    assert_null(strstr(text, "kvm9"));
    free(text);
}

static void block_shows_the_time_where_there_is_no_size(void **state)
{
    (void)state;
    struct progress_job jobs[2] = {
        {.id = 1,
         .guest = "gpok3",
         .source = "pokdev61",
         .destination = "pokdev62",
         .phase = "moving",
         .text = "",
         .state = RM_STATE__RUNNING,
         .percent = -1,
         .elapsed = 65432100},
        {.id = 2,
         .guest = "gpok4",
         .source = "pokdev61",
         .destination = "pokdev62",
         .phase = "",
         .text = "cancelled by alice",
         .state = RM_STATE__CANCELLING,
         .percent = -1,
         .elapsed = 2000000},
    };
    struct progress_style style = {.columns = 100, .rows = 24, .utf8 = true};
    struct progress_sum sum = {.elapsed = 66000000};
    sum.counts[RM_STATE__RUNNING] = 2;
    char *text = block(&style, jobs, 2, &sum, NULL);
    assert_string_equal(text, "gpok3  pokdev61 → pokdev62  moving              1 min 05 s\n"
                              "gpok4  pokdev61 → pokdev62  cancelling          2 s  cancelled by "
                              "alice\n"
                              "2 guests: 2 running   elapsed 1 min 06 s\n");
    free(text);
}

static int make_utf8(void **state)
{
    (void)state;
    return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(result_has_the_name_before_every_line),
        cmocka_unit_test(result_carries_no_terminal_commands),
        cmocka_unit_test(listing_is_the_same_for_people_and_programs),
        cmocka_unit_test(listing_passes_over_what_is_not_whole),
        cmocka_unit_test(view_result_is_what_scripts_look_for),
        cmocka_unit_test(view_result_of_zvm_is_that_of_xcat),
        cmocka_unit_test(view_stopped_says_whether_it_was),
        cmocka_unit_test(view_result_says_how_to_release_a_locked_guest),
        cmocka_unit_test(percent_comes_from_what_remains),
        cmocka_unit_test(block_shows_a_line_for_each_migration),
        cmocka_unit_test(block_fits_any_terminal),
        cmocka_unit_test(block_puts_what_runs_before_what_waits),
        cmocka_unit_test(block_shows_the_time_where_there_is_no_size),
    };
    return cmocka_run_group_tests(tests, make_utf8, NULL);
}
