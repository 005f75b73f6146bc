// SPDX-License-Identifier: GPL-2.0-only
/*
 * SHA-256 of a Directory's bytes, by the processor's own instructions where the kernel has code for
 * them. The library has since its context is a type of its own; in older kernels it is portable C
 * and several times slower, and who is asked there is the crypto API. And the keys of hash tables.
 */
#include <linux/sched.h>
#include <crypto/sha2.h>

#include "actiondfs.h"

/* Bytes between two chances for others to run. */
#define ADFS_HASH_STEP (256U << 10)

#if !defined(HAVE_SHA256_CTX) && IS_ENABLED(CONFIG_CRYPTO_HASH)

#include <crypto/hash.h>

static struct crypto_shash *adfs_sha256_tfm; /* NULL: the library has to do */

int adfs_hash_init(void)
{
	struct crypto_shash *tfm = crypto_alloc_shash("sha256", 0, 0);

	if (tfm == ERR_PTR(-ENOMEM))
		return -ENOMEM;
	adfs_sha256_tfm = IS_ERR(tfm) ? NULL : tfm;
	return 0;
}

void adfs_hash_exit(void)
{
	crypto_free_shash(adfs_sha256_tfm);
}

static int adfs_sha256_by_api(const u8 *data, size_t size, u8 hash[SHA256_DIGEST_SIZE])
{
	SHASH_DESC_ON_STACK(desc, adfs_sha256_tfm);
	size_t done, step;
	int err;

	if (!adfs_sha256_tfm)
		return -EOPNOTSUPP;
	desc->tfm = adfs_sha256_tfm;
	err = crypto_shash_init(desc);
	for (done = 0; !err && done < size; done += step) {
		step = min_t(size_t, size - done, ADFS_HASH_STEP);
		err = crypto_shash_update(desc, data + done, step);
		cond_resched();
	}
	return err ?: crypto_shash_final(desc, hash);
}

#else

int adfs_hash_init(void)
{
	return 0;
}

void adfs_hash_exit(void)
{
}

static int adfs_sha256_by_api(const u8 *data, size_t size, u8 hash[SHA256_DIGEST_SIZE])
{
	return -EOPNOTSUPP;
}

#endif

static void adfs_sha256_by_library(const u8 *data, size_t size, u8 hash[SHA256_DIGEST_SIZE])
{
	ADFS_SHA256_STATE state;
	size_t done, step;

	sha256_init(&state);
	for (done = 0; done < size; done += step) {
		step = min_t(size_t, size - done, ADFS_HASH_STEP);
		sha256_update(&state, data + done, step);
		cond_resched();
	}
	sha256_final(&state, hash);
}

void adfs_sha256(const u8 *data, size_t size, u8 hash[ACTIONDFS_HASH_SIZE])
{
	BUILD_BUG_ON(ACTIONDFS_HASH_SIZE != SHA256_DIGEST_SIZE);
	if (adfs_sha256_by_api(data, size, hash))
		adfs_sha256_by_library(data, size, hash);
}

u32 adfs_digest_key(const struct adfs_digest *digest)
{
	return siphash(digest->hash, sizeof(digest->hash), &adfs_secret_key);
}
