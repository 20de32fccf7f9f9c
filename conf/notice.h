/* notice.h - what a person has to act on: the log's lines that have a number of their own
 *
 * Such a line has its number in the journal as MESSAGE_ID and its name as RMIGRATE_NOTICE; what can
 * be done about it stands in conf/rmigrate.catalog, which `journalctl -x` shows with the line. A number
 * is made once, with `systemd-id128 new`, and kept: scripts wait for it. */
#ifndef CONF_NOTICE_H
#define CONF_NOTICE_H

/* clang-format off */
#define NOTICES(X)                                                                                 \
    X(GUEST_LOCKED,        "guest-locked",        "3564fa1f51954fac8bb50a6d05a91c4d")              \
    X(GUEST_IN_DOUBT,      "guest-in-doubt",      "6a44a3c70635440d9c96a8b1247ade25")              \
    X(JOB_FAILED,          "job-failed",          "1978c11287d049fab04860c6223fd270")              \
    X(EVACUATION_LEFT,     "evacuation-left",     "19e6e674bef140d780909da292e66e18")              \
    X(WORKER_LOST,         "worker-lost",         "9677c51258dd46aa8c3c6d9b260d59e8")              \
    X(HYPERVISOR_LOST,     "hypervisor-lost",     "4621f1b322e743cd90d86aa5b4c0dbbb")              \
    X(SECOND_WORKER,       "second-worker",       "144cda78345348ac8694e68747312814")              \
    X(KEY_REFUSED,         "key-refused",         "3d06477b77a1437d8a7ec2ff30494023")              \
    X(NOT_PERMITTED,       "not-permitted",       "bf5a6c9c2cbb48379007437214bb2a9d")              \
    X(STORE_FULL,          "store-full",          "1993ab92e1134ee298f452aee28a9c96")              \
    X(SETTINGS_REFUSED,    "settings-refused",    "9f96ee40b8da42be8b72e7d919919934")              \
    X(NEEDS_RESTART,       "needs-restart",       "5da9e7e65b154b0fa0ea3318df76c087")              \
    X(WORKER_REFUSED,      "worker-refused",      "4ab0999b95104ea481ad0c21f8b13a7d")              \
    X(BROKER_ENDED,        "broker-ended",        "c1bf8762ee624d7693ff184d109e63d2")
/* clang-format on */

#define NOTICE_ENUM(name, word, id) NOTICE_##name,
enum notice { NOTICE_NONE, NOTICES(NOTICE_ENUM) NOTICE_COUNT };
#undef NOTICE_ENUM

/* "guest-locked", and 32 digits; "" of NOTICE_NONE. */
const char *notice_name(enum notice notice);
const char *notice_id(enum notice notice);

#endif
