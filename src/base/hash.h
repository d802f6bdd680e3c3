/* Incremental sha256. */
#ifndef DELE_HASH_H
#define DELE_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>

enum { DELE_HASH_SIZE = SHA256_DIGEST_SIZE };

typedef struct {
    struct sha256_ctx sha;
} dele_hash;

void dele_hash_begin(dele_hash *h);
void dele_hash_add(dele_hash *h, const void *data, size_t n);
void dele_hash_end(dele_hash *h, uint8_t digest[DELE_HASH_SIZE]);

#endif
