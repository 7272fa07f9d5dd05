/* SPDX-License-Identifier: Apache-2.0 */
/* A contender that is a program. */
#include "perf/parsers/contender.h"

int main(int argc, char **argv)
{
    return contender_main(argc, argv);
}
