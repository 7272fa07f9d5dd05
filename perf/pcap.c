/* SPDX-License-Identifier: Apache-2.0 */
/* See pcap.h. */
#include "perf/pcap.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 24, RECORD = 16, LENGTH_AT = 8, FRAME_MAX = 1 << 17, ETHERNET = 1 };

static const uint32_t magic = 0xa1b2c3d4;

/* All of a file that can be sought in. */
static uint8_t *read_all(FILE *file, size_t *ret_size)
{
    uint8_t *bytes = NULL;
    long size;

    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < HEADER)
        return NULL;
    rewind(file);
    bytes = malloc((size_t)size);
    *ret_size = (size_t)size;
    if (bytes != NULL && fread(bytes, 1, (size_t)size, file) == (size_t)size)
        return bytes;
    free(bytes);
    return NULL;
}

bool pcap_open(const char *path, struct pcap *ret)
{
    FILE *file = fopen(path, "rb");

    *ret = (struct pcap){.at = HEADER};
    if (file == NULL)
        return false;
    ret->bytes = read_all(file, &ret->size);
    fclose(file);
    if (ret->bytes != NULL && memcmp(ret->bytes, &magic, sizeof(magic)) == 0)
        return true;
    pcap_close(ret);
    return false;
}

void pcap_close(struct pcap *pcap)
{
    free(pcap->bytes);
    pcap->bytes = NULL;
}

bool pcap_next(struct pcap *pcap, uint8_t **ret_frame, uint32_t *ret_length)
{
    uint32_t length;

    if (pcap->size - pcap->at < RECORD)
        return false;
    memcpy(&length, pcap->bytes + pcap->at + LENGTH_AT, sizeof(length));
    if (length > FRAME_MAX || pcap->size - pcap->at - RECORD < length)
        return false;
    *ret_frame = pcap->bytes + pcap->at + RECORD;
    *ret_length = length;
    pcap->at += RECORD + length;
    return true;
}

bool pcap_begin(FILE *file)
{
    const uint32_t header[HEADER / 4] = {magic, 2 | 4 << 16, 0, 0, FRAME_MAX, ETHERNET};

    return fwrite(header, sizeof(header), 1, file) == 1;
}

bool pcap_write(FILE *file, uint32_t second, uint32_t us, const uint8_t *frame, uint32_t length)
{
    const uint32_t record[RECORD / 4] = {second, us, length, length};

    return fwrite(record, sizeof(record), 1, file) == 1 && fwrite(frame, length, 1, file) == 1;
}
