#include "base/hash.h"

#include <nettle/version.h>

void lac_hash_begin(lac_hash *h)
{
    sha256_init(&h->sha);
}

void lac_hash_add(lac_hash *h, const void *data, size_t n)
{
    sha256_update(&h->sha, n, data);
}

void lac_hash_end(lac_hash *h, uint8_t digest[LAC_HASH_SIZE])
{
#if NETTLE_VERSION_MAJOR >= 4
    sha256_digest(&h->sha, digest);
#else
    sha256_digest(&h->sha, LAC_HASH_SIZE, digest);
#endif
}
