/* unit.h - sizes, rates and durations as people write them: "64 MiB", "1250 MB/s", "10 min"
 *
 * A number without a unit is refused, except 0: libconfig 1.5 reads integers above 2^31 wrongly,
 * and a bare "30" has cost too many people a night. Decimal (kB MB GB TB) and binary (KiB MiB GiB
 * TiB) units; rates are bytes a second with "/s", or bits with "bit/s" (Mbit/s, Gbit/s); durations
 * us ms s min h d, also joined: "1 h 30 min". A blank between number and unit is optional;
 * fractions are allowed ("1.5 GiB"); negative numbers, overflow and trailing text are errors
 * (-EINVAL, -ERANGE). */
#ifndef CONF_UNIT_H
#define CONF_UNIT_H

#include "conf/env.h"
#include "conf/err.h"

#include <stddef.h>
#include <stdint.h>

int unit_size(const char *text, uint64_t *ret_bytes, struct rm_err *err);
int unit_rate(const char *text, uint64_t *ret_bytes_per_second, struct rm_err *err);
int unit_duration(const char *text, usec_t *ret_usec, struct rm_err *err);

/* The other way, three digits that matter: "1.50 GiB", "117 MiB/s", "4.2 s", "2 h 05 min". */
enum { UNIT_TEXT_MAX = 32 };
const char *unit_size_text(uint64_t bytes, char buffer[static UNIT_TEXT_MAX]);
const char *unit_rate_text(uint64_t bytes_per_second, char buffer[static UNIT_TEXT_MAX]);
const char *unit_duration_text(usec_t usec, char buffer[static UNIT_TEXT_MAX]);

#endif
