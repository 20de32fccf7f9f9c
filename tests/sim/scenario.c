/* scenario.c - histories with a name, written out */
#include "tests/sim/world.h"

const struct scenario scenarios[] = {{0}};
