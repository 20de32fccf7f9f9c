/* test_domxml.c - what a guest's XML says about the image lock and about devices that stay behind
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/domxml.h"

static struct domxml read_guest(const char *devices, const char *beside)
{
    char xml[8192];
    struct domxml facts;
    struct rm_err err = {""};
    snprintf(xml, sizeof(xml),
             "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
             "<name>g</name><devices>%s</devices>%s</domain>",
             devices, beside);
    if (domxml_read(xml, &facts, &err) < 0)
        fail_msg("%s: %s", xml, err.text);
    domxml_done(&facts);
    return facts;
}

static struct domxml read_devices(const char *devices)
{
    return read_guest(devices, "");
}

#define FILE_DISK                                                                                  \
    "<disk type='file' device='disk'><source file='/srv/a.img'/><target dev='vda'/></disk>"
#define CDROM                                                                                      \
    "<disk type='block' device='cdrom'><source dev='/dev/sr0'/><target "                           \
    "dev='sda'/><readonly/></disk>"

static void image_files_that_are_written_are_guarded(void **state)
{
    (void)state;
    assert_true(read_devices(FILE_DISK).guarded);
    assert_true(read_devices(FILE_DISK CDROM).guarded);
    assert_true(
        read_devices(FILE_DISK "<disk type='file' device='floppy'><target dev='fda'/></disk>")
            .guarded);
}

static void whatever_the_lock_does_not_reach_is_not_guarded(void **state)
{
    (void)state;
    static const char *const open[] = {
        "",
        CDROM,
        "<disk type='file' device='disk'><source file='/a'/><target dev='vda'/><readonly/></disk>",
        "<disk type='file' device='disk'><source file='/a'/><target dev='vda'/><shareable/></disk>",
        FILE_DISK
        "<disk type='block' device='disk'><source dev='/dev/vg/a'/><target dev='vdb'/></disk>",
        FILE_DISK "<disk type='network' device='disk'><source protocol='rbd' name='p/a'/></disk>",
        FILE_DISK "<disk type='volume' device='disk'><source pool='p' volume='v'/></disk>",
        FILE_DISK "<disk type='file' device='disk'><source file='/b'/><transient/></disk>",
        FILE_DISK "<filesystem type='mount'><source dir='/srv'/><target dir='srv'/></filesystem>",
    };
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        struct domxml facts = read_devices(open[i]);
        if (facts.guarded || !facts.why[0])
            fail_msg("guarded: %s", open[i]);
    }
}

static void a_command_line_changed_by_hand_is_not_trusted(void **state)
{
    (void)state;
    assert_true(read_guest(FILE_DISK, "<qemu:capabilities/>").guarded);
    assert_false(
        read_guest(FILE_DISK, "<qemu:commandline><qemu:arg value='-set'/></qemu:commandline>")
            .guarded);
    assert_false(
        read_guest(FILE_DISK, "<qemu:override><qemu:device alias='x'/></qemu:override>").guarded);
}

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
        cmocka_unit_test(image_files_that_are_written_are_guarded),
        cmocka_unit_test(whatever_the_lock_does_not_reach_is_not_guarded),
        cmocka_unit_test(a_command_line_changed_by_hand_is_not_trusted),
        cmocka_unit_test(devices_that_stay_behind_are_named),
        cmocka_unit_test(words_for_the_comparison_of_processors),
        cmocka_unit_test(what_is_no_guest_is_refused),
        cmocka_unit_test(the_uuid_of_a_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
