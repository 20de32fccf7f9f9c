/* test_libvirt_error.c - what libvirt's codes and texts, as they were measured, mean */
#include "worker/libvirt/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct lv_error error_of(int code, int domain, const char *message)
{
    struct lv_error error = {.code = code, .domain = domain};
    snprintf(error.message, sizeof(error.message), "%s", message);
    return error;
}

static void every_measured_text_has_its_class(void **state)
{
    (void)state;
    enum {
        RETRY = RM_CLASS__CLASS_RETRY,
        UNFIT = RM_CLASS__CLASS_UNFIT,
        FATAL = RM_CLASS__CLASS_FATAL,
        LOOK = RM_CLASS__CLASS_AMBIGUOUS,
        ABORTED = RM_CLASS__CLASS_ABORTED
    };
    static const struct {
        int code, domain, class_;
        const char *message;
    } rows[] = {
        /* the destination */
        {1, 0, UNFIT, "internal error: Attempt to migrate guest to the same host 77000000-0000"},
        {1, 10, UNFIT,
         "internal error: process exited while connecting to monitor: cannot set up guest memory "
         "'pc.ram': Cannot allocate memory"},
        {1, 10, UNFIT,
         "internal error: unable to execute QEMU command 'object-add': Unable to access "
         "credentials /etc/pki/qemu/ca-cert.pem: No such file or directory"},
        {1, 10, UNFIT,
         "internal error: unable to execute QEMU command 'migrate-set-capabilities': Postcopy is "
         "not supported"},
        {5, 0, UNFIT, "no connection driver available for storage:///system"},
        {9, 20, UNFIT,
         "operation failed: domain 'f8' already exists with uuid "
         "0b5d3b1e-0000-4000-8000-000000000000"},
        {9, 20, UNFIT,
         "operation failed: domain 'f8x' is already defined with uuid "
         "0b5d3b1e-0000-4000-8000-000000000000"},
        {9, 10, UNFIT,
         "operation failed: migration of disk hda failed: Source and target image have different "
         "sizes"},
        {38, 18, UNFIT,
         "Cannot access storage file '/run/local/d3.img': No such file or directory"},
        {38, 0, UNFIT,
         "cannot limit locked memory of process 71 to 67108864: Operation not permitted"},
        {67, 10, UNFIT,
         "unsupported configuration: Emulator '/usr/bin/qemu-system-x86_64' does not support "
         "machine type 'pc-i440fx-7.2'"},
        {91, 31, UNFIT,
         "the CPU is incompatible with host CPU: Host CPU does not provide required features: aes"},
        /* not now */
        {1, 0, RETRY,
         "internal error: Unable to find an unused port in range 'migration' (49152-49153)"},
        {38, 7, RETRY, "unable to connect to server at 'lab:16509': Connection refused"},
        {38, 7, RETRY, "unable to connect to server at '10.99.0.1:49300': Connection timed out"},
        {38, 7, RETRY,
         "Unable to resolve address 'nohost' service '16509': Temporary failure in name "
         "resolution"},
        {38, 7, RETRY,
         "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory"},
        {55, 10, RETRY,
         "Requested operation is not valid: another migration job is already running for domain "
         "'f9'"},
        {68, 10, RETRY,
         "Timed out during operation: cannot acquire state change lock (held by "
         "monitor=remoteDispatchDomainMigratePerform3Params)"},
        /* never */
        {8, 0, FATAL, "invalid argument: Unsupported compression method 'zstd'"},
        {8, 0, FATAL, "invalid argument: Turn parallel migration on to tune it"},
        {55, 10, FATAL,
         "Requested operation is not valid: cannot migrate domain: Migration is disabled when "
         "using feature 'peer mode' in device 'ivshmem'"},
        {55, 10, FATAL,
         "Requested operation is not valid: cannot start RDMA migration with no memory hard limit "
         "set"},
        {1, 10, FATAL,
         "internal error: unable to execute QEMU command 'migrate': Can't migrate the vm that was "
         "paused due to previous migration"},
        {81, 10, FATAL, "Unsafe migration: Migration without shared storage is unsafe"},
        /* look */
        {1, 7, LOOK, "internal error: client socket is closed"},
        {1, 7, LOOK, "internal error: connection closed due to keepalive timeout"},
        {1, 10, LOOK, "internal error: qemu unexpectedly closed the monitor"},
        {9, 10, LOOK,
         "operation failed: job 'migration out' failed: Unable to write to socket: Connection "
         "reset by peer"},
        {9, 10, LOOK,
         "operation failed: job 'migration out' failed: Unable to write to socket: Broken pipe"},
        {9, 10, LOOK,
         "operation failed: job 'migration out' failed: Unable to write to socket: Bad file "
         "descriptor"},
        {9, 20, LOOK, "operation failed: domain is not running"},
        {38, 7, LOOK, "End of file while reading data: Input/output error"},
        {38, 10, LOOK, "Unable to read from monitor: Connection reset by peer"},
        {42, 10, LOOK, "Domain not found: no domain with matching uuid"},
        {55, 20, LOOK, "Requested operation is not valid: domain 'f8' is already active"},
        {55, 20, LOOK, "Requested operation is not valid: domain is not running"},
        {69, 10, LOOK, "Failed to make domain persistent after migration"},
        {9999, 0, LOOK, "a code that is not known yet"},
        /* by somebody */
        {78, 10, ABORTED, "operation aborted: job 'migration out' canceled by client"},
        {9, 10, ABORTED, "operation failed: job 'migration out' canceled by client"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct lv_error error = error_of(rows[i].code, rows[i].domain, rows[i].message);
        if ((int)lv_error_class(&error) != rows[i].class_)
            fail_msg("class %d, not %d: %s", (int)lv_error_class(&error), rows[i].class_,
                     rows[i].message);
    }
    struct lv_error none = error_of(0, 0, "");
    assert_int_equal(lv_error_class(&none), RM_CLASS__NO_CLASS);
}

/* Without its words an error is at worst looked at, which finds out; never less than that. */
static void in_another_language_the_code_decides(void **state)
{
    (void)state;
    enum { LOOK = RM_CLASS__CLASS_AMBIGUOUS };
    static const struct {
        int code, domain, class_;
    } rows[] = {
        {1, 0, LOOK},
        {1, 10, LOOK},
        {5, 0, RM_CLASS__CLASS_UNFIT},
        {9, 10, LOOK},
        {9, 20, LOOK},
        {38, 7, LOOK},
        {38, 10, LOOK},
        {38, 18, RM_CLASS__CLASS_UNFIT},
        {42, 10, LOOK},
        {55, 10, LOOK},
        {55, 20, LOOK},
        {67, 10, RM_CLASS__CLASS_UNFIT},
        {68, 10, RM_CLASS__CLASS_RETRY},
        {78, 10, RM_CLASS__CLASS_ABORTED},
        {81, 10, RM_CLASS__CLASS_FATAL},
        {91, 31, RM_CLASS__CLASS_UNFIT},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct lv_error error =
            error_of(rows[i].code, rows[i].domain, "ドメインは動作していません");
        if ((int)lv_error_class(&error) != rows[i].class_)
            fail_msg("code %d, domain %d: class %d", rows[i].code, rows[i].domain,
                     (int)lv_error_class(&error));
    }
}

static void the_text_holds_code_domain_and_all_of_the_message(void **state)
{
    (void)state;
    char text[RM_ERR_MAX];
    struct lv_error error =
        error_of(9, 20, "operation failed: domain 'f8' already exists with uuid 0b");
    assert_string_equal(lv_error_text(&error, text),
                        "libvirt error 9 (domain 20): operation failed: domain 'f8' already exists "
                        "with uuid 0b");
    error.code = 0;
    assert_string_equal(lv_error_text(&error, text), "");
}

static void a_disk_that_is_not_shared_comes_with_what_helps(void **state)
{
    (void)state;
    char text[RM_ERR_MAX];
    struct lv_error unsafe = error_of(81, 10, "Migration without shared storage is unsafe");
    struct lv_error missing = error_of(38, 18, "Cannot access storage file '/d3.img'");
    assert_non_null(strstr(lv_error_text(&unsafe, text), "is unsafe; its disks have to be on "));
    assert_non_null(strstr(text, "--unsafe"));
    assert_non_null(
        strstr(lv_error_text(&missing, text), "'/d3.img'; is that disk on storage that "));
}

static void only_a_broken_connection_is_taken_for_one(void **state)
{
    (void)state;
    struct lv_error closed = error_of(1, 7, "internal error: client socket is closed");
    struct lv_error end = error_of(38, 7, "End of file while reading data: Input/output error");
    struct lv_error guest =
        error_of(38, 10, "Unable to read from monitor: Connection reset by peer");
    struct lv_error missing = error_of(42, 7, "Domain not found");
    assert_true(lv_error_is_connection(&closed));
    assert_true(lv_error_is_connection(&end));
    assert_false(lv_error_is_connection(&guest));
    assert_false(lv_error_is_connection(&missing));
    assert_true(lv_error_is_no_guest(&missing));
    assert_false(lv_error_is_no_guest(&guest));
}

static void a_guest_that_comes_in_is_known_by_its_refusal(void **state)
{
    (void)state;
    struct lv_error coming = error_of(84, 10,
                                      "Operation not supported: migration statistics are "
                                      "available only on the source host");
    struct lv_error ended =
        error_of(55, 20, "Requested operation is not valid: domain is not running");
    struct lv_error foreign = error_of(84, 10, "操作はサポートされていません");
    assert_true(lv_error_is_incoming(&coming));
    assert_true(lv_error_is_incoming(&foreign));
    assert_false(lv_error_is_incoming(&ended));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_measured_text_has_its_class),
        cmocka_unit_test(in_another_language_the_code_decides),
        cmocka_unit_test(the_text_holds_code_domain_and_all_of_the_message),
        cmocka_unit_test(a_disk_that_is_not_shared_comes_with_what_helps),
        cmocka_unit_test(only_a_broken_connection_is_taken_for_one),
        cmocka_unit_test(a_guest_that_comes_in_is_known_by_its_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
