/* SPDX-License-Identifier: Apache-2.0 */
/* The one function of a fuzz target, by the name that libFuzzer and other engines call. */
#ifndef TANDEM_TESTS_FUZZ_FUZZ_H
#define TANDEM_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Runs the code under test on `size` bytes; aborts when something that must hold does not. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
