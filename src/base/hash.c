#include "base/hash.h"

#include <nettle/version.h>

void dele_hash_begin(dele_hash *h) { sha256_init(&h->sha); }

void dele_hash_add(dele_hash *h, const void *data, size_t n) { sha256_update(&h->sha, n, data); }

void dele_hash_end(dele_hash *h, uint8_t digest[DELE_HASH_SIZE])
{
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(&h->sha, digest);
#else
    sha256_digest(&h->sha, DELE_HASH_SIZE, digest);
#endif
}
