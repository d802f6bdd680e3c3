/* sha256 of bytes as they come by. */
#ifndef LAC_HASH_H
#define LAC_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>

enum { LAC_HASH_SIZE = SHA256_DIGEST_SIZE };

typedef struct {
    struct sha256_ctx sha;
} lac_hash;

void lac_hash_begin(lac_hash *h);
void lac_hash_add(lac_hash *h, const void *data, size_t n);
void lac_hash_end(lac_hash *h, uint8_t digest[LAC_HASH_SIZE]);

#endif
