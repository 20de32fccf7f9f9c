/* domxml.c - what a guest's XML says about moving it: who guards its disks, what stands in the way
 *
 * QEMU takes a lock on every image file that it writes to, and a second QEMU that wants to write to
 * the same file does not get it: where that guards every writable disk, a guest cannot run twice.
 * It guards nothing where a disk is shareable, or is no file (locks on a device node do not reach
 * other machines), or where somebody changed QEMU's command line. A writable host directory
 * (filesystem) has no lock at all. In doubt: not guarded, then the other fence is used. */
#include "worker/domxml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QEMU_NAMESPACE "http://libvirt.org/schemas/domain/qemu/1.0"

static bool is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *child(const xmlNode *node, const char *name)
{
    for (xmlNode *one = node ? node->children : NULL; one; one = one->next)
        if (is(one, name))
            return one;
    return NULL;
}

/* Copies an attribute; "" when it is not there. */
static const char *attribute(xmlNode *node, const char *name, char *buffer, size_t size)
{
    xmlChar *value = node ? xmlGetProp(node, (const xmlChar *)name) : NULL;
    snprintf(buffer, size, "%s", value ? (const char *)value : "");
    xmlFree(value);
    return buffer;
}

static bool attribute_is(xmlNode *node, const char *name, const char *value)
{
    char buffer[DOMXML_WORD_MAX];
    return strcmp(attribute(node, name, buffer, sizeof(buffer)), value) == 0;
}

/* Looks at one disk. Returns true when the image lock guards it or nobody writes to it; counts the
 * former. */
static bool disk_is_guarded(xmlNode *disk, unsigned *guarded, char *why, size_t size)
{
    char target[DOMXML_WORD_MAX];
    attribute(child(disk, "target"), "dev", target, sizeof(target));
    if (child(disk, "readonly") || attribute_is(disk, "device", "cdrom"))
        return true;
    if (child(disk, "shareable")) {
        snprintf(why, size, "disk %s is shareable", target);
        return false;
    }
    if (!attribute_is(disk, "type", "file")) {
        char type[DOMXML_WORD_MAX];
        snprintf(why, size, "disk %s is no image file (%.32s)", target,
                 attribute(disk, "type", type, sizeof(type)));
        return false;
    }
    if (!child(disk, "source"))
        return true; /* an empty floppy drive */
    if (child(disk, "transient")) {
        snprintf(why, size, "disk %s is transient", target);
        return false;
    }
    (*guarded)++;
    return true;
}

static void read_guard(const xmlNode *domain, const xmlNode *devices, struct domxml *facts)
{
    unsigned guarded = 0;
    facts->guarded = false;
    for (xmlNode *one = domain->children; one; one = one->next)
        if (one->type == XML_ELEMENT_NODE && one->ns &&
            strcmp((const char *)one->ns->href, QEMU_NAMESPACE) == 0 && !is(one, "capabilities")) {
            snprintf(facts->why, sizeof(facts->why), "QEMU's command line was changed by hand");
            return;
        }
    for (xmlNode *one = devices ? devices->children : NULL; one; one = one->next) {
        if (is(one, "disk") && !disk_is_guarded(one, &guarded, facts->why, sizeof(facts->why)))
            return;
        if (is(one, "filesystem") && !child(one, "readonly")) {
            snprintf(facts->why, sizeof(facts->why), "it writes to a directory of the host");
            return;
        }
    }
    facts->guarded = guarded > 0;
    if (!facts->guarded)
        snprintf(facts->why, sizeof(facts->why), "it has no writable disk");
}

static void read_blockers(const xmlNode *devices, struct domxml *facts)
{
    for (xmlNode *one = devices ? devices->children : NULL; one; one = one->next) {
        char name[DOMXML_WORD_MAX];
        if (is(one, "shmem") && !attribute_is(one, "role", "master") && !facts->blocker[0])
            snprintf(facts->blocker, sizeof(facts->blocker),
                     "its shared memory '%s' (role peer) cannot be taken along",
                     attribute(one, "name", name, sizeof(name)));
        bool host_device = (is(one, "hostdev") && !attribute_is(one, "type", "usb")) ||
                           (is(one, "interface") && attribute_is(one, "type", "hostdev"));
        xmlNode *teaming = child(one, "teaming");
        if (host_device && !(teaming && attribute_is(teaming, "type", "transient")) &&
            !facts->host_device[0])
            snprintf(facts->host_device, sizeof(facts->host_device), "%.*s",
                     (int)sizeof(facts->host_device) - 1,
                     is(one, "interface") ? "network" : attribute(one, "type", name, sizeof(name)));
    }
}

/* The cpu element as a document; host-passthrough has nothing in it that could be compared. */
static int read_cpu(xmlDoc *document, xmlNode *domain, struct domxml *facts)
{
    xmlNode *cpu = child(domain, "cpu");
    if (!cpu || !child(cpu, "model") || attribute_is(cpu, "mode", "host-passthrough") ||
        attribute_is(cpu, "mode", "maximum"))
        return 0;
    xmlBuffer *buffer = xmlBufferCreate();
    if (!buffer)
        return -ENOMEM;
    int r = xmlNodeDump(buffer, document, cpu, /* level = */ 0, /* format = */ 0);
    if (r > 0)
        facts->cpu = strdup((const char *)xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return r > 0 && !facts->cpu ? -ENOMEM : 0;
}

static xmlDoc *parse(const char *xml)
{
    size_t length = strlen(xml);
    if (length > DOMXML_MAX)
        return NULL;
    return xmlReadMemory(xml, (int)length, "domain.xml", NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

int domxml_read(const char *xml, struct domxml *ret_facts, struct rm_err *err)
{
    struct domxml facts = {.guarded = false};
    xmlDoc *document = parse(xml);
    xmlNode *domain = document ? xmlDocGetRootElement(document) : NULL;
    if (!domain || !is(domain, "domain")) {
        xmlFreeDoc(document);
        return rm_fail(err, -EINVAL, "the guest's XML cannot be read");
    }
    attribute(domain, "type", facts.virttype, sizeof(facts.virttype));
    xmlNode *type = child(child(domain, "os"), "type");
    attribute(type, "arch", facts.arch, sizeof(facts.arch));
    attribute(type, "machine", facts.machine, sizeof(facts.machine));
    const xmlNode *devices = child(domain, "devices");
    read_guard(domain, devices, &facts);
    read_blockers(devices, &facts);
    int r = read_cpu(document, domain, &facts);
    xmlFreeDoc(document);
    if (r < 0)
        return rm_fail(err, r, "no memory");
    *ret_facts = facts;
    return 0;
}

void domxml_done(struct domxml *facts)
{
    free(facts->cpu);
    facts->cpu = NULL;
}

int domxml_host_uuid(const char *xml, char *ret_uuid, size_t size)
{
    xmlDoc *document = parse(xml);
    xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
    if (!root) {
        xmlFreeDoc(document);
        return -EINVAL;
    }
    xmlNode *uuid = child(child(root, "host"), "uuid");
    xmlChar *text = uuid ? xmlNodeGetContent(uuid) : NULL;
    snprintf(ret_uuid, size, "%s", text ? (const char *)text : "");
    xmlFree(text);
    xmlFreeDoc(document);
    return 0;
}
