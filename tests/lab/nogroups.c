/* nogroups.c - lets libvirtd start QEMU in a user namespace with one mapped id (LD_PRELOAD)
 *
 * There the kernel refuses setgroups(), which libvirtd calls before each QEMU, though the list of
 * groups would stay what it is.  An ordinary user's lab therefore says yes in its place.
 */
#include <grp.h>

int setgroups(size_t count, const gid_t *groups)
{
    (void)count;
    (void)groups;
    return 0;
}
