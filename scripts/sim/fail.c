/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "sim.h"

void sim_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    sim_print(stdout);
    printf("again: SIM_SEED=%llu make spec SPEC=spec/sim\n", (unsigned long long)sim.set.seed);
    fflush(stdout);
    sim_folder_remove();
    _exit(1);
}
