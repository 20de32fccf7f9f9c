/* test_domxml.c - what a guest's XML says about devices that stay behind, and about its processor */
#include "worker/libvirt/domxml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct domxml read_devices(const char *devices)
{
    char xml[8192];
    struct domxml facts;
    struct rm_err err = {""};
    snprintf(xml, sizeof(xml), "<domain type='kvm'><name>g</name><devices>%s</devices></domain>",
             devices);
    if (domxml_read(xml, &facts, &err) < 0)
        fail_msg("%s: %s", xml, err.text);
    domxml_done(&facts);
    return facts;
}

#define FILE_DISK                                                                                  \
    "<disk type='file' device='disk'><source file='/srv/a.img'/><target dev='vda'/></disk>"
static void devices_that_stay_behind_are_named(void **state)
{
    (void)state;
    assert_string_equal(read_devices(FILE_DISK).blocker, "");
    assert_string_equal(read_devices("<shmem name='s' role='master'/>").blocker, "");
    assert_string_equal(read_devices("<shmem name='s'/>").blocker,
                        "its shared memory 's' (role peer) cannot be taken along");
    assert_string_equal(read_devices("<hostdev mode='subsystem' type='pci'/>").host_device, "pci");
    assert_string_equal(read_devices("<hostdev mode='subsystem' type='usb'/>").host_device, "");
    assert_string_equal(read_devices("<interface type='hostdev'/>").host_device, "network");
    assert_string_equal(read_devices("<interface type='hostdev'><teaming type='transient' "
                                     "persistent='ua-x'/></interface>")
                            .host_device,
                        "");
}

static void words_for_the_comparison_of_processors(void **state)
{
    (void)state;
    struct domxml facts;
    assert_int_equal(
        domxml_read("<domain type='qemu'><os><type arch='x86_64' machine='pc-q35-7.2'>hvm"
                    "</type></os><cpu mode='custom' match='exact'><model>Skylake</model>"
                    "<feature policy='require' name='aes'/></cpu></domain>",
                    &facts, NULL),
        0);
    assert_string_equal(facts.virttype, "qemu");
    assert_string_equal(facts.arch, "x86_64");
    assert_string_equal(facts.machine, "pc-q35-7.2");
    assert_non_null(facts.cpu);
    assert_non_null(strstr(facts.cpu, "<model>Skylake</model>"));
    assert_non_null(strstr(facts.cpu, "aes"));
    domxml_done(&facts);
    assert_int_equal(
        domxml_read("<domain type='kvm'><cpu mode='host-passthrough'/></domain>", &facts, NULL), 0);
    assert_null(facts.cpu);
    domxml_done(&facts);
}

static void what_is_no_guest_is_refused(void **state)
{
    (void)state;
    struct domxml facts;
    struct rm_err err = {""};
    assert_int_equal(domxml_read("", &facts, &err), -EINVAL);
    assert_int_equal(domxml_read("<network/>", &facts, &err), -EINVAL);
    assert_int_equal(domxml_read("<domain><devices>", &facts, &err), -EINVAL);
    assert_string_equal(err.text, "the guest's XML cannot be read");
}

static void the_uuid_of_a_host(void **state)
{
    (void)state;
    char uuid[64];
    assert_int_equal(domxml_host_uuid("<capabilities><host><uuid>77-1</uuid></host></capabilities>",
                                      uuid, sizeof(uuid)),
                     0);
    assert_string_equal(uuid, "77-1");
    assert_int_equal(domxml_host_uuid("<capabilities/>", uuid, sizeof(uuid)), 0);
    assert_string_equal(uuid, "");
    assert_int_equal(domxml_host_uuid("no", uuid, sizeof(uuid)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_that_stay_behind_are_named),
        cmocka_unit_test(words_for_the_comparison_of_processors),
        cmocka_unit_test(what_is_no_guest_is_refused),
        cmocka_unit_test(the_uuid_of_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
