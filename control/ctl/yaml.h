/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as the YAML that a configuration file is written in. It knows nothing of the configuration.
 */
#ifndef TANDEM_CONTROL_CTL_YAML_H
#define TANDEM_CONTROL_CTL_YAML_H

#include <jansson.h>

/*
 * An object as text for free(): members that are null are left out, short objects in lists stand in
 * one line. NULL: no memory.
 */
char *yaml_text(const json_t *object);

#endif
