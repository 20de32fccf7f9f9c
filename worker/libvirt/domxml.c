/* domxml.c - what a guest's XML says about moving it: what stands in the way, what can be compared
 */
#include "worker/libvirt/domxml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct domxml facts = {.cpu = NULL};
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
